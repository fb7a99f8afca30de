"""What the ledger knows of one connection that bears on its verdict.

Never judges. Beside the flow itself: what was found over time of its incident, which actions of
people or rules were in force for its ends when it began, and what a person lets each rule do now.
"""

import json
from typing import Any

from ratwall.ledger import queries
from ratwall.ledger.contacts import regularity
from ratwall.ledger.models import Action, Certificate, Detection, Flow
from ratwall.ledger.store import Ledger
from ratwall.settings.schema import Rules

ACTIONS_LIMIT = 20  # of one endpoint at one moment there are few
FOUND_LIMIT = 20

Row = dict[str, Any]


def flow(ledger: Ledger, number: int) -> Row | None:
    """Return a flow with `evidence`, `found`, `changed` and `regularity`, None if there is none."""
    row = ledger.row(Flow.select().where(Flow.id == number))
    if row is None:
        return None
    row["evidence"] = json.loads(row["evidence"])
    row["found"] = []
    if row["incident"] is not None:
        row["found"] = ledger.rows(
            Detection.select(Detection.time, Detection.rule, Detection.score, Detection.verdict)
            .where(Detection.incident == row["incident"])
            .order_by(Detection.id.desc())
            .limit(FOUND_LIMIT)
        )
    row["changed"] = _in_force(ledger, row)
    row["regularity"] = regularity(ledger, row["device"], row["server"])
    return row


def rules_in_force(ledger: Ledger, settings: Rules, now: int) -> Rules:
    """Return what each rule may do: by the settings, and by what a person set since."""
    for action in queries.actions_of(ledger, ("rule",), now):
        settings = settings.with_mode(str(action["rule"]), str(action["mode"]))
    return settings


def newest_between(
    ledger: Ledger, client: str, client_port: int, server: str, server_port: int
) -> int | None:
    """Return the number of the newest flow between these ends."""
    found = ledger.value(
        Flow.select(Flow.id)
        .where(
            (Flow.server == server)
            & (Flow.client == client)
            & (Flow.client_port == client_port)
            & (Flow.server_port == server_port)
        )
        .order_by(Flow.id.desc())
        .limit(1)
    )
    return None if found is None else int(found)


def _in_force(ledger: Ledger, row: Row) -> list[Row]:
    """Return the actions that held for a flow's ends, or its certificate, when it began."""
    sha256 = None
    if row["certificate"] is not None:
        sha256 = ledger.value(
            Certificate.select(Certificate.sha256).where(Certificate.id == row["certificate"])
        )
    about = (Action.server == row["server"]) & (
        Action.server_port.is_null() | (Action.server_port == row["server_port"])
    )
    everywhere = Action.server.is_null() & Action.certificate_sha256.is_null()
    if sha256 is not None:
        about |= Action.certificate_sha256 == sha256
    start = row["start"]
    return ledger.rows(
        Action.select(
            Action.id, Action.kind, Action.author, Action.reason, Action.device, Action.expires
        )
        .where(
            (about | everywhere)
            & (Action.device.is_null() | (Action.device == row["client"]))
            & (Action.created <= start)
            & (Action.expires.is_null() | (Action.expires > start))
            & (Action.undone.is_null() | (Action.undone > start))
        )
        .order_by(Action.id.desc())
        .limit(ACTIONS_LIMIT)
    )
