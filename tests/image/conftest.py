"""Tests of what the image is made of, without building or booting one: units, scripts, rules.

Booting is the matter of tests/hil; here systemd's, nftables' and Buildroot's own judges read the
files that go into the image.
"""

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OVERLAY = ROOT / "rootfs-overlay"
UNITS = OVERLAY / "usr/lib/systemd/system"
PACKAGED = Path("/usr/lib/systemd/system")
# Other packages' units that the image has enabled (the preset): they take part in the order.
ENABLED = ("systemd-networkd.service", "systemd-timesyncd.service", "systemd-repart.service")


@pytest.fixture(scope="module")
def unit_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the overlay's units that finds the overlay's scripts where they lie here."""
    directory = tmp_path_factory.mktemp("units")
    shutil.copytree(UNITS, directory, symlinks=True, dirs_exist_ok=True)
    for unit in directory.glob("*.service"):
        text = unit.read_text()
        unit.write_text(text.replace("/usr/lib/ratwall/", f"{OVERLAY}/usr/lib/ratwall/"))
    wants = directory / "sysinit.target.wants"
    wants.mkdir()
    for name in ENABLED:
        if (PACKAGED / name).exists():
            (wants / name).symlink_to(PACKAGED / name)
    assert (wants / ENABLED[0]).exists()
    return directory
