"""A root shell on the box, for tests only: a virtio-serial port and a unit that QEMU brings along.

Nothing of it is in any image. The unit and its script are handed to systemd as credentials by the
emulated firmware (SMBIOS), which systemd believes in a virtual machine and nowhere else; so the
same image, the lab's or the product's, has a shell here and none in an office.
Design note: one command at a time, as one line each way (number, time, base64), so that neither a
console's echo nor an answer that comes too late can be taken for the one waited for.
"""

from __future__ import annotations

import base64
import itertools
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ratwall_lab.qemu.errors import MachineError

PORT = "ratwall.lab"
UNIT = "ratwall-lab-shell.service"
SCRIPT_CREDENTIAL = "ratwall.lab-shell"
SLICE_SECONDS = 1.0  # between two looks at whether the box is alive
LATE_SECONDS = 30.0  # the guest's own limit comes first; an emulated box may be slow to say so

SCRIPT = f"""\
port=/dev/virtio-ports/{PORT}
until [ -e "$port" ]; do sleep 0.2; done
exec 3<> "$port"
while :; do
  if ! read -r number seconds text <&3; then sleep 0.2; continue; fi
  printf '%s' "$text" | base64 -d > /run/ratwall-lab-command
  timeout -k 1 "$seconds" sh /run/ratwall-lab-command \
    > /run/ratwall-lab-output 2>&1 < /dev/null 3>&-
  status=$?
  printf '%s %s %s\\n' "$number" "$status" "$(base64 -w 0 /run/ratwall-lab-output)" >&3
done
"""
UNIT_TEXT = f"""\
[Unit]
Description=Root shell of the lab
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
[Service]
ExecStart=/bin/sh /run/credentials/@system/{SCRIPT_CREDENTIAL}
Restart=always
RestartSec=1
"""
# An emulated box finds its disk and its ports many times later than the slowest real one.
DEVICE_PATIENCE = "[Unit]\nJobRunningTimeoutSec=5min\n"
PORTS_PATIENCE = "[Service]\nEnvironment=RATWALL_TRIES=2400\nTimeoutStartSec=5min\n"
SERVICE_PATIENCE = "[Service]\nTimeoutStartSec=5min\n"
# An emulated box stands still for a second when the machine under it is busy: that is no hung
# inspector.
INSPECTOR_PATIENCE = f"{SERVICE_PATIENCE}WatchdogSec=5\n"
PATIENCE = {
    r"dev-disk-by\x2dpartlabel-data.device": DEVICE_PATIENCE,
    r"dev-disk-by\x2dpartlabel-bootsel.device": DEVICE_PATIENCE,
    "ratwall-ports.service": PORTS_PATIENCE,
    "ratwall-port@.service": SERVICE_PATIENCE,
    "systemd-networkd.service": SERVICE_PATIENCE,
    "ratwall-seed.service": SERVICE_PATIENCE,
    "ratwall-prepare.service": SERVICE_PATIENCE,
    "ratwall-rules.service": SERVICE_PATIENCE,
    "ratwall-web.service": SERVICE_PATIENCE,
    "ratwall-export.service": SERVICE_PATIENCE,
    "ratwall-inspector@0.service": INSPECTOR_PATIENCE,
    "ratwall-inspector@1.service": INSPECTOR_PATIENCE,
}
WANTED = f"[Unit]\nWants={UNIT}\n"

_numbers = itertools.count(1)


class Answer(NamedTuple):
    """What a command on the box gave: its exit status and all that it printed."""

    status: int
    output: str


def qemu_arguments(path: Path, units: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return what QEMU needs for the shell, listening on the unix socket `path`.

    `units` are changes of the box's units by name, each in place of the lab's own for that unit;
    an empty text leaves the unit as the image has it.
    """
    changes = {unit: text for unit, text in {**PATIENCE, **units}.items() if text}
    credentials = {
        f"systemd.extra-unit.{UNIT}": UNIT_TEXT,
        SCRIPT_CREDENTIAL: SCRIPT,
        "systemd.unit-dropin.sysinit.target": WANTED,
        **{f"systemd.unit-dropin.{unit}": text for unit, text in changes.items()},
    }
    values = ",".join(
        f"value=io.systemd.credential.binary:{name}={base64.b64encode(text.encode()).decode()}"
        for name, text in credentials.items()
    )
    return [
        *("-device", "virtio-serial-pci"),
        *("-chardev", f"socket,id=shell,path={path},server=on,wait=off"),
        *("-device", f"virtserialport,chardev=shell,name={PORT}"),
        *("-smbios", f"type=11,{values}"),
    ]


class Shell:
    """The host's end of the shell."""

    def __init__(self, path: Path, check_alive: Callable[[], None]) -> None:
        """`check_alive` raises when the box is gone: nobody need wait for it then."""
        self._check_alive = check_alive
        self._pending = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SLICE_SECONDS)
        self._socket.connect(str(path))

    def close(self) -> None:
        """Leave the port; what runs on the box goes on."""
        self._socket.close()

    def execute(self, command: str, timeout: float) -> Answer:
        """Run a command as root; MachineError when no answer comes in time."""
        number = next(_numbers)
        text = base64.b64encode(command.encode()).decode()
        self._socket.sendall(f"{number} {round(timeout)} {text}\n".encode())
        deadline = time.monotonic() + timeout + LATE_SECONDS
        while True:
            words = self._read_line(deadline, command).split(" ")
            if words[0] == str(number):
                output = base64.b64decode(words[2]).decode(errors="replace")
                return Answer(int(words[1]), output)

    def _read_line(self, deadline: float, command: str) -> str:
        while b"\n" not in self._pending:
            self._check_alive()
            if time.monotonic() > deadline:
                raise MachineError(f"no answer in time from the box to: {command}")
            try:
                part = self._socket.recv(65536)
            except TimeoutError:
                continue
            if not part:
                raise MachineError("the box's shell is gone")
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()
