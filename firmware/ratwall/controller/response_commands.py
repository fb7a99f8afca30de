"""The commands about devices and rules: block for one, quarantine, watch, pause, resume, rule.

As in `commands`: each is checked to the last field, and done whole or refused in one line. A device
is named by an address, a MAC or the name that a person gave it.
"""

from collections.abc import Callable
from typing import Any

from ratwall.address import PORT_LIMIT, place
from ratwall.controller.blocks import Action, RefusedError
from ratwall.controller.identity import Identity, identify
from ratwall.controller.incidents import Incident
from ratwall.controller.messages import Fields
from ratwall.controller.responses import (
    BLOCK_DEVICE,
    BLOCK_SERVER,
    PAUSE,
    QUARANTINE,
    RULE,
    WATCH,
)
from ratwall.controller.service import Service
from ratwall.settings.rules import RULE_NAME
from ratwall.settings.schema import (
    BLOCK_SECONDS_HIGH,
    BLOCK_SECONDS_LOW,
    MODES,
    PAUSE_SECONDS_HIGH,
    PAUSE_SECONDS_LOW,
)

ID_LIMIT = 2**63 - 1
REASON_LIMIT = 500  # characters: a few sentences
NAME_LIMIT = 128  # characters: a device's name
RULE_LIMIT = 100  # characters of a rule's name
WORDS = {
    BLOCK_DEVICE: "block",
    BLOCK_SERVER: "block",
    QUARANTINE: "quarantine",
    WATCH: "watch",
    PAUSE: "pause",
    RULE: "rule",
}

Answer = dict[str, Any]


class ResponseCommands:
    """One method a command; `commands` lists them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.commands: dict[str, Callable[[Fields, str], Answer]] = {
            "quarantine": self._quarantine,
            "watch": self._watch,
            "pause": self._pause,
            "resume": self._resume,
            "rule": self._rule,
        }

    def rules(self) -> Answer:
        """Answer what each rule may do, and who set what since the settings."""
        service = self._service
        rules = service.effective().rules
        return {
            "settings": {mode: list(getattr(service.settings.rules, mode)) for mode in MODES},
            "set": [
                {
                    "action": action.id,
                    "rule": action.rule,
                    "mode": action.mode,
                    "author": action.author,
                    "created": action.created,
                    "reason": action.reason,
                }
                for action in service.responses.of(RULE)
            ],
            "effective": {mode: list(getattr(rules, mode)) for mode in MODES},
        }

    def block(self, fields: Fields, author: str, seconds: int) -> Answer:
        """Block a server for one device, or on every port, or both."""
        server = fields.address("server")
        port = fields.optional_integer("server_port", 1, PORT_LIMIT)
        device = self._named(fields)
        why = self._why(fields, author)
        return self._done(
            author, self._service.responses.block(device, server, port, seconds, **why)
        )

    def release(self, address: str, author: str, reason: str) -> int:
        """End what holds a device back, or a server on every port; how many were ended."""
        service, now = self._service, self._service.clock()
        ended = [
            action
            for action in service.responses.of(QUARANTINE, BLOCK_DEVICE, BLOCK_SERVER)
            if address in (action.device, action.server)
        ]
        return self.end(ended, author, reason, now)

    def end(self, actions: list[Action], author: str, reason: str, now: int) -> int:
        """Take actions back, each with a line in the audit trail; how many."""
        if actions:
            self._service.responses.end(actions, now)
        for action in actions:
            self._service.writer.audit(now, author, "release", f"{scope(action)}: {reason}")
        return len(actions)

    def undo(self, action: Action, author: str) -> Answer:
        """Take one action back by its number."""
        service, now = self._service, self._service.clock()
        service.responses.end([action], now)
        if action.kind == RULE:
            service.push(service.rules_message())
        service.writer.audit(now, author, "undo", f"{scope(action)} (action {action.id})")
        return {"action": action.id, "kind": WORDS[action.kind], "blocks": 0}

    def _quarantine(self, fields: Fields, author: str) -> Answer:
        service = self._service
        device = self._device(fields)
        seconds = fields.optional_integer("seconds", BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH)
        action = service.responses.quarantine(
            device,
            service.settings.response.quarantine_seconds if seconds is None else seconds,
            **self._why(fields, author),
        )
        return {
            **self._done(author, action),
            "device": device.address,
            "mac": device.mac,
            "addresses": list(device.addresses),
        }

    def _watch(self, fields: Fields, author: str) -> Answer:
        service = self._service
        device = self._device(fields)
        seconds = fields.optional_integer("seconds", BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH)
        action = service.responses.watch(
            device,
            service.settings.response.watch_seconds if seconds is None else seconds,
            **self._why(fields, author),
        )
        return {**self._done(author, action), "device": device.address}

    def _pause(self, fields: Fields, author: str) -> Answer:
        device = self._named(fields)
        seconds = fields.integer("seconds", PAUSE_SECONDS_LOW, PAUSE_SECONDS_HIGH)
        action = self._service.responses.pause(device, seconds, **self._why(fields, author))
        return {**self._done(author, action), "device": action.device}

    def _resume(self, fields: Fields, author: str) -> Answer:
        service, now = self._service, self._service.clock()
        device = self._named(fields)
        pauses = service.responses.of(PAUSE)
        if device is not None:
            pauses = [action for action in pauses if action.device == device.address]
            if not pauses:
                raise RefusedError(f"resume: {device.address} is not paused by itself")
        if pauses:
            service.responses.end(pauses, now)
        for action in pauses:
            service.writer.audit(now, author, "resume", scope(action))
        return {"resumed": len(pauses)}

    def _rule(self, fields: Fields, author: str) -> Answer:
        service = self._service
        rule = fields.text("rule", RULE_LIMIT)
        if not RULE_NAME.fullmatch(rule):
            raise fields.error("rule", 'a rule such as "asyncrat.port" or "rhythm.*"')
        mode = fields.choice("mode", MODES)
        action = service.responses.set_mode(rule, mode, **self._why(fields, author))
        service.push(service.rules_message())
        return {**self._done(author, action), "rule": rule, "mode": mode}

    def _done(self, author: str, action: Action) -> Answer:
        self._service.writer.audit(
            action.created, author, WORDS[action.kind], f"{scope(action)}: {action.reason}"
        )
        return {"action": action.id, "expires": action.expires}

    def _why(self, fields: Fields, author: str) -> dict[str, Any]:
        incident = named_incident(self._service, fields)
        return {
            "author": author,
            "reason": reason_of(fields),
            "incident": None if incident is None else incident.id,
            "now": self._service.clock(),
        }

    def _named(self, fields: Fields) -> Identity | None:
        """Return the device that a request names, None if it names none."""
        return None if fields.optional_text("device", NAME_LIMIT) is None else self._device(fields)

    def _device(self, fields: Fields) -> Identity:
        service = self._service
        named = fields.text("device", NAME_LIMIT).strip()
        service.flush()  # a device of a moment ago is looked up in the ledger
        found = identify(service.ledger, service.neighbours.mac_of, named, service.clock())
        if found is None:
            raise fields.error("device", "an address, or a MAC or name that `devices` lists")
        return found


def named_incident(service: Service, fields: Fields) -> Incident | None:
    """Return the incident that a request names, None if it names none."""
    incident_id = fields.optional_integer("incident", 1, ID_LIMIT)
    if incident_id is None:
        return None
    incident = service.find_incident(incident_id)
    if incident is None:
        raise RefusedError(f"there is no incident {incident_id}")
    return incident


def reason_of(fields: Fields) -> str:
    """Return why a person wants it, on one line."""
    reason = " ".join((fields.optional_text("reason", REASON_LIMIT) or "").split())
    return reason or "no reason given"


def scope(action: Action) -> str:
    """Say in words what an action is about."""
    if action.kind == RULE:
        return f"{action.rule} may {action.mode}"
    if action.kind == PAUSE and action.device is None:
        return "everything"
    if action.server is None and action.certificate_sha256 is None:
        return str(action.device)
    if action.server is None:
        what = f"certificate {action.certificate_sha256}"
    elif action.server_port is None:
        what = f"{action.server}, every port"
    else:
        what = place(action.server, action.server_port)
    return what if action.device is None else f"{what} for {action.device}"
