"""The inline decision as a script: packets in, releases out, no queue and no clock."""

import functools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from ratwall.inspector.inspector import Inspector, Report
from ratwall.inspector.tracked import IDLE_US, TrackedTable
from ratwall.kernel.marks import FlowClass, Marks
from ratwall.queue.binding import QueuedPacket, Release
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds
from ratwall.verdict.memory import VerdictMemory
from ratwall.wire.checksum import checksum_valid
from ratwall.wire.packet import parse_segment
from ratwall.wire.reassembly import OUT_OF_ORDER_LIMIT
from ratwall_lab.certificates import Identity, Notary, asyncrat_family
from ratwall_lab.flight import Recording, duplicated, in_order, record, shuffled

MARKS = Marks()
FOREIGN = 0x00000042
DEVICE, SERVER = "192.168.77.11", "203.0.113.7"
DEVICE6, SERVER6 = "2001:db8:77::11", "2001:db8:99::7"
MAC = bytes.fromhex("525400123456") + b"\0\0"
CLIENT_START, SERVER_START = 1_000, 4_294_967_000  # the server's numbers wrap within its flight
PACKS = load_packs()


@functools.cache
def notary() -> Notary:
    return Notary()


@functools.cache
def recording(kind: str) -> Recording:
    identity: Identity
    name = None
    if kind == "rat":
        identity = notary().rat(asyncrat_family("Acme Printing Ltd"))
    else:
        identity = notary().web_site("shop.example")
        name = None if kind == "nameless" else "shop.example"
    return record(identity, "1.2", key_exchange="ALL:@SECLEVEL=0", server_name=name)


class Story:
    """One connection played to an inspector, as the kernel would queue it."""

    def __init__(self, inspector: Inspector, port: int = 49152, family: int = 4) -> None:
        self.inspector = inspector
        self.port = port
        self.family = family
        self.sent = 0
        self.conntrack = FlowClass.NONE
        self.class_on_packet = FlowClass.WATCH  # what gate copies onto it, once there is one
        self.stray = False

    def client(self, data: bytes, read: int = 0) -> Release:
        """`read`: bytes of the server that the client acknowledges."""
        start = CLIENT_START + self.sent
        self.sent += len(data)
        return self._queue(True, data, start, SERVER_START + read)

    def server(self, data: bytes, at: int) -> Release:
        return self._queue(False, data, SERVER_START + at, CLIENT_START + self.sent)

    def _queue(self, from_client: bool, data: bytes, sequence: int, acknowledged: int) -> Release:
        device, server = (DEVICE, SERVER) if self.family == 4 else (DEVICE6, SERVER6)
        ends = (device, server) if from_client else (server, device)
        ports = (self.port, 6606) if from_client else (6606, self.port)
        network = IP if self.family == 4 else IPv6
        numbers = {"seq": sequence % 2**32, "ack": acknowledged % 2**32}
        segment = TCP(sport=ports[0], dport=ports[1], flags="PA", **numbers)
        datagram = bytes(network(src=ends[0], dst=ends[1]) / segment / Raw(data))
        side = MARKS.lan if from_client else MARKS.wan
        mark = FOREIGN | side | MARKS.to_inspect
        if self.conntrack is not FlowClass.NONE:  # a burst passed the gate before its verdicts
            mark |= MARKS.of(FlowClass.STRAY if self.stray else self.class_on_packet)
        release = self.inspector.decide(QueuedPacket(datagram, mark, lambda: MAC))
        assert release.datagram is None or len(release.datagram) == len(datagram)
        assert release.mark & ~MARKS.mask == FOREIGN
        assert not release.mark & MARKS.to_inspect
        self.conntrack = MARKS.class_of(release.mark)
        return release


def class_of(release: Release) -> FlowClass:
    return MARKS.class_of(release.mark)


class Clock:
    now = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def reports() -> list[Report]:
    return []


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inspector(reports: list[Report], clock: Clock) -> Inspector:
    return make_inspector(reports, clock)


def make_inspector(
    reports: list[Report],
    clock: Clock,
    enforce: bool = True,
    memory: VerdictMemory | None = None,
) -> Inspector:
    return Inspector(
        PACKS,
        Thresholds(),
        MARKS,
        enforce=enforce,
        memory=VerdictMemory() if memory is None else memory,
        report=reports.append,
        clock=clock,
    )


def play(story: Story, pieces: Iterable[Any], kind: str = "rat") -> list[Release]:
    releases = [story.client(recording(kind).client_hello)]
    releases += [story.server(piece.data, piece.start) for piece in pieces]
    return releases


@pytest.mark.parametrize("family", [4, 6])
def test_the_segment_that_completes_the_certificate_becomes_a_reset(
    inspector: Inspector, reports: list[Report], family: int
) -> None:
    story = Story(inspector, family=family)
    pieces = in_order(recording("rat").flight(), 700)

    releases = play(story, pieces)

    assert [class_of(one).name for one in releases] == ["WATCH", "WATCH", "BLOCK", "BLOCK"]
    reset = (IP if family == 4 else IPv6)(releases[2].datagram)
    assert reset[TCP].flags.R
    assert reset[TCP].seq == (SERVER_START + 700) % 2**32, "what the client waits for"
    assert not any(bytes(reset[TCP].payload)[2:]), "padding, nothing of the certificate"
    (report,) = reports
    assert report["class"] == "block"
    assert report["mac"] == "52:54:00:12:34:56"
    assert report["certificate"]["subject"] == "CN=Acme Printing Ltd"


def test_everything_after_the_cut_is_a_reset_for_its_receiver(inspector: Inspector) -> None:
    story = Story(inspector)
    play(story, in_order(recording("rat").flight()))

    to_server = story.client(b"more")
    to_client = story.server(b"more", 5000)

    client_next = CLIENT_START + len(recording("rat").client_hello)
    assert IP(to_server.datagram)[TCP].seq == client_next
    assert IP(to_server.datagram)[TCP].dport == 6606
    assert IP(to_client.datagram)[TCP].flags.R
    assert class_of(to_server) is class_of(to_client) is FlowClass.BLOCK


@pytest.mark.parametrize("order", [shuffled, duplicated])
def test_disorder_does_not_save_a_rat(
    inspector: Inspector, order: Any, reports: list[Report]
) -> None:
    releases = play(Story(inspector), order(recording("rat").flight(), 100))
    assert FlowClass.BLOCK in [class_of(one) for one in releases]
    assert len(reports) == 1, "one report a connection"


def test_a_benign_site_is_freed_when_the_client_has_read_its_certificate(
    inspector: Inspector, reports: list[Report]
) -> None:
    story = Story(inspector)
    flight = recording("web").flight()
    releases = play(story, in_order(flight, 500), "web")
    assert len(reports) == 1, "judged with its certificate"
    releases.append(story.client(b"key exchange", read=100))
    assert {class_of(one) for one in releases} == {FlowClass.WATCH}
    assert class_of(story.client(b"finished", read=len(flight))) is FlowClass.CLEAN
    assert class_of(story.server(b"rest of a burst", len(flight))) is FlowClass.CLEAN
    assert all(one.datagram is None and not one.drop for one in releases)
    assert reports[0]["verdict"] == "clean"
    assert reports[0]["der"] is None
    assert len(reports) == 1


def test_monitor_mode_cuts_nothing_and_says_what_it_would_have_done(
    reports: list[Report], clock: Clock
) -> None:
    inspector = make_inspector(reports, clock, enforce=False)
    releases = play(Story(inspector), in_order(recording("rat").flight()))
    assert all(one.datagram is None for one in releases)
    assert class_of(releases[-1]) is FlowClass.OBSERVED
    assert (reports[0]["verdict"], reports[0]["enforced"]) == ("block", False)


def test_changed_thresholds_and_mode_count_for_connections_already_begun(
    inspector: Inspector, reports: list[Report]
) -> None:
    story = Story(inspector)
    pieces = in_order(recording("rat").flight(), 700)
    releases = play(story, pieces[:1])
    inspector.judge_by(PACKS, Thresholds(1, 2, 3), enforce=False)
    releases += [story.server(piece.data, piece.start) for piece in pieces[1:]]
    assert [class_of(one).name for one in releases] == ["WATCH", "WATCH", "OBSERVED", "OBSERVED"]
    assert (reports[0]["verdict"], reports[0]["enforced"]) == ("block", False)


@pytest.mark.parametrize(
    ("device", "flow_class"),
    [(None, FlowClass.EXEMPT), (DEVICE, FlowClass.EXEMPT), ("192.168.77.99", FlowClass.BLOCK)],
)
def test_an_allowed_certificate_passes_for_its_device_only(
    inspector: Inspector, reports: list[Report], device: str | None, flow_class: FlowClass
) -> None:
    play(Story(inspector), in_order(recording("rat").flight()))
    sha256 = reports[0]["certificate"]["sha256"]
    inspector.allowed_certificates = frozenset({(sha256, device)})
    releases = play(Story(inspector, port=49153), in_order(recording("rat").flight()))
    assert class_of(releases[-1]) is flow_class


def test_plain_http_leaves_the_queue_with_its_request(
    inspector: Inspector, reports: list[Report]
) -> None:
    request = Story(inspector).client(b"GET / HTTP/1.1\r\n\r\n")
    assert class_of(request) is FlowClass.OBSERVED
    assert reports == []


def test_a_new_connection_on_old_ports_is_read_afresh(
    inspector: Inspector, clock: Clock, reports: list[Report]
) -> None:
    flight = recording("rat").flight()
    first = Story(inspector)
    first.client(recording("rat").client_hello)
    first.server(flight[:50], 0)  # and then it dies

    second = Story(inspector)  # the kernel's entry is new: no class on its packets
    play(second, in_order(flight))
    assert second.conntrack is FlowClass.BLOCK

    clock.now += IDLE_US + 1
    third = Story(inspector)
    assert class_of(third.client(recording("web").client_hello)) is FlowClass.WATCH


def test_a_cut_connection_does_not_condemn_the_next_on_its_ports(
    inspector: Inspector, clock: Clock
) -> None:
    play(Story(inspector), in_order(recording("rat").flight()))
    releases = play(Story(inspector), in_order(recording("web").flight()), "web")
    assert FlowClass.BLOCK not in [class_of(one) for one in releases]


@pytest.mark.parametrize("enforce", [True, False])
@pytest.mark.parametrize("place", [36, 32])
def test_what_no_receiver_takes_is_not_read_and_does_not_pass(
    reports: list[Report], clock: Clock, place: int, enforce: bool
) -> None:
    """A wrong checksum, a header that contradicts itself; where nothing is cut, nothing is held."""
    inspector = make_inspector(reports, clock, enforce)
    flight = recording("rat").flight()
    story = Story(inspector)
    story.client(recording("rat").client_hello)
    datagram = bytearray(bytes(IP(src=SERVER, dst=DEVICE) / TCP(sport=6606, dport=49152) / flight))
    datagram[place] ^= 0xF0
    mark = MARKS.wan | MARKS.to_inspect
    release = inspector.decide(QueuedPacket(bytes(datagram), mark, lambda: None))
    assert class_of(release) is FlowClass.WATCH
    assert release.drop is enforce
    assert reports == []


def test_a_later_copy_passes_with_the_bytes_of_the_first(inspector: Inspector) -> None:
    story = Story(inspector)
    flight = recording("web").flight()
    story.client(recording("web").client_hello)
    assert story.server(flight[:600], 0).datagram is None
    amended = story.server(bytes(100) + flight[600:700], 500)
    segment = parse_segment(amended.datagram)
    assert segment.payload == flight[500:700]
    assert checksum_valid(amended.datagram, segment)
    assert story.server(flight[:600], 0).datagram is None, "an honest repetition is left alone"


def test_what_cannot_be_held_does_not_pass(inspector: Inspector) -> None:
    story = Story(inspector)
    story.client(recording("rat").client_hello)
    assert not story.server(b"x", OUT_OF_ORDER_LIMIT).drop
    assert story.server(bytes(OUT_OF_ORDER_LIMIT - 1000), 5).drop is False
    assert story.server(bytes(1000), 2 * OUT_OF_ORDER_LIMIT).drop


@pytest.mark.parametrize("from_client", [True, False])
def test_what_conntrack_disowns_is_kept_out_of_a_connection_that_is_read(
    inspector: Inspector, from_client: bool
) -> None:
    story = Story(inspector)
    story.client(recording("rat").client_hello)
    story.conntrack, story.stray = FlowClass.WATCH, True
    noise = story.client(b"noise") if from_client else story.server(b"noise", 0)
    assert noise.drop is not from_client, "only the server hides something"
    story.stray = False
    play_on = [story.server(one.data, one.start) for one in in_order(recording("rat").flight())]
    assert class_of(play_on[-1]) is FlowClass.BLOCK


def test_a_pause_in_a_handshake_does_not_begin_it_anew(inspector: Inspector, clock: Clock) -> None:
    story = Story(inspector)
    flight = recording("rat").flight()
    story.client(recording("rat").client_hello)
    story.server(flight[:300], 0)
    clock.now += 10 * IDLE_US
    assert class_of(story.server(flight[300:1800], 300)) is FlowClass.BLOCK


def test_a_segment_of_a_connection_cut_before_our_time_is_a_reset(inspector: Inspector) -> None:
    """The kernel hands the server's first one over once more; another inspector cut it."""
    story = Story(inspector)
    story.conntrack, story.class_on_packet = FlowClass.BLOCK, FlowClass.BLOCK
    release = story.server(recording("rat").flight()[:500], 0)
    assert class_of(release) is FlowClass.BLOCK
    reset = IP(release.datagram)[TCP]
    assert reset.flags.R
    assert reset.seq == SERVER_START


def test_a_hello_brings_a_connection_back_that_was_given_up(inspector: Inspector) -> None:
    story = Story(inspector)
    story.server(b"220 ready\r\n", 0)
    story.client(b"EHLO you\r\n", read=11)
    story.conntrack, story.class_on_packet = FlowClass.OBSERVED, FlowClass.OBSERVED
    story.client(recording("rat").client_hello, read=11)
    story.class_on_packet = FlowClass.WATCH
    pieces = in_order(recording("rat").flight())
    assert class_of([story.server(one.data, 11 + one.start) for one in pieces][-1]) is (
        FlowClass.BLOCK
    )


@given(st.binary(max_size=200), st.integers(0, 0xFFFFFFFF))
def test_arbitrary_bytes_get_one_release(data: bytes, mark: int) -> None:
    inspector = make_inspector([], Clock())
    release = inspector.decide(QueuedPacket(data, mark, lambda: None))
    assert release.mark & ~MARKS.mask == mark & ~MARKS.mask


def test_a_certificate_that_nobody_asked_for_accuses_nobody(
    inspector: Inspector, reports: list[Report]
) -> None:
    """A forged flight from outside must not have its sender blocked."""
    story = Story(inspector)
    said = recording("rat").flight() + bytes(OUT_OF_ORDER_LIMIT)
    releases = [story.server(one.data, one.start) for one in in_order(said)]
    assert FlowClass.BLOCK not in [class_of(one) for one in releases]
    assert reports == []


def test_nor_does_one_whose_beginning_was_pushed_out_of_the_table(
    reports: list[Report], clock: Clock
) -> None:
    """Forged too: more connections than are kept, so that what follows looks like one being read,
    and more bytes than are held until the office says where the server's begin."""
    memory = VerdictMemory()
    inspector = make_inspector(reports, clock, memory=memory)
    inspector._table = TrackedTable(capacity=50)
    story = Story(inspector)
    story.server(b"anything", 5000)
    assert story.conntrack is FlowClass.WATCH
    for port in range(50):
        Story(inspector, port=port + 1).server(b"anything", 0)
    assert inspector.evicted > 0
    said = recording("rat").flight() + bytes(OUT_OF_ORDER_LIMIT)
    releases = [story.server(one.data, one.start) for one in in_order(said)]
    assert FlowClass.BLOCK not in [class_of(one) for one in releases]
    assert (reports, memory.entries()) == ([], [])


def test_an_inspector_that_comes_between_hello_and_answer_cuts_when_the_client_goes_on(
    inspector: Inspector, reports: list[Report]
) -> None:
    """It has not seen that the office asked: the client's next message says so."""
    story = Story(inspector)
    story.sent, story.conntrack = 100, FlowClass.WATCH
    flight = recording("rat").flight()
    for one in in_order(flight):
        story.server(one.data, one.start)
    assert reports == []
    release = story.client(b"\x16\x03\x03\x00\x46\x10" + bytes(69), read=len(flight))
    assert class_of(release) is FlowClass.BLOCK
    assert IP(release.datagram)[TCP].flags.R
    assert [report["class"] for report in reports] == ["block"]


def test_a_long_silence_within_the_certificate_does_not_save_a_rat(
    inspector: Inspector, clock: Clock
) -> None:
    story = Story(inspector)
    first, *rest = in_order(recording("rat").flight(), 700)
    story.client(recording("rat").client_hello)
    story.server(first.data, first.start)
    clock.now += IDLE_US * 2
    releases = [story.server(one.data, one.start) for one in rest]
    assert FlowClass.BLOCK in [class_of(one) for one in releases]
