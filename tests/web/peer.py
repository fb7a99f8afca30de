"""A small controller for the pages' tests: it speaks the command socket's contract, nothing more.

What it is asked it keeps in `asked`; what it should refuse is put into `refusals`. The changes that
pages show again (allow, undo, release) it writes into the ledger like the real one.
"""

import contextlib
import json
import socketserver
import threading
import time
from pathlib import Path
from typing import Any

from web.story import Office

MADE = 1_767_225_600_000_000
PACK = {"name": "dcrat", "version": 1, "made": "2026-11-24", "key": None, "taken": None}
ABOUT = {
    "rules": 3,
    "family": "DcRat",
    "about": "DcRat and descendants that keep its author's name",
}
FEED = {"name": "own", "kind": "plain", "indicators": 1200, "checked": MADE, "taken": MADE}
NO_RATES = {"received_bps": None, "sent_bps": None}
HEALTH: dict[str, Any] = {
    "uptime_s": 93_784,
    "cores": 4,
    "processor_percent": 7,
    "memory_bytes": 3_980_000_000,
    "memory_percent": 12,
    "temperature": 47.8,
    "disk_bytes": 31_900_000_000,
    "disk_percent": 4,
    "ports": [
        {
            "name": "lan0",
            "there": True,
            "up": True,
            "speed_mbit": 1000,
            "received_bps": 1_240_000,
            "sent_bps": 18_400_000,
        },
        {"name": "wan0", "there": True, "up": False, "speed_mbit": None, **NO_RATES},
    ],
    "tight": ["link"],
    "queue_percent": 0,
}
STATUS: dict[str, Any] = {
    "state": "protecting",
    "since": 1_767_225_600_000_000,
    "reason": None,
    "mode": "bridge",
    "lan": "lan0",
    "wan": "wan0",
    "enforce": True,
    "inspectors": [{"worker": 0, "pid": 4711, "alive": True, "queued": 0}],
    "uninspected": {"packets": 0, "last": None},
    "passed": {"quic": 0, "inbound": 0, "local": 0, "one_way": 0, "stacked": 0},
    "blocks": 1,
    "kernel_problem": None,
    "ledger": {"path": "ledger.sqlite3", "bytes": 65536, "notice": None},
    "signatures": {
        "packs": [{**PACK, **ABOUT}, {**PACK, **ABOUT, "version": 2, "key": "own", "taken": MADE}],
        "problems": ["/var/lib/ratwall/signatures/x.toml: the signature does not hold; left out"],
    },
    "feeds": {
        "indicators": 1200,
        "made": MADE,
        "problem": None,
        "lists": [
            {**FEED, "error": None},
            {**FEED, "name": "late", "error": "lists.example: answers 503"},
        ],
    },
    "selftest": None,
    "health": HEALTH,
    "version": "0.1.0",
}
MESSAGES: dict[str, Any] = {
    "receivers": {
        "mail": {"to": "smtp.example port 587", "sent": 2, "last_sent": MADE, "backlog": 0}
        | {"error": None, "error_since": None},
        "webhook": {"to": "https://hooks.example", "sent": 0, "last_sent": None, "backlog": 3}
        | {"error": "https://hooks.example: refuses with 403", "error_since": MADE},
    },
    "trials": {"mail": {"at": MADE, "ok": True, "answer": "250 2.0.0 Ok: queued as 4711"}},
}
SETTINGS: dict[str, Any] = {
    "path": "/etc/ratwall/settings.toml",
    "digest": "ab" * 32,
    "document": {
        "detection": {"alert": 61},
        "export": {"mqtt": {"user": "box", "password_file": "/etc/ratwall/secrets/mqtt"}},
    },
    "problem": None,
    "secrets": ["export.mqtt.password_file"],
    "waiting": ["network.mode"],
}
RULES = {
    "settings": {"off": [], "monitor": ["asyncrat.port"], "enforce": []},
    "set": [
        {
            "action": 1,
            "rule": "rhythm.stock",
            "mode": "off",
            "author": "admin",
            "created": MADE,
            "reason": "our backup calls in like that",
        }
    ],
    "effective": {"off": ["rhythm.stock"], "monitor": ["asyncrat.port"], "enforce": []},
}


class ControllerPeer:
    """Listens on `<state>/run/control.sock` until closed."""

    def __init__(self, state_dir: Path, office: Office) -> None:
        self.asked: list[dict[str, Any]] = []
        self.refusals: dict[str, str] = {}
        self.status: dict[str, Any] = dict(STATUS)
        self._office = office
        path = state_dir / "run" / "control.sock"
        path.parent.mkdir(exist_ok=True)
        peer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                for line in self.rfile:
                    answer = peer._answer(json.loads(line))
                    with contextlib.suppress(BrokenPipeError):
                        self.wfile.write(json.dumps(answer).encode() + b"\n")

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        self._server.daemon_threads = True
        self._path = path
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering, as a controller that was killed."""
        self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)

    def changes(self) -> list[dict[str, Any]]:
        """Return what was asked besides the status and the audit trail."""
        return [
            each
            for each in self.asked
            if each["command"] not in ("status", "audit", "settings", "messages", "rules")
        ]

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        command = request["command"]
        if command in self.refusals:
            return {"ok": False, "error": self.refusals[command]}
        if command == "status":
            return {"ok": True, "result": self.status}
        if command == "messages":
            return {"ok": True, "result": MESSAGES}
        if command == "rules":
            return {"ok": True, "result": RULES}
        if command == "settings":
            return {"ok": True, "result": SETTINGS}
        if command == "message_test":
            return {"ok": True, "result": {"asked": MADE}}
        if command == "settings_set":
            answer = {"digest": SETTINGS["digest"], "changed": list(request["changes"])}
            return {"ok": True, "result": {**answer, "waiting": []}}
        if command == "selftest":
            self.status = self.status | {"selftest_began": MADE}
            return {"ok": True, "result": {"began": MADE}}
        incident = request.get("incident")
        if incident is not None and not self._office.has(incident):
            return {"ok": False, "error": f"there is no incident {incident}", "code": 2}
        action = self._write(command, request)
        seconds = request.get("seconds")
        expires = None if seconds is None else time.time_ns() // 1000 + seconds * 1_000_000
        return {"ok": True, "result": {"action": action, "expires": expires}}

    def _write(self, command: str, request: dict[str, Any]) -> int | None:
        """Write down what a command did; the number of the action that it put in force."""
        now = time.time_ns() // 1000
        action = None
        if command == "undo":
            self._office.undo(request["action"])
        elif command in ("allow", "keep", "block", "quarantine", "watch", "pause"):
            seconds = request["seconds"]
            targets = ("device", "server", "server_port", "certificate_sha256")
            action = self._office.act(
                request.get("incident"),
                now,
                kind="block_device" if command == "block" and request["device"] else command,
                author=request["author"],
                reason=request.get("reason", ""),
                expires=None if seconds is None else now + seconds * 1_000_000,
                **{key: request.get(key) for key in targets},
            )
            if command == "allow":
                self._office.turn(request["incident"], "allowed")
        elif command == "rule":
            words = {key: request[key] for key in ("author", "reason", "rule", "mode")}
            action = self._office.act(None, now, kind="rule", **words)
        elif command == "release":
            self._office.turn(request["incident"], "released")
        elif command == "audit":
            self._office.write_down(request["author"], request["event"], request["detail"])
        return action
