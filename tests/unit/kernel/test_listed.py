"""Listed servers as text for nft: only what differs is sent, and nothing ends too late."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.kernel.listed import (
    ANY_PORT,
    EARLY_SECONDS,
    LATE_SECONDS,
    PORTION,
    SETS,
    Server,
    changes,
    mode_text,
    server_of,
    set_of,
)

NOW = 1_764_000_000
ONE: Server = (bytes((198, 51, 100, 7)), 6606)
ELEMENT = re.compile(r"(add|delete) element inet ratwall (\w+) \{ (.*) \}")

servers = st.tuples(
    st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.integers(0, 65_535)
)
tables = st.dictionaries(servers, st.integers(NOW + 1, NOW + 10 * EARLY_SECONDS), max_size=20)


def applied(there: dict[Server, int], texts: list[str]) -> dict[str, int]:
    """What the kernel would hold afterwards: an `add` of what is there changes nothing."""
    held = {f"{set_of(*server)} {_text(server)}": until for server, until in there.items()}
    for line in "".join(texts).splitlines():
        match = ELEMENT.fullmatch(line)
        assert match is not None, line
        for element in match[3].split(", "):
            place, _, seconds = element.partition(" timeout ")
            key = f"{match[2]} {place}"
            if match[1] == "delete":
                del held[key]
            else:
                held.setdefault(key, NOW + int(seconds.rstrip("s") or 0) if seconds else 0)
    return held


def _text(server: Server) -> str:
    from ipaddress import ip_address

    octets, port = server
    return str(ip_address(octets)) + (f" . {port}" if port != ANY_PORT else "")


@given(tables, tables)
def test_what_is_wanted_is_there_afterwards(
    wanted: dict[Server, int], there: dict[Server, int]
) -> None:
    held = applied(there, list(changes(wanted, there, NOW)))
    assert held.keys() == {f"{set_of(*server)} {_text(server)}" for server in wanted}
    for server, until in wanted.items():
        left = held[f"{set_of(*server)} {_text(server)}"]
        assert -EARLY_SECONDS <= left - until <= LATE_SECONDS


@given(tables)
def test_what_has_not_changed_is_not_sent(there: dict[Server, int]) -> None:
    assert list(changes(there, there, NOW)) == []
    later = {server: until + EARLY_SECONDS for server, until in there.items()}
    assert list(changes(later, there, NOW)) == [], "a list confirmed a day later moves nothing"


@pytest.mark.parametrize(
    ("until", "sent"),
    [
        (NOW + 500_000 + EARLY_SECONDS, False),
        (NOW + 500_000 + EARLY_SECONDS + 1, True),
        (NOW + 500_000 - LATE_SECONDS, False),
        (NOW + 500_000 - LATE_SECONDS - 1, True),
    ],
)
def test_an_end_that_moves_far_is_put_in_again(until: int, sent: bool) -> None:
    texts = list(changes({ONE: until}, {ONE: NOW + 500_000}, NOW))
    assert bool(texts) is sent
    if sent:
        assert texts == [
            "add element inet ratwall listed4 { 198.51.100.7 . 6606 }\n"
            "delete element inet ratwall listed4 { 198.51.100.7 . 6606 }\n"
            f"add element inet ratwall listed4 {{ 198.51.100.7 . 6606 timeout {until - NOW}s }}\n"
        ]


def test_what_is_over_is_not_put_in() -> None:
    assert list(changes({ONE: NOW}, {}, NOW)) == []
    (text,) = changes({ONE: NOW + 1}, {}, NOW)
    assert "timeout 1s" in text


def test_many_go_in_portions() -> None:
    many = {(number.to_bytes(4, "big"), 1): NOW + 10 for number in range(2 * PORTION + 1)}
    sizes = [text.count(" . 1 ") for text in changes(many, {}, NOW)]
    assert sizes == [PORTION, PORTION, 1]


@given(servers)
def test_a_key_of_the_kernel_is_its_server(server: Server) -> None:
    octets, port = server
    name = set_of(octets, port)
    assert name in SETS
    key = octets + (b"" if port == ANY_PORT else port.to_bytes(2, "big") + b"\0\0")
    assert server_of(key, name) == server
    with pytest.raises(ValueError, match="a key of"):
        server_of(key + b"\0", name)


def test_modes() -> None:
    assert mode_text("off") == "flush chain inet ratwall listed\n"
    assert "goto refuse" not in mode_text("monitor")
    assert mode_text("monitor").endswith("jump tell\n")
    assert mode_text("enforce").endswith("jump tell\nadd rule inet ratwall listed goto refuse\n")
