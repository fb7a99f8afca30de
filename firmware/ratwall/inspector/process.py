"""The inspector process: binds the queue, feeds the inspector, talks to the controller.

Needs CAP_NET_ADMIN for the queue; touches no disk after its start, asks no resolver, opens no
ledger. It prints `ready` when it holds the queue, and again when SIGHUP has made it read settings
and packs anew.
"""

import argparse
import logging
import os
import signal
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ratwall.errors import RatwallError, UsageError
from ratwall.feeds.directory import FeedDirectory
from ratwall.feeds.index import open_index
from ratwall.inspector.heartbeat import FEED_SECONDS, NOTICE, Heartbeat
from ratwall.inspector.inspector import Inspector
from ratwall.inspector.seen import wall_clock
from ratwall.kernel.marks import Marks
from ratwall.queue.binding import PacketQueue
from ratwall.reports.allows import AllowGathering
from ratwall.reports.channel import ReportChannel
from ratwall.reports.gathering import GATHER_SECONDS, Gathering, Line
from ratwall.settings.load import load_settings
from ratwall.settings.schema import MODES, Rules, Settings
from ratwall.signatures.pack import Pack
from ratwall.signatures.store import packs_in_force
from ratwall.verdict.judge import Thresholds
from ratwall.verdict.memory import MemoryEntry, VerdictMemory

WAIT_SECONDS = 0.2  # how late a feed of the watchdog may be where the loop is not compiled
STATUS_SECONDS = 1.0
TALK_SECONDS = 0.2  # how late a report may be that found no room, and a controller that is back

log = logging.getLogger(__name__)


class Process:
    """One worker: its queue, its inspector, its line to the controller."""

    def __init__(self, options: argparse.Namespace) -> None:
        settings = load_settings(options.config)
        self._options = options
        self._worker: int = options.worker
        self._memory = VerdictMemory()
        self._channel = ReportChannel(options.state_dir / "run" / "reports.sock")
        self._inspector = Inspector(
            self._packs(settings),
            _thresholds(settings),
            Marks(settings.kernel.mark_mask),
            enforce=self._enforces(settings),
            memory=self._memory,
            report=self._take_report,
            report_like=self._take_like,
            clock=wall_clock,
            rules=settings.rules,
        )
        self._feeds = FeedDirectory(options.state_dir)
        self._look_up_anew()
        self._queue = PacketQueue(
            settings.kernel.queue + self._worker,
            settings.kernel.queue_length,
            self._inspector.decide_in_full,
            self._inspector.fast_path,
        )
        self._allows = AllowGathering()
        self._due: list[dict[str, Any]] = []  # suspicious, but passes: its verdict goes first
        self._gathering = Gathering(self._worker)  # of what is clean
        self._started = time.monotonic()
        self._stopping = False
        self._reread = False

    def run(self) -> None:
        """Inspect until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        heartbeat = Heartbeat()
        heartbeat.ready()
        print("ready", flush=True)
        watchdog = heartbeat.fileno()
        fed = watchdog is None or self._queue.feed(watchdog, NOTICE, FEED_SECONDS)
        status_at = talk_at = 0.0
        while not self._stopping:
            now = time.monotonic()
            # With its watchdog fed from within, the loop has nothing to come back for on its own.
            patience = max(0.0, min(status_at, talk_at) - now) if fed else WAIT_SECONDS
            if self._gathering.waiting:
                patience = min(patience, self._gathering.left(now))
            heard = self._queue.wait(patience, self._channel.fileno())
            if self._due:
                self._send_due()
            repeated = self._inspector.tell_repeated()
            if self._reread:
                self._reread = False
                self._read_again()
            now = time.monotonic()
            if repeated or self._gathering.due(now):  # repetitions have waited already
                self._send_gathered()
            if not fed:
                heartbeat.beat(now)
            # Not at every packet: a look into an empty socket costs as much as a verdict.
            if heard or now >= talk_at:
                for message in self._channel.pump(now):
                    self._obey(message)
                talk_at = now + (TALK_SECONDS if self._channel.behind else STATUS_SECONDS)
            if now >= status_at:
                status_at = now + STATUS_SECONDS
                self._send(self._status(now))
        self._send_due()
        self._inspector.tell_repeated()
        self._send_gathered()
        heartbeat.stopping()
        self._queue.close()
        self._channel.close()
        heartbeat.close()

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        self._queue.hasten(0)

    def _hang_up(self, number: int, frame: object) -> None:
        self._reread = True
        self._queue.hasten(0)

    def _enforces(self, settings: Settings) -> bool:
        return settings.detection.enforce and not self._options.monitor_only

    def _read_again(self) -> None:
        """Take thresholds, packs and mode anew; a fault changes nothing. Packets wait meanwhile."""
        try:
            settings = load_settings(self._options.config)
            packs = self._packs(settings)
        except RatwallError as error:
            log.warning("going on with the settings before: %s", error)
            return
        self._inspector.judge_by(packs, _thresholds(settings), enforce=self._enforces(settings))
        print("ready", flush=True)

    def _packs(self, settings: Settings) -> tuple[Pack, ...]:
        """Return the packs in force; what was left out is the controller's to tell."""
        return packs_in_force(self._options.state_dir, settings.signatures.trust).packs

    def _take_report(self, report: dict[str, Any]) -> None:
        """Send what is cut at once, what is suspicious when the packets at hand have their
        verdicts, and the rest together with others; what came before a cut goes before it."""
        if report["class"] == "block":
            self._send_due()
            self._send_gathered()
            self._send(report)
        elif report["verdict"] != "clean":
            self._due.append(report)
            self._queue.hasten(0)
        else:
            self._gathering.add(report, time.monotonic())
            self._queue.hasten(GATHER_SECONDS)

    def _take_like(self, report: dict[str, Any], line: Line) -> None:
        """Take in a connection like the one that was reported so; it is clean."""
        self._gathering.add_like(report, line, time.monotonic())

    def _send_due(self) -> None:
        due, self._due = self._due, []
        for report in due:
            self._send(report)

    def _send_gathered(self) -> None:
        if self._gathering.waiting:
            self._channel.send(*self._gathering.take())

    def _look_up_anew(self) -> None:
        """Take the index of the feeds that is there now; a damaged one changes nothing."""
        try:
            self._inspector.look_up_in(open_index(self._feeds.index))
        except RatwallError as error:
            log.warning("going on with the feeds before: %s", error)

    def _send(self, message: dict[str, Any]) -> None:
        self._channel.report({**message, "worker": self._worker})

    def _status(self, now: float) -> dict[str, Any]:
        inspector = self._inspector
        return {
            "type": "status",
            "pid": os.getpid(),
            "queued": inspector.queued,
            "flows": inspector.judged,
            "blocked": inspector.cut,
            "failures": self._queue.failures,
            "evicted": inspector.evicted,
            "unjudged": inspector.unjudged,
            "reports_lost": self._channel.lost,
            "waiting_percent": self._queue.waiting_percent(),
            "uptime_s": int(now - self._started),
        }

    def _obey(self, message: dict[str, Any]) -> None:
        """Take an instruction; one that cannot be read is logged and changes nothing."""
        try:
            match message["type"]:
                case "memory":
                    self._memory.merge(MemoryEntry.from_dict(item) for item in message["entries"])
                case "forget":
                    self._memory.forget(ip_address(message["server"]).packed, message["port"])
                case "clock":
                    times = (int(message[key]) for key in ("by", "since", "until"))
                    self._memory.clock_set(*times)
                case "mode":
                    self._inspector.enforce = bool(message["enforce"])
                case "feeds":
                    self._look_up_anew()
                case "watch":
                    self._inspector.watched = frozenset(map(str, message["devices"]))
                case "rules":
                    modes = {mode: tuple(message[mode]) for mode in MODES}
                    self._inspector.rules = Rules(**modes)
                case "allow":
                    allowed = self._allows.take(message)
                    if allowed is not None:
                        self._inspector.allowed_certificates = allowed
                case unknown:
                    log.warning("instruction of unknown type %r from the controller", unknown)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            log.warning("unreadable instruction from the controller: %r", error)


def _thresholds(settings: Settings) -> Thresholds:
    detection = settings.detection
    return Thresholds(detection.watch, detection.alert, detection.block)


def main() -> None:
    """Run one inspector in the foreground."""
    parser = argparse.ArgumentParser(prog="ratwall.inspector")
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--monitor-only", action="store_true")
    logging.basicConfig(format="ratwall: inspector: %(message)s", level=logging.WARNING)
    Process(parser.parse_args()).run()
