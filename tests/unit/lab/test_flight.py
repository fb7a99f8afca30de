"""A flight can be cut in any way and still arrives whole where nobody stops it."""

from collections.abc import Callable, Iterator

import pytest

from ratwall_lab.certificates import ASYNCRAT, Notary
from ratwall_lab.clients import say_and_listen
from ratwall_lab.endpoint import End
from ratwall_lab.flight import (
    RSA_KEY_EXCHANGE,
    Piece,
    Recording,
    backwards,
    duplicated,
    in_order,
    overlapping,
    record,
    shuffled,
)
from ratwall_lab.segments import FlightServer
from ratwall_lab.topology import Lab, Mode

CUTS: dict[str, Callable[[bytes], list[Piece]]] = {
    "one byte a segment": lambda flight: in_order(flight, 1),
    "whole segments": in_order,
    "backwards": lambda flight: backwards(flight, 200),
    "shuffled": lambda flight: shuffled(flight, 100),
    "duplicated": lambda flight: duplicated(flight, 300),
    "overlapping": lambda flight: overlapping(flight, 400),
}


@pytest.fixture(scope="module")
def recording() -> Recording:
    return record(Notary().rat(ASYNCRAT))


def test_the_recording_has_the_messages_of_a_tls10_server(recording: Recording) -> None:
    assert recording.client_hello[:3] == b"\x16\x03\x01"
    assert recording.record_version == 0x0301
    assert [message[0] for message in recording.messages] == [2, 11, 12, 14]
    sizes = [len(message) for message in recording.messages]
    # OpenSSL adds the point formats to the ServerHello: 93 bytes where Schannel's has 85.
    assert sizes == [93, 1280, 619, 4], "as measured, but for the first"


def test_rsa_key_exchange_leaves_the_certificate_last_but_one() -> None:
    short = record(Notary().rat(ASYNCRAT), "1.2", key_exchange=RSA_KEY_EXCHANGE)
    assert [message[0] for message in short.messages] == [2, 11, 14]


@pytest.mark.parametrize("sizes", [[1], [1, 50], [7, 1000], [16384]])
def test_records_of_any_size_hold_the_same_stream(recording: Recording, sizes: list[int]) -> None:
    flight, stream, lengths = recording.flight(sizes), b"", []
    while flight:
        length = int.from_bytes(flight[3:5])
        lengths.append(length)
        stream, flight = stream + flight[5 : 5 + length], flight[5 + length :]
    assert stream == b"".join(recording.messages)
    assert lengths[: len(sizes)] == [min(size, len(stream)) for size in sizes]


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_every_cut_holds_every_byte(recording: Recording, cut: Callable[[bytes], list]) -> None:
    flight = recording.flight()
    rebuilt = bytearray(len(flight))
    for piece in cut(flight):
        rebuilt[piece.start : piece.start + len(piece.data)] = piece.data
    assert rebuilt == flight


@pytest.fixture(scope="module", params=["router", "bridge"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    mode: Mode = request.param
    with Lab(mode) as made:
        yield made


@pytest.mark.root
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_where_nobody_cuts_every_flight_arrives(
    lab: Lab, recording: Recording, cut: Callable[[bytes], list[Piece]], family: int
) -> None:
    flight, address = recording.flight(), lab.internet.address(2, family)
    with FlightServer(lab.internet, address, 6606, cut(flight)) as server:
        got = say_and_listen(lab.anna, address, 6606, recording.client_hello, expected=len(flight))
        visit = server.wait_visit()
    assert got.received == flight
    assert got.end is End.STOPPED
    assert visit.hello_bytes == len(recording.client_hello)
    assert visit.bytes_after_hello == 0
    assert visit.finished or visit.reset, "the client's own end reached the server"


@pytest.mark.root
def test_what_the_client_says_after_its_hello_is_counted(lab: Lab, recording: Recording) -> None:
    flight, address = recording.flight(), lab.internet.address(3)
    with FlightServer(lab.internet, address, 6606, in_order(flight)) as server:
        more = recording.client_hello + b"\0" * 99
        first = say_and_listen(lab.ben, address, 6606, more, expected=len(flight))
        visit = server.wait_visit()
    assert first.received == flight
    assert visit.hello_bytes + visit.bytes_after_hello == len(more)
