"""What a bundle is, before anybody trusts it: its outer shape, and what its signed manifest says.

Pure: bytes and JSON in, facts or a one-line complaint out. Whether the signature holds is RAUC's
matter, twice: before anything is said about the content, and again when it is written. The shape is
looked at first, because "cut off" is what a technician needs to know where RAUC says "invalid".

    squashfs (magic, and its length) | hash tree | CMS signature | length of that, 8 bytes
"""

import json
import re
import struct
from dataclasses import dataclass

from ratwall.errors import UsageError

HEAD_BYTES = 48  # of a squashfs superblock: magic at 0, bytes used at 40
TAIL_BYTES = 8
MAGIC = b"hsqs"
SIGNATURE_LIMIT = 65_536  # RAUC's own bound for a signature
BUNDLE_LIMIT = 1 << 30  # bytes; a slot's root has 384 MB, its kernel 64
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}")
COMPATIBLE_PREFIX = "ratwall-"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a signed bundle says of itself."""

    version: str
    board: str


def check_shape(head: bytes, tail: bytes, size: int, name: str) -> None:
    """Raise UsageError if a file of `size` bytes is no bundle, or not all of one."""
    if len(head) < HEAD_BYTES or head[:4] != MAGIC:
        raise UsageError(f"update: {name}: is no update; expected a .raucb file")
    if size > BUNDLE_LIMIT:
        raise UsageError(f"update: {name}: {size} bytes; at most {BUNDLE_LIMIT} are allowed")
    (content,) = struct.unpack_from("<Q", head, 40)
    (signature,) = struct.unpack(">Q", tail)
    if content + TAIL_BYTES > size or not 0 < signature <= min(SIGNATURE_LIMIT, size - content):
        raise UsageError(
            f"update: {name}: is cut off or damaged at its end ({size} bytes, no signature there);"
            " copy or download it again"
        )


def read_manifest(text: str, name: str) -> Manifest:
    """Return what `rauc info --output-format=json` says; UsageError if that is not usable."""
    try:
        found = json.loads(text)
        compatible, version = found["compatible"], found["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"update: {name}: its manifest cannot be read") from error
    if not isinstance(compatible, str) or not compatible.startswith(COMPATIBLE_PREFIX):
        raise UsageError(f"update: {name}: is no update of Ratwall's, but for {compatible!r}")
    if not isinstance(version, str) or not VERSION.fullmatch(version):
        raise UsageError(f"update: {name}: its version cannot be read: {version!r}")
    return Manifest(version, compatible.removeprefix(COMPATIBLE_PREFIX))


def refuse_other_board(manifest: Manifest, board: str, name: str) -> None:
    """Raise UsageError if a bundle is for other hardware than this."""
    if manifest.board != board:
        raise UsageError(
            f"update: {name}: is for board {manifest.board}, this box is {board};"
            f" take ratwall-{manifest.version}-{board}.raucb"
        )
