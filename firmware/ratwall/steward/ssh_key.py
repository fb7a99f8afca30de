"""Reads a public SSH key as a person pastes it; pure.

Nothing but a key gets through: no options in front (they could name a command), one line, a kind
that today's servers take, and a blob whose inner lengths add up. What is written into
`authorized_keys` is put together anew from the parts.
"""

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from ratwall.errors import UsageError

TEXT_LIMIT = 4_000  # characters; RSA with 16,384 bits has 2,800
COMMENT_LIMIT = 100
FIELDS = {  # how many strings follow the kind in the blob (RFC 4253 6.6, RFC 5656, RFC 8709)
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
ED25519_BYTES = 32
RSA_BYTES_LEAST = 3072 // 8  # what the BSI and NIST still call enough


class SshKeyError(UsageError):
    """What was pasted is no public key that can be used."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One key; `text` is the line for `authorized_keys`."""

    kind: str
    text: str
    fingerprint: str  # as ssh-keygen -l shows it


def read_key(text: str) -> PublicKey:
    """Return the key in a text; UsageError says what is wrong with it."""
    words = text.split() if len(text) <= TEXT_LIMIT else []
    if "PRIVATE" in text[:TEXT_LIMIT]:
        raise SshKeyError(
            "key: this is a private key, which is never given away; expected the public one, from"
            " the file that ends in .pub"
        )
    if len(text.strip().splitlines()) != 1 or len(words) < 2 or words[0] not in FIELDS:
        raise SshKeyError(
            "key: expected one line such as: ssh-ed25519 AAAAC3Nz… name (of a file that ends"
            " in .pub)"
        )
    kind, blob = words[0], words[1]
    try:
        raw = base64.b64decode(blob, validate=True)
        inner = _strings(raw)
    except (binascii.Error, ValueError):
        raise SshKeyError("key: is damaged or not all of it; copy the whole line again") from None
    if len(inner) != FIELDS[kind] + 1 or inner[0] != kind.encode():
        raise SshKeyError("key: is damaged or not all of it; copy the whole line again")
    if kind == "ssh-ed25519" and len(inner[1]) != ED25519_BYTES:
        raise SshKeyError("key: is damaged or not all of it; copy the whole line again")
    if kind == "ssh-rsa" and len(inner[2].lstrip(b"\0")) < RSA_BYTES_LEAST:
        raise SshKeyError("key: RSA with fewer than 3072 bits; take one of: ssh-keygen -t ed25519")
    comment = " ".join(words[2:])[:COMMENT_LIMIT]
    comment = "".join(each for each in comment if each.isascii() and each.isprintable())
    digest = base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")
    return PublicKey(kind, f"{kind} {blob} {comment}".rstrip(), f"SHA256:{digest}")


def _strings(raw: bytes) -> list[bytes]:
    """Return the strings of a blob, each after its length; ValueError if they do not fit."""
    found, at = [], 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise ValueError("cut off")
        (length,) = struct.unpack_from(">I", raw, at)
        at += 4
        if at + length > len(raw):
            raise ValueError("cut off")
        found.append(raw[at : at + length])
        at += length
    return found
