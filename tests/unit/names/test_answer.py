"""DNS answers from the wire: dnspython writes them, what is read is held against what was written.

Then what nobody would write: loops, cuts, counts that lie, noise.
"""

import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.names.answer import (
    ALIASES_LIMIT,
    NAME_LIMIT,
    RECORDS_LIMIT,
    read_answer,
)
from ratwall.names.facts import Answer
from ratwall.wire.errors import ParseError

C2, ADDRESS = "kashuub.example", "203.0.113.7"


def answer(name: str, *records: tuple[str, str, str], kind: str = "A") -> bytes:
    """An answer with records of (owner, type, value)."""
    reply = dns.message.make_response(dns.message.make_query(name, kind))
    for owner, of, value in records:
        reply.answer.append(dns.rrset.from_text(f"{owner}.", 60, "IN", of, value))
    return reply.to_wire(max_size=65_535)


def read(message: bytes) -> Answer:
    found = read_answer(message)
    assert found is not None
    return found


def test_the_name_asked_for_gets_the_addresses_at_the_end_of_its_aliases() -> None:
    message = answer(
        "WWW.Kashuub.Example",
        ("www.kashuub.example", "CNAME", "a.example."),
        ("a.example", "CNAME", "b.example."),
        ("b.example", "A", ADDRESS),
    )
    assert read(message) == Answer("www.kashuub.example", ("a.example", "b.example"), (ADDRESS,), 0)


def test_ipv6_as_text_in_its_canonical_form() -> None:
    message = answer(C2, (C2, "AAAA", "2001:DB8:0::0:7"), kind="AAAA")
    assert read(message).addresses == ("2001:db8::7",)


def test_what_was_not_asked_for_ties_nothing() -> None:
    """A server that adds the bank's name to its own answer."""
    message = answer(C2, (C2, "A", ADDRESS), ("bank.example", "A", "198.51.100.9"))
    assert read(message).addresses == (ADDRESS,)


def test_a_name_that_there_is_not_is_told() -> None:
    reply = dns.message.make_response(dns.message.make_query(C2, "A"))
    reply.set_rcode(dns.rcode.NXDOMAIN)
    assert read(reply.to_wire()) == Answer(C2, (), (), 3)


@pytest.mark.parametrize("kind", ["MX", "TXT", "NS", "PTR"])
def test_other_questions_are_nothing_to_us(kind: str) -> None:
    assert read_answer(answer(C2, kind=kind)) is None


def test_a_question_is_no_answer() -> None:
    assert read_answer(dns.message.make_query(C2, "A").to_wire()) is None


def test_aliases_that_go_round_end() -> None:
    message = answer(C2, (C2, "CNAME", "a.example."), ("a.example", "CNAME", f"{C2}."))
    assert read(message) == Answer(C2, ("a.example",), (), 0)


@pytest.mark.parametrize(("steps", "found"), [(ALIASES_LIMIT, 1), (ALIASES_LIMIT + 1, 0)])
def test_aliases_are_followed_up_to_the_limit(steps: int, found: int) -> None:
    records = [(f"n{step}.example", "CNAME", f"n{step + 1}.example.") for step in range(steps)]
    message = answer("n0.example", *records, (f"n{steps}.example", "A", ADDRESS))
    assert len(read(message).addresses) == found


@pytest.mark.parametrize(("records", "found"), [(63, 63), (64, 64), (65, 64)])
def test_records_are_read_up_to_the_limit(records: int, found: int) -> None:
    assert RECORDS_LIMIT == 64
    message = answer(C2, *((C2, "A", f"198.51.100.{number}") for number in range(records)))
    assert len(read(message).addresses) == found


def test_a_name_longer_as_text_than_names_are_is_left() -> None:
    label = b"\x3f" + b"\0" * 63  # each zero is four characters as text
    header = dns.message.make_response(dns.message.make_query(C2, "A")).to_wire()[:12]
    assert read_answer(header + label * 2 + b"\0\0\x01\0\x01") is None
    assert NAME_LIMIT == 253


def test_a_name_that_points_at_itself_is_refused() -> None:
    message = answer(C2, (C2, "A", ADDRESS))
    looped = message.replace(b"\xc0\x0c\0\x01\0\x01", b"\xc0\x21\0\x01\0\x01", 1)
    assert message.index(b"\xc0\x0c") == 0x21, "the record's name stands there"
    with pytest.raises(ParseError):
        read_answer(looped)


def test_what_was_cut_off_keeps_what_came_before() -> None:
    message = answer(C2, *((C2, "A", f"198.51.100.{number}") for number in range(10)))
    found = [len(read(message[:end]).addresses) for end in range(40, len(message) + 1)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 10)


@given(st.binary(max_size=300))
def test_noise_is_an_answer_or_an_error(noise: bytes) -> None:
    header = bytes.fromhex("1234 8180 0001 ffff ffff ffff")
    for message in (noise, header + noise):
        try:
            found = read_answer(message)
        except ParseError:
            continue
        if found is not None:
            assert len(found.addresses) <= RECORDS_LIMIT
            assert all(len(name) <= NAME_LIMIT and name.isascii() for name in found.names)
