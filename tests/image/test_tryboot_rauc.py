"""The real RAUC with the Pi's backend: it installs, names the slots, and marks what runs.

A message bus of its own, slots that are files, a bundle signed with a throw-away key. The box's
restarts are RAUC started anew on the slot that the firmware would take (test_tryboot.py).
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.conftest import OVERLAY, ROOT
from image.test_tryboot import SCRIPT, Pi

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="RAUC mounts its bundles: run as root")

PATIENCE = 120.0  # on a busy machine; every wait ends with what it waits for
SLOT_SIZE = 1024 * 1024
BUS = """<busconfig>
<type>session</type><listen>unix:path={folder}/bus</listen>
<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>
"""
BOARD = "rpi5"
MANIFEST = f"""[update]
compatible=ratwall-{BOARD}
version=2
[bundle]
format=plain
[image.root]
filename=root.img
[image.boot]
filename=boot.img
"""


def run(*argv: object, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


class Updater:
    """RAUC on a Pi."""

    def __init__(self, pi: Pi) -> None:
        self.pi, self.folder = pi, pi.folder
        self.bus = f"unix:path={self.folder}/bus"
        self.asked = self.folder / "asked"
        backend = self.folder / "backend"
        backend.write_text(
            f'#!/bin/sh\necho "$*" >> {self.asked}\n'
            f"export RATWALL_BOOTSEL={pi.bootsel} RATWALL_REBOOT_PARAM={pi.param}\n"
            f'export RATWALL_COMMAND_LINE={self.folder}/cmdline\nexec {SCRIPT} "$@"\n'
        )
        backend.chmod(0o755)
        for name in ("root-a", "root-b", "boot-a", "boot-b"):
            (self.folder / name).write_bytes(bytes(SLOT_SIZE))
        (self.folder / "system.conf").write_text(self._config(backend))
        (self.folder / "bus.conf").write_text(BUS.format(folder=self.folder))

    def _config(self, backend: Path) -> str:
        """The image's own configuration, as the build fills it in for a Pi, with paths of ours."""
        root = self.folder / "root"
        (root / "usr/lib").mkdir(parents=True)
        shutil.copytree(OVERLAY / "etc/rauc", root / "etc/rauc")
        run(ROOT / "scripts/image/mark-root", root, BOARD, "Raspberry Pi 5", "tryboot")
        text = (root / "etc/rauc/system.conf").read_text()
        for there, here in {
            "/usr/lib/ratwall/tryboot": str(backend),
            "/dev/disk/by-partlabel": str(self.folder),
            "/etc/rauc/keyring.pem": str(self.folder / "cert.pem"),
            # Not every RAUC that runs the tests knows the first, nor every kernel dm-verity.
            "data-directory=/data/update": f"statusfile={self.folder}/status",
            "bundle-formats=verity\n": "",
        }.items():
            assert there in text, f"system.conf has no {there}"
            text = text.replace(there, here)
        return text

    def make_bundle(self) -> None:
        key, cert = self.folder / "key.pem", self.folder / "cert.pem"
        run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", key, "-out", cert, "-subj", "/CN=nobody", "-days", "2"),
        )
        content = self.folder / "bundle"
        content.mkdir()
        (content / "root.img").write_bytes(b"new root" * 1000)
        (content / "boot.img").write_bytes(b"new boot" * 1000)
        (content / "manifest.raucm").write_text(MANIFEST)
        bundle = self.folder / "update.raucb"
        run("rauc", "bundle", f"--cert={cert}", f"--key={key}", content, bundle)

    @contextlib.contextmanager
    def on_bus(self) -> Iterator[None]:
        daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self.folder}/bus.conf", "--print-address", "--nofork"],
            stdout=subprocess.PIPE,
            text=True,
        )
        with daemon:
            try:
                assert daemon.stdout is not None and daemon.stdout.readline().startswith("unix:")
                yield
            finally:
                daemon.terminate()

    @contextlib.contextmanager
    def service(self, slot: str) -> Iterator[None]:
        """RAUC as it runs on a box that was started from a slot."""
        log = self.folder / "rauc.log"
        with (
            log.open("a") as file,
            subprocess.Popen(
                [
                    *("rauc", "-c", str(self.folder / "system.conf")),
                    *(f"--mount={self.folder}/mnt", "service", f"--override-boot-slot={slot}"),
                ],
                env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.bus},
                stdout=file,
                stderr=file,
            ) as service,
        ):
            try:
                ends = time.monotonic() + PATIENCE
                while "de.pengutronix.rauc" not in self._names():
                    assert time.monotonic() < ends and service.poll() is None, log.read_text()
                    time.sleep(0.05)
                yield
            finally:
                service.terminate()

    def _names(self) -> str:
        return run(
            *("dbus-send", f"--bus={self.bus}", "--dest=org.freedesktop.DBus", "--print-reply"),
            *("/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames"),
        )

    def rauc(self, *words: str) -> str:
        return run(
            *("rauc", "-c", self.folder / "system.conf", *words),
            DBUS_SYSTEM_BUS_ADDRESS=self.bus,
        )

    def status(self) -> dict[str, str]:
        lines = self.rauc("status", "--output-format=shell").splitlines()
        pairs = (line.split("=", 1) for line in lines if "=" in line)
        return {key: value.strip("'") for key, value in pairs}

    def marks(self) -> dict[str, str]:
        """What RAUC shows of each slot that starts."""
        found = self.status()
        return {
            name: found[key.replace("BOOTNAME", "BOOT_STATUS")]
            for key, name in found.items()
            if key.startswith("RAUC_SLOT_BOOTNAME_") and name
        }


def test_rauc_installs_tries_and_counts_with_this_backend(tmp_path: Path) -> None:
    pi = Pi(tmp_path)
    updater = Updater(pi)
    updater.make_bundle()
    with updater.on_bus():
        with updater.service("A"):
            found = updater.status()
            assert found["RAUC_SYSTEM_BOOTED_BOOTNAME"] == "A"
            assert found["RAUC_BOOT_PRIMARY"] == "root.0"
            updater.rauc("install", str(tmp_path / "update.raucb"))
            assert (tmp_path / "root-b").read_bytes().startswith(b"new root")
            assert updater.status()["RAUC_BOOT_PRIMARY"] == "root.1"
            said = [line for line in updater.asked.read_text().splitlines() if "set" in line]
            assert said == ["set-state B bad", "set-primary B"]

        assert pi.cut() == "A", "a power cut before the restart: as if nothing had been installed"
        with updater.service("A"):
            assert updater.status()["RAUC_BOOT_PRIMARY"] == "root.0"
            updater.rauc("status", "mark-active", "other")

        assert pi.restart() == "B"
        with updater.service("B"):
            assert updater.status()["RAUC_BOOT_PRIMARY"] == "root.0", "on trial"
            updater.rauc("status", "mark-bad", "booted")
        assert pi.restart() == "A"

        with updater.service("A"):
            assert updater.marks() == {"A": "good", "B": "bad"}
            updater.rauc("status", "mark-active", "other")
        assert pi.restart() == "B"
        with updater.service("B"):
            updater.rauc("status", "mark-good", "booted")
            assert updater.status()["RAUC_BOOT_PRIMARY"] == "root.1", "it counts"
    assert pi.cut() == "B"
