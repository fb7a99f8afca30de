"""Captures: whole packets of a device into a file, for as long as a person or a rule asked.

Off unless asked for. Each has an end, at most a day away, and ends early when the disk runs short;
what it writes is bounded by `ratwall.evidence.capture`. Beginning and end are in the audit trail.
It copies what passes and what is refused, and holds nothing up.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol

from ratwall.controller.blocks import RULE_AUTHOR
from ratwall.controller.books import Books
from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Reported
from ratwall.errors import RatwallError, UsageError
from ratwall.evidence.capture import DAY_SECONDS, OPEN_LIMIT, CaptureDirectory
from ratwall.kernel import capture as rules
from ratwall.kernel.nflog import Copy
from ratwall.settings.schema import Capture
from ratwall.verdict.finding import Finding
from ratwall.wire.errors import ParseError
from ratwall.wire.packet import find_transport

log = logging.getLogger(__name__)

SECONDS_LOW, SECONDS_HIGH = 60, DAY_SECONDS
SECOND = 1_000_000
LOOK_US = 1_000_000  # how often files are flushed and the disk is looked at
LAY_US = 5_000_000  # how often the rules are laid again while they are needed: somebody may flush
FORGET_US = 3_600_000_000
MEGABYTE = 1_000_000


class Copies(Protocol):
    """What is asked of `ratwall.kernel.nflog.CopyReader`."""

    overflows: int

    def fileno(self) -> int:
        """Return the descriptor to poll."""

    def read(self) -> list[Copy]:
        """Return the copies that have come."""


@dataclass(slots=True)
class _Running:
    since: int
    until: int
    author: str
    packets: int = 0


class Captures(Listener):
    """Switch it on for a device; it ends by itself."""

    def __init__(
        self,
        copies: Copies,
        directory: CaptureDirectory,
        nft: Callable[[str], None],
        group: int,
        settings: Callable[[], Capture],
        clock: Callable[[], int],
    ) -> None:
        """`nft` puts text in force; `group` is the NFLOG group that `copies` reads."""
        self._copies = copies
        self._directory = directory
        self._nft = nft
        self._group = group
        self._settings = settings
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self._look_at = 0
        self._lay_at = 0
        self._forget_at = 0
        self._books: Books

    def start(self, books: Books) -> None:
        """Write into these books from now on; what an earlier controller had begun is over."""
        self._books = books
        if not self._running:
            try:
                self._nft(rules.remove_text())
            except RatwallError as error:
                log.warning("capture: %s", error)

    def fileno(self) -> int:
        """Return the descriptor to poll for `take_copies`."""
        return self._copies.fileno()

    def listing(self) -> list[dict[str, Any]]:
        """Return what is being captured; times are UTC microseconds."""
        return [
            {
                "device": device,
                "since": one.since,
                "until": one.until,
                "author": one.author,
                "packets": one.packets,
            }
            for device, one in self._running.items()
        ]

    def switch_on(self, device: str, seconds: int, author: str, reason: str) -> int:
        """Capture a device's packets for a time; return when it ends (UTC microseconds).

        UsageError if the disk is full or too many are captured; RatwallError if nft refuses. Then
        nothing has changed.
        """
        if self._directory.is_full:
            raise UsageError("capture: the disk has less than 256 MB left: nothing is captured")
        if device not in self._running and len(self._running) >= OPEN_LIMIT:
            raise UsageError(
                f"capture: at most {OPEN_LIMIT} devices at one time; switch one off first"
            )
        now = self._clock()
        wanted = {**self._running, device: _Running(now, now + seconds * SECOND, author)}
        self._lay(wanted, now)
        self._running = wanted
        self._books.writer.audit(now, author, "capture", f"{device} for {seconds} s: {reason}")
        return wanted[device].until

    def switch_off(self, device: str, author: str, reason: str) -> int:
        """End a capture; return how many packets it has. UsageError if there is none."""
        if device not in self._running:
            raise UsageError(f"capture: {device} is not being captured")
        now = self._clock()
        one = self._running[device]
        self._lay({key: each for key, each in self._running.items() if key != device}, now)
        del self._running[device]
        self._directory.end(device)
        self._books.writer.audit(
            now, author, "capture", f"{device} ended, {one.packets} packets: {reason}"
        )
        return one.packets

    def take_copies(self) -> None:
        """Write down the packets that have come."""
        for copy in self._copies.read():
            try:
                transport = find_transport(copy.datagram)
            except ParseError:
                continue
            if transport is None:
                continue  # the kernel has put fragments together; one alone is nobody's
            for end in (transport.source, transport.destination):
                self._take(str(ip_address(end)), copy)

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Begin where a rule that is to be captured has spoken."""
        for fact in report.evidence:
            if fact["points"] > 0:
                self._asked_by(str(fact["id"]), report.client)

    def take_finding(self, finding: Finding) -> None:
        """Begin where a rule that is to be captured has found something."""
        self._asked_by(finding.rule, finding.device)

    def clock_set(self, by: int) -> None:
        """Run as long as before, though the clock was set."""
        for one in self._running.values():
            one.until += by
        self._look_at += by
        self._lay_at += by
        self._forget_at += by

    def tick(self, now: int) -> None:
        """End what is over; keep the disk from filling."""
        over = [device for device, one in self._running.items() if one.until <= now]
        for device in over:
            self._end(device, "its time is over")
        if self._look_at > now:
            return
        self._look_at = now + LOOK_US
        if self._running:
            self._directory.flush()
            if self._directory.is_full:
                for device in list(self._running):
                    self._end(device, "the disk is nearly full")
        if self._running and self._lay_at <= now:
            self._lay_at = now + LAY_US
            try:
                self._lay(self._running, now)
            except RatwallError as error:
                log.warning("capture: %s", error)
        if self._forget_at <= now:
            self._forget_at = now + FORGET_US
            self._directory.max_bytes = self._settings().max_megabytes * MEGABYTE
            self._directory.forget(now / SECOND - self._settings().keep_days * DAY_SECONDS)

    def stop(self) -> None:
        """End all of them."""
        for device in list(self._running):
            self._end(device, "Ratwall is stopped")

    def _asked_by(self, rule: str, device: str) -> None:
        settings = self._settings()
        wanted = {rule, f"{rule.partition('.')[0]}.*", "*"}
        if not wanted & set(settings.rules) or device in self._running:
            return
        try:
            self.switch_on(device, settings.seconds, RULE_AUTHOR, rule)
        except RatwallError as error:
            log.warning("%s", error)

    def _take(self, device: str, copy: Copy) -> None:
        one = self._running.get(device)
        if one is None:
            return
        try:
            self._directory.write(device, copy.at or self._clock(), copy.datagram)
        except OSError as error:
            self._end(device, f"it cannot be written: {error.strerror}")
            return
        one.packets += 1

    def _end(self, device: str, reason: str) -> None:
        try:
            self.switch_off(device, RULE_AUTHOR, reason)
        except RatwallError as error:
            # The kernel's set forgets the device by itself; nothing of it is written any more.
            log.warning("capture: %s", error)
            self._running.pop(device, None)
            self._directory.end(device)

    def _lay(self, wanted: dict[str, _Running], now: int) -> None:
        if not wanted:
            self._nft(rules.remove_text())
            return
        seconds = {
            device: max(1, -(-(one.until - now) // SECOND)) for device, one in wanted.items()
        }
        self._nft(rules.lay_text(seconds, self._group))
