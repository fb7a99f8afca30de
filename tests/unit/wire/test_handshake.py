"""Hellos: written and read back, cut short anywhere, bent out of shape."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.wire.errors import ParseError
from ratwall.wire.tls.handshake import (
    HELLO_RETRY_RANDOM,
    ClientHello,
    Extension,
    ServerHello,
    pull_client_hello,
    pull_server_hello,
    pull_ssl2_client_hello,
    push_client_hello,
    push_server_hello,
    push_ssl2_client_hello,
)
from ratwall.wire.tls.registry import is_grease, is_tls13, version_name
from unit.wire.handshakes import CLIENT_HELLO, SERVER_HELLO

numbers = st.integers(0, 0xFFFF)
extensions = st.lists(st.builds(Extension, numbers, st.binary(max_size=40)), max_size=8).map(tuple)
random = st.binary(min_size=32, max_size=32)
session_id = st.binary(max_size=32)
client_hellos = st.builds(
    ClientHello,
    numbers,
    numbers,
    random,
    session_id,
    st.lists(numbers, max_size=20).map(tuple),
    st.lists(st.integers(0, 255), max_size=3).map(tuple),
    extensions,
)
server_hellos = st.builds(
    ServerHello,
    numbers.filter(lambda version: version >> 8 != 0x7F),
    random,
    session_id,
    numbers,
    st.integers(0, 255),
    extensions,
)
draft_hellos = st.builds(
    ServerHello,
    st.integers(0x7F00, 0x7FFF),
    random,
    st.just(b""),
    numbers,
    st.just(0),
    extensions,
)
ssl2_hellos = st.builds(
    ClientHello,
    st.just(2),
    numbers,
    st.binary(max_size=40),
    st.binary(max_size=40),
    st.lists(st.integers(0, 0xFFFFFF), max_size=20).map(tuple),
    st.just(()),
    st.just(()),
)


@given(client_hellos)
def test_a_client_hello_survives_the_round_trip(hello: ClientHello) -> None:
    assert pull_client_hello(push_client_hello(hello), hello.record_version) == hello


@given(server_hellos | draft_hellos)
def test_a_server_hello_survives_the_round_trip(hello: ServerHello) -> None:
    assert pull_server_hello(push_server_hello(hello)) == hello


@given(ssl2_hellos)
def test_an_ssl2_hello_survives_the_round_trip(hello: ClientHello) -> None:
    assert pull_ssl2_client_hello(push_ssl2_client_hello(hello)) == hello


def test_cut_anywhere_a_client_hello_is_an_error_or_says_that_it_is_not_whole() -> None:
    body = push_client_hello(CLIENT_HELLO)
    without_extensions = len(push_client_hello(dataclasses.replace(CLIENT_HELLO, extensions=())))
    for length in range(len(body)):
        if length < without_extensions:
            with pytest.raises(ParseError):
                pull_client_hello(body[:length], 0x0301)
        elif length > without_extensions:
            hello = pull_client_hello(body[:length], 0x0301)
            assert hello.unread == body[without_extensions:length]
            assert push_client_hello(hello) == body[:length]


def test_cut_anywhere_a_server_hello_is_an_error_or_says_that_it_is_not_whole() -> None:
    body = push_server_hello(SERVER_HELLO)
    without_extensions = len(push_server_hello(dataclasses.replace(SERVER_HELLO, extensions=())))
    for length in range(len(body)):
        if length < without_extensions:
            with pytest.raises(ParseError):
                pull_server_hello(body[:length])
        elif length > without_extensions:
            assert pull_server_hello(body[:length]).unread == body[without_extensions:length]


def test_cut_anywhere_an_ssl2_hello_is_an_error() -> None:
    body = push_ssl2_client_hello(CLIENT_HELLO)
    for length in range(len(body)):
        with pytest.raises(ParseError):
            pull_ssl2_client_hello(body[:length])


def test_what_stands_before_a_broken_extension_is_kept() -> None:
    """One broken length must not hide a server name from the judge."""
    body = bytearray(push_client_hello(CLIENT_HELLO))
    body[-1] = 9  # the last, empty extension claims nine bytes
    hello = pull_client_hello(bytes(body), 0x0301)
    assert hello.server_name == "shop.example"
    assert hello.unread
    assert push_client_hello(hello) == bytes(body)


@pytest.mark.parametrize(("length", "fits"), [(31, True), (32, True), (33, False)])
def test_a_session_id_has_at_most_32_bytes(length: int, fits: bool) -> None:
    body = push_client_hello(dataclasses.replace(CLIENT_HELLO, session_id=bytes(length)))
    if fits:
        assert len(pull_client_hello(body, 0x0301).session_id) == length
    else:
        with pytest.raises(ParseError, match="33 bytes, at most 32"):
            pull_client_hello(body, 0x0301)


@given(st.binary(max_size=120))
def test_arbitrary_bytes_are_a_hello_or_a_parse_error(data: bytes) -> None:
    for pull in (
        lambda: pull_client_hello(data, 0x0301),
        lambda: pull_server_hello(data),
        lambda: pull_ssl2_client_hello(data),
    ):
        try:
            hello = pull()
        except ParseError:
            continue
        read_everything(hello)


@given(st.integers(0, 60), st.binary(max_size=40))
def test_arbitrary_extension_content_never_raises(kind: int, data: bytes) -> None:
    read_everything(dataclasses.replace(CLIENT_HELLO, extensions=(Extension(kind, data),)))
    read_everything(dataclasses.replace(SERVER_HELLO, extensions=(Extension(kind, data),)))


def read_everything(hello: ClientHello | ServerHello) -> None:
    for name in dir(type(hello)):
        if isinstance(getattr(type(hello), name), property):
            getattr(hello, name)


# -- what the extensions say -------------------------------------------------------------------


def hello_with(kind: int, data: str) -> ClientHello:
    return dataclasses.replace(CLIENT_HELLO, extensions=(Extension(kind, bytes.fromhex(data)),))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("000f00000c73686f702e6578616d706c65", "shop.example"),
        ("000400000161", "a"),
        ("00060000036100ff", "a\x00\\xff"),
        ("0009010001780000026f6b", "ok"),  # an unknown kind of name before it
        ("", None),
        ("0000", None),
        ("0003000000", None),
        ("00ff00000161", None),
    ],
)
def test_server_name(data: str, name: str | None) -> None:
    assert hello_with(0, data).server_name == name


def test_lists_keep_order_grease_and_what_there_is_of_them() -> None:
    assert hello_with(43, "060a0a03040303").supported_versions == (0x0A0A, 0x0304, 0x0303)
    assert hello_with(43, "ff03040303").supported_versions == (0x0304, 0x0303)
    assert hello_with(10, "0004001d0017").groups == (0x1D, 0x17)
    assert hello_with(10, "0004001d00").groups == (0x1D,)
    assert hello_with(11, "03000102").point_formats == (0, 1, 2)
    assert hello_with(13, "000404030804").signature_algorithms == (0x0403, 0x0804)
    assert hello_with(16, "000c02683208687474702f312e31").alpn == (b"h2", b"http/1.1")
    assert hello_with(16, "000c026832ff").alpn == ()
    assert CLIENT_HELLO.supported_versions is None
    assert (CLIENT_HELLO.groups, CLIENT_HELLO.alpn) == ((), ())


def test_the_selected_version_is_the_extensions_where_there_is_one() -> None:
    assert SERVER_HELLO.selected_version == 0x0303
    new = dataclasses.replace(SERVER_HELLO, extensions=(Extension(43, b"\3\4"),))
    assert new.selected_version == 0x0304
    empty = dataclasses.replace(SERVER_HELLO, extensions=(Extension(43, b""),))
    assert empty.selected_version == 0x0303


def test_a_hello_retry_request_is_told_by_its_random() -> None:
    assert not SERVER_HELLO.is_hello_retry_request
    assert dataclasses.replace(SERVER_HELLO, random=HELLO_RETRY_RANDOM).is_hello_retry_request


def test_registry_names_and_grease() -> None:
    assert [is_grease(value) for value in (0x0A0A, 0xFAFA, 0x0A1A, 0x0A0B, 0x0000)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert version_name(0x0300) == "SSL 3.0"
    assert version_name(0x7F17) == version_name(0xFB1A) == version_name(0x0304) == "TLS 1.3"
    assert version_name(0x1234) == "0x1234"
    assert not is_tls13(0x0303)
