"""The commands: each checked to the last field, done whole or refused in one line.

Order of every change: the kernel first, then the ledger (durably) and the inspectors. A change that
the kernel refuses is not written; one that the disk refuses holds all the same, is written later,
and the answer carries a warning.
"""

import json
from collections.abc import Callable
from typing import Any

from ratwall.controller.blocks import SECOND, Measure, RefusedError
from ratwall.controller.incidents import Incident
from ratwall.controller.messages import OBSERVED_LIMIT, PORT_LIMIT, Fields
from ratwall.controller.service import SELFTEST_NOTE, Service
from ratwall.controller.sockets import Peer
from ratwall.errors import NotPermittedError, RatwallError
from ratwall.ledger import models
from ratwall.settings.schema import BLOCK_SECONDS_HIGH, BLOCK_SECONDS_LOW
from ratwall.verdict.headline import Outcome

AUTHOR_LIMIT = 64  # characters: a user's name
REASON_LIMIT = 500  # characters: a few sentences
EVENT_LIMIT = 64
ID_LIMIT = 2**63 - 1
ALLOW_SECONDS_LOW = 60  # shorter than that nobody gets a connection through and looks
ALLOW_SECONDS_HIGH = 366 * 86_400  # a year; longer is "always"
SHA256_LENGTH = 64  # hexadecimal digits

Answer = dict[str, Any]


class Commands:
    """One method a command; `handle` finds it."""

    def __init__(self, service: Service, status: Callable[[], Answer]) -> None:
        self._service = service
        self._commands: dict[str, Callable[[Fields, str], Answer]] = {
            "allow": self._allow,
            "undo": self._undo,
            "block": self._block,
            "release": self._release,
            "keep": self._keep,
            "audit": self._audit,
            "selftest_result": self._selftest_result,
        }
        self._status = status

    def handle(self, request: dict[str, Any], peer: Peer) -> Answer:
        """Answer one request; RatwallError says why not, and then nothing was changed."""
        fields = Fields(request, "request")
        name = fields.choice("command", ("status", *self._commands, "observed"))
        if name == "status":
            return self._status()
        if name == "observed":
            return self._observed(fields)
        author = fields.text("author", AUTHOR_LIMIT).strip()
        if not author or not author.isprintable():
            raise fields.error("author", "a name")
        if author == "root" and not peer.is_owner:
            raise NotPermittedError("request: author: only root may act as root")
        answer = self._commands[name](Fields(request, name), author)
        service = self._service
        service.urge()
        service.flush()
        if service.writer.waiting:
            answer["warning"] = f"done, but not written down yet: {service.writer.problem}"
        return answer

    def _observed(self, fields: Fields) -> Answer:
        """Answer what is observed, the most suspicious first."""
        observation = self._service.observation
        limit = fields.integer("limit", 1, OBSERVED_LIMIT)
        return {"flows": [] if observation is None else observation.listing(limit)}

    def _allow(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        server = fields.optional_address("server")
        port = fields.optional_integer("server_port", 1, PORT_LIMIT)
        certificate = fields.optional_text("certificate_sha256", SHA256_LENGTH)
        if certificate is not None:
            certificate = certificate.lower()
            if len(certificate) != SHA256_LENGTH or set(certificate) - set("0123456789abcdef"):
                raise fields.error("certificate_sha256", f"{SHA256_LENGTH} hexadecimal digits")
        if (server is None) != (port is None):
            raise fields.error("server_port", "a port together with server")
        if (server is None) == (certificate is None):
            raise fields.error("server", "either server and server_port, or certificate_sha256")
        seconds = fields.optional_integer("seconds", ALLOW_SECONDS_LOW, ALLOW_SECONDS_HIGH)
        incident = self._named_incident(fields)
        measure = service.measures.allow(
            Measure(
                id=0,
                created=now,
                kind="allow",
                author=author,
                reason=_reason(fields),
                device=fields.optional_address("device"),
                server=server,
                server_port=port,
                certificate_sha256=certificate,
                expires=None if seconds is None else now + seconds * SECOND,
                incident=None if incident is None else incident.id,
            ),
            now,
        )
        try:
            self._make_way(measure, now)
        except RatwallError:
            service.measures.undo(measure, now)
            raise
        for touched in self._touched_by(measure, incident):
            service.set_state(touched, Outcome.ALLOWED)
        if certificate is not None:
            service.push(service.allow_message())
        service.writer.audit(now, author, "allow", f"{_scope(measure)}: {measure.reason}")
        return {"action": measure.id, "expires": measure.expires}

    def _make_way(self, allow: Measure, now: int) -> None:
        """End blocks and memory that stand against an allow.

        An allow of one endpoint for one device goes before the block in the kernel, so that the
        block stays for all the others. An allow by certificate needs the handshake, so the block of
        the endpoint must go; the inspectors then judge everybody by certificate again.
        """
        service = self._service
        endpoints = set()
        if allow.endpoint is not None and allow.device is None:
            endpoints = {allow.endpoint}
        elif allow.certificate_sha256 is not None:
            endpoints = set(service.memory.endpoints_of(allow.certificate_sha256))
            shown = {
                incident.id
                for incident in service.incidents
                if incident.certificate_sha256 == allow.certificate_sha256
            }
            endpoints |= {
                block.endpoint
                for block in service.measures.blocking()
                if block.endpoint is not None
                and (block.incident in shown or block.incident == allow.incident is not None)
            }
        for server, port in endpoints:
            service.measures.unblock(server, port, now)
            service.push(service.memory.forget(server, port))

    def _touched_by(self, allow: Measure, named: Incident | None) -> list[Incident]:
        """Return the incidents whose story an allow changes."""
        touched = {} if named is None else {named.id: named}
        for incident in self._service.incidents:
            same_device = allow.device is None or allow.device == incident.client
            same_server = allow.server == incident.server and allow.server_port in incident.ports
            same_certificate = (
                allow.certificate_sha256 is not None
                and allow.certificate_sha256 == incident.certificate_sha256
            )
            if same_device and (same_server or same_certificate):
                touched[incident.id] = incident
        return list(touched.values())

    def _undo(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        action = fields.integer("action", 1, ID_LIMIT)
        measure = service.measures.get(action)
        if measure is None:
            raise RefusedError(f"undo: action {action} is not in force")
        ended = []
        if measure.kind == "allow" and measure.incident is not None:
            service.flush()  # what the allow had ended is looked up in the ledger
            ended = service.ledger.rows(
                models.Action.select().where(
                    (models.Action.undone == measure.created)
                    & (models.Action.incident == measure.incident)
                    & models.Action.kind.in_(("block", "keep"))
                    & (models.Action.expires > now)
                )
            )
        service.measures.undo(measure, now)
        revived = service.measures.revive(ended, now)
        if measure.certificate_sha256 is not None:
            service.push(service.allow_message())
        if measure.incident is not None:
            incident = service.find_incident(measure.incident)
            if incident is not None:
                service.set_state(incident, self._state_after(incident))
        service.writer.audit(
            now, author, "undo", f"{measure.kind} {_scope(measure)} (action {measure.id})"
        )
        return {"action": measure.id, "kind": measure.kind, "blocks": len(revived)}

    def _state_after(self, incident: Incident) -> Outcome:
        """Return what an incident is when an action of its was taken back."""
        for block in self._service.measures.blocking():
            if block.incident == incident.id:
                return Outcome.BLOCKED
        return Outcome.RELEASED

    def _block(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        server = fields.address("server")
        port = fields.integer("server_port", 1, PORT_LIMIT)
        measure = service.measures.block(
            server,
            port,
            self._seconds(fields, service.settings.block.seconds),
            author=author,
            reason=_reason(fields),
            incident=None,
            now=now,
        )
        service.writer.audit(now, author, "block", f"{_scope(measure)}: {measure.reason}")
        return {"action": measure.id, "expires": measure.expires}

    def _release(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        incident = self._named_incident(fields)
        if incident is not None:
            endpoints = {(incident.server, port) for port in incident.ports}
            endpoints |= {
                block.endpoint
                for block in service.measures.blocking()
                if block.incident == incident.id and block.endpoint is not None
            }
        else:
            endpoints = {(fields.address("server"), fields.integer("server_port", 1, PORT_LIMIT))}
        reason = _reason(fields)
        touched = {} if incident is None else {incident.id: incident}
        released = 0
        for server, port in sorted(endpoints):
            for block in service.measures.unblock(server, port, now):
                released += 1
                of = None if block.incident is None else service.find_incident(block.incident)
                if of is not None:
                    touched[of.id] = of
            service.push(service.memory.forget(server, port))
            service.measures.note(
                Measure(
                    id=0,
                    created=now,
                    kind="release",
                    author=author,
                    reason=reason,
                    server=server,
                    server_port=port,
                    incident=None if incident is None else incident.id,
                )
            )
            service.writer.audit(now, author, "release", f"{_place(server, port)}: {reason}")
        for each in touched.values():
            service.set_state(each, Outcome.RELEASED)
        return {"released": released}

    def _keep(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        incident = self._named_incident(fields)
        if incident is None:
            raise fields.error("incident", f"an integer from 1 to {ID_LIMIT}")
        measure = service.measures.keep(
            incident.id,
            # A person who says "keep" without a time means as long as blocks may last.
            self._seconds(fields, BLOCK_SECONDS_HIGH),
            author=author,
            reason=_reason(fields),
            now=now,
        )
        service.writer.audit(now, author, "keep", f"{_scope(measure)}: {measure.reason}")
        return {"action": measure.id, "expires": measure.expires}

    def _audit(self, fields: Fields, author: str) -> Answer:
        event = fields.text("event", EVENT_LIMIT)
        detail = fields.text("detail", REASON_LIMIT)
        self._service.writer.audit(self._service.clock(), author, event, detail)
        return {}

    def _selftest_result(self, fields: Fields, author: str) -> Answer:
        result = fields.mapping("result")
        service, now = self._service, self._service.clock()
        service.selftest = {**result, "time": now}
        service.writer.note(SELFTEST_NOTE, json.dumps(service.selftest))
        passed = "passed" if result.get("ok") is True else "failed"
        service.writer.audit(now, author, "selftest", passed)
        return {}

    def _named_incident(self, fields: Fields) -> Incident | None:
        """Return the incident that a request names, None if it names none."""
        incident_id = fields.optional_integer("incident", 1, ID_LIMIT)
        if incident_id is None:
            return None
        incident = self._service.find_incident(incident_id)
        if incident is None:
            raise RefusedError(f"there is no incident {incident_id}")
        return incident

    @staticmethod
    def _seconds(fields: Fields, default: int) -> int:
        seconds = fields.optional_integer("seconds", BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH)
        return default if seconds is None else seconds


def _reason(fields: Fields) -> str:
    reason = " ".join((fields.optional_text("reason", REASON_LIMIT) or "").split())
    return reason or "no reason given"


def _place(server: str, port: int) -> str:
    return f"[{server}]:{port}" if ":" in server else f"{server}:{port}"


def _scope(measure: Measure) -> str:
    """Say in words what an action is about."""
    if measure.endpoint is not None:
        what = _place(*measure.endpoint)
    else:
        what = f"certificate {measure.certificate_sha256}"
    return what if measure.device is None else f"{what} for {measure.device}"
