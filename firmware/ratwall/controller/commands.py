"""The commands: each checked to the last field, done whole or refused in one line.

Order of every change: the kernel first, then the ledger (durably) and the inspectors. A change that
the kernel refuses is not written; one that the disk refuses holds all the same, is written later,
and the answer carries a warning.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ratwall.address import PORT_LIMIT, place
from ratwall.controller.annotation_commands import AnnotationCommands
from ratwall.controller.backup_commands import BackupCommands
from ratwall.controller.blocks import SECOND, Action, RefusedError
from ratwall.controller.captures import SECONDS_HIGH, SECONDS_LOW
from ratwall.controller.incidents import Incident
from ratwall.controller.messages import (
    ALLOW_SECONDS_HIGH,
    ALLOW_SECONDS_LOW,
    OBSERVED_LIMIT,
    SHA256_LENGTH,
    Fields,
    is_sha256,
)
from ratwall.controller.response_commands import (
    ID_LIMIT,
    REASON_LIMIT,
    ResponseCommands,
    named_incident,
    reason_of,
    scope,
)
from ratwall.controller.selftest import is_selftest_server
from ratwall.controller.service import Service
from ratwall.controller.settings_commands import SettingsCommands
from ratwall.controller.sockets import Peer
from ratwall.controller.stewardship import Stewardship
from ratwall.controller.uninspected import LISTED_LIMIT
from ratwall.errors import NotPermittedError, RatwallError
from ratwall.export import facts, trial
from ratwall.ledger import models
from ratwall.settings.schema import BLOCK_SECONDS_HIGH, BLOCK_SECONDS_LOW
from ratwall.verdict.headline import Outcome

PAGE_AUTHOR = "admin"  # whoever comes in by the group is the admin page, and acts as nobody else
USER_AUTHOR = "user:"  # but for its other users: this, and their name
API_AUTHOR = "api:"  # and for those who act there by a token: this, and the token's name
PAGE_AUTHORS = (USER_AUTHOR, API_AUTHOR)
# Only root runs the self-test, only root has what people say written to a file, and only root has
# the box call strangers.
OWNERS_COMMANDS = ("selftest_result", "capture", "feeds_update")
QUESTIONS = (
    "status",
    "observed",
    "uninspected",
    "rules",
    "captures",
    "settings",
    "messages",
)  # of nobody in particular
AUTHOR_LIMIT = 64  # characters: a user's name
EVENT_LIMIT = 64

Answer = dict[str, Any]


class Commands:
    """One method a command; `handle` finds it."""

    def __init__(
        self,
        service: Service,
        status: Callable[[], Answer],
        settings: SettingsCommands | None = None,
    ) -> None:
        """Without `settings` nobody here keeps the owner's file."""
        self._service = service
        self._commands: dict[str, Callable[[Fields, str], Answer]] = {
            "allow": self._allow,
            "undo": self._undo,
            "block": self._block,
            "release": self._release,
            "keep": self._keep,
            "audit": self._audit,
            "selftest": self._selftest,
            "selftest_result": self._selftest_result,
            "capture": self._capture,
            "feeds_update": self._feeds_update,
            "steward": Stewardship(service, API_AUTHOR).ask,
            "settings_set": self._settings_set,
            "message_test": self._message_test,
            "backup": self._backup,
            "restore": self._restore,
        }
        self._settings = settings
        self._responses = ResponseCommands(service)
        self._commands |= self._responses.commands | AnnotationCommands(service).commands
        self._status = status

    def handle(self, request: dict[str, Any], peer: Peer) -> Answer:
        """Answer one request; RatwallError says why not, and then nothing was changed."""
        fields = Fields(request, "request")
        name = fields.choice("command", (*QUESTIONS, *self._commands))
        if name == "status":
            return self._status()
        if name == "rules":
            return self._responses.rules()
        if name == "observed":
            return self._observed(fields)
        if name == "uninspected":
            limit = fields.integer("limit", 1, LISTED_LIMIT)
            return {"flows": self._service.uninspected.listing(limit)}
        if name == "captures":
            captures = self._service.captures
            return {"captures": [] if captures is None else captures.listing()}
        if name == "settings":
            return self._keeper().show()
        if name == "messages":
            return self._messages()
        author = fields.text("author", AUTHOR_LIMIT).strip()
        if not author or not author.isprintable():
            raise fields.error("author", "a name")
        if not peer.is_owner and author != PAGE_AUTHOR and not author.startswith(PAGE_AUTHORS):
            raise NotPermittedError(
                f"request: author: the admin page acts as {PAGE_AUTHOR}, {USER_AUTHOR}NAME or "
                f"{API_AUTHOR}NAME, not as {author}"
            )
        if not peer.is_owner and name in OWNERS_COMMANDS:
            raise NotPermittedError(f"{name}: only root may do that, at the console")
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
        flows = [] if observation is None else observation.listing(limit)
        naming = self._service.naming
        for flow in flows:
            flow["names"] = [] if naming is None else list(naming.of(flow["server"]))
        return {"flows": flows}

    def _allow(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        server = fields.optional_address("server")
        port = fields.optional_integer("server_port", 1, PORT_LIMIT)
        certificate = fields.optional_text("certificate_sha256", SHA256_LENGTH)
        if certificate is not None:
            certificate = certificate.lower()
            if not is_sha256(certificate):
                raise fields.error("certificate_sha256", f"{SHA256_LENGTH} hexadecimal digits")
        if (server is None) != (port is None):
            raise fields.error("server_port", "a port together with server")
        if (server is None) == (certificate is None):
            raise fields.error("server", "either server and server_port, or certificate_sha256")
        seconds = fields.optional_integer("seconds", ALLOW_SECONDS_LOW, ALLOW_SECONDS_HIGH)
        incident = named_incident(self._service, fields)
        action = service.actions.allow(
            Action(
                id=0,
                created=now,
                kind="allow",
                author=author,
                reason=reason_of(fields),
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
            self._make_way(action, now)
        except RatwallError:
            service.actions.undo(action, now)
            raise
        for touched in self._touched_by(action, incident):
            service.set_state(touched, Outcome.ALLOWED)
        if certificate is not None:
            service.push_allows()
        service.writer.audit(now, author, "allow", f"{scope(action)}: {action.reason}")
        return {"action": action.id, "expires": action.expires}

    def _make_way(self, allow: Action, now: int) -> None:
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
                for incident in service.books.cases.at_hand
                if incident.certificate_sha256 == allow.certificate_sha256
            }
            endpoints |= {
                block.endpoint
                for block in service.actions.blocking()
                if block.endpoint is not None
                and (block.incident in shown or block.incident == allow.incident is not None)
            }
        for server, port in endpoints:
            service.actions.unblock(server, port, now)
            service.push(service.memory.forget(server, port))

    def _touched_by(self, allow: Action, named: Incident | None) -> list[Incident]:
        """Return the incidents whose story an allow changes."""
        touched = {} if named is None else {named.id: named}
        for incident in self._service.books.cases.at_hand:
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
        number = fields.integer("action", 1, ID_LIMIT)
        response = service.responses.get(number)
        if response is not None:
            return self._responses.undo(response, author)
        action = service.actions.get(number)
        if action is None:
            raise RefusedError(f"undo: action {number} is not in force")
        ended = []
        if action.kind == "allow" and action.incident is not None:
            service.flush()  # what the allow had ended is looked up in the ledger
            ended = service.ledger.rows(
                models.Action.select().where(
                    (models.Action.undone == action.created)
                    & (models.Action.incident == action.incident)
                    & models.Action.kind.in_(("block", "keep"))
                    & (models.Action.expires > now)
                )
            )
        service.actions.undo(action, now)
        revived = service.actions.revive(ended, now)
        if action.certificate_sha256 is not None:
            service.push_allows()
        if action.incident is not None:
            incident = service.find_incident(action.incident)
            if incident is not None:
                service.set_state(incident, self._state_after(incident))
        service.writer.audit(
            now, author, "undo", f"{action.kind} {scope(action)} (action {action.id})"
        )
        return {"action": action.id, "kind": action.kind, "blocks": len(revived)}

    def _state_after(self, incident: Incident) -> Outcome:
        """Return what an incident is when an action of its was taken back."""
        for block in self._service.actions.blocking():
            if block.incident == incident.id:
                return Outcome.BLOCKED
        return Outcome.RELEASED

    def _block(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        seconds = self._seconds(fields, service.settings.block.seconds)
        server = fields.address("server")
        port = fields.optional_integer("server_port", 1, PORT_LIMIT)
        if port is None or fields.optional_text("device") is not None:
            return self._responses.block(fields, author, seconds)
        incident = named_incident(service, fields)
        action = service.actions.block(
            server,
            port,
            seconds,
            author=author,
            reason=reason_of(fields),
            incident=None if incident is None else incident.id,
            now=now,
        )
        service.writer.audit(now, author, "block", f"{scope(action)}: {action.reason}")
        return {"action": action.id, "expires": action.expires}

    def _release(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        incident = named_incident(self._service, fields)
        reason = reason_of(fields)
        held = 0
        endpoints: set[tuple[str, int]]
        if incident is not None:
            responses = service.responses.of("block_device", "block_server", "quarantine")
            of_it = [action for action in responses if action.incident == incident.id]
            held = self._responses.end(of_it, author, reason, now)
            endpoints = {(incident.server, port) for port in incident.ports}
            endpoints |= {
                block.endpoint
                for block in service.actions.blocking()
                if block.incident == incident.id and block.endpoint is not None
            }
        else:
            server = fields.address("server")
            port = fields.optional_integer("server_port", 1, PORT_LIMIT)
            if port is None:
                return {"released": self._responses.release(server, author, reason)}
            endpoints = {(server, port)}
        touched = {} if incident is None else {incident.id: incident}
        released = held
        for server, port in sorted(endpoints):
            for block in service.actions.unblock(server, port, now):
                released += 1
                of = None if block.incident is None else service.find_incident(block.incident)
                if of is not None:
                    touched[of.id] = of
            service.push(service.memory.forget(server, port))
            if is_selftest_server(server, port):
                continue  # the inspectors had to hear of it; the books need not
            service.actions.note(
                Action(
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
            service.writer.audit(now, author, "release", f"{place(server, port)}: {reason}")
        for each in touched.values():
            service.set_state(each, Outcome.RELEASED)
        return {"released": released}

    def _keep(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        incident = named_incident(self._service, fields)
        if incident is None:
            raise fields.error("incident", f"an integer from 1 to {ID_LIMIT}")
        action = service.actions.keep(
            incident.id,
            # A person who says "keep" without a time means as long as blocks may last.
            self._seconds(fields, BLOCK_SECONDS_HIGH),
            author=author,
            reason=reason_of(fields),
            now=now,
        )
        service.writer.audit(now, author, "keep", f"{scope(action)}: {action.reason}")
        return {"action": action.id, "expires": action.expires}

    def _audit(self, fields: Fields, author: str) -> Answer:
        event = fields.text("event", EVENT_LIMIT)
        detail = fields.text("detail", REASON_LIMIT)
        self._service.writer.audit(self._service.clock(), author, event, detail)
        return {}

    def _capture(self, fields: Fields, author: str) -> Answer:
        captures = self._service.captures
        if captures is None:
            raise RefusedError("capture: nothing can be captured here")
        device, why = fields.address("device"), reason_of(fields)
        if not fields.boolean("on"):
            return {"packets": captures.switch_off(device, author, why)}
        seconds = fields.integer("seconds", SECONDS_LOW, SECONDS_HIGH)
        return {"until": captures.switch_on(device, seconds, author, why)}

    def _feeds_update(self, fields: Fields, author: str) -> Answer:
        feeds = self._service.feeds
        if feeds is None:
            raise RefusedError("feeds: no lists are looked at here")
        return {"run": feeds.update()}

    def _settings_set(self, fields: Fields, author: str) -> Answer:
        answer, names = self._keeper().change(fields)
        if names and not fields.boolean("dry"):
            self._service.writer.audit(self._service.clock(), author, "settings", _listed(names))
        return answer

    def _messages(self) -> Answer:
        """Answer how each receiver fares, and what came of tests; null: the exporter is silent."""
        directory, now = self._service.export_directory, self._service.clock()
        if directory is None:
            return {"receivers": None, "trials": None}
        return {
            "receivers": facts.receivers(directory, now),
            "trials": facts.trials(directory, now),
        }

    def _message_test(self, fields: Fields, author: str) -> Answer:
        receiver = fields.choice("receiver", facts.RECEIVERS)
        directory, now = self._service.export_directory, self._service.clock()
        told = None if directory is None else facts.receivers(directory, now)
        if directory is None or told is None or receiver not in told:
            raise RefusedError(
                f"{receiver}: nobody is to be told that way; save its settings first"
            )
        try:
            trial.ask(directory, receiver)
        except OSError as error:
            raise RefusedError(
                "the exporter does not answer; it is started again by itself, try again in a minute"
            ) from error
        self._service.writer.audit(now, author, "test message", receiver)
        return {"asked": now}

    def _backup(self, fields: Fields, author: str) -> Answer:
        part = self._backups().part()
        self._service.writer.audit(self._service.clock(), author, "backup", "made")
        return part

    def _restore(self, fields: Fields, author: str) -> Answer:
        dry = fields.boolean("dry")
        answer = self._backups().restore(fields.secret_mapping("part"), author, dry=dry)
        if not dry:
            told = f"{answer['actions']} actions, {answer['devices']} names"
            self._service.writer.audit(self._service.clock(), author, "restore", told)
        return answer

    def _backups(self) -> BackupCommands:
        def act(command: str, arguments: Mapping[str, Any]) -> Answer:
            return self._commands[command](Fields(arguments, command), arguments["author"])

        return BackupCommands(self._service, self._keeper(), act)

    def _keeper(self) -> SettingsCommands:
        if self._settings is None:
            raise RefusedError("settings: nobody keeps a settings file here")
        return self._settings

    def _selftest_result(self, fields: Fields, author: str) -> Answer:
        self._service.take_selftest(fields.mapping("result"), author)
        return {}

    def _selftest(self, fields: Fields, author: str) -> Answer:
        service = self._service
        if service.testing is None:
            raise RefusedError("self-test: nobody here can run it")
        began = service.testing.begin()
        service.writer.audit(began, author, "selftest", "asked for")
        return {"began": began}

    @staticmethod
    def _seconds(fields: Fields, default: int) -> int:
        seconds = fields.optional_integer("seconds", BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH)
        return default if seconds is None else seconds


def _listed(names: list[str]) -> str:
    """Return names as the audit trail has room for."""
    text = ", ".join(names)
    return text if len(text) <= REASON_LIMIT else f"{text[: REASON_LIMIT - 1]}…"
