"""A signed pack of a family that exists nowhere, and the keys of its maker, for tests."""

import hashlib
from datetime import date

from nacl.signing import SigningKey

from ratwall.signatures.signed import sign

SEED = hashlib.sha256(b"the maker of the tests' packs").digest()
OTHER_SEED = hashlib.sha256(b"somebody else").digest()
TRUST = (bytes(SigningKey(SEED).verify_key).hex(),)
MADE = date(2026, 11, 20)


def pack(
    name: str = "testrat", version: int = 1, words: str = "testrat server", extra: str = ""
) -> bytes:
    """The TOML of a pack that blocks certificates with these words in their names."""
    return f"""\
name = "{name}"
version = {version}
made = {MADE}
family = "TestRAT"
about = "A family that exists nowhere"
{extra}
[[rule]]
id = "{name}.name"
group = "name"
decisive = true
points = 100
reason = "No honest certificate has these words."
text = "The certificate carries the name “{{common_name}}”."
technique = "T1587.003"
[rule.when]
name_words = ["{words}"]
""".encode()


def signed(
    name: str = "testrat",
    version: int = 1,
    words: str = "testrat server",
    extra: str = "",
    seed: bytes = SEED,
) -> bytes:
    """The same, signed."""
    return sign(pack(name, version, words, extra), seed)
