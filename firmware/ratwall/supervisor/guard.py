"""The guard: a process beside the supervisor that kills what hangs and cleans up what is orphaned.

It starts nothing. While the supervisor lives, it kills a process that has promised to feed a
watchdog and has not for a second: on a quiet network nothing else frees the packets that a hung
inspector holds. When the line to the supervisor breaks without a farewell, it undoes what the
journal tells of, rules first, and ends the processes that were left behind.

A process of its own, in its own session, because neither job may wait for a supervisor that is
busy, stopped or dead. The protocol is that of systemd (sd_notify(3): READY=1, WATCHDOG=1,
STOPPING=1 on NOTIFY_SOCKET), where units with WatchdogSignal=SIGKILL do the same.
"""

import argparse
import array
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ratwall.errors import RatwallError
from ratwall.kernel.undo import take_back

WATCHDOG_SECONDS = 1.0  # a client retransmits its hello after 0.2, 0.6 and 1.4 s: the third passes
START_SECONDS = 30.0  # until the first feed: a Pi with a slow card and a cold cache
OVERSLEPT_SECONDS = 0.5  # the whole machine stood still: then nobody could feed
FAREWELL_SECONDS = 1.0  # from SIGTERM to SIGKILL for orphans; rules and route are gone by then
NOTICE_LIMIT = 4096  # bytes of one message, either socket
DESCRIPTORS = array.array("i", [0])
CREDENTIALS = struct.Struct("=iII")  # pid, uid, gid


@dataclass(slots=True)
class Ward:
    """A process under guard; `due` is when it must have fed, None while it need not."""

    name: str
    pid: int
    pidfd: int
    due: float | None

    def fileno(self) -> int:
        """Return the descriptor that is readable once the process has ended."""
        return self.pidfd

    def kill(self, number: int) -> None:
        """Send a signal to this very process, or to nobody."""
        try:
            signal.pidfd_send_signal(self.pidfd, number)
        except ProcessLookupError:
            return  # it has just ended


class Guard:
    """The wards, the line to the supervisor, and the socket that is fed."""

    def __init__(self, line: socket.socket, notices: socket.socket) -> None:
        self._line, self._notices = line, notices
        self._wards: dict[int, Ward] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(line, selectors.EVENT_READ)
        self._selector.register(notices, selectors.EVENT_READ)
        notices.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        for each in (line, notices):
            each.setblocking(False)
        self._deserted = False

    def run(self) -> None:
        """Guard until the supervisor is gone."""
        while not self._deserted:
            planned = self._next_due()
            patience = None if planned is None else max(0.0, planned - time.monotonic())
            for key, _ in self._selector.select(patience):
                if isinstance(key.fileobj, Ward):
                    self._forget(key.fileobj)
                elif key.fileobj is self._line:
                    self._take_orders()
            # Whatever woke us: what was fed in time counts, however late we read it.
            self._take_feeds()
            now = time.monotonic()
            if planned is not None and now - planned > OVERSLEPT_SECONDS:
                self._forgive(now)
            self._kill_overdue(now)

    def end_orphans(self) -> None:
        """End every process still there, politely first."""
        for ward in self._wards.values():
            ward.kill(signal.SIGTERM)
            ward.kill(signal.SIGCONT)
        deadline = time.monotonic() + FAREWELL_SECONDS
        self._selector.unregister(self._line)
        self._selector.unregister(self._notices)
        while self._wards and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                if isinstance(key.fileobj, Ward):
                    self._forget(key.fileobj)
        for ward in self._wards.values():
            ward.kill(signal.SIGKILL)

    def _next_due(self) -> float | None:
        return min(
            (ward.due for ward in self._wards.values() if ward.due is not None), default=None
        )

    def _take_orders(self) -> None:
        """Take the processes that the supervisor hands over; at its end note that it is gone."""
        for order, descriptor in self._orders():
            ward = Ward(
                order["name"],
                order["pid"],
                descriptor,
                time.monotonic() + START_SECONDS if order["watchdog"] else None,
            )
            self._wards[ward.pid] = ward
            self._selector.register(ward, selectors.EVENT_READ)

    def _orders(self) -> Iterator[tuple[dict[str, Any], int]]:
        while True:
            try:
                data, ancillary, _, _ = self._line.recvmsg(
                    NOTICE_LIMIT, socket.CMSG_SPACE(DESCRIPTORS.itemsize)
                )
            except BlockingIOError:
                return
            except ConnectionResetError:
                data, ancillary = b"", []
            if not data:
                self._deserted = True
                return
            ((_, _, raw),) = ancillary
            (descriptor,) = array.array("i", raw)
            yield json.loads(data), descriptor

    def _take_feeds(self) -> None:
        while True:
            try:
                data, ancillary, _, _ = self._notices.recvmsg(
                    NOTICE_LIMIT, socket.CMSG_SPACE(CREDENTIALS.size)
                )
            except BlockingIOError:
                return
            for level, kind, raw in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    ward = self._wards.get(CREDENTIALS.unpack(raw)[0])
                    if ward is not None and ward.due is not None:
                        ward.due = _due_after(data, time.monotonic())

    def _forgive(self, now: float) -> None:
        for ward in self._wards.values():
            if ward.due is not None:
                ward.due = max(ward.due, now + WATCHDOG_SECONDS)

    def _kill_overdue(self, now: float) -> None:
        for ward in self._wards.values():
            if ward.due is not None and ward.due <= now:
                ward.due = None
                ward.kill(signal.SIGKILL)
                say(f"{ward.name} did not feed its watchdog for {WATCHDOG_SECONDS:g} s: killed")

    def _forget(self, ward: Ward) -> None:
        self._selector.unregister(ward)
        os.close(ward.pidfd)
        del self._wards[ward.pid]


def _due_after(notice: bytes, now: float) -> float | None:
    """Return when the sender of a notice must have fed again; None if it is about to end."""
    return None if b"STOPPING=1" in notice.split(b"\n") else now + WATCHDOG_SECONDS


def say(line: str) -> None:
    """Tell the person at the console, who may have left with the supervisor."""
    try:
        print(f"ratwall: {line}", file=sys.stderr, flush=True)
    except OSError:
        return


def main() -> None:
    """Guard until the supervisor is gone, then put the kernel back and end what is left."""
    parser = argparse.ArgumentParser(prog="ratwall.supervisor.guard")
    parser.add_argument("--line", type=int, required=True)
    parser.add_argument("--notices", type=int, required=True)
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--token", required=True)
    options = parser.parse_args()
    # A service manager ends everything at once; the guard leaves when the supervisor has.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    guard = Guard(socket.socket(fileno=options.line), socket.socket(fileno=options.notices))
    print("ready", flush=True)
    guard.run()
    try:
        failures = take_back(options.journal, options.token)
    except (RatwallError, OSError) as error:
        failures = [str(error)]
    guard.end_orphans()
    if failures is not None:
        say("the supervisor was killed: its rules are removed, traffic flows uninspected")
    for failure in failures or ():
        say(failure)


if __name__ == "__main__":
    main()
