"""Feeds in the controller: has lists looked at, lays what they list, tells who met it.

The looking is a process without rights (`ratwall.feeds`), the laying one that may change rules and
reads no list (`ratwall.feeds.lay`); neither is waited for. Here the index is only looked things up
in: for the kernel's copies of what it refused, for connections with servers that are listed but too
old to be refused, and for connections that were alive when their server was listed.
"""

import json
import logging
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ratwall.controller.books import Books
from ratwall.controller.clock import moved
from ratwall.controller.listener import Listener
from ratwall.controller.lookups import Child
from ratwall.controller.naming import Copies
from ratwall.controller.proofs import Connection
from ratwall.errors import RatwallError
from ratwall.feeds.directory import FeedDirectory, sources_of, wants_run
from ratwall.feeds.errors import FeedError
from ratwall.feeds.index import Hit, open_index
from ratwall.feeds.match import ADDRESS, TOLD_POINTS, Indicators
from ratwall.kernel import listed
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.settings.schema import Settings
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.finding import Finding
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import find_transport

log = logging.getLogger(__name__)

AUTHOR = "rule"
SECOND = 1_000_000
LOOK_US = 60 * SECOND  # how often it is asked whether a list is due; each has its own hours
KILL_US = 660 * SECOND  # the process ends itself after ten minutes; this is for one that cannot
TOLD_US = 600 * SECOND  # once in ten minutes, device and server
TOLD_LIMIT = 4096


def start_child(module: str, arguments: list[str]) -> Child:
    """Start a process of ours."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


class Feeds(Listener):
    """Hears of connections and of the time, and has the lists looked at; it numbers these looks."""

    def __init__(
        self,
        copies: Copies,
        directory: FeedDirectory,
        state_dir: Path,
        config: Path | None,
        nft: Callable[[str], None],
        settings: Callable[[], tuple[Settings, bool]],
        own: Callable[[], Mapping[str, str]],
        dump: Callable[[], list[FlowEvent]],
        name_of: Callable[[str, str], str | None],
        looked_up: Callable[[str, str], str | None],
        found: Callable[[Finding], Any],
        push: Callable[[dict[str, Any]], None],
        clock: Callable[[], int],
        start_child: Callable[[str, list[str]], Child] = start_child,
    ) -> None:
        """`settings` gives those in force and whether anything is cut; `own` the site's addresses
        and what they are; `dump` what conntrack holds; `name_of` by which name a device means a
        server, `looked_up` which it asked for itself; `push` tells the inspectors."""
        self._copies = copies
        self._directory = directory
        self._state_dir = state_dir
        self._config = config
        self._nft = nft
        self._settings = settings
        self._own = own
        self._dump = dump
        self._name_of = name_of
        self._looked_up = looked_up
        self._found = found
        self._push = push
        self._clock = clock
        self._start_child = start_child
        self.indicators = Indicators()
        self._books: Books
        self._mode: str | None = None
        self._running: tuple[str, Child, int] | None = None
        self._look_at = 0
        self._forced = False
        self._lay = False
        self._lay_again = 0  # when, after a failure; 0: it did not fail
        self._told: OrderedDict[tuple[str, str, int], int] = OrderedDict()
        self._begun = 0  # the number of the look begun last
        self._looked = 0  # of the last one that ended well
        self.problem: str | None = None  # why lists are not looked at, or not laid

    def start(self, books: Books) -> None:
        """Write into these books from now on; take the index that is there."""
        first = not hasattr(self, "_books")
        self._books = books
        if first:
            self._open()
            self._lay = True

    def fileno(self) -> int:
        """Return the descriptor to poll for `take_copies`."""
        return self._copies.fileno()

    def facts(self) -> dict[str, Any]:
        """Return what the status says of feeds."""
        states = self._directory.states()
        return {
            "indicators": len(self.indicators.index),
            "made": self.indicators.index.made or None,
            "mode": self._mode,
            "settled": self._running is None and not self._lay and not self._forced,
            "looked": self._looked,
            "failed": [state.name for state in states if state.error is not None],
            "problem": self.problem,
            "lists": [
                {
                    "name": state.name,
                    "kind": state.kind,
                    "indicators": sum(state.indicators.values()),
                    "checked": state.checked,
                    "taken": state.taken,
                    "error": state.error,
                }
                for state in states
            ],
        }

    def update(self) -> int:
        """Have all lists looked at now; return the number of the look that will have done so.

        That is one which has not begun: one that runs may have passed what was changed.
        """
        self._forced = True
        return self._begun + 1

    def rules_again(self) -> None:
        """Fill the sets: the rules were put in anew."""
        self._mode = None
        self._lay = True

    def take_copies(self) -> None:
        """Tell of what began towards a listed server, and was refused where the rule may cut."""
        for copy in self._copies.read():
            try:
                transport = find_transport(copy.datagram)
            except ParseError:
                continue
            if transport is None:
                continue
            ports = copy.datagram[transport.header_length : transport.header_length + 4]
            port = int.from_bytes(ports[2:], "big")
            self._meet(
                str(ip_address(transport.source)),
                transport.destination,
                port,
                copy.at or self._clock(),
                (),
                copy.mac,
            )

    def take_event(self, event: FlowEvent) -> None:
        """Tell of a connection with a server that is listed but not refused any more, or that its
        device looked up by a listed name."""
        if event.ended or event.flow_class is not FlowClass.WATCH or not len(self.indicators.index):
            return
        self._meet_flow(event)
        self._meet_name(event)

    def clock_set(self, by: int) -> None:
        """Look at the lists again at once, by the clock as it is now; what runs runs on."""
        self._look_at = 0
        if self._running is not None:
            what, child, started = self._running
            self._running = what, child, started + by
        moved(self._told, by)

    def tick(self, now: int) -> None:
        """Take in what a process has done; start the next; keep the rules in the mode asked for."""
        self._keep_mode()
        if self._running is not None:
            what, child, started = self._running
            if child.poll() is None:
                if now - started > KILL_US:
                    child.kill()
                return
            self._running = None
            self._take_result(what, *child.communicate(), child.poll(), now)
        if self._lay or 0 < self._lay_again <= now:
            self._lay, self._lay_again = False, 0
            self._run("lay", "ratwall.feeds.lay", [], now)
        elif self._is_time(now):
            arguments = ["--own", json.dumps(dict(self._own()))]
            if self._config is not None:
                arguments += ["--config", str(self._config)]
            if self._forced:
                arguments.append("--forced")
            self._forced = False
            self._begun += 1
            self._run("look", "ratwall.feeds", arguments, now)

    def stop(self) -> None:
        """End the process that runs; what the kernel refuses it goes on to refuse."""
        if self._running is not None:
            self._running[1].kill()
            self._running[1].communicate()

    def _is_time(self, now: int) -> bool:
        """Say whether a list is due, or somebody asks; the disk is looked at once a minute."""
        if self._forced:
            return True
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_US
        states = self._directory.states()
        sources = sources_of(self._settings()[0].feeds)
        return wants_run(sources, states, self.indicators.index.made, now)

    def _run(self, what: str, module: str, arguments: list[str], now: int) -> None:
        try:
            child = self._start_child(module, ["--state-dir", str(self._state_dir), *arguments])
        except OSError as error:
            self.problem = f"feeds: no process can be started: {error}"
            self._failed(what, now)
            return
        self._running = what, child, now

    def _take_result(
        self, what: str, output: bytes, complaint: bytes, code: int | None, now: int
    ) -> None:
        try:
            changed = bool(json.loads(output)["changed"])
        except (ValueError, KeyError, TypeError):
            words = " ".join(complaint.decode(errors="replace").split())[:200]
            self.problem = f"feeds: {words or f'ended with {code}'}"
            log.warning("%s", self.problem)
            self._failed(what, now)
            return
        self.problem = None
        if what == "lay":
            self._meet_running()
            return
        self._looked = self._begun
        if changed:
            self._open()
            self._lay = True

    def _failed(self, what: str, now: int) -> None:
        """Have the sets filled later if that failed; lists are looked at again by themselves."""
        if what == "lay":
            self._lay_again = now + LOOK_US

    def _open(self) -> None:
        """Take the index that is on the disk, and have the inspectors take it."""
        try:
            self.indicators.index = open_index(self._directory.index)
        except FeedError as error:
            self.problem = f"feeds: {error}"
            log.warning("%s", self.problem)
            return
        self._push({"type": "feeds"})

    def _keep_mode(self) -> None:
        settings, enforce = self._settings()
        mode = settings.rules.mode_of(ADDRESS)
        if mode == "enforce" and not enforce:
            mode = "monitor"
        if mode == self._mode:
            return
        try:
            self._nft(listed.mode_text(mode))
        except RatwallError as error:
            self.problem = f"feeds: {error}"
            return
        self._mode = mode

    def _meet_running(self) -> None:
        """Cut what was alive when its server was listed."""
        try:
            flows = self._dump()
        except OSError as error:
            log.warning("conntrack: %s", error)
            return
        for flow in flows:
            if flow.flow_class is not FlowClass.EXEMPT:
                self._meet_flow(flow)

    def _meet_flow(self, flow: FlowEvent) -> None:
        connection, server = flow.ends, flow.destination.packed
        self._meet(connection[0], server, flow.destination_port, self._clock(), (connection,))

    def _meet(
        self,
        device: str,
        server: bytes,
        port: int,
        now: int,
        connections: tuple[Connection, ...],
        mac: str | None = None,
    ) -> None:
        said = self.indicators.server(server, port, now)
        if said is None:
            return
        evidence, hit = said
        address = str(ip_address(server))
        if self._may_tell((device, address, port), now):
            self._tell(device, address, port, (evidence,), hit, now, connections, mac)

    def _meet_name(self, flow: FlowEvent) -> None:
        """Tell of a name that a name server was asked for; such an answer cuts nobody off: it can
        be made to say anything."""
        device, _, server, port = flow.ends
        own = self._looked_up(device, server)
        name = own or self._name_of(device, server)
        if name is None:
            return
        now = self._clock()
        said = self.indicators.name(name, now)
        if said is None or not self._may_tell((device, name, port), now):
            return
        evidence, hit = said
        told = Evidence(
            evidence.id,
            TOLD_POINTS,
            # Anybody in the office can tie a name to any server: it is said whose word it is.
            f"{'The device' if own else 'Another device'} looked up {name}. {evidence.text}",
            None,
            family=evidence.family,
        )
        self._tell(device, server, port, (told,), hit, now, (flow.ends,))

    def _tell(
        self,
        device: str,
        server: str,
        port: int,
        evidence: tuple[Evidence, ...],
        hit: Hit,
        now: int,
        connections: tuple[Connection, ...],
        mac: str | None = None,
    ) -> None:
        facts = {"feed": hit.feed, "seen": hit.seen or None, "acts_until": hit.acts_until}
        self._found(
            Finding(evidence[0].id, device, server, port, evidence, now, connections, facts, mac)
        )

    def _may_tell(self, what: tuple[str, str, int], now: int) -> bool:
        if now - self._told.get(what, -TOLD_US) < TOLD_US:
            return False
        self._told[what] = now
        self._told.move_to_end(what)
        if len(self._told) > TOLD_LIMIT:
            self._told.popitem(last=False)
        return True
