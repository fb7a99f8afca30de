"""What is fuzzed: one function a parser, bytes in, AssertionError or any other exception is a find.

Each is plain Python without a fuzzer in it: `coverage_guided.py` drives them with atheris,
`test_findings.py` with the inputs that once failed and with the seeds.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from fuzz.path import Game
from fuzz.seeds import ACK, SYN_ACK
from ratwall.errors import UsageError
from ratwall.feeds.errors import FeedError
from ratwall.feeds.formats import READERS, read_feed
from ratwall.feeds.indicator import KEY_BYTES
from ratwall.feeds.screen import screen
from ratwall.flow.preamble import Preamble
from ratwall.kernel import conntrack, netlink
from ratwall.kernel.marks import Marks
from ratwall.replay.capture import read_capture
from ratwall.replay.engine import CaptureJudge
from ratwall.selftest.flight import canned_handshake
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.match import match
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds
from ratwall.wire.errors import ParseError
from ratwall.wire.tls.conversation import ALERT_LIMIT, Conversation
from ratwall.wire.tls.messages import HELLO_LIMIT, LEAF_LIMIT
from ratwall.wire.x509.certificate import parse_certificate

MARKS = Marks()
PACKS = load_packs()
SERVER = Endpoint(bytes((203, 0, 113, 7)), 6606)
# A parser holds one message at most: hello or leaf, and the header in front of it.
HELD_LIMIT = max(HELLO_LIMIT, LEAF_LIMIT) + 16
MOVES_LIMIT = 400  # a game is over in time
PLACE_BELOW = 1000  # places begin so far below the flight
LENGTH_LIMIT = 1500
FLAGS = (ACK, ACK | 0x20, SYN_ACK, 0)  # plain, urgent, a late SYN-ACK, no ACK

Target = Callable[[bytes], None]


def certificate(data: bytes) -> None:
    """DER: a Certificate whose parts can all be asked for, or a ParseError that says where."""
    try:
        found = parse_certificate(data)
    except ParseError as error:
        assert 0 <= error.offset <= len(data)
        return
    str(found.subject)
    str(found.issuer)
    assert found.serial_is_prime() in (True, False)
    assert found.self_signature() in (True, False, None)


def conversation(data: bytes) -> None:
    """TLS: pieces of either direction, each behind one byte of side and two of length."""
    talk = Conversation()
    before = talk.state
    for from_client, piece in _pieces(data):
        talk.receive(from_client, piece)
        for direction in (talk._client, talk._server):
            assert len(direction.messages._held) <= HELD_LIMIT
        assert len(talk.facts.alerts) <= ALERT_LIMIT
        assert talk.state >= min(before, 1), "what was recognised as TLS does not become unknown"
        before = talk.state
    _same_in_one_piece(data, talk)
    facts = talk.facts
    assert facts.ja3 is None or len(facts.ja3) == 32
    assert facts.ja3s is None or len(facts.ja3s) == 32
    assert facts.ja4 is None or facts.ja4.count("_") == 2
    for evidence in match(PACKS, facts, SERVER):
        assert evidence.text


def _same_in_one_piece(data: bytes, cut: Conversation) -> None:
    """How a direction's bytes are cut never matters to what it showed, the other side silent."""
    pieces = _pieces(data)
    if any(from_client for from_client, _ in pieces):
        return
    whole = Conversation()
    whole.receive(False, b"".join(piece for _, piece in pieces))
    assert whole.facts == cut.facts
    assert whole.state == cut.state


def _pieces(data: bytes) -> list[tuple[bool, bytes]]:
    pieces = []
    position = 0
    while position + 3 <= len(data):
        from_client = bool(data[position] & 1)
        length = data[position + 1] << 8 | data[position + 2]
        position += 3
        pieces.append((from_client, data[position : position + length]))
        position += length
    return pieces


def packets(data: bytes) -> None:
    """The whole path: six bytes a move, and more where a move takes them from the input."""
    if not data:
        return
    game = Game(version=6 if data[0] & 1 else 4)
    fast_open = bool(data[0] & 8)
    before_hello = 0 if fast_open else data[0] >> 1 & 3
    position = 1
    moves = 0
    while position + 6 <= len(data) and moves < MOVES_LIMIT:
        if moves == before_hello:
            game.hello(fast_open)
        moves += 1
        kind, value = data[position], data[position + 5]
        place = (data[position + 1] << 8 | data[position + 2]) - PLACE_BELOW
        length = (data[position + 3] << 8 | data[position + 4]) % LENGTH_LIMIT
        position += 6
        flight = canned_handshake().server_flight
        genuine = flight[max(0, place) : max(0, place) + length]
        odd = {"lost": bool(kind & 8), "stray": kind & 0x30 == 0x30}
        odd["checksum_error"] = kind & 0x30 == 0x10
        match kind & 7:
            case 0 | 1 | 2:
                game.serve(max(0, place), genuine, **odd)
            case 3:
                changed = bytes(byte ^ value for byte in genuine)
                game.serve(max(0, place), changed, **odd)
            case 4:
                game.serve(place, data[position : position + value], flags=FLAGS[kind >> 6], **odd)
                position += value
            case 5 if game.greeted:
                game.speak(data[position : position + value])
                position += value
            case 6:
                game.now += value * 1_000_000
            case _:
                game.raw(bool(kind & 8), data[position : position + value])
                position += value
    game.check_client()
    assert game.inspector.queued >= len(game.reports)


def preamble(data: bytes) -> None:
    """Cleartext before TLS: what is handed on is never more than what came."""
    for from_client in (True, False):
        search = Preamble(from_client)
        handed_on = 0
        for _, piece in _pieces(data):
            handed_on += len(search.strip(piece))
        assert handed_on <= len(data)


def events(data: bytes) -> None:
    """Netlink: every datagram of ctnetlink, however broken, gives flows or nothing."""
    for event in conntrack.decode(data, MARKS):
        assert 0 <= event.source_port <= 0xFFFF
        assert 0 <= event.destination_port <= 0xFFFF
    for _, _, body in netlink.messages(data):
        netlink.attributes(body)


def capture(data: bytes) -> None:
    """A capture file: judged as far as it goes, or one UsageError that names the file."""
    with tempfile.NamedTemporaryFile(suffix=".pcap", dir=_scratch()) as file:
        path = Path(file.name)
        path.write_bytes(data)
        judge = CaptureJudge(PACKS, Thresholds())
        try:
            for time, datagram in read_capture(path):
                judge.push(time, datagram)
        except UsageError as error:
            assert str(path) in str(error)
        for record in judge.finish():
            assert 0 <= record["score"] <= 100


def feeds(data: bytes) -> None:
    """A list of indicators behind one byte of kind: read and screened, or refused in one line."""
    kinds = sorted(READERS)
    kind = kinds[data[0] % len(kinds)] if data else kinds[0]
    try:
        reading = read_feed(kind, data[1:])
        screen(reading, {})
    except FeedError as error:
        assert str(error).isprintable()
        return
    for indicator in reading.indicators:
        assert len(indicator.key) == KEY_BYTES


def _scratch() -> str | None:
    """Memory rather than a disk, where there is such a place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


TARGETS: dict[str, Target] = {
    "packets": packets,
    "certificate": certificate,
    "conversation": conversation,
    "preamble": preamble,
    "events": events,
    "capture": capture,
    "feeds": feeds,
}
