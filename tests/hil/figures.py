"""What a run measured: sizes, packages, times and memory; a page of text and the files to keep.

Whoever looks at two runs sees from these what changed between two images.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

from hil.stages import Report

KEPT = Path("build/hil/report")
MEGABYTE = 1_000_000
# What lies beside an image and says what is in it: the lab image's list, Buildroot's.
PACKAGE_LISTS = ("packages.txt", "sbom.json")


class Figures:
    """Collects figures while the tests run."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._boot: Report | None = None
        self._lines: list[str] = []

    def boot(self, report: Report) -> None:
        """Take the first boot's report."""
        self._boot = report

    def note(self, line: str) -> None:
        """Take one line."""
        self._lines.append(line)

    def text(self) -> str:
        """Return all of it, for a person."""
        size = self._image.stat().st_size
        lines = [f"{self._image}: {size / MEGABYTE:.0f} MB"]
        if self._boot is not None:
            root = int(self._boot.facts["root file system"])
            lines += [f"root file system: {root / MEGABYTE:.0f} MB", self._boot.text()]
            lines += peaks(self._boot.facts["peaks"])
        for name in PACKAGE_LISTS:
            listed = self._image.with_name(name)
            if listed.exists():
                lines.append(f"{len(listed.read_text().splitlines())} lines in {listed}")
        return "\n".join([*lines, *self._lines])

    def keep(self) -> Path:
        """Write everything down; the folder where it lies. What an earlier run left is replaced."""
        shutil.rmtree(KEPT, ignore_errors=True)
        KEPT.mkdir(parents=True)
        (KEPT / "report.txt").write_text(f"{self.text()}\n")
        if self._boot is not None:
            (KEPT / "boot.json").write_text(json.dumps(asdict(self._boot), indent=1))
            (KEPT / "libraries.txt").write_text(self._boot.facts["libraries"] + "\n")
        for name in PACKAGE_LISTS:
            if self._image.with_name(name).exists():
                shutil.copy(self._image.with_name(name), KEPT / name)
        return KEPT


def peaks(shown: str) -> list[str]:
    """Return one line a unit, from `systemctl show` of its name and the most memory it had."""
    found = []
    for block in shown.split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if values.get("MemoryPeak", "").isdigit():
            found.append(f"{int(values['MemoryPeak']) / MEGABYTE:7.1f} MB  at most: {values['Id']}")
    return found
