"""Whatever a stranger sends for a certificate: a Certificate or a ParseError, and soon."""

import time
from functools import cache

from cryptography.hazmat.primitives import hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.wire.errors import ParseError
from ratwall.wire.x509.certificate import Certificate, parse_certificate
from ratwall.wire.x509.der import ELEMENTS_LIMIT
from unit.wire.x509 import minting

# The largest leaf that is ever handed over.
LEAF_LIMIT = 64 * 1024

# The slowest input found takes a few milliseconds on a slow machine; a hang takes for ever.
SECONDS_LIMIT = 0.25


@cache
def seeds() -> tuple[bytes, ...]:
    return (
        minting.mint("AsyncRAT Server"),
        minting.mint("shop.example", extensions=(minting.CA, minting.AKI, minting.SAN)),
        minting.mint("tiny", key=minting.ec_key(), digest=hashes.SHA256(), extensions=()),
        minting.assemble(),
    )


def parse_anything(data: bytes) -> Certificate | None:
    try:
        certificate = parse_certificate(data)
    except ParseError as error:
        assert 0 <= error.offset <= len(data)
        return None
    str(certificate.subject)
    assert certificate.self_signature() in (True, False, None)
    assert certificate.serial_is_prime() in (True, False)
    return certificate


@given(st.binary(max_size=2048))
def test_arbitrary_bytes(data: bytes) -> None:
    parse_anything(data)


@given(st.binary(max_size=600))
def test_arbitrary_bytes_in_a_certificate_shell(data: bytes) -> None:
    parse_anything(minting.tlv(0x30, minting.tlv(0x30, data)))


changes = st.lists(
    st.tuples(
        st.sampled_from(["set", "insert", "delete", "repeat"]),
        st.integers(0, 2000),
        st.one_of(st.integers(0, 255), st.sampled_from([0x80, 0xFF, 0x30, 0x1F, 0x84])),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=400)
@given(st.integers(0, 3), changes)
def test_mutated_certificates(seed: int, edits: list[tuple[str, int, int]]) -> None:
    data = bytearray(seeds()[seed])
    for kind, place, value in edits:
        at = place % (len(data) or 1)
        if kind == "set" and data:
            data[at] = value
        elif kind == "insert":
            data.insert(at, value)
        elif kind == "delete":
            del data[at : at + value % 8]
        else:
            data[at:at] = data[at : at + value]
    parse_anything(bytes(data))


@given(st.integers(0, 3), st.integers(0, 1600))
def test_cut_certificates(seed: int, size: int) -> None:
    parse_anything(seeds()[seed][:size])


def test_the_slowest_inputs_are_not_slow() -> None:
    """Each fills a whole leaf with what is dearest to read."""
    filler = LEAF_LIMIT - 600
    nested = b"\x30\x80" * 15 + b"\x05\x00" * (filler // 2) + b"\0\0" * 15
    hostile = {
        "indefinite lengths over and over": minting.assemble(subject=nested),
        "elements without end": minting.assemble(rest=b"\x81\x00" * (filler // 2)),
        "a name of empty parts": minting.assemble(
            subject=minting.tlv(0x30, b"\x31\x00" * (filler // 2))
        ),
        "an endless serial": minting.assemble(serial=b"\x7f" * filler),
        "an endless key": minting.assemble(key=minting.plain_key(modulus=1 << (8 * filler) | 1)),
        "an endless exponent": minting.assemble(
            key=minting.plain_key(exponent=1 << (8 * filler) | 1)
        ),
        "an endless identifier": minting.assemble(
            algorithm=minting.tlv(0x30, minting.tlv(0x06, b"\x81" * (filler // 2) + b"\x01"))
        ),
        "an endless name": minting.assemble(subject=minting.plain_name(b"\n" * filler)),
    }
    for what, data in hostile.items():
        start = time.perf_counter()
        parse_anything(data)
        assert time.perf_counter() - start < SECONDS_LIMIT, what
    assert filler // 2 > ELEMENTS_LIMIT, "the bound is what stops the first two"
