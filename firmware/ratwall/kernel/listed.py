"""The rules that refuse listed servers, and the text that fills their sets.

Pure text, lines for `ratwall.kernel.ruleset` and for `nft -f -`. Only what begins a connection
meets them, once: the first packet towards a listed server is refused and told, with every process
of ours dead too. An allow, the never-block list and a pause go before.

    listing   is the server in a set?
    listed    what is done about it; laid by the controller, empty until it is there
    tell      a copy for the controller, one for each device and server in ten seconds

Design note: elements end by themselves, each at the time at which its indicator is too old to act.
A change is sent as additions and removals, in portions, so that a hundred thousand that stay are
not touched and keep the time they have left.
"""

from collections.abc import Iterable, Iterator, Mapping
from socket import AF_INET, AF_INET6, inet_ntop

from ratwall.kernel.marks import Marks

TABLE = "inet ratwall"
SET_SIZE = 262_144  # elements of each set; an index has 250,000 indicators at most
TOLD_SIZE = 4096  # (device, server, port) that were told of within the last seconds
TOLD_SECONDS = 10  # a RAT tries every five; told that often it is not missed, and floods nobody
# Copies a second: a worm that tries listed servers is told of; what is above it is told later. Each
# costs the controller some 35 ms, and anybody can send first packets with any address.
TELL_RATE, TELL_BURST = 5, 20
COPY_BYTES = 96  # the headers
PORTION = 5000  # elements of one transaction: some 30 ms in which nft holds the table
FAMILIES = (("4", "ip", "ipv4_addr"), ("6", "ip6", "ipv6_addr"))
ANY_PORT = 0
EARLY_SECONDS = 2 * 86_400  # a list that is confirmed every day moves its end by a day each time
LATE_SECONDS = 3600

# (address of 4 or 16 octets, port or ANY_PORT)
Server = tuple[bytes, int]


def declarations(group: int) -> Iterator[str]:
    """Yield sets, counter and chains; `group` is the NFLOG group that gets the copies."""
    yield "  counter listed { }"
    timed = f"size {SET_SIZE}; flags timeout;"
    for suffix, _, kind in FAMILIES:
        yield f"  set listed{suffix} {{ type {kind} . inet_service; {timed} }}"
        yield f"  set listed_any{suffix} {{ type {kind}; {timed} }}"
        yield (
            f"  set told{suffix} {{ type {kind} . {kind} . inet_service; size {TOLD_SIZE}; "
            f"flags dynamic,timeout; timeout {TOLD_SECONDS}s; }}"
        )
    yield "  chain tell_now {"
    for suffix, ip, _ in FAMILIES:
        ends = f"{ip} saddr . {ip} daddr . th dport"
        yield f"    update @told{suffix} {{ {ends} timeout {TOLD_SECONDS}s }}"
    yield (
        f"    limit rate {TELL_RATE}/second burst {TELL_BURST} packets "
        f"log group {group} snaplen {COPY_BYTES}"
    )
    yield "  }"
    yield "  chain tell {"
    for suffix, ip, _ in FAMILIES:
        yield f"    {ip} saddr . {ip} daddr . th dport @told{suffix} return"
    yield "    goto tell_now"
    yield "  }"
    yield "  chain listed { }"
    yield "  chain spare_allowed {"
    for suffix, ip, _ in FAMILIES:
        there = f"{ip} daddr . th dport"
        yield f"    {ip} saddr . {there} @allowed_device{suffix} return"
        yield f"    {there} @allowed{suffix} return"
        yield f"    {ip} daddr @never_block{suffix} return"
    for test in _paused():
        yield f"    {test} return"
    yield "    goto listed"
    yield "  }"
    yield "  chain listing {"
    for suffix, ip, _ in FAMILIES:
        yield f"    meta l4proto tcp {ip} daddr . th dport @listed{suffix} goto spare_allowed"
        yield f"    {ip} daddr @listed_any{suffix} goto spare_allowed"
    yield "  }"


def gate_rule(marks: Marks) -> str:
    """Send what begins a connection from the office through `listing`; it may come back."""
    return (
        f"    meta mark & {marks.lan:#010x} != 0 ct state new,untracked "
        "meta l4proto { tcp, udp } jump listing"
    )


def mode_text(mode: str) -> str:
    """Return the text that has listed servers refused ("enforce"), told of ("monitor"), or
    neither ("off")."""
    chain = f"{TABLE} listed"
    lines = [f"flush chain {chain}"]
    if mode != "off":
        lines.append(f"add rule {chain} counter name listed")
        lines.append(f"add rule {chain} jump tell")
    if mode == "enforce":
        lines.append(f"add rule {chain} goto refuse")
    return "\n".join(lines) + "\n"


def changes(wanted: Mapping[Server, int], there: Mapping[Server, int], now: int) -> Iterator[str]:
    """Yield the transactions that turn what is there into what is wanted.

    Both give for each server until when it is refused (seconds since 1970). One that would end much
    too early, or at all too late, is put in again; all others are not touched.
    """
    gone = [server for server in there if server not in wanted]
    new = [server for server, until in wanted.items() if _differs(until, there.get(server), now)]
    for portion in _portions(gone):
        yield "".join((_elements("add", portion), _elements("delete", portion)))
    for portion in _portions(new):
        again = [server for server in portion if server in there]
        yield "".join(
            (
                _elements("add", again),
                _elements("delete", again),
                _elements("add", portion, {each: wanted[each] - now for each in portion}),
            )
        )


def _differs(until: int, there: int | None, now: int) -> bool:
    if until <= now:
        return False
    return there is None or not -EARLY_SECONDS <= there - until <= LATE_SECONDS


def _portions(servers: list[Server]) -> Iterator[list[Server]]:
    for begin in range(0, len(servers), PORTION):
        yield servers[begin : begin + PORTION]


def _elements(
    verb: str, servers: Iterable[Server], seconds: Mapping[Server, int] | None = None
) -> str:
    """Return the statements that add or delete elements, one for each set."""
    sets: dict[str, list[str]] = {}
    for server in servers:
        octets, port = server
        element = _written(octets) + (f" . {port}" if port != ANY_PORT else "")
        if seconds is not None:
            element += f" timeout {seconds[server]}s"
        sets.setdefault(set_of(octets, port), []).append(element)
    return "".join(
        f"{verb} element {TABLE} {name} {{ {', '.join(elements)} }}\n"
        for name, elements in sets.items()
    )


def set_of(octets: bytes, port: int) -> str:
    """Return the name of the set that a server belongs to."""
    kind = "listed" if port != ANY_PORT else "listed_any"
    return f"{kind}{4 if len(octets) == 4 else 6}"


SETS = tuple(f"{kind}{suffix}" for kind in ("listed", "listed_any") for suffix in ("4", "6"))


def server_of(key: bytes, name: str) -> Server:
    """Return the server that an element of a set stands for; ValueError if it is none of ours."""
    size = 4 if name.endswith("4") else 16
    has_port = not name.startswith("listed_any")
    if len(key) != size + 4 * has_port:
        raise ValueError(f"{name}: a key of {len(key)} bytes")
    return key[:size], int.from_bytes(key[size : size + 2], "big") if has_port else ANY_PORT


def _written(octets: bytes) -> str:
    return inet_ntop(AF_INET if len(octets) == 4 else AF_INET6, octets)


def _paused() -> Iterator[str]:
    yield "meta nfproto @paused_all"
    for suffix, ip, _ in FAMILIES:
        yield f"{ip} saddr @paused{suffix}"
    yield "ether saddr @paused_mac"
