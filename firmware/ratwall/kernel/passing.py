"""The rules that count what passes uninspected by design, and close QUIC where that is wanted.

Pure text, lines for `ratwall.kernel.ruleset`; none of these rules decides on inspected traffic.
What they count is listed in `ratwall status` and on the page, so that nobody takes it for
inspected. Where the unit is connections, the first packet of each is counted.

A bridge shows frames with a tag (802.1Q, one of 802.1ad, PPPoE) to the inet hooks only as IP; that
there was a tag is told by a mark bit, because `reject` answers without one. Frames with two tags
are never shown.
"""

from collections.abc import Iterator

from ratwall.kernel.marks import Marks

QUIC_PORT = 443
# Counters of table inet; the names are those of `ratwall.kernel.links_report`.
INET_COUNTERS = ("passed_quic", "refused_quic", "passed_inbound", "passed_local", "passed_one_way")
BRIDGE_COUNTERS = ("passed_local", "passed_stacked", "tagged")
TAGGED_TYPES = "{ 8021q, 8021ad, 0x8864 }"  # C-VLAN, S-VLAN, PPPoE session
# What stands behind the first tag (16 bytes into the frame) when there is a second.
STACKED = "ether type { 8021q, 8021ad } @ll,128,16 { 0x8100, 0x88a8, 0x8864 }"


def counters(names: tuple[str, ...]) -> Iterator[str]:
    """Declare counters."""
    for name in names:
        yield f"  counter {name} {{ }}"


def local_rule(lan: str, wan: str) -> str:
    """Count packets from the office that do not leave by the WAN port: office to office, hairpin.

    For the forward hook of the family that sees the two ports.
    """
    return f'    iifname "{lan}" oifname != "{wan}" counter name passed_local'


def quic_rule(marks: Marks) -> str:
    """Send what the office says to UDP port 443 through `quic_chain`."""
    return f"    meta mark & {marks.lan:#010x} != 0 udp dport {QUIC_PORT} goto quic"


def quic_chain(marks: Marks, *, refuse: bool) -> Iterator[str]:
    """Count QUIC connections and let them pass, or count their packets and refuse them.

    A browser that is told "port unreachable" takes TCP at once; over a tagged link, and in a bridge
    without an address, it is told nothing and takes TCP after its own time-out.
    """
    yield "  chain quic {"
    if refuse:
        yield "    counter name refused_quic"
        yield f"    meta mark & {marks.tagged:#010x} != 0 drop"
        yield "    reject with icmpx type port-unreachable"
    else:
        yield "    ct original packets 1 counter name passed_quic"
        yield "    accept"
    yield "  }"


def one_way_rule() -> str:
    """Count segments with payload of connections of which only one direction has been seen.

    With only one direction on its way through the box a connection never gets established for the
    kernel. A connection older than the box adds a segment or two.
    """
    return "    @ih,0,8 >= 0 tcp flags & syn == 0 ct state new,invalid counter name passed_one_way"


def tag_lines(marks: Marks) -> Iterator[str]:
    """Mark tagged frames between the two ports: last rules of the bridge family's chain."""
    sides = marks.lan | marks.wan
    between = f"    meta mark & {sides:#010x} != 0"
    yield f"{between} {STACKED} counter name passed_stacked return"
    yield (
        f"{between} ether type {TAGGED_TYPES} counter name tagged "
        f"meta mark set meta mark | {marks.tagged:#010x}"
    )
