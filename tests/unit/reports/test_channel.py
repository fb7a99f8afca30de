"""The reports channel: a verdict is never delayed, what is lost is counted."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.reports import channel
from ratwall.reports.channel import LINE_LENGTH, MESSAGE_LIMIT, ReportChannel


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reports.sock"


def listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(str(path))
    listener.listen()
    return listener


@pytest.fixture
def controller(path: Path) -> Iterator[socket.socket]:
    with listen(path) as listener:
        yield listener


def test_a_report_made_while_the_controller_is_away_arrives_later(path: Path) -> None:
    reports = ReportChannel(path)
    reports.report({"number": 1})
    assert reports.pump(0.0) == []
    assert reports.fileno() is None
    with listen(path) as listener:
        reports.pump(0.5)  # too early to look again
        assert reports.fileno() is None
        reports.pump(1.5)
        connection, _ = listener.accept()
        with connection:
            assert json.loads(connection.recv(MESSAGE_LIMIT)) == {"number": 1}
    reports.close()


def test_a_controller_that_does_not_read_delays_nothing(
    path: Path, controller: socket.socket
) -> None:
    reports = ReportChannel(path)
    reports.pump(0.0)
    started = time.monotonic()
    for number in range(LINE_LENGTH * 2):
        reports.report({"number": number, "filling": "x" * 2000})
    assert time.monotonic() - started < 5.0
    assert 0 < reports.lost < LINE_LENGTH * 2
    reports.close()


@pytest.mark.parametrize(("length", "lost"), [(9, 0), (10, 0), (11, 1)])
def test_the_waiting_line_is_bounded(
    path: Path, monkeypatch: pytest.MonkeyPatch, length: int, lost: int
) -> None:
    monkeypatch.setattr(channel, "LINE_LENGTH", 10)
    reports = ReportChannel(path)
    for number in range(length):
        reports.report({"number": number})
    assert reports.lost == lost


def test_a_message_over_the_limit_is_lost_and_counted(path: Path) -> None:
    reports = ReportChannel(path)
    reports.report({"filling": "x" * MESSAGE_LIMIT})
    assert reports.lost == 1


def test_instructions_come_back_and_a_controller_that_leaves_is_noticed(
    path: Path, controller: socket.socket
) -> None:
    reports = ReportChannel(path)
    reports.pump(0.0)
    connection, _ = controller.accept()
    connection.send(json.dumps({"type": "mode", "enforce": False}).encode())
    assert reports.pump(0.1) == [{"type": "mode", "enforce": False}]
    connection.close()
    assert reports.pump(0.2) == []
    assert reports.fileno() is None


@pytest.mark.parametrize(
    "broken",
    [b'{"type":"mode","enforce":fal', b"\xff\xfe", b"[" * 100_000, b'["mode"]', b"{}}"],
    ids=["cut short", "no text", "too deep", "no object", "trailing"],
)
def test_a_message_that_cannot_be_read_is_dropped_with_one_warning(
    path: Path, controller: socket.socket, broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reports = ReportChannel(path)
    reports.pump(0.0)
    connection, _ = controller.accept()
    with connection:
        connection.send(broken)
        connection.send(b'{"type":"mode","enforce":true}')
        assert reports.pump(0.1) == [{"type": "mode", "enforce": True}]
    assert len(caplog.records) == 1
    assert f"dropped a message of {len(broken)} bytes" in caplog.text
    reports.close()
