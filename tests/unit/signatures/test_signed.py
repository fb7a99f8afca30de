"""A signature holds for every byte, by a key that is trusted, or the pack is not even read."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.errors import UsageError
from ratwall.signatures.pack import PACK_BYTES_LIMIT, load_packs
from ratwall.signatures.signed import KEYS, LINE_LIMIT, key_id, open_signed, sign, trusted_keys
from unit.signatures.packs import MADE, OTHER_SEED, SEED, TRUST, pack, signed

TRUSTED = trusted_keys(TRUST)
GOOD = signed()
ROOT = Path(__file__).parents[3]


def test_a_signed_pack_is_read_and_says_who_signed_it() -> None:
    found = open_signed(GOOD, TRUSTED, "a.toml")
    assert (found.pack.name, found.pack.version, found.pack.made) == ("testrat", 1, MADE)
    assert found.key == key_id(bytes.fromhex(TRUST[0]))


def test_another_library_finds_the_signature_good() -> None:
    line, _, body = GOOD.partition(b"\n")
    signature = bytes.fromhex(line.split()[-1].decode())
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(TRUST[0]))
    public.verify(signature, b"ratwall signature pack, format 1\n" + body)


@given(at=st.integers(0, len(GOOD) - 1), bit=st.integers(0, 7))
@settings(max_examples=200, deadline=None)
def test_no_bit_of_it_can_be_changed(at: int, bit: int) -> None:
    changed = bytearray(GOOD)
    changed[at] ^= 1 << bit
    with pytest.raises(UsageError):
        open_signed(bytes(changed), TRUSTED, "a.toml")


@given(st.binary(max_size=400))
def test_what_a_stranger_writes_is_one_line_of_complaint(content: bytes) -> None:
    for data in (content, b"# ratwall-pack 1 " + content):
        with pytest.raises(UsageError, match=r"\Aa\.toml: ") as refused:
            open_signed(data, TRUSTED, "a.toml")
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (pack(), "not signed"),
        (signed(seed=OTHER_SEED), "which is not trusted here; trusted are: "),
        (GOOD.replace(b"points = 100", b"points = 10"), "the signature does not hold"),
        (GOOD.replace(b"ratwall-pack 1", b"ratwall-pack 2"), "format 2; this Ratwall reads format"),
        (GOOD.replace(b"# ratwall-pack 1 ", b"# ratwall-pack 1 x"), "its first line is damaged"),
        (sign(b"name = ", SEED), "not a TOML file"),
        (sign(b"a = " + b"[" * 5000, SEED), "not a TOML file"),
        (signed(extra="size = 1"), "size: unknown key"),
        (GOOD + b"#" * (PACK_BYTES_LIMIT + LINE_LIMIT), "may have 1048576 bytes, found more"),
    ],
)
def test_it_is_refused_with_the_reason(content: bytes, complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        open_signed(content, TRUSTED, "a.toml")


def test_nothing_behind_an_untrusted_signature_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(content: bytes, place: str) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("ratwall.signatures.signed.read_pack", read)
    for content in (pack(), signed(seed=OTHER_SEED), GOOD.replace(b"100", b"101")):
        with pytest.raises(UsageError):
            open_signed(content, TRUSTED, "a.toml")
    with pytest.raises(AssertionError, match="read"):
        open_signed(GOOD, TRUSTED, "a.toml")


def test_without_keys_nothing_is_trusted() -> None:
    with pytest.raises(UsageError, match="trusted are: none"):
        open_signed(GOOD, trusted_keys(()), "a.toml")


def test_the_two_keys_of_the_project_are_two() -> None:
    found = trusted_keys(("release", "development"))
    assert [name for name, _ in found.values()] == ["release", "development"]
    assert len({public for _, public in found.values()}) == len(KEYS) == 2
    assert [name for name, _ in trusted_keys(("release",)).values()] == ["release"]


def test_a_pack_shipped_says_when_it_was_made() -> None:
    assert [each.name for each in load_packs() if each.made is None] == []
