"""Watches connections that fail, and says when a device tries in a loop.

Fed with the ends of connections that conntrack tells of, with the kernel's own time stamps and
counts; one that was never answered, or by a reset alone, has failed. It delays and cuts nothing.
What failed during the last day, and what was told of it, is read from the ledger at the start: a
loop goes on while the box restarts.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network

from ratwall.controller.books import Books
from ratwall.controller.clock import moved
from ratwall.controller.listener import Listener
from ratwall.controller.rows import told_lately
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import contacts
from ratwall.ledger.store import LedgerError
from ratwall.loops.attempts import (
    Attempt,
    Attempts,
    Loop,
    Surroundings,
    find_loop,
    loop_evidence,
)
from ratwall.verdict.finding import Finding

PAIRS_LIMIT = 4096  # devices and servers with failures at one time, some 2 MB
TOLD_AGAIN_US = 3_600_000_000  # an hour: what goes on all night is told again, not every 5 s
RESET_BYTES = 60  # of an answer that is a reset and nothing else: IPv6 and TCP headers
# Where servers of the internet are not: what fails inside the office is not ours to tell.
INSIDE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
                 "127.0.0.0/8", "224.0.0.0/4", "fc00::/7", "fe80::/10", "ff00::/8", "::1/128")
)  # fmt: skip

ADDRESSES_REMEMBERED = 4096  # 1 MB: what an office talks to within minutes

Pair = tuple[str, str]  # device, server


class Loops(Listener):
    """One entry a device and server, the least recently used leaves first."""

    def __init__(
        self,
        around: Callable[[str], Surroundings],
        family_ports: Callable[[], frozenset[int]],
        found: Callable[[Finding], object],
        clock: Callable[[], int],
    ) -> None:
        """`around` says what else is known of a server, `found` takes what is worth telling."""
        self._around = around
        self._family_ports = family_ports
        self._found = found
        self._clock = clock
        self._pairs: OrderedDict[Pair, Attempts] = OrderedDict()
        self._told: OrderedDict[Pair, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pairs)

    def start(self, books: Books) -> None:
        """Take over what failed lately; with another ledger it goes on as it was."""
        if self._pairs:
            return
        now = self._clock()
        try:
            for past in contacts.recent(books.ledger, now):
                pair = past.device, past.server
                if past.received > RESET_BYTES:
                    self._pairs.pop(pair, None)
                elif past.failed:
                    attempt = Attempt(past.start, past.port, past.client_port, past.received > 0)
                    self._attempts(pair).failed(attempt)
            for _, pair, at in told_lately(books.ledger, "loop.", now - TOLD_AGAIN_US):
                self._told[pair] = at
        except LedgerError:
            return  # the writer says what is wrong with the ledger

    def move(self, before: str, after: str) -> None:
        """Go on with a device that has another address now."""
        for pair in [one for one in self._pairs if one[0] == before]:
            moved = self._pairs.setdefault((after, pair[1]), Attempts())
            for attempt in self._pairs.pop(pair).tries:
                moved.failed(attempt)
        for pair in [one for one in self._told if one[0] == before]:
            self._told[after, pair[1]] = self._told.pop(pair)

    def clock_set(self, by: int) -> None:
        """Keep the gaps: the kernel's time stamps moved with the clock."""
        for attempts in self._pairs.values():
            attempts.tries = deque(
                (one._replace(start=one.start + by) for one in attempts.tries),
                attempts.tries.maxlen,
            )
        moved(self._told, by)

    def take_event(self, event: FlowEvent) -> None:
        """Take in a connection that ended."""
        # Without a time stamp it cannot be placed; from outside it is nobody's attempt here.
        if not event.ended or not event.started or event.flow_class is FlowClass.EXEMPT:
            return
        if _inside(event.destination) or not _inside_or_local(event.source):
            return
        pair = event.ends[0], event.ends[2]
        if event.bytes_received > RESET_BYTES:
            if pair in self._pairs:
                self._pairs.pop(pair)
            return
        attempts = self._attempts(pair)
        attempt = Attempt(
            event.started, event.destination_port, event.source_port, event.bytes_received > 0
        )
        loop = find_loop(attempts) if attempts.failed(attempt) else None
        if loop is not None and loop.starts[-1] - self._told.get(pair, -TOLD_AGAIN_US) >= (
            TOLD_AGAIN_US
        ):
            self._tell(pair, attempts, loop)

    def _attempts(self, pair: Pair) -> Attempts:
        attempts = self._pairs.setdefault(pair, Attempts())
        self._pairs.move_to_end(pair)
        if len(self._pairs) > PAIRS_LIMIT:
            self._pairs.popitem(last=False)
        return attempts

    def _tell(self, pair: Pair, attempts: Attempts, loop: Loop) -> None:
        self._told[pair] = loop.starts[-1]
        self._told.move_to_end(pair)
        if len(self._told) > PAIRS_LIMIT:
            self._told.popitem(last=False)
        device, server = pair
        ports = attempts.ports
        evidence = loop_evidence(loop, ports, self._around(server), self._family_ports())
        self._found(
            Finding(
                rule=loop.rule,
                device=device,
                server=server,
                server_port=attempts.tries[-1].port,
                evidence=tuple(evidence),
                at=loop.starts[-1],
                facts={
                    "beats": list(loop.starts),
                    "period_us": loop.gap,
                    "redrawn": False,
                    "ports": list(ports),
                },
            )
        )


@lru_cache(ADDRESSES_REMEMBERED)
def _inside(address: IPv4Address | IPv6Address) -> bool:
    return any(address.version == net.version and address in net for net in INSIDE)


def _inside_or_local(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address may be a device's: with IPv6 devices have global ones as well."""
    return address.version == 6 or _inside(address)
