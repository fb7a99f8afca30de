"""A rhythm in a capture is found by the code that finds it inline, and told in the record."""

import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP
from scapy.packet import Raw

from ratwall.replay.engine import CaptureJudge
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds
from unit.wire.handshakes import Flights, client_context, converse, full, server_context

STARTED = 1_706_000_000_000_000
PERIOD = 13_531_000  # microseconds, as measured on a genuine capture
HANDSHAKE_US = 150_000  # from its end to the first message
BODY_AFTER, ANSWER_AFTER = 210_000, 330_000
CLIENT, SERVER = ("192.0.2.10", 50_000), ("203.0.113.7", 8443)
KEYS = [
    "client", "client_port", "server", "server_port", "start", "sni", "tls_version", "ja3", "ja4",
    "ja3s", "resumed", "certificate", "score", "verdict", "family", "evidence",
]  # fmt: skip

Timed = tuple[int, bytes]


def record(length: int) -> bytes:
    return bytes((23, 3, 3)) + length.to_bytes(2, "big") + bytes(length)


def nameless() -> Flights:
    """TLS 1.3 by a client that names nobody."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client_context("TLS 1.3").wrap_bio(to_client, to_server)
    there = server_context("TLS 1.3").wrap_bio(to_server, to_client, server_side=True)
    said: Flights = []
    for _ in range(3):
        for peer, ours, from_client in ((here, to_server, True), (there, to_client, False)):
            with suppress(ssl.SSLWantReadError):
                peer.do_handshake()
            if data := ours.read():
                said.append((from_client, data))
                ours.write(data)
    return said


def capture(
    flights: Flights, beats: int, *, shape: tuple[int, ...] = (21, 69), first: int = 1
) -> Iterator[Timed]:
    """A handshake, then a client that beats: its length, its message, the answer's answer."""
    numbers = {True: 1000, False: 9000}

    def segment(from_client: bool, flags: str, payload: bytes = b"") -> bytes:
        source, target = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        transport = TCP(
            sport=source[1],
            dport=target[1],
            seq=numbers[from_client],
            ack=numbers[not from_client] if "A" in flags else 0,
            flags=flags,
        )
        numbers[from_client] += len(payload) + ("S" in flags)
        return bytes(IP(src=source[0], dst=target[0]) / transport / Raw(payload))

    for from_client, flags in ((True, "S"), (False, "SA"), (True, "A")):
        yield STARTED, segment(from_client, flags)
    for from_client, said in flights:
        for start in range(0, len(said), 1400):
            yield STARTED, segment(from_client, "PA", said[start : start + 1400])
    for number in range(first, beats + 1):
        at = STARTED + HANDSHAKE_US + number * PERIOD
        yield at, segment(True, "PA", record(shape[0]))
        if len(shape) > 1:
            yield at + BODY_AFTER, segment(True, "PA", record(shape[1]))
            yield at + BODY_AFTER, segment(False, "PA", record(21) + record(54))
            yield at + ANSWER_AFTER, segment(True, "PA", record(21) + record(65))


def judged(packets: Iterator[Timed], off: str | None = None) -> dict[str, Any]:
    judge = CaptureJudge(load_packs(), Thresholds(), lambda rule: rule != off)
    for at, datagram in packets:
        judge.push(at, datagram)
    (found,) = judge.finish()
    return found


def ids(found: dict[str, Any]) -> set[str]:
    return {fact["id"] for fact in found["evidence"]}


@pytest.mark.parametrize(("beats", "told"), [(3, False), (4, True), (5, True)])
def test_a_hidden_certificate_a_new_server_and_the_stock_rhythm_are_a_block(
    beats: int, told: bool
) -> None:
    found = judged(capture(nameless(), beats))
    assert found["certificate"] is None
    assert list(found) == KEYS, "its keys are a contract"
    assert ("rhythm.stock" in ids(found)) == told
    assert (found["verdict"] == "block") == told
    if told:
        assert {"rhythm.shape", "rhythm.no-name", "rhythm.rare", "rhythm.answered"} <= ids(found)
        assert found["score"] == 100


def test_a_client_that_names_its_server_is_an_alert() -> None:
    found = judged(capture(full("TLS 1.3"), 6))
    assert (found["verdict"], "rhythm.stock" in ids(found)) == ("alert", True)


def test_a_keep_alive_of_the_same_period_is_nothing() -> None:
    found = judged(capture(full("TLS 1.3"), 12, shape=(19,)))
    assert not any(fact.startswith("rhythm.") for fact in ids(found))
    assert found["verdict"] == "clean"


def test_a_rule_that_is_off_says_nothing() -> None:
    found = judged(capture(nameless(), 6), off="rhythm.stock")
    assert not any(fact.startswith("rhythm.") for fact in ids(found))
    assert found["verdict"] != "block"


def test_it_listens_from_where_on_the_kernel_would_copy() -> None:
    """Not to the end of the client's handshake, which under TLS 1.3 looks like data.

    It comes 150 ms before the first message, which is the first of four beats: as the beginning of
    that burst it would put the beat out of time.
    """
    assert "rhythm.stock" in ids(judged(capture(nameless(), 3, first=0)))


def test_the_handshakes_here_are_what_they_are_called() -> None:
    assert judged(capture(nameless(), 0))["sni"] is None
    assert judged(capture(converse(server_context(), client_context())[0], 0))["sni"] is not None
