"""The rhythm of every labelled stream of the corpus, from copies as short as the kernel's.

Nobody here made these captures, and nothing of the rhythm code was tuned to the honest ones. What a
client says is cut to what is copied inline; each stream is judged by its own hello, and once more
as if it had named no server, its version were not known (any length of a prefix fits) and it met a
server that nobody knows: then the rhythm alone stands between it and being told of.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest

from corpus import CORPUS, require_corpus
from ratwall.errors import UsageError
from ratwall.kernel.ruleset import COPY_BYTES
from ratwall.replay.capture import read_capture
from ratwall.rhythm.beats import BeatLog
from ratwall.rhythm.decide import Circumstances, Decision, decide
from ratwall.rhythm.records import RecordTrail
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import parse_segment
from replay.conftest import Corpus

GENUINE = ("192.168.100.124:49207", "181.131.218.39:4041")  # AsyncRAT: 14 pings, a bad line
GENUINE_PERIOD_US = 13_531_000  # as measured on its capture; its timer's deviation is 2.5 ms
LONG_SECONDS = 30.0  # of a stream in which a stock rhythm would have had time to show
WORST = Circumstances(named=False, tls_version=None, devices=1, age=0)

Ends = tuple[str, str]


@dataclass
class Stream:
    """One labelled stream: what was heard of its client, and what was decided at which time."""

    expect: str
    around: Circumstances
    trail: RecordTrail = field(default_factory=RecordTrail)
    log: BeatLog = field(default_factory=BeatLog)
    first: int | None = None
    last: int = 0
    own: list[tuple[int, Decision]] = field(default_factory=list)
    worst: list[tuple[int, Decision]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return 0.0 if self.first is None else (self.last - self.first) / 1e6

    def take(self, at: int, sequence: int, copied: bytes, length: int) -> None:
        self.first = at if self.first is None else self.first
        self.last = at
        if self.log.take(at, self.trail.take(sequence, copied, length)):
            for around, decisions in ((self.around, self.own), (WORST, self.worst)):
                decision = decide(self.log, around)
                if decision is not None:
                    decisions.append((at, decision))


def lines(name: str) -> Iterator[dict[str, Any]]:
    with (CORPUS / name).open() as file:
        yield from map(json.loads, file)


def circumstances(truth: dict[str, Any]) -> Circumstances:
    """A stream's own hello; its server is taken to be new here, which no capture can deny."""
    version = (truth.get("sh") or {}).get("version")
    return Circumstances(
        named=bool((truth.get("ch") or {}).get("sni")),
        tls_version=None if version is None else version.replace("TLS1", "TLS 1"),
        devices=1,
        age=0,
    )


@pytest.fixture(scope="module")
def streams() -> list[tuple[Ends, Stream]]:
    require_corpus()
    truth = {(line["file"], line["stream"]): line for line in lines("truth.jsonl")}
    wanted: dict[str, dict[Ends, Stream]] = defaultdict(dict)
    for label in lines("labels.jsonl"):
        around = circumstances(truth[label["file"], label["stream"]])
        ends = label["client"], label["server"]
        wanted[label["file"]][ends] = Stream(label["expect"], around)
    for file, by_ends in wanted.items():
        listen(file, by_ends)
    return [pair for by_ends in wanted.values() for pair in by_ends.items()]


def listen(file: str, by_ends: dict[Ends, Stream]) -> None:
    try:
        for at, datagram in read_capture(CORPUS / "captures" / file):
            try:
                segment = parse_segment(datagram[:COPY_BYTES])
            except ParseError:
                continue
            if segment is None or (length := len(segment.payload) + segment.missing) <= 0:
                continue
            client = f"{ip_address(segment.source)}:{segment.source_port}"
            server = f"{ip_address(segment.destination)}:{segment.destination_port}"
            stream = by_ends.get((client, server))
            if stream is not None:
                stream.take(at, segment.sequence, segment.payload, length)
    except UsageError:
        return  # cut short on purpose: what came before its end was heard


def test_the_genuine_asyncrat_is_recognised_at_its_fourth_beat(
    streams: list[tuple[Ends, Stream]],
) -> None:
    """That is its third ping: its first message comes a period before the first of them."""
    stream = next(stream for ends, stream in streams if ends == GENUINE)
    at, first = stream.own[0]
    assert first.rule == "rhythm.stock"
    assert len(first.rhythm.beats) == 4
    assert abs(first.rhythm.period - GENUINE_PERIOD_US) < 10_000
    assert any(fact.decisive for fact in first.evidence)
    assert {"rhythm.shape", "rhythm.no-name", "rhythm.old-tls"} <= {
        fact.id for fact in first.evidence
    }
    beats = first.rhythm.beats
    # Told as soon as it can be: with the beat, or with its lost half a moment later.
    assert at - beats[-1] < 2_000_000


def test_its_beats_are_its_pings_and_nothing_sent_again(
    streams: list[tuple[Ends, Stream]],
) -> None:
    stream = next(stream for ends, stream in streams if ends == GENUINE)
    _, last = stream.own[-1]
    gaps = [
        later - one for one, later in zip(last.rhythm.beats, last.rhythm.beats[1:], strict=False)
    ]
    assert len(last.rhythm.beats) >= 12
    assert all(abs(gap - GENUINE_PERIOD_US) < 50_000 for gap in gaps), gaps


def test_replay_tells_of_it_too(corpus: Corpus) -> None:
    (record,) = (
        corpus.matched[name]
        for name, label in corpus.labels.items()
        if (label["client"], label["server"]) == GENUINE
    )
    assert "rhythm.stock" in {fact["id"] for fact in record["evidence"]}


@pytest.mark.parametrize("expect", ["allow", "neutral"])
def test_no_other_stream_has_a_rhythm_even_were_all_else_against_it(
    streams: list[tuple[Ends, Stream]], expect: str
) -> None:
    told = [
        (ends, decision.rule)
        for ends, stream in streams
        if stream.expect == expect
        for _, decision in (*stream.own, *stream.worst)
    ]
    assert told == []


def test_there_are_long_streams_among_them(streams: list[tuple[Ends, Stream]]) -> None:
    """Else the test above would say nothing; and it says as much as these few can."""
    long = [
        stream
        for _, stream in streams
        if stream.expect == "allow" and stream.seconds >= LONG_SECONDS and len(stream.log.times) > 3
    ]
    assert len(long) >= 10
