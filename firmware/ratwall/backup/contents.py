"""What a backup holds, checked whole before anything of it is used.

Pure. Two parts: the box's (settings, secrets, what is allowed and blocked, devices' names), which
the controller gives and takes; and the page's own files (users, API tokens, key and certificate).
The history is not in it.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ratwall.errors import UsageError

# The page's files, and how much of each: users and tokens have some KB, a chain of certificates 10.
FILES: Final = {
    "credentials.json": 64 * 1024,
    "tokens.json": 64 * 1024,
    "tls.crt": 64 * 1024,
    "tls.key": 16 * 1024,
}
PAIR: Final = ("tls.crt", "tls.key")  # of no use alone
NAME_LIMIT: Final = 100


@dataclass(frozen=True, slots=True)
class Contents:
    """A backup, opened; `made` is UTC microseconds."""

    made: int
    box: str  # the name of the box that it is of
    version: str  # of Ratwall
    part: dict[str, Any]  # the controller's; it checks it
    files: dict[str, bytes]

    def as_bytes(self) -> bytes:
        """Return it as it is sealed."""
        document = {
            "made": self.made,
            "box": self.box,
            "version": self.version,
            "part": self.part,
            "files": {
                name: base64.b64encode(content).decode() for name, content in self.files.items()
            },
        }
        return json.dumps(document, separators=(",", ":")).encode()


def read_contents(text: bytes) -> Contents:
    """Return the contents of an opened backup; UsageError if they are none."""
    try:
        document = json.loads(text)
        made, box, version, part = (document[key] for key in ("made", "box", "version", "part"))
        files = {
            name: base64.b64decode(content, validate=True)
            for name, content in document["files"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise UsageError("the backup opens, but holds nothing that this box knows") from None
    good = type(made) is int and isinstance(part, dict)
    good = good and all(
        isinstance(word, str) and len(word) <= NAME_LIMIT for word in (box, version)
    )
    if not good or not _known(files):
        raise UsageError("the backup opens, but holds nothing that this box knows")
    return Contents(made, box, version, part, files)


def _known(files: Mapping[str, bytes]) -> bool:
    pair = [name in files for name in PAIR]
    sizes = all(len(content) <= FILES.get(name, -1) for name, content in files.items())
    return sizes and all(pair) == any(pair)
