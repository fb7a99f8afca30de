"""Every kind of capture file gives the same flow; every broken one gives one line of error."""

import gzip
import json
import re
import struct
from argparse import ArgumentParser
from collections.abc import Callable
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib.geneve import GENEVE
from scapy.contrib.gtp import GTP_U_Header
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, LLC, SNAP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Dot3, Ether
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw
from scapy.utils import PcapNgWriter, RawPcapNgWriter

from ratwall.errors import ExitCode, UsageError
from ratwall.replay.capture import read_capture
from ratwall.replay.command import add_arguments, run
from ratwall.wire.tls.handshake import push_server_hello
from unit.wire import handshakes
from unit.wire.handshakes import HOST, Flights
from unit.wire.x509 import minting

FULL = handshakes.full("TLS 1.2")
STARTED = 1_706_000_000_250_000  # microseconds: 2024-01-23T08:53:20.250000Z
CLIENT, SERVER = ("192.0.2.10", 50_000), ("203.0.113.7", 443)
CLIENT6, SERVER6 = ("2001:db8::10", 50_000), ("2001:db8:1::7", 443)


def datagrams(flights: Flights = FULL, ipv6: bool = False, size: int = 1400) -> list[Packet]:
    """The conversation with its TCP handshake, as IP datagrams."""
    ends = {True: CLIENT6 if ipv6 else CLIENT, False: SERVER6 if ipv6 else SERVER}
    numbers = {True: 1000, False: 0xFFFF_FF00}

    def segment(from_client: bool, flags: str, payload: bytes = b"") -> Packet:
        source, target = ends[from_client], ends[not from_client]
        network = (IPv6 if ipv6 else IP)(src=source[0], dst=target[0])
        transport = TCP(
            sport=source[1],
            dport=target[1],
            seq=numbers[from_client],
            ack=numbers[not from_client] if "A" in flags else 0,
            flags=flags,
        )
        taken = len(payload) + ("S" in flags)
        numbers[from_client] = (numbers[from_client] + taken) & 0xFFFF_FFFF
        return network / transport / Raw(payload) if payload else network / transport

    packets = [segment(True, "S"), segment(False, "SA"), segment(True, "A")]
    for from_client, said in flights:
        packets += [
            segment(from_client, "PA", said[start : start + size])
            for start in range(0, len(said), size)
        ]
    return packets


def write_pcap(path: Path, link_type: int, frames: list[bytes], nano: bool = False) -> Path:
    """Write a pcap by hand: scapy's writer takes link type 0 for "none given"."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack("<IHHIIII", magic, 2, 4, 0, 0, 65_535, link_type)
    for number, frame in enumerate(frames):
        time = STARTED + number * 1000
        fraction = time % 1_000_000 * (1000 if nano else 1)
        out += struct.pack("<IIII", time // 1_000_000, fraction, len(frame), len(frame)) + frame
    path.write_bytes(out)
    return path


def replay(
    *paths: Path, options: tuple[str, ...] = ("--json",)
) -> tuple[int, list[dict[str, Any]]]:
    parser = ArgumentParser()
    add_arguments(parser)
    out = StringIO()
    code = run(parser.parse_args([*options, *map(str, paths)]), out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


def the_flow(path: Path) -> dict[str, Any]:
    code, (flow, summary) = replay(path)
    assert code == ExitCode.OK
    assert summary["summary"]["flows"] == 1
    return flow


def check(flow: dict[str, Any], client: tuple[str, int] = CLIENT) -> None:
    assert (flow["client"], flow["client_port"]) == client
    assert flow["sni"] == HOST
    assert flow["tls_version"] == "TLS 1.2"
    assert flow["certificate"]["subject"] == "CN=Acme Printing"


# -- link types -------------------------------------------------------------------------------

MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}  # else scapy asks by ARP
ETHER = Ether(**MACS)
MPLS_TYPE, PPP_SESSION = 0x8847, 0x8864
Wrap = Callable[[Packet], Packet | bytes]

LINKS: dict[str, tuple[int, Wrap]] = {
    "Ethernet": (1, lambda ip: ETHER / ip),
    "Ethernet with padding": (1, lambda ip: bytes(ETHER / ip) + bytes(6)),
    "VLAN": (1, lambda ip: ETHER / Dot1Q(vlan=7) / ip),
    "QinQ": (1, lambda ip: ETHER / Dot1AD(vlan=7) / Dot1Q(vlan=8) / ip),
    "PPPoE": (1, lambda ip: Ether(**MACS, type=PPP_SESSION) / PPPoE() / PPP() / ip),
    "PPPoE in a VLAN": (1, lambda ip: ETHER / Dot1Q(type=PPP_SESSION) / PPPoE() / PPP() / ip),
    "MPLS": (1, lambda ip: Ether(**MACS, type=MPLS_TYPE) / MPLS(s=0) / MPLS(s=1) / ip),
    "802.3 with SNAP": (1, lambda ip: Dot3(**MACS) / LLC() / SNAP() / ip),
    "null": (0, lambda ip: struct.pack("<I", 2 if ip.version == 4 else 30) + bytes(ip)),
    "null, other byte order": (
        0,
        lambda ip: struct.pack(">I", 2 if ip.version == 4 else 24) + bytes(ip),
    ),
    "loopback": (108, lambda ip: struct.pack(">I", 2 if ip.version == 4 else 28) + bytes(ip)),
    "PPP": (9, lambda ip: HDLC() / PPP() / ip),
    "PPP, bare": (9, lambda ip: PPP() / ip),
    "PPP, compressed": (50, lambda ip: bytes((0x21 if ip.version == 4 else 0x57,)) + bytes(ip)),
    "PPPoE without Ethernet": (51, lambda ip: PPPoE() / PPP() / ip),
    "raw IP": (101, lambda ip: ip),
    "raw IP, BSD": (12, lambda ip: ip),
    "raw IP, OpenBSD": (14, lambda ip: ip),
    "Cisco HDLC": (
        104,
        lambda ip: b"\x0f\0" + (b"\x08\0" if ip.version == 4 else b"\x86\xdd") + bytes(ip),
    ),
    "Linux cooked": (113, lambda ip: CookedLinux() / ip),
    "Linux cooked 2": (276, lambda ip: CookedLinuxV2() / ip),
    "with bits for a checksum behind the frame": (0x3000_0001, lambda ip: ETHER / ip),
}


@pytest.mark.parametrize("ipv6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("name", LINKS)
def test_every_link_type_gives_the_flow(name: str, ipv6: bool, tmp_path: Path) -> None:
    link_type, wrap = LINKS[name]
    frames = [bytes(wrap(ip)) for ip in datagrams(ipv6=ipv6)]
    flow = the_flow(write_pcap(tmp_path / "capture.pcap", link_type, frames))
    check(flow, CLIENT6 if ipv6 else CLIENT)


@pytest.mark.parametrize("link_type", [228, 229])
def test_link_types_of_one_ip_version(link_type: int, tmp_path: Path) -> None:
    ipv6 = link_type == 229
    frames = [bytes(ip) for ip in datagrams(ipv6=ipv6)]
    check(
        the_flow(write_pcap(tmp_path / "capture.pcap", link_type, frames)),
        CLIENT6 if ipv6 else CLIENT,
    )


OUTER = IP(src="198.51.100.1", dst="198.51.100.2")
TUNNELS: dict[str, Wrap] = {
    "IP in IP": lambda ip: OUTER / ip,
    "GRE": lambda ip: OUTER / GRE() / ip,
    "GRE with key and number": lambda ip: (
        OUTER / GRE(key_present=1, key=5, seqnum_present=1, sequence_number=1) / ip
    ),
    "Ethernet in GRE": lambda ip: OUTER / GRE(proto=0x6558) / ETHER / ip,
    "VXLAN": lambda ip: OUTER / UDP(sport=1, dport=4789) / VXLAN(vni=1, flags=8) / ETHER / ip,
    "Geneve": lambda ip: OUTER / UDP(sport=1, dport=6081) / GENEVE(vni=1) / ETHER / ip,
    "GTP": lambda ip: OUTER / UDP(sport=1, dport=2152) / GTP_U_Header(teid=1) / ip,
    "a tunnel in a tunnel": lambda ip: (
        OUTER / UDP(sport=1, dport=4789) / VXLAN(vni=1, flags=8) / ETHER / IP() / GRE() / ip
    ),
}


@pytest.mark.parametrize("name", TUNNELS)
def test_every_tunnel_is_opened(name: str, tmp_path: Path) -> None:
    frames = [bytes(ETHER / TUNNELS[name](ip)) for ip in datagrams()]
    check(the_flow(write_pcap(tmp_path / "capture.pcap", 1, frames)))


def test_teredo_is_opened(tmp_path: Path) -> None:
    outer = IP() / UDP(sport=1, dport=3544)
    origin = b"\0\0" + bytes(6)
    frames = [bytes(outer / Raw(origin + bytes(ip))) for ip in datagrams(ipv6=True)]
    check(the_flow(write_pcap(tmp_path / "capture.pcap", 101, frames)), CLIENT6)


def test_fragments_are_put_together(tmp_path: Path) -> None:
    frames = [bytes(part) for ip in datagrams() for part in fragment(ip, 400)]
    check(the_flow(write_pcap(tmp_path / "capture.pcap", 101, frames)))


# -- containers -------------------------------------------------------------------------------


@pytest.mark.parametrize("nano", [False, True], ids=["microseconds", "nanoseconds"])
def test_times_of_a_pcap(nano: bool, tmp_path: Path) -> None:
    frames = [bytes(ip) for ip in datagrams()]
    flow = the_flow(write_pcap(tmp_path / "capture.pcap", 101, frames, nano))
    assert flow["start"] == "2024-01-23T08:53:20.250000Z"


def write_pcapng(path: Path, frames: list[Packet]) -> Path:
    writer = PcapNgWriter(str(path))
    for number, frame in enumerate(frames):
        frame.time = (STARTED + 1000 * number) / 1_000_000
        writer.write(frame)
    writer.close()
    return path


def test_pcapng(tmp_path: Path) -> None:
    flow = the_flow(write_pcapng(tmp_path / "a.pcapng", [ETHER / ip for ip in datagrams()]))
    check(flow)
    assert flow["start"] == "2024-01-23T08:53:20.250000Z"


def test_a_capture_compressed_by_gzip(tmp_path: Path) -> None:
    plain = write_pcap(tmp_path / "a.pcap", 101, [bytes(ip) for ip in datagrams()])
    packed = tmp_path / "a.pcap.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    check(the_flow(packed))
    packed.write_bytes(packed.read_bytes()[:-9])
    assert "cut short" in error_of(packed)


# -- flows ------------------------------------------------------------------------------------


def test_flows_come_in_the_order_of_their_first_packets(tmp_path: Path) -> None:
    one, other = datagrams(), datagrams(ipv6=True)
    frames = [bytes(ip) for ip in [one[0], *other, *one[1:]]]
    _, (first, second, _) = replay(write_pcap(tmp_path / "a.pcap", 101, frames))
    assert (first["client"], second["client"]) == (CLIENT[0], CLIENT6[0])


def test_ports_used_again_are_two_flows(tmp_path: Path) -> None:
    again = datagrams()
    for ip in again:
        ip[TCP].seq = (ip[TCP].seq + 5_000_000) % (1 << 32)
        ip[TCP].ack = (ip[TCP].ack + 5_000_000) % (1 << 32)
    frames = [bytes(ip) for ip in datagrams() + again]
    _, (first, second, _) = replay(write_pcap(tmp_path / "a.pcap", 101, frames))
    check(first)
    check(second)


def test_the_client_is_who_says_hello_not_who_is_seen_first(tmp_path: Path) -> None:
    """A capture that begins with an acknowledgement of the server, its SYNs missed."""
    packets = datagrams()
    late = packets[1].copy()
    late[TCP].flags = "A"
    late[TCP].seq += 1
    frames = [bytes(ip) for ip in [late, *packets[3:]]]
    check(the_flow(write_pcap(tmp_path / "a.pcap", 101, frames)))


def test_cleartext_is_not_listed(tmp_path: Path) -> None:
    frames = [bytes(ip) for ip in datagrams(((True, b"GET / HTTP/1.1\r\n\r\n"),))]
    code, (summary,) = replay(write_pcap(tmp_path / "a.pcap", 101, frames))
    assert code == ExitCode.OK
    assert summary["summary"]["flows"] == 0


@cache
def rat_flights() -> Flights:
    """A server that shows a certificate made as AsyncRAT makes them."""
    der = minting.mint("AsyncRAT Server", key=minting.rsa_key(4096))
    flight = handshakes.message(2, push_server_hello(handshakes.SERVER_HELLO))
    flight += handshakes.certificate_message(der)
    return (FULL[0], (False, handshakes.records(flight)))


def resumed_rat_flights() -> Flights:
    flight = handshakes.records(handshakes.message(2, push_server_hello(handshakes.SERVER_HELLO)))
    return (FULL[0], (False, flight + handshakes.records(b"\1", 20)))


def on_port(packets: list[Packet], port: int) -> list[bytes]:
    for ip in packets:
        if ip[TCP].sport == CLIENT[1]:
            ip[TCP].sport = port
        else:
            ip[TCP].dport = port
    return [bytes(ip) for ip in packets]


def test_a_rat_is_found_and_its_resumed_session_remembered(tmp_path: Path) -> None:
    frames = on_port(datagrams(rat_flights()), 50_001)
    frames += on_port(datagrams(resumed_rat_flights()), 50_002)
    path = write_pcap(tmp_path / "rat.pcap", 101, frames)
    code, (first, second, summary) = replay(path)
    assert code == ExitCode.FOUND
    assert [first["verdict"], second["verdict"]] == ["block", "block"]
    assert (first["family"], second["family"]) == ("AsyncRAT", "AsyncRAT")
    assert second["certificate"] is None
    assert second["resumed"]
    assert second["evidence"][0]["id"] == "memory.server"
    assert summary["summary"]["verdicts"] == {"clean": 0, "watch": 0, "alert": 0, "block": 2}


def test_what_one_capture_taught_is_not_held_against_another(tmp_path: Path) -> None:
    rat = write_pcap(tmp_path / "1.pcap", 101, on_port(datagrams(rat_flights()), 50_001))
    other = write_pcap(tmp_path / "2.pcap", 101, on_port(datagrams(resumed_rat_flights()), 50_002))
    _, (first, second, _) = replay(rat, other)
    assert (first["verdict"], first["file"]) == ("block", str(rat))
    assert second["verdict"] not in ("alert", "block")


def test_people_get_the_verdict_and_the_reasons_in_words(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "rat.pcap", 101, [bytes(ip) for ip in datagrams(rat_flights())])
    parser = ArgumentParser()
    add_arguments(parser)
    out = StringIO()
    assert run(parser.parse_args([str(path)]), out) == ExitCode.FOUND
    assert re.search(r"BLOCK  192\.0\.2\.10:50000 -> 203\.0\.113\.7:443  TLS 1\.2", out.getvalue())
    assert "AsyncRAT" in out.getvalue()
    assert "1 file, " in out.getvalue().splitlines()[-1]


# -- bad input --------------------------------------------------------------------------------


def error_of(*paths: Path) -> str:
    with pytest.raises(UsageError) as caught:
        replay(*paths)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_not_a_capture(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary")
    assert error_of(path) == (
        f"{path}: not a capture; a pcap or pcapng file is needed, "
        "found one that begins with 44 65 61 72"
    )


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.pcap"
    path.touch()
    assert error_of(path) == f"{path}: the file is empty; a pcap or pcapng capture is needed"


def test_a_file_that_is_not_there_and_a_folder(tmp_path: Path) -> None:
    assert error_of(tmp_path / "no.pcap").endswith(
        "no.pcap: cannot be read: No such file or directory"
    )
    assert error_of(tmp_path).endswith("cannot be read: Is a directory")


@pytest.mark.parametrize("length", [3, 4, 10, 23])
def test_a_header_cut_short(length: int, tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "a.pcap", 101, [])
    path.write_bytes(path.read_bytes()[:length])
    assert "not a capture" in error_of(path)


def test_a_capture_without_packets_is_fine(tmp_path: Path) -> None:
    code, (summary,) = replay(write_pcap(tmp_path / "a.pcap", 101, []))
    assert (code, summary["summary"]["packets"]) == (ExitCode.OK, 0)


def test_an_unknown_link_type(tmp_path: Path) -> None:
    path = write_pcap(tmp_path / "wlan.pcap", 105, [b"frame"])
    assert "link type 105 cannot be read; allowed are Ethernet" in error_of(path)


def test_a_pcap_cut_anywhere_is_read_up_to_the_cut(tmp_path: Path) -> None:
    frames = [bytes(ip) for ip in datagrams()[:6]]
    whole = write_pcap(tmp_path / "whole.pcap", 101, frames).read_bytes()
    ends = [24]
    for frame in frames:
        ends.append(ends[-1] + 16 + len(frame))
    path = tmp_path / "cut.pcap"
    for cut in [*ends, *(end + 1 for end in ends[:-1]), *(end + 17 for end in ends[:-1])]:
        path.write_bytes(whole[:cut])
        complete = max(number for number, end in enumerate(ends) if end <= cut)
        if cut in ends:
            assert len(list(read_capture(path))) == complete
        else:
            with pytest.raises(
                UsageError, match=f"after {complete} packets, at byte {ends[complete]}"
            ):
                list(read_capture(path))


def test_a_pcapng_cut_anywhere_never_crashes(tmp_path: Path) -> None:
    path = write_pcapng(tmp_path / "a.pcapng", [ETHER / ip for ip in datagrams()[:4]])
    whole = path.read_bytes()
    read = set()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        try:
            read.add(len(list(read_capture(path))))
        except UsageError as error:
            assert "\n" not in str(error)
    assert read == {0, 1, 2, 3}


def test_what_stands_before_the_damage_is_judged_and_the_other_files_too(tmp_path: Path) -> None:
    frames = [bytes(ip) for ip in datagrams()]
    damaged = write_pcap(tmp_path / "damaged.pcap", 101, frames)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    good = write_pcap(tmp_path / "good.pcap", 101, frames)
    parser = ArgumentParser()
    add_arguments(parser)
    out = StringIO()
    with pytest.raises(UsageError, match=r"damaged\.pcap: the capture is damaged or cut short"):
        run(parser.parse_args(["--json", str(damaged), str(good)]), out)
    first, second, summary = map(json.loads, out.getvalue().splitlines())
    check(first)
    check(second)
    assert len(summary["summary"]["unreadable"]) == 1


def test_a_simple_packet_block_has_no_time(tmp_path: Path) -> None:
    """Written by hand: scapy writes none."""
    path = tmp_path / "simple.pcapng"
    datagram = bytes(datagrams()[0])
    writer = RawPcapNgWriter(str(path))
    writer.write_header(None)
    writer.close()
    header = path.read_bytes()
    interface = struct.pack("<IIHHII", 1, 20, 101, 0, 65535, 20)
    padded = datagram + bytes(-len(datagram) % 4)
    length = 16 + len(padded)
    block = struct.pack("<III", 3, length, len(datagram)) + padded + struct.pack("<I", length)
    path.write_bytes(header[: struct.unpack("<I", header[4:8])[0]] + interface + block)
    assert [item.time for item in read_capture(path)] == [0]
