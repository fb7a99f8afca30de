"""The rules that copy whole packets of a few devices, laid only while somebody wants them.

Pure text for `nft -f -`. They stand before all others, so that what is refused is captured too, and
decide nothing. Each device leaves its set when its time is over: with nobody left alive to take the
rules away, the copying ends all the same.
"""

from collections.abc import Mapping
from ipaddress import ip_address

TABLE = "inet ratwall"
CHAIN = "captures"
PRIORITY = -170  # before gate (-160), which refuses
SNAP_BYTES = 65_535  # whole packets
COPIES = 2000  # a second, of all devices: 24 Mbit/s of full packets; an inspector has more to do
FAMILIES = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))


def lay_text(devices: Mapping[str, int], group: int) -> str:
    """Return the text that captures these devices (address → seconds left) and no others."""
    chain = f"{TABLE} {CHAIN}"
    lines = [
        f"add chain {chain} {{ type filter hook forward priority {PRIORITY}; policy accept; }}",
        f"flush chain {chain}",
    ]
    copied = f"limit rate {COPIES}/second burst {COPIES} packets log group {group}"
    for suffix, ip, kind in FAMILIES:
        name = f"{TABLE} captured{suffix}"
        lines += [
            f"add set {name} {{ type {kind}; flags timeout; }}",
            f"flush set {name}",
        ]
        lines += [
            f"add element {name} {{ {device} timeout {seconds}s }}"
            for device, seconds in devices.items()
            if ip_address(device).version == int(suffix)
        ]
        lines += [
            f"add rule {chain} {ip} {end} @captured{suffix} {copied} snaplen {SNAP_BYTES}"
            for end in ("saddr", "daddr")
        ]
    return "\n".join(lines) + "\n"


def remove_text() -> str:
    """Return the text that takes the rules away, whether or not they are there."""
    chain = f"{TABLE} {CHAIN}"
    lines = [f"add chain {chain}", f"flush chain {chain}", f"delete chain {chain}"]
    for suffix, _, kind in FAMILIES:
        name = f"{TABLE} captured{suffix}"
        lines += [
            f"add set {name} {{ type {kind}; flags timeout; }}",
            f"delete set {name}",
        ]
    return "\n".join(lines) + "\n"
