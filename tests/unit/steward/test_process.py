"""The steward's end of a real socket: the kernel says who asks, and one line is all it reads."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.errors import RatwallError
from ratwall.steward import __main__ as process
from ratwall.steward.acts import Steward
from ratwall.steward.client import Steward as Client
from ratwall.steward.client import StewardError
from ratwall.steward.order import LINE_LIMIT, Order, Verb


class Acts(Steward):
    """Keeps what it was to do."""

    done: list[Order]

    def do(self, order: Order) -> None:
        if order.verb is Verb.POWER_OFF:
            raise RatwallError("systemd refuses:\nbusy")
        Acts.done.append(order)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    Acts.done = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Ends = tuple[socket.socket, socket.socket]


def answer_to(ends: Ends, line: bytes, allowed: set[int]) -> dict[str, object]:
    ours, theirs = ends
    ours.sendall(line)
    ours.shutdown(socket.SHUT_WR)
    process.serve(theirs, allowed, Acts())
    theirs.shutdown(socket.SHUT_WR)
    found: dict[str, object] = json.loads(ours.recv(4096))
    return found


def test_the_controller_is_served(ends: Ends) -> None:
    assert answer_to(ends, Order(Verb.RESTART).line(), {os.geteuid()}) == {"ok": True}
    assert Acts.done == [Order(Verb.RESTART)]


def test_another_user_is_refused_whatever_it_says(ends: Ends) -> None:
    found = answer_to(ends, Order(Verb.RESTART).line(), {os.geteuid() + 1})
    assert found["ok"] is False and "may not ask" in str(found["error"])
    assert Acts.done == []


@pytest.mark.parametrize("line", [b"", b"{", b"[]\n", b'{"verb":"sh"}\n', b"x" * (LINE_LIMIT + 9)])
def test_what_is_no_order_is_refused_in_one_line(ends: Ends, line: bytes) -> None:
    found = answer_to(ends, line, {os.geteuid()})
    assert found["ok"] is False and "\n" not in str(found["error"])
    assert Acts.done == []


def test_whoever_says_nothing_is_not_waited_for(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE_SECONDS", 0.05)
    assert not process.serve(ends[1], {os.geteuid()}, Acts())
    assert b"no order came" in ends[0].recv(4096)


def test_the_client_tells_refused_from_absent_from_broken_off(tmp_path: Path) -> None:
    Acts.done = []
    path = tmp_path / "steward.sock"
    client = Client(path)
    assert not client.is_there
    with pytest.raises(StewardError, match="only on a box started from Ratwall's own image"):
        client.ask(Order(Verb.RESTART))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            for served in (True, True, False):
                connection, _ = server.accept()
                with connection:
                    if served:
                        process.serve(connection, {os.geteuid()}, Acts())
                    else:
                        connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        assert client.is_there
        client.ask(Order(Verb.RESTART))
        with pytest.raises(StewardError, match="systemd refuses: busy"):
            client.ask(Order(Verb.POWER_OFF))
        with pytest.raises(StewardError, match="broke off"):
            client.ask(Order(Verb.RESTART))
        thread.join()
    assert Acts.done == [Order(Verb.RESTART)]
