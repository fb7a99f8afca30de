"""The vendored libraries are exactly those that scripts/vendor fetched, with their licences."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "web" / "ratwall_web"
VENDOR = PACKAGE / "static" / "vendor"
TESTED = Path(__file__).parent / "vendor"


@pytest.mark.parametrize("directory", [VENDOR, TESTED], ids=["served", "tests"])
def test_every_file_is_as_recorded(directory: Path) -> None:
    sums = (directory / "SHA256SUMS").read_text().splitlines()
    recorded = dict(reversed(line.split("  ", 1)) for line in sums)
    there = {path.name for path in directory.iterdir()} - {"SHA256SUMS"}
    assert there == set(recorded)
    for name, digest in recorded.items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest, name


def test_each_library_has_its_licence() -> None:
    assert "Zero-Clause BSD" in (VENDOR / "htmx.LICENSE").read_text()
    for name in ("uPlot", "pico"):
        assert "MIT License" in (VENDOR / f"{name}.LICENSE").read_text()
    assert "Mozilla Public License, version 2.0" in (TESTED / "axe.LICENSE").read_text()


def test_the_script_agrees() -> None:
    command = [ROOT / "scripts" / "vendor", "--check"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_template_asks_for_what_the_policy_forbids() -> None:
    inline = r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|javascript:"
    forbidden = re.compile(inline + r"|hx-on|hx-vals=['\"]js")
    for template in (PACKAGE / "templates").rglob("*.html"):
        found = forbidden.search(template.read_text())
        assert found is None, f"{template.name}: {found}"
