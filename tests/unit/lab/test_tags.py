"""The tags of the lab's links: what goes on comes off, and nothing else is taken for tagged."""

import pytest

from ratwall_lab.tags import Tagging, add_tag, is_untagged_tcp, strip_tag

ADDRESSES = bytes(range(12))
IPV4 = ADDRESSES + b"\x08\x00" + b"\x45" + bytes(8) + b"\x06" + bytes(30)
IPV6 = ADDRESSES + b"\x86\xdd" + b"\x60" + bytes(5) + b"\x06" + bytes(53)
ARP = ADDRESSES + b"\x08\x06" + bytes(28)
TAGGINGS: list[Tagging] = ["vlan", "service", "pppoe", "stacked"]


@pytest.mark.parametrize("frame", [IPV4, IPV6, ARP], ids=["ipv4", "ipv6", "arp"])
@pytest.mark.parametrize("tagging", TAGGINGS)
def test_a_frame_comes_back_as_it_went(frame: bytes, tagging: Tagging) -> None:
    assert strip_tag(add_tag(frame, tagging), tagging) == frame


@pytest.mark.parametrize("frame", [IPV4, IPV6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("tagging", TAGGINGS)
def test_a_stray_frame_is_told(frame: bytes, tagging: Tagging) -> None:
    assert strip_tag(frame, tagging) is None
    assert is_untagged_tcp(frame)
    assert not is_untagged_tcp(add_tag(frame, tagging))


def test_padding_behind_a_session_frame_is_cut() -> None:
    assert strip_tag(add_tag(IPV4, "pppoe") + bytes(20), "pppoe") == IPV4


def test_known_bytes() -> None:
    assert add_tag(IPV4, "vlan")[12:18] == bytes.fromhex("8100 004d 0800")
    assert add_tag(IPV4, "stacked")[12:22] == bytes.fromhex("88a8 004d 8100 004d 0800")
    length = f"{len(IPV4) - 14 + 2:04x}"
    assert add_tag(IPV4, "pppoe")[12:22] == bytes.fromhex(f"8864 1100 002a {length} 0021")


def test_arp_is_no_stray_tcp() -> None:
    assert not is_untagged_tcp(ARP)
