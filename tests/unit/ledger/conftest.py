"""Ledgers on a real disk, and the values of a flow that a test need not care about."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratwall.ledger.store import FILE_NAME, Ledger, open_ledger
from ratwall.ledger.writer import LedgerWriter

NOON = 1_750_000_000_000_000  # some day in June 2025, UTC microseconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with open_ledger(path) as opened:
        yield opened


@pytest.fixture
def writer(ledger: Ledger) -> LedgerWriter:
    return LedgerWriter(ledger)


@pytest.fixture
def now() -> int:
    return NOON


@pytest.fixture
def flow() -> dict[str, Any]:
    """Return a clean flow of device 1."""
    return {
        "start": NOON,
        "device": 1,
        "client": "192.168.1.10",
        "client_port": 50_000,
        "server": "203.0.113.7",
        "server_port": 443,
        "sni": "www.example.org",
        "tls_version": "TLS 1.3",
        "resumed": False,
        "score": 0,
        "verdict": "clean",
        "flow_class": "clean",
        "evidence": "[]",
        "enforced": True,
        "proven": False,
    }


@pytest.fixture
def incident() -> dict[str, Any]:
    """Return a blocked incident of device 1."""
    return {
        "opened": NOON,
        "updated": NOON,
        "device": 1,
        "server": "203.0.113.7",
        "server_port": 6606,
        "family": "AsyncRAT",
        "score": 95,
        "headline": "192.168.1.10 tried to reach a remote-control server at 203.0.113.7",
        "state": "blocked",
        "count": 1,
        "evidence": '[{"id": "x", "points": 95, "text": "why", "technique": null}]',
    }


@pytest.fixture
def certificate() -> dict[str, Any]:
    """Return the certificate part of a flow record."""
    return {
        "subject": "CN=AsyncRAT Server",
        "issuer": "CN=AsyncRAT Server",
        "sha1": "ab" * 20,
        "sha256": "cd" * 32,
        "serial": "123",
        "not_before": "2025-01-01T00:00:00Z",
        "not_after": "9999-12-31T23:59:59Z",
        "self_issued": True,
        "key_type": "rsa",
        "key_bits": 4096,
        "signature_algorithm": "sha512WithRSAEncryption",
    }
