"""Between what the controller hears and the models: gathers histories, and tells what fires.

It never cuts anything: what a model finds is a finding like a rhythm's, and its rule's mode decides
what is done. Of a device that is watched closely, as after a cut, models ask for half of the proof.

Design note: nearly all connections go to servers that are known, of which no handshake makes a
model fire; they cost a look into a table. The rest is examined between packets, a few a turn.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Mapping, Set
from typing import Any, Final

from ratwall.controller.books import Books
from ratwall.controller.clock import moved
from ratwall.controller.contacts import FAILED_BYTES
from ratwall.controller.histories import Histories, Pair
from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Connection, Reported
from ratwall.controller.rows import detections_since, recent_reports, told_lately
from ratwall.detections.catalog import SIGNIFICANT_ANOMALY, examine
from ratwall.detections.history import DAY, HOUR, SECOND, Beat, History, Rarity
from ratwall.detections.model import Match
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.ledger import contacts, models
from ratwall.ledger.store import LedgerError
from ratwall.verdict.finding import Finding

A_TURN: Final = 20  # pairs examined in one turn: some 10 ms
WAITING_LIMIT: Final = 4096  # pairs that wait to be examined, 1 MB: ten seconds of turns
RARITY_KEPT: Final = 4096  # servers, 1 MB
RARITY_US: Final = 60 * SECOND  # as old may an answer be: a stranger gets known within days
TOLD_AGAIN_US: Final = 6 * HOUR  # what goes on is told again a few times a day
TOLD_KEPT: Final = 4096
DEVICES_KEPT: Final = 4096  # addresses: more than an office has
FACTS_STARTS: Final = 32  # times of connections that the page can draw

RarityOf = Callable[[str], tuple[int, int] | None]


class Models(Listener):
    """Hears reports, ends of connections and findings; tells findings of its own."""

    def __init__(
        self,
        groups: dict[str, str],
        rarity: RarityOf,
        names: Callable[[str], bool],
        watched: Callable[[str], bool],
        usual_hour: Callable[[str, str], int],
        found: Callable[[Finding], Any],
        clock: Callable[[], int],
    ) -> None:
        """`rarity` gives devices and age in microseconds of a server, None if nobody can tell.

        `names` says whether DNS gave a server a name, `watched` whether a device is watched
        closely, `usual_hour` how many TLS connections a device made to others than a server in the
        busiest hour of its week; `found` takes what is worth telling.
        """
        self._groups = groups
        self._rarity_of = rarity
        self._names = names
        self._is_watched = watched
        self._usual_hour = usual_hour
        self._found = found
        self._clock = clock
        self._histories = Histories(groups)
        self._waiting: OrderedDict[Pair, None] = OrderedDict()
        self._rarities: OrderedDict[str, tuple[int, Rarity]] = OrderedDict()
        self._told: OrderedDict[tuple[str, Pair], int] = OrderedDict()
        self._devices: OrderedDict[str, None] = OrderedDict()  # addresses that were clients
        self.since = self._born = clock()  # when this box saw its first device

    @property
    def waiting(self) -> int:
        """How many pairs are still to be examined."""
        return len(self._waiting)

    def start(self, books: Books) -> None:
        """Take over what the ledger holds of the last day."""
        now = self._clock()
        self._histories = Histories(self._groups)
        self._rarities.clear()
        self.since = now
        try:
            first = books.ledger.value(
                models.Device.select(models.Device.first_seen).order_by(models.Device.id).limit(1)
            )
            self.since = now if first is None else first
            for report in recent_reports(books.ledger, now - DAY):
                self._learn(report)
            for past in contacts.recent(books.ledger, now):
                if past.failed:
                    self._histories.take_failure((past.device, past.server), past.port, past.start)
            for _, pair, at, facts in detections_since(books.ledger, "rhythm.", now - DAY):
                self._histories.take_beat(pair, _beat(facts), at)
            for rule, pair, at in told_lately(books.ledger, "model.", now - TOLD_AGAIN_US):
                self._told[rule, pair] = at
        except LedgerError:
            return  # the writer says what is wrong with the ledger

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Take in a judged connection."""
        if report.flow_class == "exempt" or report.proxied:
            return  # allowed by a person; or the address is not the server's
        self._await(self._learn(report))

    def take_event(self, event: FlowEvent) -> None:
        """Take in that a connection ended, maybe without anything having been said."""
        if not event.ended:
            return
        if event.flow_class is not FlowClass.NONE:
            self._histories.take_end(event.ends)
            self._histories.take_end(event.back)  # picked up, the server spoke first
            return
        if event.bytes_sent + event.bytes_received > FAILED_BYTES:
            return
        device, _, server, _ = event.ends
        # Of IPv6 the office has public addresses too: those that were seen are known.
        if not (_is_local(device) or device in self._devices):
            return
        if _is_local(server) or server in self._devices:
            return
        self._histories.take_failure(
            (device, server), event.destination_port, event.started or self._clock()
        )
        # Anybody can send first packets in any number, and push nobody out who was answered.
        if len(self._waiting) < WAITING_LIMIT:
            self._await((device, server))

    def take_table(self, there: Set[Connection]) -> None:
        """Let go of what has ended unheard."""
        self._histories.take_table(there)

    def take_finding(self, finding: Finding) -> None:
        """Take in a rhythm that was found."""
        if not finding.rule.startswith("rhythm."):
            return
        pair = finding.device, finding.server
        self._histories.take_beat(pair, _beat(finding.facts), finding.at)
        self._await(pair)

    def move(self, before: str, after: str) -> None:
        """Go on with a device that has another address now."""
        self._histories.move(before, after)
        for rule, pair in [key for key in self._told if key[1][0] == before]:
            self._told[rule, (after, pair[1])] = self._told.pop((rule, pair))

    def clock_set(self, by: int) -> None:
        """Keep the gaps between all that was seen, and its age."""
        self._histories.clock_set(by)
        moved(self._told, by)
        self._rarities.clear()
        if self.since >= self._born:
            self.since += by
        self._born += by

    def tick(self, now: int) -> None:
        """Examine what has news, a few a turn."""
        for _ in range(min(A_TURN, len(self._waiting))):
            pair, _nothing = self._waiting.popitem(last=False)
            self._examine(pair, now)
        self._histories.forget_old(now)

    def _await(self, pair: Pair) -> None:
        self._waiting[pair] = None
        if len(self._waiting) > WAITING_LIMIT:
            self._waiting.popitem(last=False)

    def _learn(self, report: FlowReport) -> Pair:
        self._devices[report.client] = None
        if len(self._devices) > DEVICES_KEPT:
            self._devices.popitem(last=False)
        return self._histories.take_report(report)

    def _examine(self, pair: Pair, now: int) -> None:
        rarity = self._rarity(pair[1], now)
        if not rarity.rare and not self._histories.may_matter(pair):
            return
        seen = self._histories.view(
            pair,
            rarity,
            site_age=now - self.since,
            named=self._names(pair[1]),
            watched=self._is_watched(pair[0]),
            usual_hour=self._usual_hour(*pair),
            now=now,
        )
        if seen is None:
            return
        for match in examine(seen):
            if self._is_news(match, pair, now):
                self._found(_finding(match, seen, self._histories.running(pair)))

    def _is_news(self, match: Match, pair: Pair, now: int) -> bool:
        key = (match.model.id, pair)
        told = self._told.get(key)
        if told is not None and now - told < TOLD_AGAIN_US:
            return False
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > TOLD_KEPT:
            self._told.popitem(last=False)
        return True

    def _rarity(self, server: str, now: int) -> Rarity:
        known = self._rarities.get(server)
        if known is not None and now - known[0] < RARITY_US:
            return known[1]
        answer = self._rarity_of(server)
        # Of whom nobody can tell, nothing may be said.
        rarity = Rarity(2**31, 0) if answer is None else Rarity(max(1, answer[0]), answer[1])
        self._rarities[server] = (now, rarity)
        self._rarities.move_to_end(server)
        if len(self._rarities) > RARITY_KEPT:
            self._rarities.popitem(last=False)
        return rarity


def _beat(facts: Mapping[str, Any]) -> Beat:
    return Beat(
        len(facts.get("beats", ())),
        int(facts.get("period_us", 0)),
        bool(facts.get("shape", False)),
    )


def _finding(match: Match, seen: History, running: tuple[Connection, ...]) -> Finding:
    ports = seen.ports or seen.failed_ports
    return Finding(
        rule=match.model.id,
        device=seen.device,
        server=seen.server,
        server_port=ports[-1] if ports else 0,
        evidence=match.reasons,
        at=seen.at,
        connections=running if match.model is SIGNIFICANT_ANOMALY else (),
        facts={
            "model": match.model.name,
            "severity": match.model.severity.value,
            "techniques": list(match.model.techniques),
            "ports": sorted({*seen.ports, *seen.failed_ports}),
            "starts": list(seen.starts[-FACTS_STARTS:]),
            "handshakes": seen.handshakes,
            "failures": seen.failures,
            "devices": seen.rarity.devices,
            "age_us": seen.rarity.age,
        },
    )


_LOCAL: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
        "ff00::/8",
        "224.0.0.0/4",
    )
)


def _is_local(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in _LOCAL)
