"""Where the fuzzers begin: the canned handshake of the self-test, wrapped for each target.

It needs nothing that the box does not have, so that the fuzzers' environment stays small.
"""

import gzip
import struct
from collections.abc import Callable

from ratwall.feeds.formats import READERS
from ratwall.kernel import netlink
from ratwall.kernel.conntrack import (
    CTA_COUNTERS_BYTES,
    CTA_COUNTERS_ORIG,
    CTA_IP,
    CTA_MARK,
    CTA_PROTO_DST_PORT,
    CTA_PROTO_NUM,
    CTA_PROTO_SRC_PORT,
    CTA_TUPLE_IP,
    CTA_TUPLE_ORIG,
    CTA_TUPLE_PROTO,
    SUBSYSTEM_CTNETLINK,
)
from ratwall.selftest.flight import canned_handshake
from ratwall.wire.checksum import checksum, ones_complement_sum, pseudo_header_sum
from ratwall.wire.tls.conversation import Conversation
from unit.feeds.lists import SAMPLES

CLIENT, SERVER = bytes((192, 168, 77, 11)), bytes((203, 0, 113, 7))
CLIENT6, SERVER6 = bytes.fromhex("20010db8" + "77" * 12), bytes.fromhex("20010db8" + "99" * 12)
CLIENT_PORT, SERVER_PORT = 49152, 6606
CLIENT_START, SERVER_START = 1_000, 0xFFFF_FD00  # the server's numbers wrap within its flight
ACK, SYN_ACK = 0x10, 0x12

Seeds = Callable[[], list[bytes]]


def leaf() -> bytes:
    """The certificate in the canned handshake."""
    talk = Conversation()
    talk.receive(False, canned_handshake().server_flight)
    assert talk.facts.certificate_der is not None
    return talk.facts.certificate_der


def datagram(
    from_client: bool,
    sequence: int,
    acknowledgement: int,
    payload: bytes,
    flags: int = ACK,
    version: int = 4,
    checksum_error: int = 0,
    client_port: int = CLIENT_PORT,
) -> bytes:
    """An IP datagram of the one connection that is fuzzed, checksums right but for the error."""
    ends = (CLIENT, SERVER) if version == 4 else (CLIENT6, SERVER6)
    source, target = ends if from_client else ends[::-1]
    ports = (client_port, SERVER_PORT) if from_client else (SERVER_PORT, client_port)
    numbers = sequence & 0xFFFF_FFFF, acknowledgement & 0xFFFF_FFFF
    tcp = bytearray(struct.pack(">HHIIBBHHH", *ports, *numbers, 5 << 4, flags, 65535, 0, 0))
    tcp += payload
    total = ones_complement_sum(tcp) + pseudo_header_sum(source, target, len(tcp))
    tcp[16:18] = ((checksum(total) + checksum_error) & 0xFFFF).to_bytes(2, "big")
    if version == 6:
        return struct.pack(">IHBB", 6 << 28, len(tcp), 6, 64) + source + target + bytes(tcp)
    head = bytearray(struct.pack(">BBHIBBH", 0x45, 0, 20 + len(tcp), 0, 64, 6, 0) + source + target)
    head[10:12] = checksum(ones_complement_sum(head)).to_bytes(2, "big")
    return bytes(head + tcp)


def games() -> list[bytes]:
    """The flight in order, backwards, contradicted before and after, in twenty pieces."""
    length = len(canned_handshake().server_flight)
    whole = [_move(0, at, 200) for at in range(0, length, 200)]
    other = [_move(3, at, 200, 0x55) for at in range(0, length, 200)]
    lost = [_move(3 | 8, at, 200, 0x55) for at in range(0, length, 200)]
    bad = [_move(3 | 0x10, at, 200, 0x55) for at in range(0, length, 200)]
    word = _move(5, 0, 0, 4) + b"more"
    tell = _move(4, 0, 0, 6) + b"SSH-2."
    return [
        b"\0" + b"".join(moves)
        for moves in (
            whole,
            whole[::-1],
            [*other, word, *whole],
            [*lost, word, *whole],
            [*bad, *whole],
            [one for pair in zip(whole[::-1], other, strict=True) for one in pair],
            [tell, *whole],
        )
    ] + [b"\x07" + tell * 3 + b"".join(whole)]


def _move(kind: int, place: int, length: int, value: int = 0) -> bytes:
    return (
        bytes((kind,))
        + (place + 1000).to_bytes(2, "big")
        + length.to_bytes(2, "big")
        + bytes((value,))
    )


def conversations() -> list[bytes]:
    """The flight whole, and cut into a hundred pieces; and with the hello in front."""
    hello, flight = canned_handshake().client_hello, canned_handshake().server_flight
    cut = [flight[at : at + 15] for at in range(0, len(flight), 15)]
    return [
        _piece(False, flight),
        b"".join(_piece(False, part) for part in cut),
        _piece(True, hello) + _piece(False, flight),
    ]


def _piece(from_client: bool, data: bytes) -> bytes:
    return bytes((from_client,)) + len(data).to_bytes(2, "big") + data


def preambles() -> list[bytes]:
    """STARTTLS, CONNECT and OpenVPN before the hello."""
    hello = canned_handshake().client_hello
    openvpn = b"\0\x0e\x38" + bytes(8) + b"\0" + bytes(4)
    control = b"\x20" + bytes(8) + b"\0" + (1).to_bytes(4, "big") + hello
    return [
        _piece(True, b"EHLO box\r\n") + _piece(True, b"STARTTLS\r\n") + _piece(True, hello),
        _piece(True, b"CONNECT a:443 HTTP/1.1\r\n\r\n") + _piece(True, hello),
        _piece(True, openvpn) + _piece(True, len(control).to_bytes(2, "big") + control),
    ]


def conntrack_events() -> list[bytes]:
    """An update of one TCP flow in each family, with mark and counter."""
    made = []
    for ends, (source, target, _) in zip(
        ((CLIENT, SERVER), (CLIENT6, SERVER6)), CTA_IP, strict=True
    ):
        addresses = netlink.attribute(source, ends[0]) + netlink.attribute(target, ends[1])
        protocol = (
            netlink.attribute(CTA_PROTO_NUM, b"\x06")
            + netlink.attribute(CTA_PROTO_SRC_PORT, CLIENT_PORT.to_bytes(2, "big"))
            + netlink.attribute(CTA_PROTO_DST_PORT, SERVER_PORT.to_bytes(2, "big"))
        )
        both = netlink.attribute(CTA_TUPLE_IP, addresses) + netlink.attribute(
            CTA_TUPLE_PROTO, protocol
        )
        counted = netlink.attribute(CTA_COUNTERS_BYTES, (1500).to_bytes(8, "big"))
        made.append(
            netlink.netfilter_request(
                SUBSYSTEM_CTNETLINK,
                0,
                0,
                2,
                0,
                netlink.attribute(CTA_TUPLE_ORIG, both),
                netlink.attribute(CTA_MARK, (0x06000000).to_bytes(4, "big")),
                netlink.attribute(CTA_COUNTERS_ORIG, counted),
            )
        )
    return made


def captures() -> list[bytes]:
    """The handshake as pcap (Ethernet, raw IP, compressed) and as pcapng."""
    hello, flight = canned_handshake().client_hello, canned_handshake().server_flight
    frames = [
        datagram(True, CLIENT_START, SERVER_START, hello),
        datagram(False, SERVER_START, CLIENT_START + len(hello), flight[:700]),
        datagram(False, SERVER_START + 700, CLIENT_START + len(hello), flight[700:]),
    ]
    ethernet = [bytes(12) + b"\x08\x00" + one for one in frames]
    raw = _pcap(101, frames)
    return [_pcap(1, ethernet), raw, gzip.compress(raw, mtime=0), _pcapng(frames)]


def _pcap(link_type: int, frames: list[bytes]) -> bytes:
    out = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link_type)
    for frame in frames:
        out += struct.pack("<IIII", 1_706_000_000, 0, len(frame), len(frame)) + frame
    return out


def _pcapng(frames: list[bytes]) -> bytes:
    out = _block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += _block(1, struct.pack("<HHI", 101, 0, 65535))
    for frame in frames:
        head = struct.pack("<IIIII", 0, 0, 1000, len(frame), len(frame))
        out += _block(6, head + frame)
    return out


def _block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def lists() -> list[bytes]:
    """Of each kind of list a short one."""
    kinds = sorted(READERS)
    return [bytes((kinds.index(kind),)) + sample for kind, sample in SAMPLES.items()]


SEEDS: dict[str, Seeds] = {
    "packets": games,
    "certificate": lambda: [leaf()],
    "conversation": conversations,
    "preamble": preambles,
    "events": conntrack_events,
    "capture": captures,
    "feeds": lists,
}
