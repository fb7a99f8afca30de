"""Watches connections that fail, and says when a device tries in a loop.

Fed with the ends of connections that conntrack tells of, with the kernel's own time stamps and
counts; one that was never answered, or by a reset alone, has failed. It delays and cuts nothing.
What failed during the last day, and what was told of it, is read from the ledger at the start: a
loop goes on while the box restarts.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_network

from ratwall.controller.books import Books
from ratwall.controller.clock import moved
from ratwall.controller.listener import Listener
from ratwall.controller.ranked import Ranked
from ratwall.controller.rows import told_lately
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import contacts
from ratwall.ledger.store import LedgerError
from ratwall.loops.attempts import (
    ENOUGH,
    Attempt,
    Attempts,
    Loop,
    Surroundings,
    find_loop,
    loop_evidence,
)
from ratwall.verdict.finding import Finding

PAIRS_LIMIT = 4096  # devices and servers with failures at one time, some 2 MB
# What is no loop any more leaves first: two attempts of one are half a minute apart at most, and
# told two minutes late.
OVER_US = 600_000_000
TOLD_AGAIN_US = 3_600_000_000  # an hour: what goes on all night is told again, not every 5 s
RESET_BYTES = 60  # of an answer that is a reset and nothing else: IPv6 and TCP headers
# Where servers of the internet are not: what fails inside the office is not ours to tell.
INSIDE = tuple(
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
                 "127.0.0.0/8", "224.0.0.0/4", "fc00::/7", "fe80::/10", "ff00::/8", "::1/128")
)  # fmt: skip

ADDRESSES_REMEMBERED = 4096  # 1 MB: what an office talks to within minutes

SERVERS_KEPT = 8  # addresses of a name: two are enough to look at them together

Pair = tuple[str, str]  # device, server


@dataclass(slots=True)
class _Named:
    """What failed towards one name, whichever of its addresses was tried."""

    attempts: Attempts = field(default_factory=Attempts)
    servers: "OrderedDict[str, None]" = field(default_factory=OrderedDict)


def _tries(attempts: Attempts) -> int:
    """Return how near attempts are to a loop."""
    return min(len(attempts.tries), ENOUGH)


class Loops(Listener):
    """One entry a device and server; who failed only once or twice leaves first."""

    def __init__(
        self,
        around: Callable[[str], Surroundings],
        family_ports: Callable[[], frozenset[int]],
        found: Callable[[Finding], object],
        clock: Callable[[], int],
        names: Callable[[str], tuple[str, ...]] = lambda server: (),
    ) -> None:
        """`around` says what else is known of a server, `found` takes what is worth telling.

        `names` gives what a server was looked up by: who is called by a name may have many
        addresses, and each of them is tried once only.
        """
        self._around = around
        self._family_ports = family_ports
        self._found = found
        self._clock = clock
        self._pairs: Ranked[Pair, Attempts] = Ranked(PAIRS_LIMIT, _tries, OVER_US)
        self._names = names
        # By device and name.
        self._named: Ranked[Pair, _Named] = Ranked(
            PAIRS_LIMIT, lambda named: _tries(named.attempts), OVER_US
        )
        self._told: OrderedDict[Pair, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pairs)

    def start(self, books: Books) -> None:
        """Take over what failed lately; with another ledger it goes on as it was."""
        if len(self._pairs):
            return
        now = self._clock()
        try:
            for past in contacts.recent(books.ledger, now):
                pair = past.device, past.server
                named = None if past.name is None else (past.device, past.name)
                if past.received > RESET_BYTES:
                    self._pairs.pop(pair)
                    self._named.pop(named or pair)
                elif past.failed:
                    attempt = Attempt(past.start, past.port, past.client_port, past.received > 0)
                    self._failed(pair, attempt)
                    if named is not None:
                        self._failed_by_name(named, past.server, attempt)
            for _, pair, at in told_lately(books.ledger, "loop.", now - TOLD_AGAIN_US):
                self._told[pair] = at
        except LedgerError:
            return  # the writer says what is wrong with the ledger

    def move(self, before: str, after: str) -> None:
        """Go on with a device that has another address now."""
        for pair in [one for one in self._pairs if one[0] == before]:
            gone = self._pairs.pop(pair)
            for attempt in () if gone is None else gone.tries:
                self._failed((after, pair[1]), attempt)
        for key in [one for one in self._named if one[0] == before]:
            named = self._named.pop(key)
            if named is not None and named.attempts.tries:
                self._named.put((after, key[1]), named, named.attempts.tries[-1].start)
        for pair in [one for one in self._told if one[0] == before]:
            self._told[after, pair[1]] = self._told.pop(pair)

    def clock_set(self, by: int) -> None:
        """Keep the gaps: the kernel's time stamps moved with the clock."""
        named = [one.attempts for one in self._named.values()]
        for attempts in (*self._pairs.values(), *named):
            attempts.tries = deque(
                (one._replace(start=one.start + by) for one in attempts.tries),
                attempts.tries.maxlen,
            )
        self._pairs.clock_set(by)
        self._named.clock_set(by)
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
            self._pairs.pop(pair)
            if len(self._named):
                for name in self._names(pair[1]):
                    self._named.pop((pair[0], name))
            return
        attempt = Attempt(
            event.started, event.destination_port, event.source_port, event.bytes_received > 0
        )
        attempts = self._failed(pair, attempt)
        if attempts is None:
            return
        names = self._names(pair[1])
        named = None
        if names:
            named = self._failed_by_name((pair[0], names[0]), pair[1], attempt)
        loop = find_loop(attempts)
        if loop is not None:
            if self._is_news(pair, loop):
                self._tell(pair, attempts, loop)
        elif named is not None and len(named.servers) > 1:
            loop = find_loop(named.attempts)
            if loop is not None and self._is_news((pair[0], names[0]), loop):
                self._tell(pair, named.attempts, loop, names[0])

    def _failed(self, pair: Pair, attempt: Attempt) -> Attempts | None:
        """Take in an attempt; all of that pair, None if it is one of the same."""
        attempts = self._pairs.get(pair) or Attempts()
        if not attempts.failed(attempt):
            return None
        self._pairs.put(pair, attempts, attempt.start)
        return attempts

    def _failed_by_name(self, key: Pair, server: str, attempt: Attempt) -> "_Named":
        named = self._named.get(key) or _Named()
        named.attempts.failed(attempt)
        named.servers[server] = None
        named.servers.move_to_end(server)
        if len(named.servers) > SERVERS_KEPT:
            named.servers.popitem(last=False)
        self._named.put(key, named, attempt.start)
        return named

    def _is_news(self, key: Pair, loop: Loop) -> bool:
        """Say whether a loop was not told of lately, and take note that it is now."""
        at = loop.starts[-1]
        if at - self._told.get(key, -TOLD_AGAIN_US) < TOLD_AGAIN_US:
            return False
        self._told[key] = at
        self._told.move_to_end(key)
        if len(self._told) > PAIRS_LIMIT:
            self._told.popitem(last=False)
        return True

    def _tell(self, pair: Pair, attempts: Attempts, loop: Loop, name: str | None = None) -> None:
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
                    **({} if name is None else {"name": name}),
                },
            )
        )


@lru_cache(ADDRESSES_REMEMBERED)
def _inside(address: IPv4Address | IPv6Address) -> bool:
    return any(address.version == net.version and address in net for net in INSIDE)


def _inside_or_local(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address may be a device's: with IPv6 devices have global ones as well."""
    return address.version == 6 or _inside(address)
