"""What is made of a finding: an incident, and where its rule is enforced, a block and a cut.

A finding joins the incident of the same device and server: a person wants to read of one story, not
of a certificate here and a rhythm there. Its evidence is added to what is known.
"""

import json
from collections.abc import Callable

from ratwall.controller.books import Books
from ratwall.controller.incidents import Incident
from ratwall.controller.listener import Listener
from ratwall.controller.neighbours import Neighbours
from ratwall.controller.proofs import Connection
from ratwall.ledger import models
from ratwall.settings.schema import Settings
from ratwall.verdict.finding import Finding
from ratwall.verdict.headline import Outcome
from ratwall.verdict.judge import Judgement, Thresholds, Verdict, weigh

AUTHOR = "rule"


class Findings(Listener):
    """Takes findings; whoever makes some is given `take`."""

    def __init__(
        self,
        neighbours: Neighbours,
        settings: Callable[[], tuple[Settings, bool]],
        expect: Callable[[Connection, Incident], None],
        answer: Callable[[Finding, Incident], None],
        paused: Callable[[str], bool],
        clock: Callable[[], int],
    ) -> None:
        """`settings` gives those in force and whether anything is cut at all.

        `expect` ties a live connection to an incident, whose proof it may become; `answer` takes
        the step that is due where the rule is enforced; `paused` says of a device that nothing of
        it is cut for a while.
        """
        self._neighbours = neighbours
        self._settings = settings
        self._expect = expect
        self._answer = answer
        self._paused = paused
        self._clock = clock
        # Hears of all findings but those of rules that are off.
        self.heard: Callable[[Finding], None] = lambda finding: None
        self.watchers: list[Callable[[Finding], None]] = []  # told of what becomes an incident
        self._books: Books

    def start(self, books: Books) -> None:
        """Write into these books from now on."""
        self._books = books

    def take(self, finding: Finding) -> Incident | None:
        """Write a finding down and act on it; its incident, None if it is nothing to tell."""
        settings, enforce = self._settings()
        mode = settings.rules.mode_of(finding.rule)
        if mode == "off":
            return None
        self.heard(finding)
        limits = settings.detection
        judgement = weigh(finding.evidence, Thresholds(limits.watch, limits.alert, limits.block))
        if judgement.verdict not in (Verdict.ALERT, Verdict.BLOCK):
            return None
        now = self._clock()
        acts = enforce and mode == "enforce" and not self._paused(finding.device)
        outcome = self._outcome(finding, judgement, enforce=acts)
        books = self._books
        known = self._neighbours.mac_of(finding.device)
        device_id = books.writer.device(finding.mac or known, finding.device, now)
        incident = books.cases.take_finding(finding, judgement, outcome, device_id, now)
        if finding.mac is not None and known not in (None, finding.mac):
            books.cases.set_note(
                incident,
                f"sent by the device with the hardware address {finding.mac}; {finding.device} is "
                f"the address of {known}, who may have nothing to do with it",
            )
        for watcher in self.watchers:
            watcher(finding)
        books.writer.insert(
            models.Detection,
            {
                "incident": incident.id,
                "time": finding.at,
                "rule": finding.rule,
                "score": judgement.score,
                "verdict": judgement.verdict.value,
                "facts": json.dumps({**finding.facts, "text": finding.evidence[0].text}),
            },
        )
        books.writer.audit(now, AUTHOR, "finding", f"{finding.rule}: {incident.headline}")
        books.urgent = True
        for connection in finding.connections:
            self._expect(connection, incident)
        if outcome is Outcome.BLOCKING:
            self._answer(finding, incident)
        return incident

    def _outcome(self, finding: Finding, judgement: Judgement, *, enforce: bool) -> Outcome:
        if judgement.verdict is not Verdict.BLOCK:
            return Outcome.ALERT
        actions = self._books.actions
        if actions.allow_of(finding.device, finding.server, finding.server_port) is not None:
            return Outcome.ALLOWED
        if enforce and actions.may_block(finding.server):
            return Outcome.BLOCKING
        return Outcome.WOULD_BLOCK
