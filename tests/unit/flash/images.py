"""A small image with the labels of a real one, made by sfdisk and mkfs.vfat; 14 MB in all."""

import os
import subprocess
from pathlib import Path

TOOLS = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
MEGABYTE = 1024 * 1024
# Label and size in MB; the first is large enough for a FAT with a seed in it.
PARTS = (("bootsel", 4), ("boot-a", 1), ("boot-b", 1), ("root-a", 2), ("root-b", 2), ("data", 2))


def make_image(path: Path, parts: tuple[tuple[str, int], ...] = PARTS) -> Path:
    """Lay out the partitions, a FAT in the first, bytes that differ from place to place behind."""
    size = (sum(size for _, size in parts) + 2) * MEGABYTE
    body = bytearray().join(number.to_bytes(4, "big") * 128 for number in range(size // 512))
    path.write_bytes(body)
    layout = "label: gpt\n" + "".join(f"size={size}M, name={label}\n" for label, size in parts)
    run(["sfdisk", "--quiet", str(path)], given=layout.encode())
    fat = path.with_suffix(".fat")
    run(["mkfs.vfat", "-C", "-n", "BOOTSEL", str(fat), str(parts[0][1] * 1024)])
    with path.open("r+b") as file:
        file.seek(MEGABYTE)
        file.write(fat.read_bytes())
    fat.unlink()
    return path


def run(argv: list[str], given: bytes = b"") -> bytes:
    """Run a tool that a user does not look for; its output."""
    done = subprocess.run(argv, input=given, env=TOOLS, capture_output=True)
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
    return done.stdout
