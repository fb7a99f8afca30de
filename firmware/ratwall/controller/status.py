"""The answer to `status`: what a person and the page need to know at one look.

Only reads; the values come from the service, the inspectors' socket and the state of protection.
"""

from collections.abc import Iterable
from typing import Any

from ratwall import __version__
from ratwall.controller.capacity import Capacity
from ratwall.controller.protection import SILENT_US, Protection
from ratwall.controller.reports import Inspector
from ratwall.controller.responses import PAUSE
from ratwall.controller.service import Service
from ratwall.export import facts
from ratwall.kernel import links_report
from ratwall.ledger import queries
from ratwall.ledger.store import SET_ASIDE_NOTE, LedgerError


def is_alive(inspector: Inspector, now: int) -> bool:
    """Say whether an inspector was heard of lately."""
    return now - inspector.heard < SILENT_US


def status(
    service: Service,
    protection: Protection,
    inspectors: Iterable[Inspector],
    capacity: Capacity | None,
    *,
    lan: str,
    wan: str,
    mode: str,
) -> dict[str, Any]:
    """Return the status as a JSON-ready object; times are UTC microseconds."""
    now = service.clock()
    return {
        "state": protection.state,
        "since": protection.since,
        "reason": protection.reason,
        "mode": mode,
        "lan": lan,
        "wan": wan,
        "enforce": service.enforce,
        "pauses": _pauses(service),
        "inspectors": [_inspector(inspector, now) for inspector in inspectors],
        "uninspected": {**service.uninspected.facts(), "unjudged": _unjudged(inspectors)},
        "interruptions": service.story.entries(),
        "conntrack": None if capacity is None else capacity.facts(),
        "passed": links_report.passed(service.kernel_counters),
        "observed": _observed(service),
        "feeds": None if service.feeds is None else service.feeds.facts(),
        "signatures": None if service.packs is None else service.packs.facts(),
        "export": _export(service, now),
        "names": None if service.naming is None else service.naming.facts(),
        "contacts": None if service.contacts is None else service.contacts.facts(),
        "blocks": len({block.endpoint for block in service.actions.blocking()}),
        "kernel_problem": service.kernel_problem or (capacity.problem if capacity else None),
        "ledger": {
            "path": str(service.ledger.path),
            "bytes": service.ledger_bytes(),
            "notice": _notice(service),
            "waiting": service.writer.waiting,
            "lost": service.writer.lost,
        },
        "selftest": service.selftest,
        "selftest_began": None if service.testing is None else service.testing.began,
        "health": _health(service, inspectors),
        "version": __version__,
    }


def _health(service: Service, inspectors: Iterable[Inspector]) -> dict[str, Any] | None:
    """Return how the machine fares, and how full the fullest queue of packets is."""
    facts = None if service.health is None else service.health.facts()
    if facts is None:
        return None
    waiting = [
        inspector.status.counters["waiting_percent"]
        for inspector in inspectors
        if inspector.status is not None
    ]
    return {**facts, "queue_percent": max(waiting, default=None)}


def _pauses(service: Service) -> list[dict[str, Any]]:
    """Return who is not inspected for a while, and until when; `device` None is everybody."""
    return [
        {"action": action.id, "device": action.device, "until": action.expires}
        for action in service.responses.of(PAUSE)
    ]


def _observed(service: Service) -> dict[str, int] | None:
    """Return what is observed, and how much of what was said there nobody has read."""
    if service.observation is None:
        return None
    uncopied = service.kernel_counters.get("uncopied_packets", 0)
    return {**service.observation.facts(), "uncopied": uncopied}


def _export(service: Service, now: int) -> dict[str, Any] | None:
    """Return how each receiver fares, null where nobody is to be told; without any: silence."""
    if not service.settings.export.wanted:
        return None
    directory = service.export_directory
    return (None if directory is None else facts.receivers(directory, now)) or {}


def _unjudged(inspectors: Iterable[Inspector]) -> list[dict[str, Any]]:
    """Return the connections that inspectors had to give up for lack of room, newest first."""
    return [
        {"client": client, "server": server, "server_port": port}
        for inspector in inspectors
        if inspector.status is not None
        for client, server, port in reversed(inspector.status.unjudged)
    ]


def _inspector(inspector: Inspector, now: int) -> dict[str, Any]:
    """Return what is known of one inspector."""
    told = inspector.status
    return {
        "worker": None if told is None else told.worker,
        "pid": inspector.peer.pid if told is None else told.pid,
        "alive": is_alive(inspector, now),
        **({} if told is None else told.counters),
    }


def _notice(service: Service) -> str | None:
    """Return what a person must know of the ledger, None if all is well."""
    if service.ledger_problem is not None:
        return f"nothing is kept: {service.ledger_problem}"
    if service.writer.problem is not None:
        return (
            f"{service.writer.problem}; {service.writer.waiting} rows wait, "
            f"{service.writer.lost} were lost"
        )
    if service.writer.lost:
        return f"{service.writer.lost} rows could not be written since the start"
    if shortage := service.shortage():
        return shortage
    try:
        return queries.notes(service.ledger).get(SET_ASIDE_NOTE)
    except LedgerError as error:
        return str(error)
