"""Other versions of an image, made out of it: signed updates that work, and some that do not.

A slot's two parts are taken from the image, changed, packed and signed by the script that signs a
release, with the development keys that an image built here trusts.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from ratwall_lab.namespaces import run_tool

SECTOR = 512
VERSION = "9.0.0"
# A check that fails for good need not be waited for as long as an honest start.
HEALTH_SECONDS = 45
KEEP_PACKED = (
    "-comp",
    "lz4",
)  # packed in a second; the box's own compression is the build's matter

Change = Callable[[Path], None]


class Factory:
    """Makes updates from one image; `folder` keeps them."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True)
        table = json.loads(run_tool(["sfdisk", "--json", str(image)]))["partitiontable"]
        for part in table["partitions"]:
            if part["name"] in ("root-a", "boot-a"):
                self._copy(image, part["start"], part["size"], folder / part["name"])
        self._root = folder / "root"
        run_tool(
            ["unsquashfs", "-quiet", "-no-progress", "-d", str(self._root), str(folder / "root-a")]
        )
        self._release = self._root / "usr/lib/os-release"
        self._original = self._release.read_text()

    def make(
        self,
        version: str = VERSION,
        *,
        board: str | None = None,
        root: Change | None = None,
        boot: Change | None = None,
    ) -> Path:
        """Return a signed update for `board`; `root` and `boot` change a slot's parts."""
        parts = self._folder / f"parts-{version}"
        parts.mkdir()
        fields = dict(line.split("=", 1) for line in self._original.splitlines())
        fields["VERSION_ID"] = f'"{version}"'
        if board is not None:
            fields["VARIANT_ID"] = f'"{board}"'
        self._release.write_text("".join(f"{key}={value}\n" for key, value in fields.items()))
        added = parts / "added"
        added.mkdir()
        if root is not None:
            root(added)
        shutil.copytree(added, self._root, symlinks=True, dirs_exist_ok=True)
        try:
            packed = parts / "root.squashfs"
            run_tool(
                ["mksquashfs", str(self._root), str(packed), *KEEP_PACKED, "-noappend", "-quiet"]
            )
        finally:
            for path in (path for path in added.rglob("*") if not path.is_dir()):
                (self._root / path.relative_to(added)).unlink()
        kernel = parts / "boot.vfat"
        shutil.copy(self._folder / "boot-a", kernel)
        if boot is not None:
            boot(kernel)
        keyring = self._root / "etc/rauc/keyring.pem"
        argv = ["scripts/make-bundle", packed, kernel, self._release, keyring, parts]
        return Path(run_tool([str(word) for word in argv]).strip())

    @staticmethod
    def _copy(image: Path, start: int, sectors: int, target: Path) -> None:
        argv = ["dd", f"if={image}", f"of={target}", f"bs={SECTOR * 2048}", "status=none"]
        # Partitions begin at whole megabytes (buildroot/genimage), as dd copies fastest.
        run_tool([*argv, f"skip={start // 2048}", f"count={sectors // 2048}", "conv=sparse"])


def without_inspectors(root: Path) -> None:
    """A version that boots, and inspects nothing."""
    units = root / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "ratwall-inspector@.service").symlink_to("/dev/null")
    dropin = root / "usr/lib/systemd/system/ratwall-health.service.d"
    dropin.mkdir(parents=True)
    (dropin / "90-test.conf").write_text(
        f"[Service]\nEnvironment=RATWALL_HEALTH_SECONDS={HEALTH_SECONDS}\n"
    )


def without_first_program(boot: Path) -> None:
    """A version whose kernel has no first program: it panics."""
    folder = boot.with_suffix(".files")
    folder.mkdir()
    initrd = folder / "initrd"
    subprocess.run(["mcopy", "-i", boot, "::initrd", initrd], check=True)
    # The kernel unpacks one archive after the other; the last file of a name counts.
    old = initrd.read_bytes()
    old += bytes(-len(old) % 4)
    initrd.write_bytes(old + _archive("init", b"#!/bin/busybox false\n"))
    subprocess.run(["mcopy", "-o", "-i", boot, initrd, "::initrd"], check=True)


def without_kernel(boot: Path) -> None:
    """A version whose kernel is none: GRUB cannot load it."""
    nothing = boot.with_suffix(".nothing")
    nothing.write_bytes(b"no kernel\n" * 1000)
    subprocess.run(["mcopy", "-o", "-i", boot, nothing, "::vmlinuz"], check=True)


def _archive(name: str, content: bytes) -> bytes:
    """A cpio archive (newc) of one program."""
    archive = b""
    for entry, mode, data in ((name, 0o100755, content), ("TRAILER!!!", 0, b"")):
        path = entry.encode() + b"\0"
        numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
        archive += head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)
    return archive
