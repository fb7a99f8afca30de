"""Look-ups: asks a server for the certificate that a device's connection with it has hidden.

Off unless the settings say otherwise. Only a server that a device of this office has contacted a
moment ago, that hid its certificate, is rare here and is suspicious; never one of a private network
or on the never-block list, and none that a person allowed. One at a time, few an hour, each once a
day, each in the audit trail. The asking itself is `ratwall.lookup`, a process without rights.

Design note: what a server shows the box need not be what it shows the device. A harmless
certificate therefore proves nothing and takes nothing back; a RAT's counts as if it had been seen.
"""

import logging
import re
import subprocess
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol

from ratwall.address import is_local, place
from ratwall.controller.books import Books
from ratwall.controller.clock import moved
from ratwall.controller.incidents import Incident
from ratwall.controller.listener import Listener
from ratwall.controller.messages import Fields, FlowReport, MessageError, parse_object
from ratwall.controller.messages import lookup_certificate as certificate_of
from ratwall.controller.proofs import Connection, Reported
from ratwall.controller.rows import DER_KEPT
from ratwall.ledger import models
from ratwall.settings.schema import Settings
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.finding import Finding
from ratwall.verdict.judge import Thresholds, Verdict, weigh

log = logging.getLogger(__name__)

RULE = "lookup.certificate"
AUTHOR = "rule"
HOURLY_LIMIT = 20  # look-ups: an office meets fewer servers that are rare and hide what they are
AGAIN_US = 86_400_000_000  # a day: what a server shows changes seldom, and nobody likes to be asked
HOUR_US = 3_600_000_000
KILL_US = 6_000_000  # it ends itself after three seconds; this is for one that cannot
WAITING_LIMIT = 16  # servers in line: what waits longer is asked when it is met again
ASKED_LIMIT = 4096  # servers remembered as asked
RARE_DEVICES = 1  # as many devices at most have to do with a rare server
RARE_AGE_US = 7 * 86_400_000_000  # a week
# A server name that is repeated in the box's own hello; any other is a stranger's text.
HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")


class Child(Protocol):
    """What is asked of a process that was started."""

    def poll(self) -> int | None:
        """Return its exit code, None while it runs."""

    def kill(self) -> None:
        """End it."""

    def communicate(self) -> tuple[bytes, bytes]:
        """Return what it printed, on stdout and stderr."""


def start_child(server: str, port: int, name: str | None, options: Sequence[str] = ()) -> Child:
    """Start a look-up."""
    named = [] if name is None else [name]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "ratwall.lookup", *options, "--", server, str(port), *named],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A server to be asked, and the connection that it is about."""

    connection: Connection
    name: str | None

    @property
    def endpoint(self) -> tuple[str, int]:
        return self.connection[2], self.connection[3]


class Lookups(Listener):
    """Hears reports, asks servers, hands on what it finds."""

    def __init__(
        self,
        settings: Callable[[], tuple[Settings, bool]],
        rarity: Callable[[str], tuple[int, int] | None],
        found: Callable[[Finding], Incident | None],
        push: Callable[[dict[str, Any]], None],
        clock: Callable[[], int],
        start_child: Callable[[str, int, str | None], Child] = start_child,
    ) -> None:
        """`settings` gives those in force, and whether anything is cut; `push` tells inspectors."""
        self._settings = settings
        self._rarity = rarity
        self._found = found
        self._push = push
        self._clock = clock
        self._start_child = start_child
        self._books: Books
        self._waiting: deque[_Asked] = deque()
        self._asked: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._running: tuple[_Asked, Child, int] | None = None
        self._started: deque[int] = deque()  # when, within the last hour

    def start(self, books: Books) -> None:
        """Write into these books from now on."""
        self._books = books

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Put the server of a connection in line, if it is one to be asked."""
        # The cheap tests first: nearly all are done with by the first or the second.
        if report.flow_class != "observed" or report.certificate is not None:
            return
        settings, _ = self._settings()
        if not settings.detection.certificate_lookup or not self._is_to_ask(report, settings):
            return
        connection = (report.client, report.client_port, report.server, report.server_port)
        named = report.sni is not None and HOST_NAME.fullmatch(report.sni)
        self._waiting.append(_Asked(connection, report.sni if named else None))
        self._asked[connection[2:]] = self._clock()
        self._asked.move_to_end(connection[2:])
        if len(self._asked) > ASKED_LIMIT:
            self._asked.popitem(last=False)

    def clock_set(self, by: int) -> None:
        """Ask as often as before, though the clock was set."""
        if self._running is not None:
            asked, child, started = self._running
            self._running = asked, child, started + by
        self._started = deque(at + by for at in self._started)
        moved(self._asked, by)

    def tick(self, now: int) -> None:
        """Take in the result of the one that runs, start the next."""
        if self._running is not None:
            asked, child, started = self._running
            if child.poll() is None:
                if now - started > KILL_US:
                    child.kill()
                return
            self._running = None
            output, complaint = child.communicate()
            self._take_result(asked, output, complaint, now)
        while self._started and self._started[0] <= now - HOUR_US:
            self._started.popleft()
        if self._waiting and len(self._started) < HOURLY_LIMIT:
            asked = self._waiting.popleft()
            self._started.append(now)
            try:
                self._running = asked, self._start_child(*asked.endpoint, asked.name), now
            except OSError as error:
                self._audit(asked, f"could not be started: {error}", now)

    def stop(self) -> None:
        """End the one that runs."""
        if self._running is not None:
            self._running[1].kill()
            self._running[1].communicate()

    def _is_to_ask(self, report: FlowReport, settings: Settings) -> bool:
        """Say whether a server may be asked, and is worth it; the cheap tests first."""
        hidden = report.certificate is None and report.tls_version is not None
        suspicious = report.sni is None or report.score >= settings.detection.watch
        if not hidden or not suspicious or report.proxied or report.flow_class != "observed":
            return False
        endpoint = report.server, report.server_port
        now = self._clock()
        if now - self._asked.get(endpoint, -AGAIN_US) < AGAIN_US:
            return False
        actions = self._books.actions
        if len(self._waiting) >= WAITING_LIMIT or not may_be_asked(report.server):
            return False
        if not actions.may_block(report.server):
            return False
        if actions.allow_of(report.client, *endpoint) is not None:
            return False
        known = self._rarity(report.server)
        return known is not None and known[0] <= RARE_DEVICES and known[1] < RARE_AGE_US

    def _take_result(self, asked: _Asked, output: bytes, complaint: bytes, now: int) -> None:
        try:
            values = parse_object(output, "look-up")
            certificate, der = certificate_of(values)
            evidence = tuple(_evidence(item) for item in values.get("evidence") or ())
        except (MessageError, AttributeError, TypeError):
            words = " ".join(complaint.decode(errors="replace").split())[:200]
            self._audit(asked, f"no certificate: {words or 'no answer'}", now)
            return
        if certificate is None:
            self._audit(asked, "no certificate that can be read", now)
            return
        self._audit(asked, f"showed {certificate['subject']}, SHA-256 {certificate['sha256']}", now)
        if evidence:
            self._tell(asked, certificate, der, evidence, now)

    def _tell(
        self,
        asked: _Asked,
        certificate: dict[str, Any],
        der: bytes | None,
        evidence: tuple[Evidence, ...],
        now: int,
    ) -> None:
        client, _, server, port = asked.connection
        said = Evidence(
            RULE,
            0,
            "This connection hid the server's certificate; the box asked the server for it, in a "
            "handshake of its own.",
            None,
        )
        incident = self._found(
            Finding(
                rule=RULE,
                device=client,
                server=server,
                server_port=port,
                evidence=(*evidence, said),
                at=now,
                connections=(asked.connection,),
                facts={"certificate": certificate},
            )
        )
        if incident is None:
            return
        if incident.certificate_id is None:
            kept = der if der is not None and len(der) <= DER_KEPT else None
            writer = self._books.writer
            incident.certificate_id = writer.certificate(certificate, kept, now)
            incident.certificate_sha256 = certificate["sha256"]
            writer.update(models.Incident, incident.id, {"certificate": incident.certificate_id})
        self._remember(asked, certificate["sha256"], evidence, now)

    def _remember(
        self, asked: _Asked, sha256: str, evidence: tuple[Evidence, ...], now: int
    ) -> None:
        """Have the inspectors cut what hides behind the same server, if the rule may cut at all."""
        settings, enforce = self._settings()
        limits = settings.detection
        judgement = weigh(evidence, Thresholds(limits.watch, limits.alert, limits.block))
        if judgement.verdict is not Verdict.BLOCK:
            return
        if not enforce or settings.rules.mode_of(RULE) != "enforce":
            return
        entry = self._books.memory.learn_of(*asked.endpoint, judgement, sha256, now)
        if entry is not None:
            self._push({"type": "memory", "entries": [entry]})

    def _audit(self, asked: _Asked, result: str, now: int) -> None:
        what = f"asked {place(*asked.endpoint)} for its certificate after {asked.connection[0]}"
        self._books.writer.audit(now, AUTHOR, "lookup", f"{what} had contacted it: {result}")


def may_be_asked(server: str) -> bool:
    """Say whether an address belongs to the internet and to no network of the office's own."""
    return not is_local(ip_address(server).packed)


def _evidence(item: dict[str, Any]) -> Evidence:
    fields = Fields(item, "look-up: evidence")
    return Evidence(
        id=fields.text("id"),
        points=fields.integer("points", 0, 100),
        text=fields.text("text"),
        technique=fields.optional_text("technique"),
        decisive=fields.boolean("decisive"),
        family=fields.optional_text("family"),
    )
