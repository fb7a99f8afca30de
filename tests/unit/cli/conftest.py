"""The controller's box again: the command line talks to a real controller."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ratwall.cli.main import main
from unit.controller.box import Box, FakeInspector, Running, clean, eventually, proof, report
from unit.controller.conftest import box, inspector, running

__all__ = ["box", "inspector", "running"]

SCREEN = 120  # columns


@pytest.fixture(autouse=True)
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(SCREEN))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


class Shell:
    """Runs commands in this process and keeps what they printed."""

    def __init__(self, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.state = self._state = state
        self._capsys = capsys

    def run(self, *words: str, code: int = 0) -> str:
        """Return what a command printed; check its exit code and that errors are one line."""
        self._capsys.readouterr()
        returned = main([*words, "--state-dir", str(self._state)])
        printed = self._capsys.readouterr()
        assert returned == code, printed
        if code:
            assert printed.err.startswith("ratwall: ")
            assert printed.err.count("\n") == 1, printed.err
            assert printed.out == ""
            return printed.err.removeprefix("ratwall: ").rstrip("\n")
        assert printed.err == ""
        return printed.out

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))


@pytest.fixture
def shell(box: Box, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(box.state, capsys)


@pytest.fixture
def attacked(box: Box, running: Running, inspector: FakeInspector) -> Running:
    """Have one proven block and one everyday connection in the ledger."""
    inspector.send(report())
    inspector.send(clean(sni="www.example.org", tls_version="TLS 1.3", client_port=50_001))
    box.watch.show(proof())
    eventually(lambda: box.sets.blocked)
    running.call("status")
    running.call("status")  # the proof may come a turn later; this one is written
    return running
