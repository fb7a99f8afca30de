"""Strangers at the sockets: who is let in, how much they may send, and that nobody is held up."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratwall.controller import control, reports
from ratwall.controller.client import Client
from ratwall.controller.control import CLIENTS_LIMIT
from ratwall.controller.control import LINE_LIMIT as REQUEST_LIMIT
from ratwall.controller.reports import PACKET_LIMIT, memory_messages
from ratwall.controller.sockets import PATH_LIMIT, listen
from ratwall.errors import NotRunningError, UsageError
from ratwall.ledger import queries
from ratwall.ledger.models import Action
from ratwall.ledger.store import FILE_NAME, open_ledger
from ratwall.ledger.writer import LedgerWriter
from ratwall.reports.channel import MESSAGE_LIMIT
from unit.controller.box import (
    NOON,
    WAIT_SECONDS,
    Box,
    FakeInspector,
    FakeSets,
    FakeWatch,
    Running,
    clean,
    eventually,
    report,
)

NOBODY = 65534
# Connects as user and group `nobody`, after the imports: the interpreter may be root's alone.
AS_NOBODY = """
import os, sys
from pathlib import Path
from ratwall.controller.client import Client
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
client = Client(Path(sys.argv[1]))
try:
    print(client.call(sys.argv[2], author=sys.argv[3], event="x", detail="y", result={"ok": True}))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def box(open_folder: Path) -> Iterator[Box]:
    """A box whose sockets strangers can come as far as."""
    (open_folder / "run").mkdir()
    made = Box(open_folder, FakeSets(), FakeWatch())
    yield made
    made.watch.close()


class Wire:
    """A raw connection to the command socket."""

    def __init__(self, box: Box) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(WAIT_SECONDS)
        self.socket.connect(str(box.state / "run" / "control.sock"))
        self.lines = self.socket.makefile("rb")

    def ask(self, raw: bytes) -> dict[str, Any]:
        self.socket.sendall(raw)
        answer: dict[str, Any] = json.loads(self.lines.readline())
        return answer

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


def request_of(length: int) -> bytes:
    """Return a status request of exactly so many bytes, without its line end."""
    bare = b'{"command": "status", "x": ""}'
    return bare[:-2] + b"x" * (length - len(bare)) + bare[-2:]


def as_nobody(box: Box, command: str, author: str = "admin") -> str:
    path = box.state / "run" / "control.sock"
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(path), command, author],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=60,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "raw",
    [b"\n", b"{\n", b"[]\n", b"\xff\xfe\n", b"7\n", b"[" * 10_000 + b"\n", b'{"command": 7}\n'],
)
def test_nonsense_gets_one_line_and_the_connection_goes_on(
    box: Box, running: Running, raw: bytes
) -> None:
    wire = Wire(box)
    answer = wire.ask(raw)
    assert answer["ok"] is False
    assert answer["code"] == 2
    assert wire.ask(b'{"command": "status"}\n')["ok"] is True
    wire.close()


def test_requests_in_one_piece_or_in_single_bytes_are_the_same(box: Box, running: Running) -> None:
    wire = Wire(box)
    wire.socket.sendall(b'{"command": "status"}\n' * 3)
    assert all(json.loads(wire.lines.readline())["ok"] for _ in range(3))
    for byte in b'{"command": "status"}':
        wire.socket.sendall(bytes([byte]))
    assert wire.ask(b"\n")["ok"] is True
    wire.close()


def test_request_length_limit(box: Box, running: Running) -> None:
    wire = Wire(box)
    for length in (REQUEST_LIMIT - 1, REQUEST_LIMIT):
        assert wire.ask(request_of(length) + b"\n")["ok"] is True
    assert "longer than" in wire.ask(request_of(REQUEST_LIMIT + 1) + b"\n")["error"]
    wire.close()


def test_a_line_without_an_end_is_cut_off(box: Box, running: Running) -> None:
    wire = Wire(box)
    assert "longer than" in wire.ask(b"x" * (REQUEST_LIMIT + 1))["error"]
    assert wire.lines.readline() == b""  # and the connection is closed
    wire.close()


def test_a_client_that_never_reads_is_dropped_and_others_are_served(
    box: Box, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_LIMIT", 10_000)
    wire = Wire(box)
    with pytest.raises(OSError, match=r"Broken pipe|reset|timed out"):
        for _ in range(200):  # some 10 MB of answers, a thousand times the limit
            wire.socket.sendall(b'{"command": "status"}\n' * 100)
    assert running.call("status")["version"]
    wire.close()


def test_when_all_places_are_taken_the_one_longest_there_goes(box: Box, running: Running) -> None:
    wires = [Wire(box) for _ in range(CLIENTS_LIMIT)]
    assert all(wire.ask(b'{"command": "status"}\n')["ok"] for wire in wires)
    assert running.call("status")["version"]
    assert wires[0].lines.readline() == b""
    assert wires[1].ask(b'{"command": "status"}\n')["ok"] is True
    for wire in wires:
        wire.close()


def test_a_request_that_trips_the_controller_is_answered_and_logged(
    box: Box, running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ratwall.controller.process.status", lambda *_, **__: 1 // 0)
    wire = Wire(box)
    answer = wire.ask(b'{"command": "status"}\n')
    wire.close()
    assert answer["error"] == "an error inside the controller; see its log"
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert running.call("status")["version"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_stranger_cannot_even_connect(box: Box, running: Running) -> None:
    assert as_nobody(box, "status").startswith("NotPermittedError")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_the_kernels_word_counts_when_the_socket_file_is_open_to_all(
    box: Box, running: Running
) -> None:
    (box.state / "run" / "control.sock").chmod(0o666)
    assert as_nobody(box, "status") == "NotPermittedError commands are not for you"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_the_pages_group_may_command_but_as_nobody_but_admin_and_its_tokens(box: Box) -> None:
    box.web_group = NOBODY
    running = Running(box)
    assert as_nobody(box, "audit", author="admin") == "{}"
    assert as_nobody(box, "audit", author="api:monitoring") == "{}"
    assert as_nobody(box, "audit", author="user:anna") == "{}"
    for author in ("root", "rule", "Admin", "api", "user", "root api:monitoring"):
        assert as_nobody(box, "audit", author=author) == (
            "NotPermittedError request: author: the admin page acts as admin, user:NAME or "
            f"api:NAME, not as {author}"
        )
    assert running.call("audit", event="x", detail="y") == {}
    with box.reading() as ledger:
        assert [row["author"] for row in queries.audit(ledger)] == [
            "root",
            "user:anna",
            "api:monitoring",
            "admin",
        ]
    running.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_the_page_does_not_say_how_the_self_test_went(box: Box) -> None:
    box.web_group = NOBODY
    running = Running(box)
    assert as_nobody(box, "selftest_result", author="admin") == (
        "NotPermittedError selftest_result: only root may do that, at the console"
    )
    assert running.call("status")["selftest"] is None
    running.stop()


def test_the_sockets_are_closed_to_others(box: Box, running: Running) -> None:
    for name in ("control.sock", "reports.sock"):
        assert stat.S_IMODE((box.state / "run" / name).stat().st_mode) == 0o660


def test_a_socket_left_behind_is_replaced(box: Box) -> None:
    for name, kind in (("control", socket.SOCK_STREAM), ("reports", socket.SOCK_SEQPACKET)):
        with socket.socket(socket.AF_UNIX, kind) as dead:
            dead.bind(str(box.state / "run" / f"{name}.sock"))
    running = Running(box)
    assert running.call("status")["version"]
    running.stop()


def test_a_second_controller_leaves_the_first_one_alone(box: Box, running: Running) -> None:
    with pytest.raises(UsageError, match="another controller answers there"):
        listen(box.state / "run" / "control.sock", socket.SOCK_STREAM, None)
    assert running.call("status")["version"]


def test_path_length_limit(tmp_path: Path) -> None:
    base = tmp_path / ("d" * 10)
    base.mkdir()
    room = PATH_LIMIT - len(os.fsencode(base)) - 1
    for length in (room - 1, room):
        listen(base / ("s" * length), socket.SOCK_STREAM, None).close()
    with pytest.raises(UsageError, match="use a shorter --state-dir"):
        listen(base / ("s" * (room + 1)), socket.SOCK_STREAM, None)


def test_report_size_limit(box: Box, running: Running, inspector: FakeInspector) -> None:
    for length in (PACKET_LIMIT - 1, PACKET_LIMIT, PACKET_LIMIT + 1):
        raw = json.dumps(clean()).encode()
        inspector._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * PACKET_LIMIT)
        inspector.send(raw + b" " * (length - len(raw)))  # JSON ends where its object does
    with box.reading() as ledger:
        eventually(lambda: len(queries.flows(ledger)) == 2)
    assert len(running.call("status")["inspectors"]) == 1  # the third was refused, not its sender


def test_an_inspector_that_does_not_read_is_cut_off_and_the_rest_goes_on(
    box: Box, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "LINE_LIMIT", 5)
    deaf = FakeInspector(box.state)
    eventually(lambda: len(running.call("status")["inspectors"]) == 1)
    message = {"type": "memory", "entries": ["x" * 50_000]}
    for _ in range(20):
        running.service.push(message)
    eventually(lambda: running.call("status")["inspectors"] == [])
    fresh = FakeInspector(box.state)
    assert fresh.receive()["type"] == "rules"
    fresh.send(report())
    eventually(lambda: box.sets.blocked)
    deaf.close()
    fresh.close()


def test_memory_goes_out_in_packets_that_fit() -> None:
    entries: list[dict[str, object]] = [{"n": number} for number in range(401)]
    packets = [len(message["entries"]) for message in memory_messages(entries)]
    assert packets == [200, 200, 1]


def test_three_thousand_allows_reach_an_inspector_and_keep_it(box: Box) -> None:
    ledger = open_ledger(box.state / FILE_NAME)
    writer = LedgerWriter(ledger)
    for number in range(3000):
        writer.insert(
            Action,
            {
                "created": NOON,
                "kind": "allow",
                "author": "admin",
                "reason": "ours",
                "certificate_sha256": f"{number:064x}",
            },
        )
    writer.flush()
    ledger.close()
    running = Running(box)
    inspector = FakeInspector(box.state)
    told: set[str] = set()
    while len(told) < 3000:
        message = inspector.receive_until("allow")
        assert len(json.dumps(message)) < MESSAGE_LIMIT
        told |= {item["sha256"] for item in message["certificates"]}
    inspector.send({"type": "status", "worker": 0, "pid": 1})
    eventually(lambda: len(running.call("status")["inspectors"]) == 1)
    inspector.close()
    running.stop()


def test_the_client_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(NotRunningError, match="Ratwall is not running; start it with"):
        Client(path).call("status")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunningError, match="not running"):
        Client(path).call("status")
