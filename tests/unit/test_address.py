"""A place is written and read in one way, whoever asks for it."""

from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from ratwall.address import LOCAL_NETWORKS, bracketed, is_local, parse_place, place


@pytest.mark.parametrize(
    ("address", "port", "text"),
    [("192.0.2.1", 443, "192.0.2.1:443"), ("2001:db8::1", 1, "[2001:db8::1]:1")],
)
def test_what_is_written_is_read_back(address: str, port: int, text: str) -> None:
    assert place(address, port) == text
    assert parse_place(text) == (address, port)


def test_an_address_is_read_into_its_one_spelling() -> None:
    assert parse_place("[2001:DB8:0::1]:443") == ("2001:db8::1", 443)
    assert bracketed("192.0.2.1") == "192.0.2.1"
    assert bracketed("::1") == "[::1]"


def test_port_limits() -> None:
    for lowest in (0, 1):
        assert parse_place(f"192.0.2.1:{lowest}", lowest) == ("192.0.2.1", lowest)
    assert parse_place("192.0.2.1:65534") == ("192.0.2.1", 65_534)
    assert parse_place("192.0.2.1:65535") == ("192.0.2.1", 65_535)
    for port in ("0", "65536", "655350", "9" * 5000, "-1", "x", ""):
        with pytest.raises(ValueError, match="the port from 1 to 65535"):
            parse_place(f"192.0.2.1:{port}")


@pytest.mark.parametrize(
    "text",
    ["192.0.2.1", "443", "", ":443", "2001:db8::1:443x", "::1:8443", "[192.0.2.1]:80", "a:1"],
)
def test_what_is_no_place_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"^ADDRESS:PORT such as 192\.0\.2\.1:443 or \[2001"):
        parse_place(text)


@pytest.mark.parametrize("network", LOCAL_NETWORKS, ids=str)
def test_a_local_network_ends_where_it_ends(network: IPv4Network | IPv6Network) -> None:
    assert is_local(network.network_address.packed)
    assert is_local(network.broadcast_address.packed)
    size, last = len(network.network_address.packed), int(network.broadcast_address)
    if last < 2 ** (8 * size) - 1:
        beyond = (last + 1).to_bytes(size, "big")
        assert is_local(beyond) == any(ip_address(beyond) in net for net in LOCAL_NETWORKS)
