"""An office day for the ledger: what the pages of the tests show, written by the real writer."""

import json
import threading
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from ratwall.ledger import contacts
from ratwall.ledger.models import Action, Detection, Flow, Incident
from ratwall.ledger.store import open_ledger
from ratwall.ledger.writer import LedgerWriter
from ratwall.verdict.headline import headline

P = ParamSpec("P")
T = TypeVar("T")

SECOND = 1_000_000
HOUR = 3600 * SECOND
ANNA = ("02:00:00:00:00:10", "192.168.1.10")
TILL = ("02:00:00:00:00:11", "192.168.1.11")

# The certificate of AsyncRAT's own capture, by the facts that the page lays out.
ASYNCRAT = {
    "subject": "CN=AsyncRAT Server",
    "issuer": "CN=AsyncRAT Server",
    "sha1": "e7fc4b658c64f9f7defb825a9d855cbfa65c3781",
    "sha256": "ce772ec3" + "5a" * 28,
    "serial": "C9A1C7F4B2E34D5F6A7B8C9D0E1F23",
    "not_before": "2020-05-12T05:30:41Z",
    "not_after": "9999-12-31T23:59:59Z",
    "self_issued": True,
    "key_type": "rsa",
    "key_bits": 4096,
    "signature_algorithm": "sha512WithRSAEncryption",
}
EVIDENCE: list[dict[str, Any]] = [
    {
        "id": "asyncrat.certificate",
        "points": 80,
        "text": "The server's certificate carries the name that AsyncRAT gives to its own.",
        "technique": "T1219",
    },
    {
        "id": "bouncycastle.shape",
        "points": 25,
        "text": "The certificate was made the way these programs make it: valid until the year "
        "9999, its number a prime of 120 bits.",
        "technique": "T1587.003",
    },
    {
        "id": "tls10",
        "points": 10,
        "text": "The device spoke TLS 1.0 and named no server.",
        "technique": "T1573.002",
    },
]


def alone(method: Callable[Concatenate["Office", P], T]) -> Callable[Concatenate["Office", P], T]:
    """Let one thread at a time write: the test, or the controller that answers the page."""

    @wraps(method)
    def guarded(office: "Office", *args: P.args, **kwargs: P.kwargs) -> T:
        with office.lock:
            return method(office, *args, **kwargs)

    return guarded


class Office:
    """Writes what happens in the office into the ledger at `path`, each step committed."""

    def __init__(self, path: Path, group: int | None = None) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.ledger = open_ledger(path, group=group)
        self.writer = LedgerWriter(self.ledger)

    def close(self) -> None:
        """Stop writing."""
        self.writer.flush(durable=True)
        self.ledger.close()

    @alone
    def browse(self, sni: str | None = "www.example.com", **changes: Any) -> int:
        """Let a device open an ordinary page."""
        now = time.time_ns() // 1000
        mac, address = changes.pop("device", TILL)
        values = {
            "start": now,
            "end": None,
            "device": self.writer.device(mac, address, now),
            "client": address,
            "client_port": 50123,
            "server": "198.51.100.80",
            "server_port": 443,
            "sni": sni,
            "tls_version": "TLS 1.3",
            "ja3": None,
            "ja4": None,
            "ja3s": None,
            "resumed": False,
            "certificate": None,
            "score": 0,
            "verdict": "clean",
            "flow_class": "clean",
            "family": None,
            "evidence": "[]",
            "enforced": True,
            "proven": False,
            "incident": None,
        }
        self.writer.count(now, "inspected")
        flow = self.writer.insert(Flow, {**values, **changes})
        self.writer.flush()
        return flow

    @alone
    def attack(
        self,
        server: str = "203.0.113.7",
        port: int = 6606,
        state: str = "blocked",
        certificate: dict[str, Any] | None = None,
        words: str | None = None,
        **changes: Any,
    ) -> int:
        """Let a device meet a remote-control server; return the incident's id."""
        now = time.time_ns() // 1000
        mac, address = changes.pop("device", ANNA)
        device = self.writer.device(mac, address, now)
        shown = self.writer.certificate(certificate or ASYNCRAT, b"\x30\x00", now)
        evidence = json.dumps(changes.pop("evidence", EVIDENCE))
        incident = self.writer.insert(
            Incident,
            {
                "opened": now,
                "updated": now,
                "device": device,
                "server": server,
                "server_port": port,
                "family": "AsyncRAT",
                "score": 100,
                "headline": words
                or headline(
                    device=address,
                    server=server,
                    server_port=port,
                    family=changes.get("family", "AsyncRAT"),
                    outcome=state,
                ),
                "state": state,
                "count": 3,
                "certificate": shown,
                "evidence": evidence,
                "note": None,
                **changes,
            },
        )
        if state in ("blocked", "blocking"):
            block = {"kind": "block", "reason": "AsyncRAT certificate", "expires": now + HOUR}
            self.act(incident, now, server=server, server_port=port, **block)
            self.writer.count(now, "blocked")
        for attempt in range(3):
            self.browse(
                None,
                device=(mac, address),
                start=now - attempt * 5 * SECOND,
                server=server,
                server_port=port,
                tls_version="TLS 1.0",
                certificate=shown,
                score=100,
                verdict="block",
                flow_class="block",
                family="AsyncRAT",
                evidence=evidence,
                proven=True,
                incident=incident,
            )
        self.writer.flush(durable=True)
        return incident

    @alone
    def beat(self, incident: int, period: float = 13.531, beats: int = 15) -> None:
        """Let the incident's connection report in like a clock."""
        last = time.time_ns() // 1000
        times = [last - round(period * SECOND * number) for number in reversed(range(beats))]
        facts = {
            "beats": times,
            "period_us": round(period * SECOND),
            "redrawn": False,
            "shape": True,
            "chance": 1e-9,
            "text": "The device reports in like a clock.",
        }
        self.writer.insert(
            Detection,
            {
                "incident": incident,
                "time": last,
                "rule": "rhythm.stock",
                "score": 100,
                "verdict": "block",
                "facts": json.dumps(facts),
            },
        )
        self.writer.flush()

    @alone
    def score(self, incident: int) -> None:
        """Let the connections of the incident's device and server have been scored."""
        found = self.ledger.row(Incident.select().where(Incident.id == incident))
        assert found is not None
        values = {"total": 812, "times": 990, "sizes": 1000, "duration": 0, "histogram": 5}
        pair = {"device": found["device"], "server": found["server"], "at": found["updated"]}
        contacts.write_score(self.writer, {**pair, "connections": 1200, "regularity": 97, **values})
        self.writer.flush()

    @alone
    def act(self, incident: int | None, now: int, **values: Any) -> int:
        """Write down that something was done."""
        action = {
            "created": now,
            "author": "rule",
            "device": None,
            "server": None,
            "server_port": None,
            "certificate_sha256": None,
            "expires": None,
            "undone": None,
            "incident": incident,
            **values,
        }
        number = self.writer.insert(Action, action)
        self.writer.flush(durable=True)
        return number

    @alone
    def undo(self, action: int) -> None:
        """Write down that something was undone."""
        self.writer.update(Action, action, {"undone": time.time_ns() // 1000})
        self.writer.flush(durable=True)

    @alone
    def has(self, incident: int) -> bool:
        """Say whether there is an incident of this number."""
        return self.ledger.row(Incident.select().where(Incident.id == incident)) is not None

    @alone
    def turn(self, incident: int, state: str) -> None:
        """Give an incident another state."""
        self.writer.update(Incident, incident, {"state": state})
        self.writer.flush(durable=True)

    @alone
    def write_down(self, author: str, event: str, detail: str) -> None:
        """Put a line into the audit trail."""
        self.writer.audit(time.time_ns() // 1000, author, event, detail)
        self.writer.flush()

    @alone
    def fill_day(self) -> None:
        """Fill the hours of a working day, so that the chart has something to show."""
        now = time.time_ns() // 1000
        shape = [
            4,
            3,
            2,
            2,
            3,
            5,
            9,
            38,
            120,
            260,
            310,
            280,
            190,
            240,
            300,
            270,
            210,
            150,
            80,
            40,
            22,
        ]
        for ago, amount in enumerate(reversed([*shape, 15, 10, 6])):
            self.writer.count(now - ago * HOUR, "inspected", amount * 4)
        self.writer.count(now - 3 * HOUR, "blocked", 2)
        self.writer.count(now - 4 * HOUR, "uninspected", 31)
        self.write_down("root", "start", "inline between lan0 and wan0")
