"""An order: each verb with its own keys, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.errors import UsageError
from ratwall.steward.order import LINE_LIMIT, Order, Verb, parse_order, read_order
from unit.steward.conftest import MakeKey

ADDRESS = "https://updates.example/ratwall-0.2.0-rpi5.raucb"


def test_every_order_comes_out_as_it_went_in(make_key: MakeKey) -> None:
    filled = {
        Verb.UPDATE: {"url": ADDRESS},
        Verb.SUPPORT_BUNDLE: {"incidents": True},
        Verb.SUPPORT_ON: {"hours": 4, "key": make_key().strip()},
    }
    for verb in Verb:
        order = read_order({"verb": verb.value, **filled.get(verb, {})})
        assert parse_order(order.line()) == order
        assert "\n" not in order.words()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "verb: expected one of restart"),
        ({"verb": "shell"}, "verb: expected one of"),
        ({"verb": ["restart"]}, "verb: expected one of"),
        ({"verb": "restart", "url": ADDRESS}, "takes no url"),
        ({"verb": "update", "file": "/etc/shadow"}, "takes no file"),
        ({"verb": "support-on", "hours": 24, "key": "x"}, "hours: expected one of 1, 4, 8"),
        ({"verb": "support-on", "hours": True, "key": "x"}, "hours: expected"),
        ({"verb": "support-on", "hours": 1}, "key: expected"),
        ({"verb": "support-bundle"}, "incidents: expected true or false"),
        ({"verb": "support-on", "hours": 1, "key": "x"}, "key: expected one line"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_key(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_order(values)


@pytest.mark.parametrize(
    "address",
    [
        "http://updates.example/x.raucb",
        "file:///etc/shadow",
        "https://",
        "https://updates.example:99999/x",
        "https://updates.example/a b",
        "https://updates.example/\nX",
        "https://name:secret@updates.example/x",
        "-https://updates.example/x",
        "https://updates.example/" + "x" * 1_000,
        5,
    ],
)
def test_an_address_is_https_and_whole(address: object) -> None:
    with pytest.raises(UsageError) as refused:
        read_order({"verb": "update", "url": address})
    assert "secret" not in str(refused.value)


def test_a_line_has_a_bound() -> None:
    line = json.dumps({"verb": "restart"}).encode()
    assert parse_order(line.ljust(LINE_LIMIT)) == Order(Verb.RESTART)
    with pytest.raises(UsageError, match=f"at most {LINE_LIMIT} bytes"):
        parse_order(line.ljust(LINE_LIMIT + 1))


@given(st.binary(max_size=300))
def test_no_bytes_trip_it(line: bytes) -> None:
    try:
        order = parse_order(line)
    except UsageError:
        return
    assert isinstance(order, Order)
