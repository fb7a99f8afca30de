"""ADDRESS:PORT as people write it: read here and written here, for settings, commands and page.

Pure, and it never asks a name server: a place is an address, not a name. It stands before all
folders and imports none.
"""

import ipaddress
from functools import lru_cache

PORT_LIMIT = 65_535  # a TCP port is 16 bits
EXPECTED = "ADDRESS:PORT such as 192.0.2.1:443 or [2001:db8::1]:443"


def parse_place(text: str, lowest_port: int = 1) -> tuple[str, int]:
    """Return (address, port) of "192.0.2.1:443" or "[2001:db8::1]:443".

    ValueError with the words that follow "expected". Port 0 is for a listener that takes any.
    """
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(EXPECTED) from None
    # The colon of the port must be told from the others: brackets around IPv6, and only around it.
    if bracketed != (address.version == 6):
        raise ValueError(EXPECTED)
    # Cut to one digit more than a port has: Python refuses to read numbers of any length.
    if not (port.isascii() and port.isdigit() and lowest_port <= int(port[:6]) <= PORT_LIMIT):
        raise ValueError(f"{EXPECTED}, the port from {lowest_port} to {PORT_LIMIT}")
    return str(address), int(port)


def place(address: str, port: int) -> str:
    """Return "192.0.2.1:443" or "[2001:db8::1]:443"."""
    return f"{bracketed(address)}:{port}"


def bracketed(address: str) -> str:
    """Return an address as it stands before a port: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


# Of no use on the internet (RFC 6890): this network, private, shared, loopback, link-local,
# multicast, reserved. The networks of documentation are not among them: tests live there.
LOCAL_NETWORKS = tuple(
    ipaddress.ip_network(net)
    for net in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/127", "::ffff:0:0/96", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
)
_LOCAL_NUMBERS = {
    size: tuple(
        (int(net.network_address), int(net.netmask))
        for net in LOCAL_NETWORKS
        if net.max_prefixlen == size * 8
    )
    for size in (4, 16)
}


def is_local(packed: bytes) -> bool:
    """Say of an address of 4 or 16 octets that it is none of the internet's."""
    # No IPv4 network above is narrower than its first two octets tell.
    return _is_local(packed[:2] + b"\0\0" if len(packed) == 4 else packed)


@lru_cache(4096)
def _is_local(packed: bytes) -> bool:
    number = int.from_bytes(packed, "big")
    return any(number & mask == net for net, mask in _LOCAL_NUMBERS[len(packed)])
