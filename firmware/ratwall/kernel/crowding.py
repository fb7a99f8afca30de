"""What the rules do when the conntrack table fills: nothing, then a share, then a way around it.

A full table is the kernel's own failure: it drops every new connection. So from half full on no
device may add more than a share of its own, and from four fifths on new connections pass untracked,
without inspection, and are counted. With address translation there is no way around the table: an
untracked connection would leave with the office's addresses.

Pure: numbers in, text and stage out. The chains exist only while they are needed; at rest no packet
meets a rule of this file. A per-flow time-out for judged connections alone is not to be had: the
kernel takes a time-out policy only on the first packet, so all connections get the shorter one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ratwall.kernel.marks import Marks

# An idle connection is forgotten after two hours and four minutes (the default: five days), the
# least that RFC 5382 allows a NAT and longer than the keep-alive of Linux and Windows (two hours).
ESTABLISHED_SECONDS = 7440
CONNECTION_BYTES = 512  # of kernel memory for one, with counters, time stamps and its hash bucket
MEMORY_SHARE = 16  # one part in so many of the machine's memory may be conntrack's
CONNECTIONS_LOW = 4096  # fewer are gone with one busy device
CONNECTIONS_HIGH = 262_144  # 134 MB; the kernel's own default above 1 GB of memory

CROWDED, FULL = 0.5, 0.8  # parts of the table
SLACK = 0.1  # a stage ends when the table is so much emptier than when it began
CROWD_SHARE = 16  # a device may add one part in so many: four must join in to get from half to full
CROWD_HIGH = 4096  # the kernel walks a device's connections for each new one: half a millisecond
ESCAPED_SIZE = (
    65_536  # connections that pass untracked at one time, 8 MB; beyond it they are tracked
)
ESCAPED_SECONDS = 600  # then the table has room again, and the connection is looked at

ESCAPE_PRIORITY = -310  # before raw (-300) and conntrack (-200)
CROWD_PRIORITY = -155  # between gate, which tells the sides, and inspect

COUNTERS = ("uninspected_flows", "escaped_flows", "escaped", "crowded")
FAMILIES = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))


class Stage(IntEnum):
    """How full the table is, in steps; each does what the one before does, and more."""

    CALM = 0
    CROWDED = 1  # each device has a share
    WANING = 2  # no new connection goes around the table, those that do still may
    FULL = 3  # new connections go around the table


def next_stage(stage: Stage, fill: float) -> Stage:
    """Return the stage that follows at this part of the table in use."""
    if fill >= FULL:
        return Stage.FULL
    if stage is Stage.FULL and fill >= FULL - SLACK:
        return Stage.FULL
    if stage >= Stage.WANING and fill >= CROWDED - SLACK:
        return Stage.WANING
    if fill >= CROWDED or (stage is Stage.CROWDED and fill >= CROWDED - SLACK):
        return Stage.CROWDED
    return Stage.CALM


def default_connections(memory: int) -> int:
    """Return how many connections a machine with so many bytes of memory shall track."""
    wanted = memory // MEMORY_SHARE // CONNECTION_BYTES
    return max(CONNECTIONS_LOW, min(wanted, CONNECTIONS_HIGH))


@dataclass(frozen=True, slots=True)
class CrowdingConfig:
    """What the rules depend on; `inputs` are the interfaces as the prerouting hook names them."""

    table: str
    marks: Marks
    inputs: Sequence[str]
    connections: int
    escape: bool = True  # False: addresses are translated here

    @property
    def share(self) -> int:
        """How many connections a device may add once the table is crowded."""
        return max(1, min(self.connections // CROWD_SHARE, CROWD_HIGH))


def declarations() -> Iterator[str]:
    """Yield the sets, counters and time-out policies that the table always has."""
    for name in COUNTERS:
        yield f"  counter {name} {{ }}"
    for suffix, _, kind in FAMILIES:
        yield (
            f"  set escaped{suffix} {{ type {kind} . inet_service . {kind} . inet_service; "
            f"size {ESCAPED_SIZE}; flags dynamic,timeout; timeout {ESCAPED_SECONDS}s; }}"
        )
        yield f"  set crowd{suffix} {{ type {kind}; size {ESCAPED_SIZE}; flags dynamic; }}"


def timeout_policies() -> Iterator[str]:
    """Yield the time-out policies, one a family."""
    for suffix, ip, _ in FAMILIES:
        yield f"  ct timeout idle{suffix} {{"
        yield f"    protocol tcp; l3proto {ip};"
        yield f"    policy = {{ established: {ESTABLISHED_SECONDS} }}"
        yield "  }"


def timeout_rules() -> Iterator[str]:
    """Yield the gate's rules that give a new connection its policy."""
    new = "meta l4proto tcp ct state new ct timeout set"
    for suffix, _, _ in FAMILIES:
        yield f'    meta nfproto ipv{suffix} {new} "idle{suffix}"'


def untracked_rule() -> str:
    """Return the gate's rule for what goes around the table."""
    return "    ct state untracked counter name escaped accept"


def stage_text(config: CrowdingConfig, stage: Stage) -> str:
    """Return the text that puts a stage in force, whichever was before."""
    table = f"inet {config.table}"
    escape, crowd = f"{table} escape", f"{table} crowd"
    lines = [
        f"add chain {escape} {{ type filter hook prerouting priority {ESCAPE_PRIORITY}; }}",
        f"add chain {crowd} {{ type filter hook forward priority {CROWD_PRIORITY}; }}",
        f"flush chain {escape}",
        f"flush chain {crowd}",
    ]
    around = config.escape and stage >= Stage.WANING
    if around:
        new = config.escape and stage is Stage.FULL
        lines += [f"add rule {escape} {rule}" for rule in _escape_rules(config, new=new)]
    else:
        lines += [f"delete chain {escape}"]
    if stage >= Stage.CROWDED:
        lines += [f"add rule {crowd} {rule}" for rule in _crowd_rules(config)]
    else:
        lines += [
            f"delete chain {crowd}",
            *(f"flush set {table} crowd{suffix}" for suffix, _, _ in FAMILIES),
        ]
    return "\n".join(lines) + "\n"


def _escape_rules(config: CrowdingConfig, *, new: bool) -> Iterator[str]:
    inputs = ", ".join(f'"{name}"' for name in config.inputs)
    yield f"iifname != {{ {inputs} }} return"
    yield "fib daddr type local return"  # what the box itself is asked needs no way around
    for suffix, ip, _ in FAMILIES:
        there = f"{ip} saddr . tcp sport . {ip} daddr . tcp dport"
        back = f"{ip} daddr . tcp dport . {ip} saddr . tcp sport"
        for key in (there, back):
            yield f"{key} @escaped{suffix} notrack accept"
        if new:
            yield (
                f"tcp flags & (syn | ack) == syn add @escaped{suffix} {{ {there} }} "
                "counter name escaped_flows notrack accept"
            )
    if new:
        yield "meta l4proto udp notrack"


def _crowd_rules(config: CrowdingConfig) -> Iterator[str]:
    outbound = f"meta mark & {config.marks.lan:#010x} != 0 ct state new"
    for suffix, ip, _ in FAMILIES:
        over = f"add @crowd{suffix} {{ {ip} saddr ct count over {config.share} }}"
        yield f"{outbound} {over} counter name crowded drop"
