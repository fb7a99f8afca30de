"""The controller process: opens sockets, ledger and kernel, turns the selector, leaves in order.

SIGTERM and SIGINT write everything down and end it; the rules and blocks in the kernel stay: they
are not its own. SIGHUP makes it read its settings again.
"""

import argparse
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ratwall.controller.capacity import Capacity
from ratwall.controller.commands import Commands
from ratwall.controller.control import ControlServer
from ratwall.controller.protection import Protection
from ratwall.controller.reports import ReportServer
from ratwall.controller.service import Service
from ratwall.controller.settings_commands import SettingsCommands
from ratwall.controller.sockets import Doors
from ratwall.controller.status import is_alive, status
from ratwall.controller.story import WHOLE

TURN_SECONDS = 0.5  # how late a look at the conntrack table may be when nothing comes in
# A connection is a report and four events of conntrack: taken one by one, waking up for them costs
# five times as much as they do. What comes after a pause is taken at once.
GATHER_SECONDS = 0.1
FLUSH_SECONDS = 0.5  # flows are written in batches: one commit a flow would wear a card out
GONE_FOR_A_MOMENT = (
    "an inspector ended and was back at once; its share passed uninspected meanwhile"
)
RETRY_SECONDS = 5.0  # after a failed flush; a locked ledger holds the loop up while it is tried


class Process:
    """The sockets around a service, and the loop that serves them."""

    def __init__(
        self,
        service: Service,
        watch_fileno: int | None,
        doors: Doors,
        options: argparse.Namespace,
        read_again: Callable[[], None],
        capacity: Capacity | None = None,
    ) -> None:
        """`options` as parsed by `ratwall.controller.__main__`; `read_again` answers SIGHUP.

        Without `capacity` nobody watches the conntrack table.
        """
        self._capacity = capacity
        self._service = service
        self._options = options
        self._read_again = read_again
        self._reread = False
        self._protection = Protection(service.clock(), service.settings.kernel.workers)
        self._lost = 0  # inspectors that were lost, as of the last look
        self._selector = selectors.DefaultSelector()
        # What does not wait for the next turn: commands, and being woken.
        self._prompt = selectors.DefaultSelector()
        self._selector.register(
            self._prompt, selectors.EVENT_READ, lambda _: self._serve_promptly(0)
        )
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._stopping = False
        self._prompt.register(self._wake_reader, selectors.EVENT_READ, self._woken)
        if watch_fileno is not None:
            self._selector.register(
                watch_fileno, selectors.EVENT_READ, lambda _: service.take_events()
            )
        for listener in service.listeners:
            fileno = listener.fileno()
            if fileno is not None:
                self._selector.register(
                    fileno, selectors.EVENT_READ, lambda _, read=listener.take_copies: read()
                )
        self._reports = ReportServer(
            doors.reports,
            options.inspector_group,
            self._selector,
            service.take_report,
            service.greeting,
            service.clock,
        )
        service.push = self._reports.send
        service.clock_watchers += [self._protection.clock_set, self._reports.clock_set]
        if capacity is not None:
            service.clock_watchers.append(capacity.clock_set)
        commands = Commands(
            service, self._status, SettingsCommands(Path(doors.control.getsockname()).parent)
        )
        self._control = ControlServer(
            doors.control, options.web_group, self._prompt, commands.handle
        )

    def run(self, beat: Callable[[float], None] = lambda _: None) -> None:
        """Serve until `stop`; `beat` is told the time, monotonic seconds, once a turn."""
        flush_at = 0.0
        while not self._stopping:
            ready = self._selector.select(TURN_SECONDS)
            turned = time.monotonic()
            for key, events in ready:
                serve: Callable[[int], None] = key.data
                serve(events)
            if self._reread:
                self._reread = False
                self._read_again()
            self._watch_inspectors()
            self._service.tick()
            if self._capacity is not None:
                self._capacity.look(self._service.clock())
            now = time.monotonic()
            beat(now)
            if now >= flush_at or (self._service.urgent and not self._service.writer.problem):
                written = self._service.flush()
                flush_at = now + (FLUSH_SECONDS if written else RETRY_SECONDS)
            while not self._stopping and (left := turned + GATHER_SECONDS - time.monotonic()) > 0:
                self._serve_promptly(left)
        self._control.close()
        self._reports.close()
        self._service.stop()
        self._selector.close()
        self._prompt.close()
        self._wake_reader.close()
        self._wake_writer.close()

    def _serve_promptly(self, patience: float) -> None:
        for key, events in self._prompt.select(patience):
            serve: Callable[[int], None] = key.data
            serve(events)

    def stop(self) -> None:
        """Ask `run` to end; may be called from a signal handler or another thread."""
        self._stopping = self._reports.leaving = True
        self._wake_writer.send(b"\0")

    def hang_up(self) -> None:
        """Have `run` read the settings again; may be called from a signal handler."""
        self._reread = True
        self._wake_writer.send(b"\0")

    def _woken(self, _: int) -> None:
        self._wake_reader.recv(64)

    def _watch_inspectors(self) -> None:
        self._service.look_at_clock()
        now = self._service.clock()
        inspectors = list(self._reports)
        alive = sum(is_alive(inspector, now) for inspector in inspectors)
        self._protection.update(
            alive=alive,
            connected=len(inspectors),
            rules=self._service.rules_there,
            enforce=self._service.enforce,
            paused=self._service.responses.paused_until() is not None,
            now=now,
        )
        if self._reports.lost != self._lost:
            # It may be back already: then no state would tell that it was gone.
            self._lost = self._reports.lost
            if self._protection.state in WHOLE:
                self._service.story.pass_by(GONE_FOR_A_MOMENT, now)
        self._service.story.watch(self._protection.state, self._protection.reason, now)
        if self._service.observation is not None:
            self._service.observation.follow(inspected=alive > 0)

    def _status(self) -> dict[str, Any]:
        self._watch_inspectors()
        options = self._options
        return status(
            self._service,
            self._protection,
            self._reports,
            self._capacity,
            lan=options.lan,
            wan=options.wan,
            mode=options.mode,
        )
