"""Puts a seed into the FAT partition `bootsel`, in memory: a secret never lies on this disk.

mtools knows FAT; it works on a file without a name (memfd), and gets the seed on its standard
input, so that nothing of it is in an argument list either.
"""

import os
import subprocess

from ratwall.errors import RatwallError

SEED_NAME = "ratwall.toml"
TOOL_SECONDS = 30  # it works in memory


def put_seed(bootsel: bytes, seed: bytes) -> bytes:
    """Return the partition with the seed in it, read back; RatwallError if it does not fit."""
    memory = os.memfd_create("bootsel", os.MFD_CLOEXEC)
    try:
        _write(memory, bootsel)
        _mtools(memory, ["mcopy", "-o", "-i", _name(memory), "-", f"::{SEED_NAME}"], seed)
        done = os.pread(memory, len(bootsel), 0)
        if len(done) != len(bootsel) or os.fstat(memory).st_size != len(bootsel):
            raise RatwallError("mcopy changed the size of bootsel; nothing was written")
    finally:
        os.close(memory)
    if read_seed(done) != seed:
        raise RatwallError(
            f"bootsel of the image: no room for {SEED_NAME} ({len(seed)} bytes); "
            "nothing was written"
        )
    return done


def read_seed(bootsel: bytes) -> bytes:
    """Return the seed in a partition; RatwallError if there is none."""
    memory = os.memfd_create("bootsel", os.MFD_CLOEXEC)
    try:
        _write(memory, bootsel)
        return _mtools(memory, ["mcopy", "-i", _name(memory), f"::{SEED_NAME}", "-"], b"")
    finally:
        os.close(memory)


def _write(memory: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(memory, view) :]


def _name(memory: int) -> str:
    return f"/proc/self/fd/{memory}"


def _mtools(memory: int, argv: list[str], given: bytes) -> bytes:
    environment = dict(os.environ) | {"MTOOLSRC": "/dev/null", "MTOOLS_SKIP_CHECK": "1"}
    try:
        done = subprocess.run(
            argv,
            input=given,
            capture_output=True,
            pass_fds=[memory],
            env=environment,
            timeout=TOOL_SECONDS,
        )
    except FileNotFoundError as error:
        raise RatwallError("mcopy is missing; install with: apt-get install mtools") from error
    except subprocess.TimeoutExpired as error:
        raise RatwallError(f"mcopy did not end within {TOOL_SECONDS} s") from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RatwallError(
            f"bootsel of the image: cannot put {SEED_NAME} in: "
            f"{words[-1] if words else 'mcopy failed without a word'}"
        )
    return done.stdout
