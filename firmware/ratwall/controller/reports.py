"""The inspectors' socket: their reports in, memory, mode and allows out, one JSON object a packet.
What was like something before may be a line behind its pattern.

Never waits for an inspector. One that does not read what it is sent is cut off when its line is
full; it connects again by itself and is then told everything anew. A report that is not of the
agreed form is counted, logged once a minute, and changes nothing.
"""

import json
import logging
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ratwall.controller.messages import FlowReport, MessageError, StatusReport, parse_reports
from ratwall.controller.sockets import Peer, close_door, peer_of

log = logging.getLogger(__name__)

PACKET_LIMIT = 262_144  # bytes of one report: a 64 KiB certificate in base64 and its story
REPORTS_A_TURN = 256  # of one inspector before others get their turn: some 50 ms of work
INSPECTORS_LIMIT = 64  # one a queue; more is somebody else
LINE_LIMIT = 4096  # messages to an inspector that does not read
ENTRIES_A_PACKET = 200  # of memory: some 40 KB, a fifth of the socket's default buffer
LOG_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class Inspector:
    """One connected inspector and what it last said of itself."""

    connection: socket.socket
    peer: Peer
    line: deque[bytes] = field(default_factory=deque)
    status: StatusReport | None = None
    heard: int = 0  # UTC microseconds

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self.connection.fileno()


class ReportServer:
    """All inspectors; the service's selector calls back with what is ready."""

    def __init__(
        self,
        server: socket.socket,
        group: int | None,
        selector: selectors.BaseSelector,
        on_report: Callable[[FlowReport], None],
        greeting: Callable[[], list[dict[str, Any]]],
        clock: Callable[[], int],
    ) -> None:
        """`greeting` gives the messages that a new inspector is told first."""
        self._server = server
        self.refused = 0  # malformed reports since the start
        self.lost = 0  # inspectors whose connection ended while others were to stay
        self.leaving = False  # all end together then: an inspector that goes is no loss
        self._group = group
        self._selector = selector
        self._on_report = on_report
        self._greeting = greeting
        self._clock = clock
        self._inspectors: list[Inspector] = []
        self._logged_at = -LOG_SECONDS
        selector.register(server, selectors.EVENT_READ, self._accept)

    def __iter__(self) -> Iterator[Inspector]:
        return iter(self._inspectors)

    def send(self, message: dict[str, Any]) -> None:
        """Tell all inspectors."""
        for inspector in list(self._inspectors):
            self._queue(inspector, [message])

    def close(self) -> None:
        """Leave: take what has come, close every connection and remove the socket."""
        self.leaving = True
        for inspector in list(self._inspectors):
            self._read(inspector)
            if inspector in self._inspectors:
                self._forget(inspector)
        self._selector.unregister(self._server)
        close_door(self._server)

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._server.accept()
        except OSError:  # it left again, or we are out of descriptors: the next turn tries again
            return
        peer = peer_of(connection)
        if not peer.may_enter(self._group) or len(self._inspectors) >= INSPECTORS_LIMIT:
            log.warning("refused a reports connection of user %d, process %d", peer.uid, peer.pid)
            connection.close()
            return
        connection.setblocking(False)
        inspector = Inspector(connection, peer)
        self._inspectors.append(inspector)
        self._selector.register(
            inspector, selectors.EVENT_READ, lambda events: self._serve(inspector, events)
        )
        self._queue(inspector, self._greeting())

    def _serve(self, inspector: Inspector, events: int) -> None:
        if inspector in self._inspectors and events & selectors.EVENT_WRITE:
            self._flush(inspector)
        if inspector in self._inspectors and events & selectors.EVENT_READ:
            self._read(inspector)

    def _read(self, inspector: Inspector) -> None:
        taken = 0
        while taken < REPORTS_A_TURN:
            taken += 1
            if inspector not in self._inspectors:  # gone while it was told what its report led to
                return
            try:
                data, _ancillary, flags, _address = inspector.connection.recvmsg(PACKET_LIMIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it left without reading all it was told; what it said still waits
            except OSError as error:
                self._drop(inspector, str(error))
                return
            if not data:
                self._drop(inspector, "it closed the connection")
                return
            try:
                if flags & socket.MSG_TRUNC:
                    raise MessageError(f"report: larger than {PACKET_LIMIT} bytes")
                told = parse_reports(data)
            except MessageError as error:
                self._refuse(error)
                continue
            inspector.heard = self._clock()
            if isinstance(told, StatusReport):
                inspector.status = told
                continue
            taken += len(told) - 1
            for report in told:
                try:
                    self._on_report(report)
                except Exception:  # a report that trips us must not end protection of all others
                    log.exception("a report could not be taken in")

    def clock_set(self, by: int) -> None:
        """Have heard of each inspector as long ago as before, though the clock was set."""
        for inspector in self._inspectors:
            inspector.heard += by

    def _refuse(self, error: MessageError) -> None:
        self.refused += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_SECONDS:
            self._logged_at = now
            log.warning("%s (%d such reports so far)", error, self.refused)

    def _queue(self, inspector: Inspector, messages: list[dict[str, Any]]) -> None:
        if inspector not in self._inspectors:
            return
        inspector.line.extend(json.dumps(item, separators=(",", ":")).encode() for item in messages)
        self._flush(inspector)

    def _flush(self, inspector: Inspector) -> None:
        while inspector.line:
            try:
                inspector.connection.send(inspector.line[0])
            except BlockingIOError:
                break
            except (BrokenPipeError, ConnectionResetError):
                inspector.line.clear()  # it has gone, which reading what it said will show
                break
            except OSError as error:
                self._drop(inspector, str(error))
                return
            inspector.line.popleft()
        if len(inspector.line) > LINE_LIMIT:
            self._drop(inspector, "it does not read")
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if inspector.line else 0)
        key = self._selector.get_key(inspector)
        if key.events != wanted:
            self._selector.modify(inspector, wanted, key.data)

    def _drop(self, inspector: Inspector, why: str) -> None:
        if not self.leaving:
            self.lost += 1
            log.warning("lost the inspector of process %d: %s", inspector.peer.pid, why)
        self._forget(inspector)

    def _forget(self, inspector: Inspector) -> None:
        self._selector.unregister(inspector)
        inspector.connection.close()
        self._inspectors.remove(inspector)


def memory_messages(entries: list[dict[str, object]]) -> Iterator[dict[str, Any]]:
    """Yield the memory in packets that fit a socket's buffer."""
    for start in range(0, len(entries), ENTRIES_A_PACKET):
        yield {"type": "memory", "entries": entries[start : start + ENTRIES_A_PACKET]}
