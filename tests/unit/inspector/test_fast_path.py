"""The fast path and the slow one never disagree: the same packets, the same verdicts and reports.

Two inspectors get every packet, one of them without the fast path. The handshakes are OpenSSL's;
hypothesis cuts, repeats, swaps, breaks and delays what both sides say.
"""

import json
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.kinds import kinds
from bench.memory import flood, half_a_hello, inspector
from bench.profile_inspector import flights
from fuzz.seeds import CLIENT_PORT, CLIENT_START, SERVER_START, datagram
from ratwall.inspector.inspector import Inspector
from ratwall.inspector.seen import wall_clock
from ratwall.inspector.tracked import CAPACITY, IDLE_US
from ratwall.kernel.marks import FlowClass, Marks
from ratwall.queue import fastpath
from ratwall.queue.binding import QueuedPacket, Release
from ratwall.selftest.flight import canned_handshake
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds
from ratwall.verdict.memory import VerdictMemory
from ratwall.verdict.record import iso_time
from ratwall_lab.certificates import Notary

MARKS = Marks()
MAC = bytes.fromhex("020000000011") + bytes(2)
FREED = (FlowClass.CLEAN, FlowClass.OBSERVED, FlowClass.EXEMPT, FlowClass.BLOCK)
START = 1_700_000_000_000_000
LONG = 20.0  # seconds that nobody waits
MESSAGE_CAP = 9000  # bytes of a turn that are cut up; the largest chain here has 3,500


@cache
def handshakes() -> dict[str, list[tuple[bool, bytes]]]:
    """What both sides say in turn, by kind; a trojan's too."""
    found = {kind.name: flights(kind) for kind in kinds(Notary())}
    canned = canned_handshake()
    found["trojan"] = [(True, canned.client_hello), (False, canned.server_flight), (True, b"\x16")]
    return found


NAMES = [
    *("TLS 1.2", "TLS 1.3", "TLS 1.2, 3 RSA certificates", "TLS 1.3, 3 RSA certificates"),
    *("TLS 1.2, hello of 2 segments", "TLS 1.3, hello of 2 segments", "trojan"),
]


@dataclass
class Both:
    """Two inspectors that must agree, behind a kernel that keeps the classes."""

    enforce: bool = True
    now: int = START
    kernel: dict[int, FlowClass] = field(default_factory=dict)
    reports: dict[bool, list[dict[str, Any]]] = field(default_factory=lambda: {True: [], False: []})

    def __post_init__(self) -> None:
        self.inspectors = {fast: self._inspector(fast) for fast in (True, False)}
        assert self.inspectors[True].fast_path is not None, "the fast path is not compiled here"

    def _inspector(self, fast: bool) -> Inspector:
        return Inspector(
            load_packs(),
            Thresholds(),
            MARKS,
            enforce=self.enforce,
            memory=VerdictMemory(),
            report=self.reports[fast].append,
            clock=lambda: self.now,
            fast=fast,
        )

    def send(self, from_client: bool, data: bytes, port: int = CLIENT_PORT) -> FlowClass:
        """A packet comes; what its connection is then."""
        known = self.kernel.get(port, FlowClass.NONE)
        if known in FREED:
            return known
        side = MARKS.lan if from_client else MARKS.wan
        packet = QueuedPacket(data, 0x42 | side | MARKS.to_inspect | MARKS.of(known), lambda: MAC)
        one: Release = self.inspectors[True].decide(packet)
        other: Release = self.inspectors[False].decide(packet)
        assert one == other
        flow_class = MARKS.class_of(one.mark)
        if flow_class is not FlowClass.NONE and not one.drop:
            self.kernel[port] = flow_class
        return flow_class

    def agree(self) -> None:
        assert self.reports[True] == self.reports[False]
        one, other = self.inspectors[True], self.inspectors[False]
        assert (one.queued, one.judged, one.cut) == (other.queued, other.judged, other.cut)

    @property
    def taken(self) -> int:
        path = self.inspectors[True].fast_path
        assert path is not None
        return path.taken


def packets(
    turns: list[tuple[bool, bytes]], size: int, version: int, port: int
) -> Iterator[tuple[bool, bytes]]:
    """The turns in segments of a size, in order."""
    said = {True: CLIENT_START, False: SERVER_START}
    for from_client, data in turns:
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            numbers = said[from_client], said[not from_client]
            yield (
                from_client,
                datagram(from_client, *numbers, piece, version=version, client_port=port),
            )
            said[from_client] += len(piece)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("name", NAMES)
def test_an_ordinary_handshake_is_decided_alike_and_again_when_it_is_repeated(
    name: str, version: int
) -> None:
    both = Both()
    for number in range(3):  # the second and third are like the first
        both.now += 1_234_567
        turns = handshakes()[name]
        for from_client, data in packets(turns, 1448, version, CLIENT_PORT + number):
            both.send(from_client, data, CLIENT_PORT + number)
        both.agree()
    assert len(both.reports[True]) == 3
    if name != "trojan":
        assert both.taken >= 3 * 3, "the fast path did it"


@pytest.mark.parametrize("enforce", [True, False])
def test_what_the_mode_is_holds_for_both(enforce: bool) -> None:
    both = Both(enforce=enforce)
    for number, name in enumerate(NAMES):
        for from_client, data in packets(handshakes()[name], 500, 4, CLIENT_PORT + number):
            both.send(from_client, data, CLIENT_PORT + number)
    both.agree()


def test_a_server_that_the_memory_knows_is_judged_anew_each_time() -> None:
    """A browser went there before; then the server showed a trojan's certificate."""
    both = Both()
    for port, name in enumerate(["TLS 1.3", "trojan", "TLS 1.3"], CLIENT_PORT):
        for from_client, data in packets(handshakes()[name], 1448, 4, port):
            both.send(from_client, data, port)
    both.agree()
    first, _, third = both.reports[True]
    assert first["verdict"] != "block"
    assert third["verdict"] == "block"


def test_what_was_found_is_forgotten_when_packs_or_mode_change() -> None:
    both = Both()
    for port in (CLIENT_PORT, CLIENT_PORT + 1):
        for from_client, data in packets(handshakes()["TLS 1.3"], 1448, 4, port):
            both.send(from_client, data, port)
        for one in both.inspectors.values():
            one.judge_by([], Thresholds(), enforce=False)
    both.agree()
    first, second = both.reports[True]
    assert (first["enforced"], second["enforced"]) == (True, False)
    assert second["evidence"] == []


step = st.one_of(
    st.tuples(st.sampled_from(["again", "swap", "break", "lose"]), st.integers(0, 30)),
    st.tuples(st.just("wait"), st.sampled_from([100_000, 300_000, IDLE_US + 1])),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3),
    st.integers(1, 1448).filter(lambda size: size > 60 or size < 8),
    st.lists(step, max_size=8),
    st.sampled_from([4, 6]),
    st.booleans(),
)
def test_cut_repeated_swapped_broken_and_late_they_agree(
    names: list[str], size: int, steps: list[tuple[str, int]], version: int, same_ports: bool
) -> None:
    both = Both()
    for number, name in enumerate(names):
        port = CLIENT_PORT if same_ports else CLIENT_PORT + number
        turns = [(side, data[:MESSAGE_CAP]) for side, data in handshakes()[name]]
        line = list(
            packets(turns, max(size, 61) if len(turns[1][1]) > 2000 else size, version, port)
        )
        for kind, at in steps:
            place = at % len(line)
            if kind == "again":
                line.insert(place, line[place])
            elif kind == "swap" and place + 1 < len(line):
                line[place], line[place + 1] = line[place + 1], line[place]
            elif kind == "break":
                side, data = line[place]
                line[place] = side, data[:-1] + bytes((data[-1] ^ 0x55,))
            elif kind == "lose":
                del line[place]
                if not line:
                    return
        for position, (from_client, data) in enumerate(line):
            both.now += 1000 + sum(at for kind, at in steps if kind == "wait" and position == 2)
            both.send(from_client, data, port)
        both.agree()
        if same_ports:
            both.kernel.pop(port, None)  # the entry in the kernel went, and its class


def test_the_fast_path_holds_no_more_than_its_cap_and_hands_the_rest_on() -> None:
    flooded = inspector()
    path = flooded.fast_path
    assert path is not None
    flood(flooded, half_a_hello(), 0, fastpath.CAPACITY)
    assert (len(path), len(flooded._table), flooded.evicted) == (fastpath.CAPACITY, 0, 0)
    flood(flooded, half_a_hello(), fastpath.CAPACITY, CAPACITY + 10)
    assert len(path) == fastpath.CAPACITY
    assert (len(flooded._table), flooded.evicted) == (CAPACITY, 10)


class Kernel:
    """The other end of a queue's socket: a packet as nfnetlink_queue sends it, and the answer."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def queue(self, number: int, data: bytes, mark: int) -> None:
        def attribute(kind: int, value: bytes) -> bytes:
            body = (4 + len(value)).to_bytes(2, "little") + kind.to_bytes(2, "little") + value
            return body + bytes(-len(body) % 4)

        header = number.to_bytes(4, "big") + b"\x08\x00\x02"
        address = len(MAC[:6]).to_bytes(2, "big") + bytes(2) + MAC
        rest = b"\x02\x00" + (7).to_bytes(2, "big")
        rest += attribute(1, header) + attribute(3, mark.to_bytes(4, "big"))
        rest += attribute(9, address) + attribute(10, data)
        head = (16 + len(rest)).to_bytes(4, "little") + (0x300).to_bytes(2, "little")
        self.ours.send(head + bytes(10) + rest)


def test_a_packet_read_from_the_queue_gets_one_answer_from_one_of_the_two(
    kernel: Kernel,
) -> None:
    both = Both()
    path = both.inspectors[True].fast_path
    assert path is not None
    reader = fastpath.QueueReader(kernel.theirs.fileno(), 70_000, path)
    turns = handshakes()["TLS 1.3"]
    (first_side, hello), *_ = packets(turns, 1448, 4, CLIENT_PORT)
    assert first_side
    mark = 0x42 | MARKS.lan | MARKS.to_inspect
    kernel.queue(0x01020304, hello, mark)
    kernel.queue(0x01020305, b"\x45no datagram", mark)
    reader.left = 2
    left_over = reader.recv(4096)
    assert b"no datagram" in left_over, "the slow path's to answer"
    answer = kernel.ours.recv(1000)
    assert len(answer) == 40
    assert answer[4:6] == (0x301).to_bytes(2, "little")
    assert answer[18:20] == (7).to_bytes(2, "big"), "the queue that it came from"
    assert answer[24:32] == (1).to_bytes(4, "big") + (0x01020304).to_bytes(4, "big")
    given_mark = int.from_bytes(answer[36:40], "big")
    assert MARKS.class_of(given_mark) is FlowClass.WATCH
    assert given_mark & 0xFF == 0x42, "bits of others stay"
    assert not given_mark & MARKS.to_inspect
    with pytest.raises(BlockingIOError):
        reader.recv(4096)
    kernel.ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        kernel.ours.recv(1000)


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.ours.close()
    kernel.theirs.close()


def queue_all(kernel: Kernel, name: str) -> int:
    """Queue a whole handshake; how many packets that is."""
    known = FlowClass.NONE
    number = 0
    for from_client, data in packets(handshakes()[name], 1448, 4, CLIENT_PORT):
        side = MARKS.lan if from_client else MARKS.wan
        kernel.queue(number, data, side | MARKS.to_inspect | MARKS.of(known))
        known, number = FlowClass.WATCH, number + 1
    return number


def answers(kernel: Kernel) -> list[FlowClass]:
    """The classes given since."""
    found = []
    while select.select([kernel.ours], [], [], 0)[0]:
        answer = kernel.ours.recv(1000)
        found.append(MARKS.class_of(int.from_bytes(answer[36:40], "big")))
    return found


def reader_of(kernel: Kernel, path: fastpath.FastPath | None) -> fastpath.QueueReader:
    assert path is not None
    return fastpath.QueueReader(kernel.theirs.fileno(), 70_000, path)


def test_waiting_decides_what_comes_until_the_time_is_over(kernel: Kernel) -> None:
    reader = reader_of(kernel, Both().inspectors[True].fast_path)
    number = queue_all(kernel, "TLS 1.3")
    started = time.monotonic()
    assert reader.wait(0.1, -1) == (False, False)
    assert time.monotonic() - started >= 0.1
    decided = answers(kernel)
    assert len(decided) == number
    assert decided[0] is FlowClass.WATCH
    assert decided[-1] is FlowClass.OBSERVED


def test_waiting_ends_with_a_packet_for_the_slow_path(kernel: Kernel) -> None:
    reader = reader_of(kernel, Both().inspectors[True].fast_path)
    kernel.queue(1, b"\x45no datagram", MARKS.lan | MARKS.to_inspect)
    queue_all(kernel, "TLS 1.3")
    assert reader.wait(LONG, -1) == (True, False)
    assert answers(kernel) == []
    reader.left = 0
    assert b"no datagram" in reader.recv(4096)
    with pytest.raises(BlockingIOError):
        reader.recv(4096)  # it is given once
    assert reader.wait(0, -1)[0] is False


def test_waiting_ends_when_somebody_else_has_something_to_say(kernel: Kernel) -> None:
    reader = reader_of(kernel, Both().inspectors[True].fast_path)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert reader.wait(0.01, theirs.fileno()) == (False, False)
        ours.send(b"!")
        assert reader.wait(LONG, theirs.fileno()) == (False, True)
        ours.close()
        theirs.recv(1)
        assert reader.wait(LONG, theirs.fileno()) == (False, True), "also when it has gone"


def test_waiting_ends_sooner_when_a_report_shall_leave(kernel: Kernel) -> None:
    both = Both()
    reader = reader_of(kernel, both.inspectors[True].fast_path)
    both.inspectors[True]._report = lambda report: reader.hasten(0)
    number = queue_all(kernel, "TLS 1.3")
    started = time.monotonic()
    assert reader.wait(LONG, -1) == (False, False)
    assert time.monotonic() - started < LONG
    assert 0 < len(answers(kernel)) < number
    reader.wait(0.05, -1)
    assert answers(kernel)[-1] is FlowClass.OBSERVED


def test_waiting_feeds_the_watchdog_with_packets_and_without(kernel: Kernel) -> None:
    reader = reader_of(kernel, Both().inspectors[True].fast_path)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        reader.feed(theirs.fileno(), b"WATCHDOG=1", 0.05)
        queue_all(kernel, "TLS 1.3")
        reader.wait(0.22, -1)
        assert answers(kernel)[-1] is FlowClass.OBSERVED
        fed = 0
        while select.select([ours], [], [], 0)[0]:
            assert ours.recv(100) == b"WATCHDOG=1"
            fed += 1
        assert 2 <= fed <= 5
        ours.close()
        assert reader.wait(0.1, -1) == (False, False), "who is not heard goes on"


def test_waiting_ends_with_a_signal_whose_handler_has_run(kernel: Kernel) -> None:
    reader = reader_of(kernel, Both().inspectors[True].fast_path)
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: heard.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        started = time.monotonic()
        assert reader.wait(LONG, -1) == (False, False)
        assert time.monotonic() - started < LONG
        assert heard == [signal.SIGALRM]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_report_from_memory_reads_like_one_worked_out() -> None:
    """As the controller gets it, byte for byte, but for what is the connection's own."""
    both = Both()
    for port in (CLIENT_PORT, CLIENT_PORT + 1):
        both.now += 1_000_000
        for from_client, data in packets(handshakes()["TLS 1.2"], 1448, 4, port):
            both.send(from_client, data, port)
    first, second = both.reports[True]
    assert first["client_port"] + 1 == second["client_port"]
    assert first["start"] != second["start"]
    own = ("client_port", "start")
    assert json.dumps({**first, **{name: second[name] for name in own}}) == json.dumps(second)


def test_a_watched_device_is_judged_each_time_and_teaches_nothing_to_others() -> None:
    """Its thresholds are lower, and its connections are observed."""
    both = Both()
    ports = iter(range(CLIENT_PORT, CLIENT_PORT + 100))

    def connect() -> FlowClass:
        port = next(ports)
        for from_client, data in packets(handshakes()["TLS 1.2"], 1448, 4, port):
            flow_class = both.send(from_client, data, port)
        both.agree()
        return flow_class

    def watch(*devices: str) -> None:
        for one in both.inspectors.values():
            one.watched = frozenset(devices)

    device = "192.168.77.11"
    watch(device)
    assert connect() is FlowClass.OBSERVED
    assert both.reports[True][-1]["client"] == device
    watch()
    assert connect() is FlowClass.CLEAN
    assert connect() is FlowClass.CLEAN
    watch(device)
    assert connect() is FlowClass.OBSERVED


def with_extension(hello: bytes, size: int) -> bytes:
    """A ClientHello's record with one extension more, of a private number."""
    body = hello[9:]
    at = 34 + 1 + body[34]
    at += 2 + int.from_bytes(body[at : at + 2])
    at += 1 + body[at]
    extensions = body[at + 2 :] + b"\xff\x01" + size.to_bytes(2) + bytes(size)
    body = body[:at] + len(extensions).to_bytes(2) + extensions
    return hello[:3] + (len(body) + 4).to_bytes(2) + b"\x01" + len(body).to_bytes(3) + body


@pytest.mark.parametrize(("size", "kinds_kept"), [(4000, 1), (fastpath.LIKENESS_LIMIT, 0)])
def test_what_is_too_much_to_keep_is_judged_each_time(size: int, kinds_kept: int) -> None:
    both = Both()
    (side, hello), *rest = handshakes()["TLS 1.3"]
    for port in (CLIENT_PORT, CLIENT_PORT + 1):
        turns = [(side, with_extension(hello, size)), *rest]
        for from_client, data in packets(turns, 1448, 4, port):
            both.send(from_client, data, port)
        both.agree()
    assert len(both.reports[True]) == 2
    assert len(both.inspectors[True]._repeats.kept) == kinds_kept


def test_the_machines_clock_is_read_alike_in_both_places() -> None:
    reports: list[dict[str, Any]] = []
    fast = Inspector(
        load_packs(),
        Thresholds(),
        MARKS,
        enforce=True,
        memory=VerdictMemory(),
        report=reports.append,
        clock=wall_clock,
    )
    assert fast.fast_path is not None
    before = wall_clock()
    for from_client, data in packets(handshakes()["TLS 1.3"], 1448, 4, CLIENT_PORT):
        side = MARKS.lan if from_client else MARKS.wan
        fast.decide(QueuedPacket(data, side | MARKS.to_inspect, lambda: MAC))
    assert fast.fast_path.taken >= 3
    (told,) = reports
    assert iso_time(before) <= told["start"] <= iso_time(wall_clock())
