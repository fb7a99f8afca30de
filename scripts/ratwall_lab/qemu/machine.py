"""A box in QEMU: powered on, waited for, asked, cut from power, saved and taken up again.

The verbs are those of the NixOS test driver. Software emulation only: hardware acceleration is not
to be had on every machine that must run the tests. It never writes to the image it is given; every
box has a copy-on-write disk of its own. Design note: every wait has a deadline and watches the box
as well, so that a box that panics or ends fails its test at once, with the end of its console.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ratwall_lab.namespaces import Host, run_tool
from ratwall_lab.qemu import shell as shell_channel
from ratwall_lab.qemu.cable import PORTS, open_tap
from ratwall_lab.qemu.console import Console
from ratwall_lab.qemu.errors import MachineError
from ratwall_lab.qemu.qmp import Qmp
from ratwall_lab.qemu.shell import Answer, Shell

FIRMWARE = Path("/usr/share/ovmf/OVMF.fd")  # keeps no variables: all a box needs is on its disk
DISK_SIZE = "3G"  # larger than the image, so that the data partition has something to grow into
MEMORY_MB = 1024
CPUS = 2
# Without CMPXCHG16B: the emulator of QEMU 7.2 now and then leaves wrong flags and registers behind
# one, and the kernel, whose allocator uses it all the time, ends in a double fault.
CPU = "max,-cx16"
FIRST_PORT_SLOT = 8  # on the PCI bus, so that the box finds its ports in this order
BOOT_SECONDS = 900.0  # 40 s on a quiet machine with two cores; a loaded one takes its time
COMMAND_SECONDS = 180.0
POLL_SECONDS = 0.5
SOCKET_SECONDS = 30.0  # for QEMU itself to start
SAVE_SECONDS = 180.0  # a gigabyte at most, to a file
STATE_SPEED = 1 << 40  # bytes a second: a file is no network to be considerate of


@dataclass(frozen=True, slots=True)
class Saved:
    """A box held still: its disk as it was, and the state of its processors and memory."""

    disk: Path
    state: Path


class Machine:
    """One emulated box; a context manager that ends it."""

    def __init__(
        self,
        image: Path,
        folder: Path,
        cables: Host | None = None,
        *,
        memory_mb: int = MEMORY_MB,
        shell: bool = True,
        saved: Saved | None = None,
        units: Mapping[str, str] = MappingProxyType({}),
        options: Sequence[str] = (),
    ) -> None:
        """`folder` keeps disk, sockets and console; `cables` is the namespace where its ports end;
        `saved` is taken up instead of powering on; `units` are changes of the box's units, by name;
        `options` go to QEMU as they are."""
        self.image, self.folder, self.cables = image, folder, cables
        self.memory_mb = memory_mb
        self.may_panic = False  # set where a kernel is meant to give up, and to start again
        self.disk = folder / "disk.qcow2"
        self.console = Console(folder / "console.log")
        self._saved, self._has_shell, self._options = saved, shell, tuple(options)
        self._units = units
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._shell: Shell | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if saved and self.disk.exists():
            raise MachineError(f"{self.disk}: a saved state fits no other disk than its own")
        if not self.disk.exists():
            make_overlay(saved.disk if saved else image, self.disk)

    def __enter__(self) -> Machine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.crash()

    # -- power ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Power on (or take up the saved state, once); returns when QEMU runs."""
        if self._process is not None:
            raise MachineError("the box is on already")
        saved, self._saved = self._saved, None
        for name in ("qmp.sock", "shell.sock"):
            (self.folder / name).unlink(missing_ok=True)
        taps = [open_tap(self.cables, port) for port in PORTS] if self.cables else []
        argv = self.argv(taps, saved)
        try:
            with (self.folder / "qemu.log").open("ab") as log:
                log.write(f"{shlex.join(argv)}\n".encode())
                log.flush()
                self._process = subprocess.Popen(
                    argv, pass_fds=taps, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        finally:
            for tap in taps:
                os.close(tap)
        self.console.mark()
        try:
            self._qmp = Qmp(self._wait_socket("qmp.sock"))
            if self._has_shell:
                self._shell = Shell(self._wait_socket("shell.sock"), self.check_alive)
            if saved is not None:
                self._take_up()
        except BaseException:
            self.crash()
            raise

    def crash(self) -> None:
        """Cut the power: QEMU is killed, and what it had not yet written is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        for end in (self._qmp, self._shell):
            if end is not None:
                end.close()
        self._qmp = self._shell = None

    def power_cut(self) -> None:
        """Cut the power and switch it on again."""
        self.crash()
        self.start()

    def save(self, folder: Path) -> Saved:
        """Hold the box still, keep its state in `folder`, and end it; others take it up there."""
        folder.mkdir(parents=True, exist_ok=True)
        state = folder / "state"
        qmp = self._need_qmp()
        qmp.execute("stop")
        qmp.execute("migrate-set-parameters", **{"max-bandwidth": STATE_SPEED})
        qmp.execute("migrate", uri=f"exec:cat > {shlex.quote(str(state))}")
        self._wait(
            lambda: self._migrated(), SAVE_SECONDS, "QEMU has not saved the state of the box"
        )
        qmp.execute("quit")
        if self._process is not None:
            self._process.wait(SOCKET_SECONDS)  # it closes the disk in order
        self.crash()
        disk = folder / "disk.qcow2"
        self.disk.rename(disk)
        return Saved(disk, state)

    # -- waiting and asking -----------------------------------------------------------------------

    def execute(self, command: str, timeout: float = COMMAND_SECONDS) -> Answer:
        """Run a command on the box as root and return what it gave."""
        if self._shell is None:
            raise MachineError("the box has no shell here, or is off")
        return self._shell.execute(command, timeout)

    def succeed(self, command: str, timeout: float = COMMAND_SECONDS) -> str:
        """Run a command that must succeed; its output."""
        answer = self.execute(command, timeout)
        if answer.status != 0:
            raise self.failure(f"{command}: exit status {answer.status}\n{answer.output}")
        return answer.output

    def fail(self, command: str, timeout: float = COMMAND_SECONDS) -> str:
        """Run a command that must fail; its output."""
        answer = self.execute(command, timeout)
        if answer.status == 0:
            raise self.failure(f"{command}: succeeded and should not\n{answer.output}")
        return answer.output

    def wait_until_succeeds(self, command: str, timeout: float = COMMAND_SECONDS) -> str:
        """Run a command again and again until it succeeds; its output then."""
        answers: list[Answer] = []

        def succeeded() -> bool:
            answers[:] = [self.execute(command, timeout)]
            return answers[0].status == 0

        try:
            self._wait(succeeded, timeout, f"{command}: does not succeed")
        except MachineError as error:
            last = answers[0].output if answers else "it never ran"
            raise MachineError(f"{error}\nlast output: {last}") from error
        return answers[0].output

    def wait_for_shell(self, timeout: float = BOOT_SECONDS) -> None:
        """Wait until the box runs commands at all."""
        self.execute("true", timeout)

    def wait_for_unit(self, unit: str, timeout: float = BOOT_SECONDS) -> None:
        """Wait until a unit is active."""
        self.wait_until_succeeds(f"systemctl is-active {shlex.quote(unit)}", timeout)

    def wait_for_console_text(self, pattern: str, timeout: float = BOOT_SECONDS) -> str:
        """Wait until the console has shown a text since power-on; what matched."""
        self._wait(
            lambda: self.console.find(pattern) is not None,
            timeout,
            f"not on the console: {pattern}",
        )
        found = self.console.find(pattern)
        return found[0] if found else ""

    def check_alive(self) -> None:
        """Raise MachineError when the box has ended or given up."""
        if self._process is None or self._process.poll() is not None:
            log = (self.folder / "qemu.log").read_text(errors="replace").splitlines()[-5:]
            raise self.failure("QEMU has ended: " + " | ".join(log))
        if not self.may_panic and (words := self.console.fatal()):
            raise self.failure(f"the box gave up: {words}")

    def failure(self, text: str) -> MachineError:
        """Return an error that shows the end of the console."""
        return MachineError(f"{text}\n--- end of the console ---\n{self.console.tail()}")

    # -- QEMU -------------------------------------------------------------------------------------

    def argv(self, taps: Sequence[int] = (), saved: Saved | None = None) -> list[str]:
        """Return QEMU's command line."""
        folder = self.folder
        argv = [
            *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35"),
            *("-cpu", CPU, "-smp", str(CPUS), "-m", str(self.memory_mb)),
            *("-nodefaults", "-display", "none", "-vga", "std", "-bios", str(FIRMWARE)),
            *("-drive", f"if=none,id=disk,format=qcow2,file={self.disk}"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=0", "-device", "virtio-rng-pci"),
            *("-chardev", f"file,id=console,append=on,path={self.console.path}"),
            *("-serial", "chardev:console"),
            *("-qmp", f"unix:{folder / 'qmp.sock'},server=on,wait=off"),
        ]
        for number, (port, tap) in enumerate(zip(PORTS, taps, strict=False)):
            device = f"virtio-net-pci,netdev={port},addr={FIRST_PORT_SLOT + number},romfile="
            argv += ["-netdev", f"tap,id={port},fd={tap}"]
            argv += ["-device", f"{device},mac=52:54:00:52:57:{number:02x}"]
        if self._has_shell:
            argv += shell_channel.qemu_arguments(folder / "shell.sock", self._units)
        if saved is not None:
            argv += ["-incoming", f"exec:cat {shlex.quote(str(saved.state))}"]
        return [*argv, *self._options]

    def _take_up(self) -> None:
        qmp = self._need_qmp()
        self._wait(
            lambda: qmp.execute("query-status")["status"] not in ("inmigrate", "prelaunch"),
            SAVE_SECONDS,
            "QEMU has not read the saved state",
        )
        qmp.execute("cont")

    def _migrated(self) -> bool:
        status = self._need_qmp().execute("query-migrate").get("status")
        if status == "failed":
            raise MachineError("QEMU could not save the state of the box")
        return bool(status == "completed")

    def _need_qmp(self) -> Qmp:
        if self._qmp is None:
            raise MachineError("the box is off")
        return self._qmp

    def _wait_socket(self, name: str) -> Path:
        path = self.folder / name
        self._wait(path.exists, SOCKET_SECONDS, f"QEMU has not made {name}")
        return path

    def _wait(self, condition: Callable[[], bool], timeout: float, complaint: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            self.check_alive()
            if time.monotonic() > deadline:
                raise self.failure(f"{complaint} (after {timeout:.0f} s)")
            time.sleep(POLL_SECONDS)


def make_overlay(below: Path, disk: Path) -> None:
    """Make a disk that keeps only what differs from `below`, an image or another such disk."""
    kind = "qcow2" if below.suffix == ".qcow2" else "raw"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(below.resolve())]
    run_tool([*argv, str(disk), *([DISK_SIZE] if kind == "raw" else [])])
