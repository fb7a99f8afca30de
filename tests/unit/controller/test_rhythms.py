"""What is told of the rhythm of an observed connection, and how often."""

from dataclasses import replace

import pytest

from ratwall.controller.rhythms import SETTLED, TOLD_AGAIN, Rhythms
from ratwall.rhythm.beats import BeatLog
from ratwall.rhythm.decide import Circumstances, Decision, decide
from ratwall.verdict.finding import Connection, Finding
from ratwall.wire.packet import Segment

CONNECTION: Connection = ("192.168.77.11", 50001, "203.0.113.9", 6606)
PERIOD_US = 12_345_000
MESSAGE_US = 210_000  # from the length to the message, as measured on a genuine capture
ANSWER_US = 330_000
EMPTY = Segment(4, b"", b"", 50001, 6606, 0, 0, 0x18, b"", 20, 20, 40)


def record(length: int) -> bytes:
    return bytes((23, 3, 3)) + length.to_bytes(2, "big") + bytes(length)


class Client:
    """A client as the kernel's copies show it, beating: a length, then the message."""

    def __init__(self, rhythms: Rhythms) -> None:
        self.rhythms = rhythms
        self.sequence = 1000

    def say(self, at: int, payload: bytes) -> None:
        length = EMPTY.datagram_length + len(payload)
        segment = replace(EMPTY, sequence=self.sequence, payload=payload, datagram_length=length)
        self.rhythms.take_segment(CONNECTION, segment, at)
        self.sequence += len(payload)

    def beat(self, number: int, answered: bool = False) -> None:
        self.say(number * PERIOD_US, record(21))
        self.say(number * PERIOD_US + MESSAGE_US, record(69))
        if answered:
            self.say(number * PERIOD_US + ANSWER_US, record(21) + record(65))


@pytest.fixture
def told() -> list[Finding]:
    return []


@pytest.fixture
def client(told: list[Finding]) -> Client:
    return Client(Rhythms(lambda server: (1, 0), told.append))


def test_a_rhythm_is_told_once_and_again_after_many_beats(
    client: Client, told: list[Finding]
) -> None:
    """Not at every beat, whose length is seen before it has its shape."""
    for number in range(1, 4 + TOLD_AGAIN):
        client.beat(number)
        assert [finding.rule for finding in told] == ["rhythm.stock"] * (number >= 4)
    for number in range(4 + TOLD_AGAIN, 4 + TOLD_AGAIN + SETTLED):  # it is looked at less often now
        client.beat(number)
    assert [finding.rule for finding in told] == ["rhythm.stock"] * 2


def test_it_is_told_again_when_it_may_be_cut_for(client: Client, told: list[Finding]) -> None:
    """A few answers have to be seen; without them it is no more than watched."""
    client.rhythms.note(CONNECTION, named=False, tls_version="TLS 1.3")
    for number in range(1, 10):
        client.beat(number, answered=number > 4)
    assert [any(fact.decisive for fact in one.evidence) for one in told] == [False, True]


def test_what_is_settled_is_folded_only_now_and_then(
    client: Client, told: list[Finding], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.rhythms.note(CONNECTION, named=False, tls_version="TLS 1.3")
    folded = []

    def counted(log: BeatLog, around: Circumstances) -> Decision | None:
        folded.append(log.bursts)
        return decide(log, around)

    monkeypatch.setattr("ratwall.controller.rhythms.decide", counted)
    for number in range(1, 6):
        client.beat(number, answered=True)
    assert told[-1].evidence[0].decisive
    folded.clear()
    for number in range(6, 6 + 10 * SETTLED):
        client.beat(number, answered=True)
    assert len(folded) <= 10


def test_the_listing_says_the_weightiest_that_was_found(client: Client) -> None:
    for number in range(1, 9):
        client.beat(number)
    client.say(9 * PERIOD_US, record(21))  # the length of the ninth: its message is under way
    rhythm = client.rhythms.rhythm(CONNECTION)
    assert rhythm == {"rule": "rhythm.stock", "beats": 8, "period_us": PERIOD_US}


def test_a_finding_carries_what_a_page_can_draw(client: Client, told: list[Finding]) -> None:
    for number in range(1, 5):
        client.beat(number)
    (finding,) = told
    assert finding.facts["beats"] == [number * PERIOD_US for number in range(1, 5)]
    assert (finding.facts["period_us"], finding.facts["shape"]) == (PERIOD_US, True)
    assert finding.connections == (CONNECTION,)


def test_what_is_forgotten_begins_anew(client: Client, told: list[Finding]) -> None:
    for number in range(1, 4):
        client.beat(number)
    client.rhythms.forget(CONNECTION)
    client.beat(4)
    assert (told, len(client.rhythms)) == ([], 1)


def test_a_long_period_is_told_again_when_its_shape_is_seen(told: list[Finding]) -> None:
    """The length of a beat is seen a moment before its message; the first sight is told without."""
    client = Client(Rhythms(lambda server: (1, 0), told.append))
    client.rhythms.note(CONNECTION, named=False, tls_version="TLS 1.3")
    for number in range(1, 8):
        client.say(number * 45_000_000, record(21))
        client.say(number * 45_000_000 + MESSAGE_US, record(69))
    assert [(one.rule, one.facts["shape"]) for one in told][-1] == ("rhythm.steady", True)
