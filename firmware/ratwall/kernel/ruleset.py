"""The nftables rules, as text for `nft -f -`.

Pure: settings in, text out. Text, because nft 1.0.6 (Debian 12) knows neither dynamic sets in
JSON nor `destroy`; its parser also takes the ct event mask only as a number.

Order in the forward hook, which every packet between the two ports crosses:

    gate     (-160)  refuse what is blocked, free what is decided, mark what must be inspected
    inspect  (-150)  queue what is marked; without a process the kernel goes on (`bypass`)
    settle   (-140)  save the class, count what nobody inspected, block the endpoint of a cut flow

The side of a packet is a mark bit set from the port it entered and the port it leaves by: in router
mode by gate itself, in bridge mode by a bridge-family chain, since inet sees the bridge on both
sides.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from ratwall.kernel import answers, crowding, evasion, listed, passing, response
from ratwall.kernel.marks import FlowClass, Marks

TABLE = "ratwall"
GATE_PRIORITY = -160  # before mangle (-150), where the xtables fallback must sit
INSPECT_PRIORITY = -150
SETTLE_PRIORITY = -140  # after the queue has given the packet back
BRIDGE_SIDE_PRIORITY = -200  # before br_netfilter (-1) hands the packet to the inet hooks
CT_EVENTS = 0x85  # IPCT_NEW | IPCT_DESTROY | IPCT_MARK (bits 0, 2, 7): start, end, proof of a block
SET_SIZE = 65536  # entries of each dynamic set: 64 bytes each or so, 4 MiB at worst
MISSED_SIZE = 4096  # (device, server, port) that passed uninspected; listing them takes 50 ms
MISSED_SECONDS = 3600  # by then the controller has read them, be it down for as long

# What an observed client says is copied: up to here the headers of IP (40 bytes) and TCP (60 with
# all its options, rarely more than 32) leave room for a TLS record header and a little more.
COPY_BYTES = 96
# Every path carries full-sized segments of at least this many bytes (RFC 8200 section 5): a shorter
# one ends a message, a longer one belongs to an upload, of which a sample will do.
SMALL_SEGMENT = 1280
SMALL_COPIES = 5000  # a second, of all flows: 4 % of one core for the controller to read
LARGE_COPIES = 100

SELFTEST_LAN = "rwtest-lan"  # `ratwall selftest` attaches its two hosts here
SELFTEST_WAN = "rwtest-wan"

FAMILIES = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))


@dataclass(frozen=True, slots=True)
class RulesetConfig:
    """What the rules depend on."""

    lan: str
    wan: str
    bridge: str | None = None  # its name in bridge mode, None in router mode
    marks: Marks = field(default_factory=Marks)
    queue: int = 0
    workers: int = 1  # each with a queue of its own, numbered from `queue` on
    log_group: int = 0  # the NFLOG group that gets the copies; the next: answers, captures, listed
    block_seconds: int = 3600
    never_block: Sequence[IPv4Network | IPv6Network] = ()
    refuse_quic: bool = False
    connections: int = 0  # that conntrack shall have room for; 0 leaves it as it is
    nft_queue: bool = True  # False: the kernel has no nft_queue, xtables queues instead
    ct_timeout: bool = True  # False: the kernel takes no time-out policies

    @property
    def last_queue(self) -> int:
        """The number of the last worker's queue."""
        return self.queue + self.workers - 1


def ruleset(config: RulesetConfig) -> str:
    """Return the text that replaces Ratwall's tables as one transaction."""
    parts = [remove_text(), _inet_table(config)]
    if config.bridge is not None:
        parts.append(_bridge_table(config))
    return "\n".join(parts) + "\n"


def reload_text(config: RulesetConfig) -> str:
    """Return the text that puts the changeable of `config` in force in the tables that are there.

    What may be blocked and for how long, and whether QUIC passes; no rule is missing for a moment,
    and no element of another set is touched.
    """
    lines = [f"flush chain inet {TABLE} {chain}" for chain in ("cut", "quic")]
    for suffix, _, _ in FAMILIES:
        lines.append(f"flush set inet {TABLE} never_block{suffix}")
        if never := _never_block(config, int(suffix)):
            lines.append(f"add element inet {TABLE} never_block{suffix} {{ {never} }}")
    quic = passing.quic_chain(config.marks, refuse=config.refuse_quic)
    lines += [f"table inet {TABLE} {{", *_cut_chain(config), *quic, "}"]
    return "\n".join(lines) + "\n"


def remove_text() -> str:
    """Return the text that removes Ratwall's tables whether or not they exist."""
    return "\n".join(
        f"add table {family} {TABLE}\ndelete table {family} {TABLE}"
        for family in ("inet", "bridge")
    )


def _inet_table(config: RulesetConfig) -> str:
    queue = list(_inspect_chain(config)) if config.nft_queue else []
    lines = [
        f"table inet {TABLE} {{",
        *_sets(config),
        "  counter uninspected { }",
        "  counter refused { }",
        "  counter uncopied { }",
        "  counter withheld { }",
        *passing.counters(passing.INET_COUNTERS),
        *crowding.declarations(),
        *(crowding.timeout_policies() if config.ct_timeout else ()),
        *answers.declarations(),
        *answers.chain(config.log_group + 1),
        *(answers.own_chain(config.lan) if config.bridge is None else ()),
        *_freed_chains(config.marks),
        *_gate_chain(config),
        *passing.quic_chain(config.marks, refuse=config.refuse_quic),
        *_observe_chain(config),
        *_refuse_chain(config),
        *queue,
        *_first_missed_chain(config),
        *_missed_chain(config),
        *_cut_chain(config),
        *_settle_chain(config),
        *response.pause_chain(config.marks),
        *response.declarations(_forget_marks(config.marks)),
        *listed.declarations(config.log_group + 3),
        "}",
    ]
    return "\n".join(lines)


def _sets(config: RulesetConfig) -> Iterator[str]:
    for suffix, _, kind in FAMILIES:
        never = _never_block(config, int(suffix))
        elements = f" elements = {{ {never} }};" if never else ""
        yield f"  set never_block{suffix} {{ type {kind}; flags interval; auto-merge;{elements} }}"
        yield (
            f"  set blocked{suffix} {{ type {kind} . inet_service; size {SET_SIZE}; "
            f"flags dynamic,timeout; timeout {config.block_seconds}s; }}"
        )
        yield (
            f"  set allowed{suffix} {{ type {kind} . inet_service; "
            f"size {SET_SIZE}; flags timeout; }}"
        )
        yield (
            f"  set allowed_device{suffix} {{ type {kind} . {kind} . inet_service; "
            f"size {SET_SIZE}; flags timeout; }}"
        )
        # Not every event of the kernel is read in a flood; what stands here cannot be missed.
        yield (
            f"  set missed{suffix} {{ type {kind} . {kind} . inet_service; size {MISSED_SIZE}; "
            f"flags dynamic,timeout; timeout {MISSED_SECONDS}s; }}"
        )


def _never_block(config: RulesetConfig, version: int) -> str:
    return ", ".join(str(net) for net in config.never_block if net.version == version)


def _sides(config: RulesetConfig) -> tuple[tuple[str, str, int], ...]:
    """Return (enters at, leaves by, mark) for both directions."""
    marks = config.marks
    return ((config.lan, config.wan, marks.lan), (config.wan, config.lan, marks.wan))


def _gate_chain(config: RulesetConfig) -> Iterator[str]:
    marks = config.marks
    rest = 0xFFFFFFFF & ~marks.mask
    tests = ((SELFTEST_LAN, SELFTEST_WAN, marks.lan), (SELFTEST_WAN, SELFTEST_LAN, marks.wan))
    routed = tests if config.bridge else _sides(config) + tests
    yield "  chain gate {"
    yield f"    type filter hook forward priority {GATE_PRIORITY}; policy accept;"
    for entered, leaves, bit in routed:
        yield (
            f'    iifname "{entered}" oifname "{leaves}" '
            f"meta mark set meta mark & {rest:#010x} | {bit:#010x}"
        )
    if config.bridge is None:
        yield passing.local_rule(config.lan, config.wan)
    yield f"    meta mark & {marks.lan | marks.wan:#010x} == 0 return"
    yield _shortcut(marks)
    yield f"    ct state new ct event set {CT_EVENTS:#x}"
    if config.ct_timeout:
        yield from crowding.timeout_rules()
    yield evasion.repeat_rule(marks)
    yield f"    {_ct_is(marks, FlowClass.BLOCK)} goto refuse"
    yield f"    {_ct_is(marks, FlowClass.EXEMPT)} accept"
    yield listed.gate_rule(marks)
    yield passing.quic_rule(marks)
    yield from answers.gate_rules(marks)
    yield "    meta l4proto != tcp accept"
    yield passing.one_way_rule()
    for suffix, ip, _ in FAMILIES:
        outbound = f"meta mark & {marks.lan:#010x} != 0"
        inbound = f"meta mark & {marks.wan:#010x} != 0"
        exempt = f"{_ct_set(marks, FlowClass.EXEMPT)} accept"
        device = f"@allowed_device{suffix}"
        yield f"    {outbound} {ip} saddr . {ip} daddr . tcp dport {device} {exempt}"
        yield f"    {inbound} {ip} daddr . {ip} saddr . tcp sport {device} {exempt}"
        for direction, key in ((outbound, "daddr . tcp dport"), (inbound, "saddr . tcp sport")):
            yield f"    {direction} {ip} {key} @allowed{suffix} {exempt}"
            yield f"    {direction} {ip} {key} @blocked{suffix} goto refuse"
    yield crowding.untracked_rule()
    # A connection that somebody outside opened (a port forward) is not ours to judge.
    yield (
        f"    meta mark & {marks.wan:#010x} != 0 ct state new tcp flags & (syn | ack) == syn "
        f"counter name passed_inbound {_ct_set(marks, FlowClass.EXEMPT)} accept"
    )
    for freed in (FlowClass.CLEAN, FlowClass.EVICTED):
        yield f"    {_ct_is(marks, freed)} accept"
    for copied in (FlowClass.OBSERVED, FlowClass.UNINSPECTED):
        yield f"    {_ct_is(marks, copied)} goto observe"
    # The inspector learns from the class that this connection is not a new one on old ports.
    watched = f"meta mark set meta mark | {marks.of(FlowClass.WATCH):#010x}"
    yield f"    {_ct_is(marks, FlowClass.WATCH)} {watched}"
    yield from evasion.catching_rules(marks)
    # Exactly the segments with payload: the inner header begins behind the TCP options.
    # Behind the gate the bit of a tagged frame has another meaning.
    kept = 0xFFFFFFFF & ~marks.tagged
    inspected = f"meta mark set meta mark & {kept:#010x} | {marks.to_inspect:#010x}"
    yield f"    @ih,0,8 >= 0 {inspected}"
    yield "  }"


def _shortcut(marks: Marks) -> str:
    """Send what is decided the short way: nearly every packet, so this is what speed depends on."""
    classes = {
        FlowClass.CLEAN: "freed",
        FlowClass.EVICTED: "freed",
        FlowClass.OBSERVED: "given_up",
        FlowClass.UNINSPECTED: "given_up",
    }
    ways = ", ".join(f"{marks.of(each):#010x} : jump {chain}" for each, chain in classes.items())
    return f"    ct mark & {marks.class_mask:#010x} vmap {{ {ways} }}"


def _freed_chains(marks: Marks) -> Iterator[str]:
    """Let pass with one look into one set; a blocked endpoint is left to the rules of the gate.

    There an allow goes before the block. What the client says in an observed connection is left to
    them too, because it is copied.
    """
    yield "  chain given_up {"
    yield f"    meta mark & {marks.lan:#010x} == 0 goto freed"
    yield "    @ih,0,8 >= 0 return"
    yield "    goto freed"
    yield "  }"
    for chain, key in (("freed_out", "daddr . tcp dport"), ("freed", "saddr . tcp sport")):
        yield f"  chain {chain} {{"
        if chain == "freed":
            yield f"    meta mark & {marks.lan:#010x} != 0 goto freed_out"
        for suffix, ip, _ in FAMILIES:
            yield f"    {ip} {key} @blocked{suffix} return"
        # Without a mark of ours the packet leaves the settle chain at its first rule.
        yield f"    {_forget_marks(marks)} accept"
        yield "  }"


def _observe_chain(config: RulesetConfig) -> Iterator[str]:
    """Copy what the client says and let it pass: a copy holds nothing up, read or not."""
    copied = f"log group {config.log_group} snaplen {COPY_BYTES} accept"
    yield "  chain observe {"
    yield evasion.hello_rule(config.marks)
    yield f"    meta mark & {config.marks.lan:#010x} == 0 accept"
    yield "    meta l4proto tcp @ih,0,8 >= 0 jump copy"
    yield "    accept"
    yield "  }"
    yield "  chain copy {"
    for sizes, rate in (
        (f"< {SMALL_SEGMENT}", SMALL_COPIES),
        (f">= {SMALL_SEGMENT}", LARGE_COPIES),
    ):
        yield f"    meta length {sizes} limit rate {rate}/second burst {rate} packets {copied}"
    yield "    counter name uncopied"
    yield "  }"


def _refuse_chain(config: RulesetConfig) -> Iterator[str]:
    yield "  chain refuse {"
    yield "    counter name refused"
    if config.bridge is not None:
        # `reject` answers without the tag, into a network that may be somebody else's.
        yield f"    meta mark & {config.marks.tagged:#010x} != 0 drop"
    yield "    meta l4proto tcp reject with tcp reset"
    yield "    drop"
    yield "  }"


def _inspect_chain(config: RulesetConfig) -> Iterator[str]:
    yield "  chain inspect {"
    yield f"    type filter hook forward priority {INSPECT_PRIORITY}; policy accept;"
    # Spread by address pair, both directions alike: a connection stays with one worker.
    queues = f"{config.queue}" if config.workers == 1 else f"{config.queue}-{config.last_queue}"
    yield f"    {_wants_inspection(config.marks)} queue num {queues} bypass"
    yield "  }"


def _settle_chain(config: RulesetConfig) -> Iterator[str]:
    marks = config.marks
    yield "  chain settle {"
    yield f"    type filter hook forward priority {SETTLE_PRIORITY}; policy accept;"
    yield f"    meta mark & {marks.mask:#010x} == 0 return"
    yield f"    {_wants_inspection(marks)} goto missed"
    for saved in (FlowClass.CLEAN, FlowClass.WATCH, FlowClass.OBSERVED, FlowClass.EXEMPT):
        yield f"    {_packet_is(marks, saved)} {_ct_set(marks, saved)}"
    yield f"    {_packet_is(marks, FlowClass.BLOCK)} jump cut"
    yield f"    {_forget_marks(marks)}"
    yield "  }"


def _missed_chain(config: RulesetConfig) -> Iterator[str]:
    marks = config.marks
    yield "  chain missed {"
    # Its reset could not be made: better nothing than what it stands for.
    yield f"    {_ct_is(marks, FlowClass.BLOCK)} counter name withheld drop"
    yield "    counter name uninspected"
    first = f"ct mark & {marks.class_mask:#010x} != {marks.of(FlowClass.UNINSPECTED):#010x}"
    yield f"    {first} jump first_missed"
    yield f"    {_ct_set(config.marks, FlowClass.UNINSPECTED)}"
    yield f"    {_forget_marks(config.marks)}"
    yield "  }"


def _first_missed_chain(config: RulesetConfig) -> Iterator[str]:
    marks = config.marks
    yield "  chain first_missed {"
    yield "    counter name uninspected_flows"
    for suffix, ip, _ in FAMILIES:
        for side, ends in (
            (marks.lan, f"{ip} saddr . {ip} daddr . tcp dport"),
            (marks.wan, f"{ip} daddr . {ip} saddr . tcp sport"),
        ):
            yield f"    meta mark & {side:#010x} != 0 update @missed{suffix} {{ {ends} }}"
    yield "  }"


def _cut_chain(config: RulesetConfig) -> Iterator[str]:
    marks = config.marks
    timeout = f"timeout {config.block_seconds}s"
    yield "  chain cut {"
    yield f"    {_ct_is(marks, FlowClass.BLOCK)} return"
    yield f"    {_ct_set(marks, FlowClass.BLOCK)}"
    yield f"    meta mark & {marks.alone:#010x} != 0 return"
    for suffix, ip, _ in FAMILIES:
        # What a server says counts against it only in answer to the office: a connection that
        # conntrack saw begin outside may be made up, with a forged sender.
        answered = f"meta mark & {marks.wan:#010x} != 0 ct direction reply"
        spoken_to = f"meta mark & {marks.lan:#010x} != 0"
        for side, address, port in ((answered, "saddr", "sport"), (spoken_to, "daddr", "dport")):
            yield (
                f"    {side} {ip} {address} != @never_block{suffix} "
                f"update @blocked{suffix} {{ {ip} {address} . tcp {port} {timeout} }}"
            )
    yield "  }"


def _bridge_table(config: RulesetConfig) -> str:
    rest = 0xFFFFFFFF & ~config.marks.mask
    lines = [
        f"table bridge {TABLE} {{",
        *passing.counters(passing.BRIDGE_COUNTERS),
        "  chain side {",
        f"    type filter hook forward priority {BRIDGE_SIDE_PRIORITY}; policy accept;",
        *(
            f'    iifname "{entered}" oifname "{leaves}" '
            f"meta mark set meta mark & {rest:#010x} | {bit:#010x}"
            for entered, leaves, bit in _sides(config)
        ),
        passing.local_rule(config.lan, config.wan),
        *passing.tag_lines(config.marks),
        "  }",
        "}",
    ]
    return "\n".join(lines)


def _forget_marks(marks: Marks) -> str:
    return f"meta mark set meta mark & {0xFFFFFFFF & ~marks.mask:#010x}"


def _wants_inspection(marks: Marks) -> str:
    return f"meta mark & {marks.to_inspect:#010x} != 0"


def _packet_is(marks: Marks, flow_class: FlowClass) -> str:
    return f"meta mark & {marks.class_mask:#010x} == {marks.of(flow_class):#010x}"


def _ct_is(marks: Marks, flow_class: FlowClass) -> str:
    return f"ct mark & {marks.class_mask:#010x} == {marks.of(flow_class):#010x}"


def _ct_set(marks: Marks, flow_class: FlowClass) -> str:
    rest = 0xFFFFFFFF & ~marks.mask
    return f"ct mark set ct mark & {rest:#010x} | {marks.of(flow_class):#010x}"
