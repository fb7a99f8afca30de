"""Support access with the real OpenSSH and the kernel's rules: who gets in, from where, how long.

The unit's script runs in the lab's box with an own view of /run, as the unit would start it.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image.conftest import OVERLAY
from image.test_base_rules import BOX, lay, reaches
from ratwall_lab.topology import Lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: run as root")

SCRIPT = OVERLAY / "usr/lib/ratwall/support"
CONFIG = OVERLAY / "usr/share/ratwall/sshd_config"
SSH = 22
PATIENCE = 40.0  # seconds, on a busy machine


@dataclass
class Door:
    """The box with its rules, and a technician's keys."""

    lab: Lab
    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "RATWALL_RUN": str(self.run),
            "RATWALL_SUPPORT_RUN": str(self.folder / "own"),
            "RATWALL_SUPPORT_CONFIG": str(self.folder / "sshd_config"),
        }

    def start(self, seconds: int) -> "subprocess.Popen[bytes]":
        """As ExecStart does."""
        with (self.folder / "log").open("ab") as log:
            return self.lab.box.popen(
                [SCRIPT, "open", str(seconds)], env=self.environment(), stderr=log
            )

    def open(self, seconds: int) -> "subprocess.Popen[bytes]":
        """Start it and wait until it answers in the office."""
        process = self.start(seconds)
        deadline = time.monotonic() + PATIENCE
        while not reaches(self.lab.anna, BOX, SSH):
            assert time.monotonic() < deadline, self.said()
            assert process.poll() is None, self.said()
        return process

    def close(self) -> None:
        """As ExecStopPost does."""
        self.lab.box.run([SCRIPT, "close"], env=self.environment())

    def said(self) -> str:
        return (self.folder / "log").read_text()

    def enter(
        self, key: str, *words: str, user: str = "root"
    ) -> "subprocess.CompletedProcess[str]":
        """Come from the office with a key."""
        options = [
            *("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.folder}/known"),
            *(
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
                "-o",
                f"ConnectTimeout={PATIENCE:.0f}",
            ),
            *("-F", "none", "-i", str(self.folder / key)),
        ]
        return self.lab.anna.run(["ssh", *options, f"{user}@{BOX}", *words], check=False)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("support")
    for name in ("run", "own"):
        (folder / name).mkdir(mode=0o700)
    for key in ("right", "wrong"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True
        )
    # The one line that differs from the box's: where the key lies.
    text = CONFIG.read_text()
    assert "/run/ratwall/support-keys" in text
    text = text.replace("/run/ratwall/support-keys", str(folder / "run" / "support-keys"))
    # It looks at the rights of every directory above, and a test's stand below /tmp.
    (folder / "sshd_config").write_text(f"{text}StrictModes no\n")
    made = not Path("/run/sshd").exists()
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    try:
        with Lab("bridge") as lab:
            lab.box.run(["ip", "address", "add", f"{BOX}/24", "dev", "br0"])
            lay(lab, folder, router=False)
            yield Door(lab, folder)
    finally:
        if made:
            shutil.rmtree("/run/sshd", ignore_errors=True)


def give_key(door: Door) -> None:
    for name in ("support-keys", "support-time", "support.json"):
        shutil.copy(door.folder / "right.pub", door.run / name)


def test_the_key_opens_it_for_the_office_alone_and_the_end_throws_everybody_out(door: Door) -> None:
    assert not reaches(door.lab.anna, BOX, SSH), "off, until it is switched on"
    give_key(door)
    process = door.open(600)
    try:
        entered = door.enter("right", "id", "-u")
        assert entered.stdout.strip() == "0", entered.stderr + door.said()
        assert door.enter("wrong", "id").returncode != 0
        assert door.enter("right", "id", user="nobody").returncode != 0
        assert not reaches(door.lab.internet, BOX, SSH)
        # No way through the box.
        forwarded = door.enter("right", "-W", "127.0.0.1:443")
        assert forwarded.returncode != 0
        shown = (door.run / "support-fingerprint").read_text().strip()
        known = door.lab.anna.run(["ssh-keygen", "-lf", str(door.folder / "known")]).stdout
        assert shown.startswith("SHA256:") and shown in known
    finally:
        process.terminate()
        process.wait(PATIENCE)
        door.close()
    assert not reaches(door.lab.anna, BOX, SSH)
    assert list(door.run.iterdir()) == []


def test_the_time_ends_it_and_the_kernel_shuts_the_port_by_itself(door: Door) -> None:
    give_key(door)
    process = door.start(3)
    try:
        # timeout(1) says 124 when the time was up: the unit counts that as a good end.
        assert process.wait(PATIENCE) == 124
        deadline = time.monotonic() + PATIENCE
        while (
            "22"
            in door.lab.box.run(["nft", "list", "set", "inet", "ratwall_base", "support"]).stdout
        ):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        process.kill()
        process.wait(PATIENCE)
        door.close()


@pytest.mark.parametrize("seconds", ["", "0", "28801", "1h", "-1", "60 -o"])
def test_no_other_time_opens_it(door: Door, seconds: str) -> None:
    done = door.lab.box.run([SCRIPT, "open", seconds], env=door.environment(), check=False)
    assert done.returncode != 0
    assert not reaches(door.lab.anna, BOX, SSH)
