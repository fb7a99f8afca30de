"""What each device had to do with each server during the last day, gathered for the models.

Pure and bounded; decides nothing. Counts are kept by the hour, times of the newest connections as
they are. What is not here any more has not been used for a day, or made room for others.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from typing import Final, TypeVar

from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Connection
from ratwall.controller.ranked import Ranked
from ratwall.detections.history import DAY, HOUR, HOURS, Beat, History, Rarity

PAIRS_LIMIT: Final = 8192  # device and server, 12 MB: forty devices with two hundred servers each
STARTS_KEPT: Final = 64  # of the newest connections: five minutes of the five-second loop
FAILED_KEPT: Final = 256  # of the last hour, of which a model wants ten
GENERAL: Final = "general."  # rules about TLS at large: old appliances say hello like that too
SPECIAL_RANK: Final = 8  # above that of the most connections: 64 are a power of seven
PORTS_KEPT: Final = 16  # of one server, and connections that run: more is a scan, not a list

Key = TypeVar("Key")
Pair = tuple[str, str]  # device, server


@dataclass(slots=True)
class _Contact:
    """One device and one server."""

    named: bool = False
    self_signed: bool = False
    odd_certificate: str | None = None
    odd_fingerprint: str | None = None
    ports: "OrderedDict[int, None]" = field(default_factory=OrderedDict)
    failed_ports: "OrderedDict[int, None]" = field(default_factory=OrderedDict)
    hours: dict[int, int] = field(default_factory=dict)  # hour → TLS connections
    starts: "deque[int]" = field(default_factory=lambda: deque(maxlen=STARTS_KEPT))
    attempts: "deque[int]" = field(default_factory=lambda: deque(maxlen=FAILED_KEPT))
    failures: "deque[int]" = field(default_factory=lambda: deque(maxlen=FAILED_KEPT))
    # Connections that run, by client's and server's port.
    running: "OrderedDict[tuple[int, int], None]" = field(default_factory=OrderedDict)
    beat: Beat | None = None
    beat_at: int = 0

    def take_over(self, old: "_Contact") -> None:
        """Add what was known under an earlier address."""
        self.named |= old.named
        self.self_signed |= old.self_signed
        self.odd_certificate = self.odd_certificate or old.odd_certificate
        self.odd_fingerprint = self.odd_fingerprint or old.odd_fingerprint
        for port in (*old.ports, *self.ports):  # the newest last
            _note(self.ports, port)
        for port in (*old.failed_ports, *self.failed_ports):
            _note(self.failed_ports, port)
        for hour, count in old.hours.items():
            self.hours[hour] = self.hours.get(hour, 0) + count
        for mine, theirs in (
            (self.starts, old.starts),
            (self.attempts, old.attempts),
            (self.failures, old.failures),
        ):
            both = sorted((*theirs, *mine))
            mine.clear()
            mine.extend(both)
        if self.beat is None:
            self.beat, self.beat_at = old.beat, old.beat_at


class Histories:
    """Feed it with reports, failures and beats; ask it for a view."""

    def __init__(self, groups: dict[str, str]) -> None:
        """`groups` tells of each rule of the signature packs what it is about."""
        self._groups = groups
        self._contacts: Ranked[Pair, _Contact] = Ranked(PAIRS_LIMIT, _telling, DAY)

    def __len__(self) -> int:
        return len(self._contacts)

    def take_report(self, report: FlowReport) -> Pair:
        """Take in a judged TLS connection; its pair."""
        pair = report.client, report.server
        contact = self._contacts.get(pair) or _Contact()
        hour = report.start // HOUR
        contact.hours[hour] = contact.hours.get(hour, 0) + 1
        if len(contact.hours) > HOURS:
            del contact.hours[min(contact.hours)]
        contact.starts.append(report.start)
        contact.attempts.append(report.start)
        _note(contact.ports, report.server_port)
        if report.flow_class != "block":
            _note(contact.running, (report.client_port, report.server_port))
        contact.named |= report.sni is not None
        if report.certificate is not None:
            contact.self_signed = bool(report.certificate["self_issued"])
        for fact in report.evidence:
            group = self._groups.get(fact["id"])
            if group in ("certificate", "name"):
                contact.odd_certificate = str(fact["text"])
            elif group == "hello" and not fact["id"].startswith(GENERAL):
                contact.odd_fingerprint = str(fact["text"])
        self._contacts.put(pair, contact, report.start)
        return pair

    def take_failure(self, pair: Pair, port: int, at: int) -> None:
        """Take in a connection that was refused or never answered."""
        contact = self._contacts.get(pair) or _Contact()
        contact.starts.append(at)
        contact.attempts.append(at)
        contact.failures.append(at)
        _note(contact.failed_ports, port)
        self._contacts.put(pair, contact, at)

    def take_beat(self, pair: Pair, beat: Beat, at: int) -> None:
        """Take in a rhythm that was heard inside a connection."""
        contact = self._contacts.get(pair) or _Contact()
        contact.beat, contact.beat_at = beat, at
        self._contacts.put(pair, contact, at)

    def take_end(self, connection: Connection) -> None:
        """Take in that a connection has ended."""
        client, client_port, server, server_port = connection
        contact = self._contacts.get((client, server))
        if contact is not None:
            contact.running.pop((client_port, server_port), None)

    def take_table(self, there: Set[Connection]) -> None:
        """Take in which connections there are: the others have ended."""
        for (client, server), contact in self._contacts.items():
            for client_port, server_port in list(contact.running):
                if (client, client_port, server, server_port) not in there:
                    del contact.running[client_port, server_port]

    def running(self, pair: Pair) -> tuple[Connection, ...]:
        """Return the connections that run, as far as they are known."""
        contact = self._contacts.get(pair)
        if contact is None:
            return ()
        return tuple((pair[0], one, pair[1], other) for one, other in contact.running)

    def may_matter(self, pair: Pair) -> bool:
        """Say whether a model may fire even though the server is well known."""
        contact = self._contacts.get(pair)
        return contact is not None and (contact.beat is not None or bool(contact.failures))

    def view(
        self,
        pair: Pair,
        rarity: Rarity,
        *,
        site_age: int,
        named: bool,
        watched: bool,
        now: int,
        usual_hour: int = 0,
    ) -> History | None:
        """Return what a model may look at, None if nothing is known of the pair.

        `usual_hour` is what is known from before this day.
        """
        contact = self._contacts.get(pair)
        if contact is None:
            return None
        this_hour = now // HOUR
        hours = tuple(
            contact.hours.get(hour, 0) for hour in range(this_hour - HOURS + 1, this_hour + 1)
        )
        beat = contact.beat if now - contact.beat_at < DAY else None
        return History(
            device=pair[0],
            server=pair[1],
            at=now,
            rarity=rarity,
            site_age=site_age,
            named=contact.named or named,
            ports=tuple(contact.ports),
            handshakes=sum(hours),
            hours=hours,
            usual_hour=max(usual_hour, self._busiest_elsewhere(pair, this_hour)),
            self_signed=contact.self_signed,
            odd_certificate=contact.odd_certificate,
            odd_fingerprint=contact.odd_fingerprint,
            starts=tuple(sorted(at for at in contact.starts if now - at < DAY)),
            failures=_since(contact.failures, now - HOUR),
            attempts=_since(contact.attempts, now - HOUR),
            failed_ports=tuple(contact.failed_ports),
            beat=beat,
            watched=watched,
        )

    def move(self, before: str, after: str) -> None:
        """Give what is known of a device to its new address; what runs is not carried along.

        What the new address has shown already goes before it.
        """
        for pair in [one for one in self._contacts if one[0] == before]:
            old = self._contacts.pop(pair)
            if old is None:
                continue
            old.running.clear()
            moved = after, pair[1]
            new = self._contacts.get(moved) or _Contact()
            new.take_over(old)
            self._contacts.put(moved, new, max((*new.starts, new.beat_at)))

    def clock_set(self, by: int) -> None:
        """Move all times: the clock was set."""
        hours = round(by / HOUR)
        for contact in self._contacts.values():
            contact.beat_at += by
            contact.hours = {hour + hours: count for hour, count in contact.hours.items()}
            for times in (contact.starts, contact.attempts, contact.failures):
                for number, at in enumerate(times):
                    times[number] = at + by
        self._contacts.clock_set(by)

    def forget_old(self, now: int) -> None:
        """Let go of what has not been used for a day."""
        self._contacts.forget_stale(now)

    def _busiest_elsewhere(self, pair: Pair, this_hour: int) -> int:
        """Return the most TLS connections that the device made to another server in an hour."""
        return max(
            (
                count
                for other in self._others(pair)
                for hour, count in other.hours.items()
                if hour > this_hour - HOURS
            ),
            default=0,
        )

    def _others(self, pair: Pair) -> Iterator[_Contact]:
        for key, contact in self._contacts.items():
            if key[0] == pair[0] and key[1] != pair[1]:
                yield contact


def _telling(contact: _Contact) -> int:
    """Return how much a contact may tell: a beat or an oddity before connections, by their power of
    two; what was tried once has the least."""
    special = contact.beat or contact.odd_certificate or contact.odd_fingerprint
    return len(contact.starts).bit_length() + (SPECIAL_RANK if special else 0)


def _note(kept: "OrderedDict[Key, None]", key: Key) -> None:
    kept[key] = None
    kept.move_to_end(key)
    if len(kept) > PORTS_KEPT:
        kept.popitem(last=False)


def _since(times: "deque[int]", since: int) -> int:
    return sum(at > since for at in times)
