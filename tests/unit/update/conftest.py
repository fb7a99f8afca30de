"""A box's files in a directory of the test's own, and a bundle that its keyring takes."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ratwall.update.place import Place

ROOT = Path(__file__).parents[3]
BOARD = "lab_x86_64"
Bundles = Callable[..., Path]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A box with version 0.1.0 in slot A."""
    box = tmp_path / "box"
    (box / "data").mkdir(parents=True)
    (box / "os-release").write_text(
        f'ID=ratwall\nVERSION_ID="0.1.0"\nVARIANT_ID="{BOARD}"\nRATWALL_UPDATE_KEYS="development"\n'
    )
    (box / "cmdline").write_text("root=PARTLABEL=root-a ro rauc.slot=A\n")
    (box / "boot_id").write_text("first boot\n")
    return Place(
        directory=box / "data",
        environment=box / "grubenv",
        release=box / "os-release",
        keyring=ROOT / "build/keys/development/ca.pem",
        command_line=box / "cmdline",
        boot=box / "boot_id",
    )


@pytest.fixture(scope="session")
def make_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """Makes real, signed bundles of small parts; returns the file."""
    folder = tmp_path_factory.mktemp("bundles")

    def make(version: str = "0.2.0", board: str = BOARD) -> Path:
        (folder / "root").write_bytes(version.encode() * 40_000)
        (folder / "boot").write_bytes(bytes(20_000))
        (folder / "release").write_text(f'VERSION_ID="{version}"\nVARIANT_ID="{board}"\n')
        keyring = subprocess.run(
            [ROOT / "scripts/update-keys", "keyring"], check=True, capture_output=True, text=True
        ).stdout.strip()
        parts = [folder / "root", folder / "boot", folder / "release", keyring, folder]
        done = subprocess.run(
            [ROOT / "scripts/make-bundle", *parts], check=True, capture_output=True, text=True
        )
        return Path(done.stdout.strip())

    return make
