"""The outer shape of a bundle, and what its manifest says."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.errors import UsageError
from ratwall.update.bundle import (
    BUNDLE_LIMIT,
    HEAD_BYTES,
    SIGNATURE_LIMIT,
    TAIL_BYTES,
    check_shape,
    read_manifest,
    refuse_other_board,
)

CONTENT = 10_000  # bytes of squashfs
MANIFEST = {"compatible": "ratwall-rpi5", "version": "0.2.0"}


def head(used: int = CONTENT) -> bytes:
    return b"hsqs" + bytes(36) + struct.pack("<Q", used)


def check(size: int, signature: int = 700, first: bytes | None = None) -> None:
    check_shape(first or head(), struct.pack(">Q", signature), size, "x.raucb")


def test_a_whole_bundle_passes() -> None:
    check(CONTENT + 4096 + 700 + TAIL_BYTES)


@pytest.mark.parametrize("signature", [0, SIGNATURE_LIMIT + 1])
def test_a_signature_of_no_possible_length_means_that_the_end_is_missing(signature: int) -> None:
    with pytest.raises(UsageError, match="cut off"):
        check(CONTENT + SIGNATURE_LIMIT * 2, signature)


def test_the_longest_signature_passes() -> None:
    check(CONTENT + SIGNATURE_LIMIT * 2, SIGNATURE_LIMIT)


def test_a_file_shorter_than_its_own_content_is_cut_off() -> None:
    check(CONTENT + TAIL_BYTES, 8)
    with pytest.raises(UsageError, match="copy or download it again"):
        check(CONTENT + TAIL_BYTES - 1, 7)


def test_what_is_no_squashfs_is_no_update() -> None:
    for first in (b"PK\3\4" + bytes(HEAD_BYTES), head()[: HEAD_BYTES - 1]):
        with pytest.raises(UsageError, match=r"expected a \.raucb file"):
            check(CONTENT * 2, first=first)


def test_a_bundle_as_long_as_is_allowed_and_one_byte_longer() -> None:
    check(BUNDLE_LIMIT)
    with pytest.raises(UsageError, match="at most"):
        check(BUNDLE_LIMIT + 1)


@given(st.binary(max_size=HEAD_BYTES), st.binary(min_size=8, max_size=8), st.integers(0, 2**40))
def test_no_bytes_do_more_than_be_refused(first: bytes, tail: bytes, size: int) -> None:
    try:
        check_shape(first, tail, size, "x")
    except UsageError as error:
        assert "\n" not in str(error)


def test_a_manifest_is_read() -> None:
    manifest = read_manifest(json.dumps(MANIFEST), "x")
    assert (manifest.version, manifest.board) == ("0.2.0", "rpi5")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        json.dumps({**MANIFEST, "compatible": "other-product"}),
        json.dumps({**MANIFEST, "compatible": None}),
        json.dumps({**MANIFEST, "version": "\x1b[2J"}),
        json.dumps({**MANIFEST, "version": "1" * 65}),
        json.dumps({**MANIFEST, "version": None}),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        read_manifest(text, "x")


def test_another_boards_update_is_refused_and_the_right_file_named() -> None:
    manifest = read_manifest(json.dumps(MANIFEST), "x")
    refuse_other_board(manifest, "rpi5", "x")
    with pytest.raises(UsageError, match=r"take ratwall-0\.2\.0-x86_64_efi\.raucb"):
        refuse_other_board(manifest, "x86_64_efi", "x")
