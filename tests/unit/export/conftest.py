"""A ledger with a device in it, incidents that happen, and the real exporter beside it."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ratwall.export.records import Record
from ratwall.ledger import models
from ratwall.ledger.store import FILE_NAME, Ledger, open_ledger
from ratwall.ledger.writer import LedgerWriter

WAIT_SECONDS = 30.0  # generous: the machine may be busy
SHA256, SHA1 = "cd" * 32, "ab" * 20
CERTIFICATE = {
    "subject": "CN=AsyncRAT Server",
    "issuer": "CN=AsyncRAT Server",
    "sha1": SHA1,
    "sha256": SHA256,
    "serial": "123",
    "not_before": "2025-01-01T00:00:00Z",
    "not_after": "9999-12-31T23:59:59Z",
    "self_issued": True,
    "key_type": "rsa",
    "key_bits": 4096,
    "signature_algorithm": "sha512WithRSAEncryption",
}


def now() -> int:
    return time.time_ns() // 1000


class Story:
    """What happens in an office, as the controller writes it down."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.writer = LedgerWriter(ledger)
        self.told = 0
        self.device = self.writer.device("02:00:00:00:00:10", "192.168.1.10", now())

    def incident(self, **changed: Any) -> int:
        """An incident is opened."""
        values = {
            "opened": now(),
            "updated": now(),
            "device": self.device,
            "server": "203.0.113.7",
            "server_port": 6606,
            "family": "AsyncRAT",
            "score": 95,
            "headline": "192.168.1.10 tried to reach a remote-control server (AsyncRAT)",
            "state": "blocking",
            "count": 1,
            "certificate": self.writer.certificate(CERTIFICATE, None, now()),
            "evidence": '[{"id": "asyncrat.name", "points": 95, "text": "why", '
            '"technique": "T1573.002"}]',
        }
        number = self.writer.insert(models.Incident, values | changed)
        self.flush()
        return number

    def incidents(self, count: int) -> list[str]:
        """Several incidents, one after the other; the servers, by which they are told apart."""
        servers = [f"198.51.100.{self.told + number + 1}" for number in range(count)]
        self.told += count
        for server in servers:
            self.incident(server=server)
        return servers

    def change(self, number: int, **values: Any) -> None:
        self.writer.update(models.Incident, number, values)
        self.flush()

    def action(self, **changed: Any) -> int:
        values = {"created": now(), "kind": "block", "author": "rule", "reason": "AsyncRAT"}
        number = self.writer.insert(models.Action, values | changed)
        self.flush()
        return number

    def state(self, state: str, reason: str | None = None) -> None:
        values = {"time": now(), "state": state, "reason": reason}
        self.writer.insert(models.BoxState, values)
        self.flush()

    def flush(self) -> None:
        assert self.writer.flush(), self.writer.problem


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "export").mkdir()
    return tmp_path


@pytest.fixture
def ledger(state_dir: Path) -> Iterator[Ledger]:
    with open_ledger(state_dir / FILE_NAME) as opened:
        yield opened


@pytest.fixture
def story(ledger: Ledger) -> Story:
    return Story(ledger)


def eventually(condition: Callable[[], Any], what: Callable[[], object]) -> Any:
    """Wait for a condition; what it was true with. `what` says what there is instead."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)
    return found


def facts(state_dir: Path, receiver: str) -> dict[str, Any]:
    """What the exporter says of a receiver; nothing before its first word."""
    file = state_dir / "export" / "status.json"
    if not file.exists():
        return {}
    told: dict[str, Any] = json.loads(file.read_text())["receivers"][receiver]
    return told


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that nobody uses, below those that the kernel gives to clients (32,768 on): it stays
    free while its server is down."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket(socket.AF_INET, kind) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("of a hundred ports none is free")


@contextmanager
def exporter(state_dir: Path, settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """The real process, ended by SIGTERM, which it has to obey."""
    config = state_dir / "ratwall.toml"
    config.write_text(settings)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ratwall.export"]
        + ["--state-dir", str(state_dir), "--config", str(config)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def record(**changed: Any) -> Record:
    """A record as an incident makes it, with what a test wants to be different."""
    fields = {
        "id": 7,
        "state": "blocked",
        "score": 95,
        "family": "AsyncRAT",
        "count": 3,
        "device": "192.168.1.10",
        "device_mac": "02:00:00:00:00:10",
        "server": "203.0.113.7",
        "server_port": 6606,
        "rules": ("asyncrat.name", "asyncrat.port"),
        "techniques": ("T1573.002",),
        "certificate_sha256": SHA256,
        "certificate_sha1": SHA1,
        "certificate_subject": "CN=AsyncRAT Server",
        "certificate_issuer": "CN=AsyncRAT Server",
    }
    values: dict[str, Any] = {
        "ledger": "0123456789abcdef" * 2,
        "sequence": 42,
        "time": 1_750_000_000_123_456,
        "event": "incident_opened",
        "severity": 2,
        "message": "PC-ANNA tried to reach a remote-control server",
        "fields": fields | changed.pop("fields", {}),
    }
    return Record(**(values | changed))
