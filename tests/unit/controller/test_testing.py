"""A self-test that the page asked for: begun once, its result awaited, none lost silently."""

import socket
import threading
from collections.abc import Iterator

import pytest

from ratwall.controller.commands import OWNERS_COMMANDS
from ratwall.controller.sockets import SELFTEST_BEGUN, SELFTEST_SOCKET
from ratwall.controller.testing import (
    LONGEST_US,
    LOST,
    LOST_AUTHOR,
    Selftests,
    knocker,
)
from ratwall.errors import RatwallError
from ratwall.steward.client import Steward
from unit.controller.box import NOON, Box, Running, eventually

RESULT = {"ok": False, "cause": "passed", "reason": "the whole handshake passed", "duration_ms": 9}


@pytest.fixture
def doors(box: Box) -> Iterator[list[str]]:
    """Somebody who runs self-tests; the list is who has knocked."""
    knocks: list[str] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(box.state / "run" / SELFTEST_SOCKET))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    knocks.append("knock")
                    connection.send(SELFTEST_BEGUN if len(knocks) < 3 else b"busy\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield knocks
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture
def running(box: Box) -> Iterator[Running]:
    running = Running(box)
    service = running.service
    service.testing = Selftests(
        knocker(box.state / "run", Steward(box.state / "no-steward")),
        service.clock,
        lambda: service.take_selftest(LOST, LOST_AUTHOR),
    )
    service.listeners.append(service.testing)
    yield running
    running.stop()


def refusal(running: Running, command: str, **arguments: object) -> str:
    with pytest.raises(RatwallError) as caught:
        running.call(command, **arguments)
    return str(caught.value)


def test_a_test_is_begun_once_and_its_result_is_kept(
    running: Running, doors: list[str], box: Box
) -> None:
    assert running.call("selftest", author="admin") == {"began": NOON}
    assert running.call("status")["selftest_began"] == NOON
    assert "one is running" in refusal(running, "selftest")
    assert doors == ["knock"]
    running.call("selftest_result", result=RESULT)
    told = running.call("status")
    assert (told["selftest_began"], told["selftest"]) == (None, {**RESULT, "time": NOON})
    running.call("selftest", author="api:monitor")
    assert doors == ["knock"] * 2


def test_a_test_without_a_result_has_failed(running: Running, doors: list[str], box: Box) -> None:
    running.call("selftest")
    box.now += LONGEST_US
    assert running.call("status")["selftest_began"] == NOON
    box.now += 1
    eventually(lambda: running.call("status")["selftest_began"] is None)
    told = running.call("status")["selftest"]
    assert (told["ok"], told["cause"]) == (False, "lost")
    running.call("selftest")
    running.call("selftest_result", result=RESULT)
    assert "one is running" in refusal(running, "selftest"), "whoever runs it says so himself"
    assert running.call("status")["selftest_began"] is None


def test_where_nobody_may_run_it_the_refusal_says_what_to_do(running: Running) -> None:
    assert "as root: ratwall selftest" in refusal(running, "selftest")
    assert running.call("status")["selftest_began"] is None


def test_a_door_that_nobody_answers_is_told(running: Running, box: Box) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(box.state / "run" / SELFTEST_SOCKET))
    assert "Connection refused" in refusal(running, "selftest")


def test_the_clock_that_is_set_makes_no_test_older() -> None:
    now = [NOON]
    lost: list[str] = []
    testing = Selftests(lambda: None, lambda: now[0], lambda: lost.append("lost"))
    testing.begin()
    testing.clock_set(3_600_000_000)
    testing.tick(NOON + 3_600_000_000 + LONGEST_US)
    assert lost == []
    testing.tick(NOON + 3_600_000_001 + LONGEST_US)
    assert lost == ["lost"]


def test_only_root_says_what_came_of_it() -> None:
    assert "selftest_result" in OWNERS_COMMANDS and "selftest" not in OWNERS_COMMANDS
