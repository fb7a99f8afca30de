"""TLS that begins after a cleartext dialogue, or inside OpenVPN, found all the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.flow.connection import Connection
from ratwall.flow.opening import Dialogue
from ratwall.flow.openvpn import OpenVpn, opening_hmac
from ratwall.flow.preamble import PREAMBLE_LIMIT, Preamble
from ratwall.wire.tls.conversation import ConversationState
from unit.flow.segments import Wire
from unit.wire import handshakes
from unit.wire.handshakes import observe

FULL = handshakes.full("TLS 1.2")
HELLO, ANSWER = FULL[0][1], FULL[1][1]

DIALOGUES = {
    "SMTP STARTTLS": [
        (False, b"220 mail.example ESMTP\r\n"),
        (True, b"EHLO me\r\nSTARTTLS\r\n"),
        (False, b"250-mail.example\r\n250 STARTTLS\r\n220 Go ahead\r\n"),
    ],
    "IMAP STARTTLS": [
        (False, b"* OK IMAP4rev1 ready\r\n"),
        (True, b"a1 STARTTLS\r\n"),
        (False, b"a1 OK begin\r\n"),
    ],
    "POP3 STLS": [(False, b"+OK ready\r\n"), (True, b"STLS\r\n"), (False, b"+OK begin\r\n")],
    "FTP AUTH TLS": [(False, b"220 ftp\r\n"), (True, b"AUTH TLS\r\n"), (False, b"234 ok\r\n")],
    "HTTP CONNECT": [
        (True, b"CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example\r\n\r\n"),
        (False, b"HTTP/1.1 200 Connection established\r\n\r\n"),
    ],
    "SOCKS4": [(True, b"\4\1\1\xbb\xcb\0\x71\7\0"), (False, b"\0\x5a" + bytes(6))],
    "SOCKS5": [
        (True, b"\5\1\0"),
        (False, b"\5\0"),
        (True, b"\5\1\0\1\x0a\0\0\1\1\xbb"),
        (False, b"\5\0\0\1\0\0\0\0\0\0"),
    ],
    "PostgreSQL": [(True, b"\0\0\0\x08\x04\xd2\x16\x2f"), (False, b"S")],
    "MySQL": [
        (False, b"\x4a\0\0\0\x0a8.0.32\0" + bytes(64)),
        (True, b"\x20\0\0\1\x85\xae\xff\x19" + bytes(28)),
    ],
    "RDP": [
        (True, bytes.fromhex("0300002f2ae00000000000")),
        (False, bytes.fromhex("030000130ed000001234000209080002000000")),
    ],
}


@pytest.mark.parametrize("name", DIALOGUES)
@pytest.mark.parametrize("size", [1, 7, 536])
def test_a_handshake_behind_a_dialogue_is_found(name: str, size: int) -> None:
    wire = Wire()
    connection = Connection(0)
    for flight in wire.conversation((*DIALOGUES[name], *FULL[:2]), size):
        for from_client, segment in flight:
            connection.push(from_client, segment)
    named = name if name in set(Dialogue) else "cleartext"
    assert connection.facts == replace(observe(FULL[:2]).facts, preamble=named)
    assert connection.state == ConversationState.CERTIFICATE


def test_a_preamble_and_a_hello_in_one_segment_are_taken_apart() -> None:
    proxy = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
    assert Preamble(from_client=True).strip(proxy + HELLO) == HELLO


def test_bytes_that_only_resemble_a_record_are_stepped_over() -> None:
    decoys = b"\x16\x03\x09" + b"\x16\x03\x01\0\0" + b"\x16\x03\x01\0\x20\x02" + bytes(20)
    preamble = Preamble(from_client=True)
    assert preamble.strip(b"text" + decoys + HELLO) == HELLO


@pytest.mark.parametrize(
    ("length", "found"),
    [(PREAMBLE_LIMIT - 1, True), (PREAMBLE_LIMIT, True), (PREAMBLE_LIMIT + 1, False)],
)
def test_the_search_has_an_end(length: int, found: bool) -> None:
    preamble = Preamble(from_client=True)
    text = b"x" * length
    said = b"".join(preamble.strip(text[at : at + 1000]) for at in range(0, length, 1000))
    assert (said == b"") == found
    assert preamble.over != found


@given(st.lists(st.binary(max_size=60), max_size=10), st.booleans())
def test_arbitrary_bytes_never_crash(pieces: list[bytes], from_client: bool) -> None:
    preamble = Preamble(from_client)
    for piece in pieces:
        preamble.strip(piece)


# -- OpenVPN ------------------------------------------------------------------------------------


def packet(opcode: int, body: bytes, hmac: int = 0, acknowledged: int = 0) -> bytes:
    head = bytes((opcode << 3,)) + b"session!" + bytes(hmac) + bytes((acknowledged,))
    if acknowledged:
        head += bytes(4 * acknowledged) + b"opposite"
    return (len(head) + len(body)).to_bytes(2, "big") + head + body


def openvpn_stream(tls: bytes, reset: int, hmac: int, size: int = 100) -> bytes:
    """A reset, then the handshake in numbered control packets, one of them sent twice."""
    out = packet(reset, bytes(4), hmac, acknowledged=int(reset == 8))
    for number, start in enumerate(range(0, len(tls), size), 1):
        one = packet(4, number.to_bytes(4, "big") + tls[start : start + size], hmac, number % 3)
        out += one * (2 if number == 2 else 1)
        out += packet(5, b"", hmac, acknowledged=1)
    return out


@pytest.mark.parametrize("hmac", [0, 28])
@pytest.mark.parametrize("size", [1, 50, 5000])
def test_a_handshake_inside_openvpn_is_found(hmac: int, size: int) -> None:
    wire = Wire()
    connection = Connection(0)
    for from_client, reset, said in ((True, 7, HELLO), (False, 8, ANSWER)):
        stream = openvpn_stream(said, reset, hmac)
        opening = 2 + int.from_bytes(stream[:2], "big")  # it comes whole: it tells what this is
        sent = wire.flight(from_client, stream[:opening])
        sent += wire.flight(from_client, stream[opening:], size)
        for sender, segment in sent:
            connection.push(sender, segment)
    assert connection.facts == replace(observe(FULL[:2]).facts, preamble="OpenVPN")


def test_an_hmac_of_unknown_size_is_left_alone() -> None:
    stream = openvpn_stream(HELLO, 7, hmac=40)
    assert opening_hmac(stream) == 40
    assert Preamble(from_client=True).strip(stream) == b""


def test_only_openings_are_openvpn() -> None:
    assert opening_hmac(b"") is None
    assert opening_hmac(b"\0\x0e") is None
    assert opening_hmac(b"\0\x0e\x20") is None
    assert opening_hmac(b"\0\x0d\x38") is None
    assert opening_hmac(b"\0\x0e\x38") == 0
    assert opening_hmac(b"\0\x36\x40") == 28


@given(st.lists(st.binary(max_size=60), max_size=10), st.sampled_from([0, 28, 40]))
def test_arbitrary_packets_never_crash(pieces: list[bytes], hmac: int) -> None:
    tunnel = OpenVpn(hmac)
    for piece in pieces:
        tunnel.unwrap(piece)
