"""The rules of the response ladder's upper steps: a device's blocks, quarantine, and the pause.

Pure: what holds goes in, text comes out. Two chains, `respond` before the gate and `pause` behind
it, exist only while something in them holds, so that at rest no packet meets a rule of this file.
All that holds is laid as one transaction, in place of all that held before.

    respond  (-165)  a quarantined device, a server blocked for a device or on every port
    pause    (-158)  what would be inspected passes instead, as UNINSPECTED, and is read afterwards

Design note: both look at addresses, not at the class of a connection: what was judged long ago
is stopped by its next packet, with every process of ours dead too. Elements end by their own timer.
A device is known by its addresses and by its MAC, so that one that takes another address does not
get out. No address is learned from what a MAC sends: it may be another device's, and a quarantined
one would take the whole office along.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from ratwall.kernel.marks import FlowClass, Marks

RESPOND_PRIORITY = -165  # before the gate (-160)
PAUSE_PRIORITY = -158  # behind the gate, before the xtables queue (mangle, -150)
SET_SIZE = 8192  # elements of each set: twice what the controller keeps in force
# What a quarantined device may look up: a browser on its way to the admin page asks a few names. As
# a tunnel it is good for a few kilobytes a second.
DNS_RATE, DNS_BURST = 20, 50  # packets a second
DNS_PORT = 53
DHCP_PORTS = "{ 67, 547 }"  # without its lease the device would not reach the admin page either
# Neighbours are found through the bridge too.
NEIGHBOURS = (
    "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }"
)

FAMILIES = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))
COUNTERS = ("paused", "quarantined")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A device that reaches nothing but DNS and the box."""

    addresses: Sequence[str]
    mac: str | None
    seconds: int


@dataclass(frozen=True, slots=True)
class BlockedFor:
    """A server refused to a device, or on every port, or both; one of the two at least."""

    device: str | None
    server: str
    port: int | None
    seconds: int


@dataclass(frozen=True, slots=True)
class Paused:
    """A device that is not inspected; without addresses and MAC, all of them."""

    addresses: Sequence[str]
    mac: str | None
    seconds: int


Held = Quarantined | BlockedFor | Paused


@dataclass(frozen=True, slots=True)
class ResponseConfig:
    """What the rules depend on; in a bridge the sides are marks, else they are the two ports."""

    table: str
    marks: Marks
    lan: str
    wan: str
    routes: bool


def declarations(forget: str) -> Iterator[str]:
    """Yield the sets, counters and chains that the table always has.

    `forget` is the statement that takes Ratwall's marks from a packet.
    """
    for name in COUNTERS:
        yield f"  counter {name} {{ }}"
    timed = f"size {SET_SIZE}; flags timeout;"
    for suffix, _, kind in FAMILIES:
        yield f"  set quarantined{suffix} {{ type {kind}; {timed} }}"
        yield f"  set paused{suffix} {{ type {kind}; {timed} }}"
        yield f"  set blocked_device{suffix} {{ type {kind} . {kind} . inet_service; {timed} }}"
        yield f"  set blocked_pair{suffix} {{ type {kind} . {kind}; {timed} }}"
        yield f"  set blocked_server{suffix} {{ type {kind}; {timed} }}"
    for name in ("quarantined_mac", "paused_mac"):
        yield f"  set {name} {{ type ether_addr; {timed} }}"
    yield f"  set paused_all {{ type nf_proto; {timed} }}"
    for name in ("respond_out", "respond_in"):
        yield f"  chain {name} {{ }}"
    yield from _quarantine_chains()
    yield "  chain paused {"
    yield "    counter name paused"
    yield f"    {forget} accept"
    yield "  }"


def response_text(config: ResponseConfig, held: Sequence[Held]) -> str:
    """Return the text that puts exactly `held` in force; of two for an element the longer counts.

    ValueError if an address is none.
    """
    elements: dict[tuple[str, str], int] = {}
    for one in held:
        for element in _elements(one):
            elements[element] = max(one.seconds, elements.get(element, 0))
    table = f"inet {config.table}"
    lines = [f"flush set {table} {name}" for name in _sets()]
    lines += [
        f"add element {table} {name} {{ {element} timeout {seconds}s }}"
        for (name, element), seconds in elements.items()
    ]
    laid = {name.rstrip("46") for name, _ in elements}
    lines += _base(table, "respond", RESPOND_PRIORITY, _respond_rules(config, laid))
    for chain, rules in (("respond_out", _out_rules(laid)), ("respond_in", _in_rules(laid))):
        lines.append(f"flush chain {table} {chain}")
        lines += [f"add rule {table} {chain} {rule}" for rule in rules]
    lines += _base(table, "pause", PAUSE_PRIORITY, _pause_rules(config, laid))
    return "\n".join(lines) + "\n"


def _base(table: str, chain: str, priority: int, rules: Iterator[str]) -> Iterator[str]:
    """Lay a base chain, or take it away where it has no rules."""
    yield f"add chain {table} {chain} {{ type filter hook forward priority {priority}; }}"
    yield f"flush chain {table} {chain}"
    laid = [f"add rule {table} {chain} {rule}" for rule in rules]
    yield from laid or [f"delete chain {table} {chain}"]


def _sets() -> Iterator[str]:
    for name in ("quarantined", "paused", "blocked_device", "blocked_pair", "blocked_server"):
        yield from (f"{name}{suffix}" for suffix, _, _ in FAMILIES)
    yield from ("quarantined_mac", "paused_mac", "paused_all")


def _elements(held: Held) -> Iterator[tuple[str, str]]:
    """Yield (set, element)."""
    if isinstance(held, BlockedFor):
        yield _blocked_element(held)
        return
    name = "quarantined" if isinstance(held, Quarantined) else "paused"
    for text in held.addresses:
        address = ip_address(text)
        yield f"{name}{address.version}", str(address)
    if held.mac is not None:
        yield f"{name}_mac", held.mac
    if isinstance(held, Paused) and not held.addresses and held.mac is None:
        yield from (("paused_all", "ipv4"), ("paused_all", "ipv6"))


def _blocked_element(held: BlockedFor) -> tuple[str, str]:
    server = ip_address(held.server)
    if held.device is None:
        return f"blocked_server{server.version}", str(server)
    device = ip_address(held.device)
    if device.version != server.version:
        raise ValueError(f"device {device} and server {server} are not of one address family")
    if held.port is None:
        return f"blocked_pair{server.version}", f"{device} . {server}"
    return f"blocked_device{server.version}", f"{device} . {server} . {held.port}"


def _respond_rules(config: ResponseConfig, laid: set[str]) -> Iterator[str]:
    if not {name for name in laid if not name.startswith("paused")}:
        return
    lan, wan = config.lan, config.wan
    out, into = f'iifname "{lan}" oifname "{wan}"', f'iifname "{wan}" oifname "{lan}"'
    if not config.routes:
        out, into = _side(config.marks.lan), _side(config.marks.wan)
    yield f"{out} jump respond_out"
    yield f"{into} jump respond_in"


def _out_rules(laid: set[str]) -> Iterator[str]:
    for suffix, ip, _ in FAMILIES:
        if laid & {"quarantined", "quarantined_mac"}:
            yield f"{ip} saddr @quarantined{suffix} goto quarantine_out"
        for name, key in (
            ("blocked_device", f"{ip} saddr . {ip} daddr . tcp dport"),
            ("blocked_pair", f"{ip} saddr . {ip} daddr"),
            ("blocked_server", f"{ip} daddr"),
        ):
            if name in laid:
                yield f"{key} @{name}{suffix} goto refuse_out"
    if "quarantined_mac" in laid:
        yield "ether saddr @quarantined_mac goto quarantine_out"


def _in_rules(laid: set[str]) -> Iterator[str]:
    for suffix, ip, _ in FAMILIES:
        if laid & {"quarantined", "quarantined_mac"}:
            yield f"{ip} daddr @quarantined{suffix} goto quarantine_in"
        for name, key in (
            ("blocked_device", f"{ip} daddr . {ip} saddr . tcp sport"),
            ("blocked_pair", f"{ip} daddr . {ip} saddr"),
            ("blocked_server", f"{ip} saddr"),
        ):
            if name in laid:
                yield f"{key} @{name}{suffix} goto refuse_in"


def _quarantine_chains() -> Iterator[str]:
    for chain, port in (("out", "dport"), ("in", "sport")):
        yield f"  chain refuse_{chain} {{"
        for suffix, ip, _ in FAMILIES:  # an allow goes before everything else
            device, server = ("saddr", "daddr") if chain == "out" else ("daddr", "saddr")
            there = f"{ip} {server} . tcp {port}"
            yield f"    {ip} {device} . {there} @allowed_device{suffix} return"
            yield f"    {there} @allowed{suffix} return"
        yield "    goto refuse"
        yield "  }"
        limit = f" limit rate {DNS_RATE}/second burst {DNS_BURST} packets" if chain == "out" else ""
        yield f"  chain quarantine_{chain} {{"
        yield f"    meta l4proto {{ tcp, udp }} th {port} {DNS_PORT}{limit} return"
        yield f"    udp {port} {DHCP_PORTS} return"
        yield f"    {NEIGHBOURS} return"
        yield "    counter name quarantined"
        yield f"    goto refuse_{chain}"
        yield "  }"


def pause_chain(marks: Marks) -> Iterator[str]:
    """Yield the chain that lets a connection pass unread: what is cut already stays cut."""
    rest = 0xFFFFFFFF & ~marks.mask
    blocked = f"ct mark & {marks.class_mask:#010x} == {marks.of(FlowClass.BLOCK):#010x}"
    yield "  chain paused_flow {"
    yield f"    {blocked} return"
    yield f"    ct mark set ct mark & {rest:#010x} | {marks.of(FlowClass.UNINSPECTED):#010x}"
    yield "    goto paused"
    yield "  }"


def _pause_rules(config: ResponseConfig, laid: set[str]) -> Iterator[str]:
    marks = config.marks
    if not laid & {"paused", "paused_mac", "paused_all"}:
        return
    yield f"meta mark & {marks.to_inspect:#010x} == 0 return"
    if "paused_all" in laid:
        yield "meta nfproto @paused_all goto paused_flow"
    if laid & {"paused", "paused_mac"}:
        for suffix, ip, _ in FAMILIES:
            yield f"{_side(marks.lan)} {ip} saddr @paused{suffix} goto paused_flow"
            yield f"{_side(marks.wan)} {ip} daddr @paused{suffix} goto paused_flow"
    if "paused_mac" in laid:
        yield f"{_side(marks.lan)} ether saddr @paused_mac goto paused_flow"


def _side(bit: int) -> str:
    return f"meta mark & {bit:#010x} != 0"
