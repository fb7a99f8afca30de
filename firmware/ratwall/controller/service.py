"""The controller's heart: joins its parts, and hands each what it must hear.

Single thread, no waiting: sockets call in through the selector, `tick` does what is due by time.
The kernel's sets, the event watch and the clock are handed in. Nothing that arrives here can stop
it: what the kernel or the disk refuses is told in the status and tried again.
"""

import json
import logging
import sys
from collections.abc import Callable, Collection, Set
from dataclasses import asdict, replace
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from ratwall.controller.adoption import Adoption
from ratwall.controller.blocks import Actions, KernelSets
from ratwall.controller.books import Books, open_books
from ratwall.controller.captures import Captures
from ratwall.controller.clock import ClockWatch
from ratwall.controller.complaints import Complaints
from ratwall.controller.contacts import Contacts
from ratwall.controller.counters import Counters
from ratwall.controller.feeds import Feeds
from ratwall.controller.findings import Findings
from ratwall.controller.health import Health
from ratwall.controller.incidents import Incident
from ratwall.controller.intake import Intake
from ratwall.controller.ladder import Ladder
from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.modelling import Models
from ratwall.controller.naming import Naming
from ratwall.controller.neighbours import Neighbours
from ratwall.controller.observation import Observation
from ratwall.controller.packs import Packs
from ratwall.controller.proofs import Connection, EventWatch
from ratwall.controller.recollection import Recollection
from ratwall.controller.reports import memory_messages
from ratwall.controller.responses import Responses
from ratwall.controller.rows import rarity
from ratwall.controller.selftest import is_selftest
from ratwall.controller.storage import Storage, bytes_of
from ratwall.controller.story import Story
from ratwall.controller.testing import Selftests
from ratwall.controller.tracking import Tracking
from ratwall.controller.uninspected import Uninspected
from ratwall.errors import RatwallError
from ratwall.kernel.conntrack import FlowEvent
from ratwall.ledger import models
from ratwall.ledger.clock import move as move_seen
from ratwall.ledger.store import Ledger, LedgerError
from ratwall.ledger.writer import LedgerWriter
from ratwall.reports.allows import allow_messages
from ratwall.settings.schema import Settings
from ratwall.steward.client import Steward
from ratwall.verdict.headline import Outcome

log = logging.getLogger(__name__)

SECOND = 1_000_000  # microseconds
COUNTERS_US = 5_000_000  # asking the kernel costs a process of some 10 ms; the page polls slower
# A clock that is set so soon after the start was wrong until now: the network has told the time.
YOUNG_US = 600_000_000
SELFTEST_NOTE = "selftest"


class Service:
    """Everything the controller knows, and what it does with what it hears."""

    def __init__(
        self,
        settings: Settings,
        *,
        enforce: bool,
        open_ledger: Callable[[], Ledger],
        sets: KernelSets,
        watch: EventWatch,
        never_block: frozenset[str],
        spared: Collection[IPv4Network | IPv6Network] = (),
        neighbour: Callable[[str], str | None],
        clock: Callable[[], int],
        origin: str = "",
        steady: Callable[[], int] | None = None,
        free_bytes: Callable[[], int] = lambda: sys.maxsize,
    ) -> None:
        """`open_ledger` may raise LedgerError; `neighbour` gives the MAC of an address on the LAN;
        `free_bytes` is what the ledger's disk still takes, as far as somebody can tell.

        `never_block` are the box's and its gateways' addresses too, `spared` networks.

        `origin` tells one life of the kernel's table from another, `clock` gives UTC microseconds;
        `steady` microseconds of a clock that nobody sets: without it nobody sees that one was.
        `push` is set by whoever owns the inspectors' socket. Add listeners, then `start`.
        """
        self.settings = settings
        self.enforce = enforce
        self.push: Callable[[dict[str, Any]], None] = lambda message: None
        # Set by whoever holds the kernel's copies; without it nothing is observed.
        self.observation: Observation | None = None
        self.captures: Captures | None = None  # likewise
        self.naming: Naming | None = None  # likewise; without it no server has a name
        self.models: Models | None = None
        self.contacts: Contacts | None = None
        self.feeds: Feeds | None = None  # likewise
        self.packs: Packs | None = None
        self.health: Health | None = None
        self.testing: Selftests | None = None  # likewise; without it only root begins a self-test
        self.export_directory: Path | None = None  # where the exporter writes how it fares
        self.steward = Steward()
        self.listeners: list[Listener] = []
        self._heedful: dict[str, list[Listener]] = {"take_report": [], "take_event": []}
        self.clock = clock
        self.sets = sets
        self.started = clock()
        self.complaints = Complaints()
        self.neighbours = Neighbours(neighbour, self.complaints)
        self.books: Books
        self.selftest: dict[str, Any] | None = None
        # Told of a step of the clock, beside the listeners.
        self.clock_watchers: list[Callable[[int], None]] = []
        self._clock_watch = None if steady is None else ClockWatch(clock, steady)
        self._origin = origin
        self._never_block = never_block
        self._spared = spared
        self._counters_due = 0
        self._counters = Counters(sets, self.complaints)
        self._adoption = Adoption(sets)
        self._storage = Storage(open_ledger, free_bytes, self.started)
        self._intake = Intake(
            self.neighbours,
            self.complaints,
            lambda: self.settings.block.seconds,
            lambda message: self.push(message),
        )
        self._tracking = Tracking(watch, self.complaints, clock, self._hand_on, self._hand_table)
        self.responses = Responses(
            sets,
            lambda address: self.actions.may_block(address),
            lambda address: address in self._never_block,
            self.complaints.tell,
            lambda message: self.push(message),
            self._watch_closely,
            self._read_again_soon,
            clock,
        )
        self.ladder = Ladder(
            self.responses,
            self.neighbours,
            lambda: self.settings,
            lambda connection: self.observation is not None and self.observation.cut(connection),
            self.complaints.tell,
            clock,
            lambda: self.books,
        )
        self.findings = Findings(
            self.neighbours,
            lambda: (self.effective(), self.enforce),
            self._tracking.expect,
            self.ladder.answer,
            self.responses.paused,
            clock,
        )
        for listener in (self.responses, self.findings):
            self.add(listener)

    def add(self, listener: Listener) -> None:
        """Have a listener hear all there is to hear; call before `start`."""
        self.listeners.append(listener)
        for name, heedful in self._heedful.items():
            # With every connection: who does nothing with it is not asked.
            if getattr(type(listener), name) is not getattr(Listener, name):
                heedful.append(listener)

    def start(self) -> None:
        """Open the ledger, else one in memory, and put in force what it says."""
        now = self.clock()
        ledger = self._storage.open(now)
        self.books = open_books(ledger, self.sets, self._never_block, self._origin, now)
        self.actions.spared = self._spared
        self._restore(now)
        notes = self.books.notes
        self.selftest = json.loads(notes[SELFTEST_NOTE]) if SELFTEST_NOTE in notes else None
        self._intake.start(self.books)
        for listener in self.listeners:
            listener.start(self.books)
        self._tracking.start(self.books)

    def reconfigure(
        self, settings: Settings, *, enforce: bool, never_block: frozenset[str]
    ) -> None:
        """Go on by changed settings; blocks in force keep the time they have left."""
        self.settings = settings
        self.enforce = enforce
        self._never_block = self.actions.never_block = never_block
        self._storage.retain_soon()
        if self.packs is not None:
            self.packs.read_again(settings.signatures.trust)
        self.push({"type": "mode", "enforce": enforce})
        self.push(self.rules_message())

    def greeting(self) -> list[dict[str, Any]]:
        """Return what an inspector must know first."""
        return [
            self.rules_message(),
            *self.responses.messages(),
            {"type": "mode", "enforce": self.enforce},
            {"type": "feeds"},
            *allow_messages(self.actions.allowed_certificates()),
            *memory_messages(self.memory.entries()),
        ]

    def effective(self) -> Settings:
        """Return the settings with the modes of rules that a person has set since."""
        rules = self.responses.rules(self.settings.rules)
        # Asked for many times a second; nearly always nobody has set anything.
        same = rules is self.settings.rules
        return self.settings if same else replace(self.settings, rules=rules)

    def rules_message(self) -> dict[str, Any]:
        """Return the modes of rules in the form that inspectors take."""
        return {"type": "rules", **asdict(self.effective().rules)}

    def push_allows(self) -> None:
        """Tell the inspectors the full list of allowed certificates."""
        for message in allow_messages(self.actions.allowed_certificates()):
            self.push(message)

    def take_report(self, report: FlowReport) -> None:
        """Write a judged connection down, and do what follows from it."""
        if is_selftest(report):
            return  # its result comes as a command, and it lets go of its server itself
        now = self.clock()
        written = self._intake.take(report, now)
        self._tracking.take_report(report, written, now)
        for listener in self._heedful["take_report"]:
            listener.take_report(report, written)

    def take_selftest(self, result: dict[str, Any], author: str) -> None:
        """Keep the result of a self-test, and who it came from."""
        now = self.clock()
        if self.testing is not None:
            self.testing.over()
        self.selftest = {**result, "time": now}
        self.writer.note(SELFTEST_NOTE, json.dumps(self.selftest))
        passed = "passed" if result.get("ok") is True else "failed"
        self.writer.audit(now, author, "selftest", passed)

    def take_events(self) -> None:
        """Read conntrack events: proofs of blocks, and ends of connections."""
        self._tracking.take_events()

    def tick(self) -> None:
        """Do what is due by time, all but `flush`; call at least once a second."""
        self.look_at_clock()
        now = self.clock()
        over = self.actions.expire(now)
        if any(action.certificate_sha256 is not None for action in over):
            self.push_allows()
        if self._counters_due <= now:
            self._counters_due = now + COUNTERS_US
            self._look(now)
        if self._storage.came_back(now):
            self._start_anew()  # what is in memory only is given up for it
        self._storage.retain(self.writer, self.settings.ledger, now)
        for listener in self.listeners:
            listener.tick(now)

    def flush(self) -> bool:
        """Write what waits, durably if an incident or an action is among it; False if it failed."""
        if not self.writer.flush(durable=self.books.urgent):
            return False
        self.books.urgent = False
        return True

    def urge(self) -> None:
        """Have the next flush reach the disk before it returns."""
        self.books.urgent = True

    def stop(self) -> None:
        """Write everything down and close the ledger."""
        for listener in self.listeners:
            listener.stop()
        self.story.stop(self.clock())
        self.flush()
        if self.writer.waiting:
            log.warning(
                "%d rows could not be written: %s", self.writer.waiting, self.writer.problem
            )
        self.ledger.close()

    @property
    def ledger(self) -> Ledger:
        """The ledger in use."""
        return self.books.ledger

    @property
    def writer(self) -> LedgerWriter:
        """The one hand that writes it."""
        return self.books.writer

    @property
    def actions(self) -> Actions:
        """Blocks and allows."""
        return self.books.actions

    @property
    def memory(self) -> Recollection:
        """The verdict memory."""
        return self.books.memory

    @property
    def uninspected(self) -> Uninspected:
        """What passed without being looked at."""
        return self.books.uninspected

    @property
    def story(self) -> Story:
        """What happened to the box itself."""
        return self.books.story

    @property
    def kernel_problem(self) -> str | None:
        """What the kernel refuses just now, in words."""
        return self.complaints.problem

    @property
    def kernel_counters(self) -> dict[str, int]:
        """The kernel's counters as of the last look."""
        return self._counters.values

    @property
    def rules_there(self) -> bool:
        """Whether the kernel had our rules at the last look."""
        return self._counters.rules_there

    @property
    def ledger_problem(self) -> str | None:
        """Why there is no ledger on disk, None if there is one."""
        return self._storage.problem

    @property
    def urgent(self) -> bool:
        """Whether what waits should be written at once."""
        return self.books.urgent

    def shortage(self) -> str | None:
        """Say that the ledger's disk is full, or nearly so; None while there is room."""
        return self._storage.shortage()

    def ledger_bytes(self) -> int:
        """Return the size of what the ledger holds, 0 if it cannot be read."""
        return bytes_of(self.ledger)

    def remembers(self, server: str, port: int) -> bool:
        """Say whether the verdict memory holds an endpoint."""
        return self.memory.remembers(server, port, self.clock())

    def knows(self, server: str) -> bool:
        """Say whether any connection with a server was written down; True if nobody can tell."""
        try:
            found = self.ledger.value(
                models.Flow.select(models.Flow.id).where(models.Flow.server == server).limit(1)
            )
        except LedgerError:
            return True
        return found is not None

    def rarity(self, server: str) -> tuple[int, int] | None:
        """Return how many devices had to do with a server, and for how long (microseconds)."""
        return rarity(self.ledger, server, self.clock())

    def set_state(self, incident: Incident, state: Outcome) -> None:
        """Change what became of an incident, with the headline that says so."""
        self.books.cases.set_state(incident, state)

    def find_incident(self, incident_id: int) -> Incident | None:
        """Return an incident, at hand or from the ledger; LedgerError if that cannot be read."""
        return self.books.cases.find(incident_id)

    def look_at_clock(self) -> None:
        """See whether the clock was set, before anything is judged by it."""
        if self._clock_watch is None:
            return
        by, asleep = self._clock_watch.look()
        if by:
            self._clock_set(by)
        elif asleep:
            self._put_in_force_again()

    def _clock_set(self, by: int) -> None:
        """Have whatever waits for its time wait as long as before."""
        log.warning("the clock was set by %+.0f seconds", by / SECOND)
        if self.clock() - by - self.started < YOUNG_US:
            move_seen(self.writer, self.started, by)
        self._counters_due += by
        self._storage.clock_set(by)
        self.writer.clock_set()
        self.actions.clock_set(by, self.started)
        self.responses.begun(by, self.started)
        self.books.cases.clock_set(by, self.started)
        self._tracking.clock_set(by)
        self.push(self.memory.clock_set(by, self.started, self.clock() - by))
        for listener in self.listeners:
            listener.clock_set(by)
        for watcher in self.clock_watchers:
            watcher(by)
        self.started += by
        self._put_in_force_again()

    def _put_in_force_again(self) -> None:
        """Give the kernel, whose clock is another, the time that everything has left."""
        self._restore(self.clock())
        self.responses.restore()
        self._tracking.read_table()

    def _hand_on(self, event: FlowEvent) -> None:
        for listener in self._heedful["take_event"]:
            listener.take_event(event)

    def _hand_table(self, there: Set[Connection]) -> None:
        for listener in self.listeners:
            listener.take_table(there)

    def _look(self, now: int) -> None:
        """Do what is done every few seconds."""
        self.complaints.clear()  # what is still wrong says so again
        self._intake.pay_owed(now)
        for failure in self.actions.retry(now):
            self.complaints.tell(failure)
        self.responses.retry()
        self._tracking.retry()
        if self._counters.look(self.uninspected, now):
            self._restore(now)  # what the sets held went with the old rules
            self.responses.restore()
            for listener in self.listeners:
                listener.rules_again()
        self._adopt(now)
        self.books.cases.at_hand.forget_old(now)
        self._storage.look_at_size(self.ledger)
        self.neighbours.forget()
        if not self.ledger.is_in_place():
            log.warning("%s was taken away; starting a new ledger", self.ledger.path)
            self._start_anew()

    def _adopt(self, now: int) -> None:
        """Account for what the kernel refuses and nobody has reported."""
        if not self.rules_there:
            return
        try:
            if self._adoption.look(self.actions, now):
                self.books.urgent = True
        except RatwallError as error:
            self.complaints.tell(str(error))

    def _restore(self, now: int) -> None:
        """Make the kernel hold the blocks and allows in force."""
        for failure in self.actions.restore(now):
            self.complaints.tell(failure)

    def _watch_closely(self, devices: Collection[str]) -> None:
        if self.observation is not None:
            self.observation.watch(devices)

    def _read_again_soon(self) -> None:
        if self.observation is not None:
            self.observation.read_again_soon()

    def _start_anew(self) -> None:
        """Go on with another ledger."""
        self.ledger.close()
        self.start()
        self.push_allows()
