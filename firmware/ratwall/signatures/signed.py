"""Signed packs: one line in front of a TOML file that says who answers for every byte behind it.

    # ratwall-pack 1 KEY SIGNATURE

KEY is the first 16 hexadecimal digits of the SHA-256 of an Ed25519 public key, SIGNATURE 128 of
them over a prefix and all that follows the line. Pure: no file, no clock; the keys are handed in.

Design note: the line is a comment, so a signed pack is still a pack that every TOML reader reads.
Nothing behind the line is looked at before the signature holds.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ratwall.errors import UsageError
from ratwall.signatures.pack import PACK_BYTES_LIMIT, Pack, read_pack

FORMAT = 1
LINE_LIMIT = 256  # bytes of the first line; a good one has 165
SIGNED_BYTES_LIMIT = PACK_BYTES_LIMIT + LINE_LIMIT

# Ed25519 public keys by the name that `[signatures] trust` calls them; the private halves are kept
# by those who sign, apart from each other and from this repository (see docs/signatures.md).
KEYS = {
    "release": "929cc39adc238e81f10e87e66f65bdc8d55f1b75fd689c4f11a9ab0d4396c9fc",
    "development": "4e65da12cc6b16421ac0ecd0deb652f7a9dc2c3b5daae02662b6a2ca094da3ff",
}
# What is signed begins with this, so that no signature made for another purpose is one of a pack.
_PREFIX = b"ratwall signature pack, format 1\n"
_LINE = re.compile(rb"# ratwall-pack ([0-9]{1,9}) ([0-9a-f]{16}) ([0-9a-f]{128})")
_FORMAT = re.compile(rb"# ratwall-pack ([0-9]{1,9}) ")


@dataclass(frozen=True, slots=True)
class SignedPack:
    """A pack whose signature holds, and the name of the key that made it."""

    pack: Pack
    key: str
    content: bytes  # the whole file


def key_id(public: bytes) -> str:
    """Return what a public key is called in the first line of what it signed."""
    return hashlib.sha256(public).hexdigest()[:16]


def trusted_keys(trust: tuple[str, ...]) -> dict[str, tuple[str, bytes]]:
    """Return (name, public key) by key id of the keys that the settings trust.

    A word of `trust` is a name out of KEYS or a public key of 64 hexadecimal digits, which is
    called by its id.
    """
    found = {}
    for word in trust:
        public = bytes.fromhex(KEYS.get(word, word))
        found[key_id(public)] = (word if word in KEYS else key_id(public), public)
    return found


def is_signed(content: bytes) -> bool:
    """Say whether there is a line of a signature, whatever it is worth."""
    return _FORMAT.match(content) is not None


def open_signed(content: bytes, keys: Mapping[str, tuple[str, bytes]], place: str) -> SignedPack:
    """Return the pack in a signed file; UsageError with the reason, `place` in front, if the
    signature does not hold by one of `keys` or the pack is faulty."""
    if len(content) > SIGNED_BYTES_LIMIT:
        raise UsageError(f"{place}: a pack may have {PACK_BYTES_LIMIT} bytes, found more")
    line, _, body = content.partition(b"\n")
    made_by = _FORMAT.match(line)
    if made_by is None:
        raise UsageError(f"{place}: not signed: its first line is none of a signed pack")
    if int(made_by[1]) != FORMAT:
        raise UsageError(
            f"{place}: a signed pack of format {int(made_by[1])}; this Ratwall reads format "
            f"{FORMAT}: update Ratwall, or get the pack in that format"
        )
    parts = _LINE.fullmatch(line)
    if parts is None:
        raise UsageError(
            f'{place}: its first line is damaged; allowed is "# ratwall-pack {FORMAT} KEY '
            'SIGNATURE" in hexadecimal digits'
        )
    identity = parts[2].decode()
    if identity not in keys:
        trusted = ", ".join(f"{name} ({each})" for each, (name, _) in keys.items()) or "none"
        raise UsageError(
            f"{place}: signed with the key {identity}, which is not trusted here; trusted are: "
            f"{trusted} ([signatures] trust)"
        )
    name, public = keys[identity]
    if not _holds(public, bytes.fromhex(parts[3].decode()), _PREFIX + body):
        raise UsageError(
            f"{place}: the signature does not hold: the pack was changed or damaged after "
            f"{name} signed it; get it again"
        )
    return SignedPack(read_pack(body, place), name, content)


def sign(body: bytes, seed: bytes) -> bytes:
    """Return the signed file of a pack; `seed` is a private key of 32 bytes."""
    from nacl.signing import SigningKey

    key = SigningKey(seed)
    signature = key.sign(_PREFIX + body).signature
    line = f"# ratwall-pack {FORMAT} {key_id(bytes(key.verify_key))} {signature.hex()}\n"
    return line.encode() + body


def _holds(public: bytes, signature: bytes, message: bytes) -> bool:
    # Here, because an inspector without updated packs need not carry libsodium.
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    try:
        VerifyKey(public).verify(message, signature)
    except BadSignatureError:
        return False
    return True
