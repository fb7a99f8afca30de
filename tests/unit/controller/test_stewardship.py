"""From the command socket to a real steward's socket: checked, written down first, then asked."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ratwall.errors import NotPermittedError, RatwallError
from ratwall.ledger import queries
from ratwall.steward.client import Steward
from unit.controller.box import Box, Running

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsQBGxx4FjC9tFbYgHXqnZqk9yP3Qh0d3MQZbq0xgqD anna"


@dataclass
class Peer:
    """A steward's socket; `seen` is what stood in the audit trail when an order came."""

    path: Path
    orders: list[dict[str, object]] = field(default_factory=list)
    seen: list[list[str]] = field(default_factory=list)
    answer: bytes = b'{"ok":true}\n'


def trail(box: Box) -> list[str]:
    with box.reading() as ledger:
        return [f"{row['author']} {row['event']}: {row['detail']}" for row in queries.audit(ledger)]


@pytest.fixture
def peer(box: Box, running: Running, tmp_path: Path) -> Iterator[Peer]:
    peer = Peer(tmp_path / "steward.sock")
    running.service.steward = Steward(peer.path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(peer.path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    peer.orders.append(json.loads(connection.recv(9000)))
                    peer.seen.append(trail(box))
                    connection.sendall(peer.answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield peer
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_order_is_on_the_disk_before_it_is_given(running: Running, peer: Peer) -> None:
    assert running.call("steward", author="admin", verb="restart") == {"begun": "restart"}
    assert peer.orders == [{"verb": "restart"}]
    assert peer.seen == [["admin restart: asked for"]]


def test_the_key_goes_on_and_its_fingerprint_is_written_down(running: Running, peer: Peer) -> None:
    running.call("steward", author="admin", verb="support-on", hours=4, key=KEY)
    assert peer.orders == [{"verb": "support-on", "hours": 4, "key": KEY}]
    assert peer.seen[0][0].startswith("admin support-on: for 4 h, key SHA256:")


def test_a_refusal_is_told_and_written_down(running: Running, peer: Peer, box: Box) -> None:
    peer.answer = b'{"ok":false,"error":"update: another one is being installed; wait for it"}\n'
    with pytest.raises(RatwallError, match="another one is being installed"):
        running.call("steward", author="admin", verb="update")
    running.call("audit", author="admin", event="then", detail="flushed")
    assert any("not done: update: another one" in line for line in trail(box))


def test_what_is_wrong_reaches_nobody(running: Running, peer: Peer, box: Box) -> None:
    for arguments in ({"verb": "sh"}, {"verb": "restart", "now": True}, {}):
        with pytest.raises(RatwallError, match=r"^steward: "):
            running.call("steward", author="admin", **arguments)
    assert peer.orders == trail(box) == []


@pytest.mark.parametrize("verb", ["power-off", "factory-reset", "support-on"])
def test_a_token_may_not_ask_what_takes_a_person(running: Running, peer: Peer, verb: str) -> None:
    more = {"hours": 1, "key": KEY} if verb == "support-on" else {}
    with pytest.raises(NotPermittedError, match="not with a token"):
        running.call("steward", author="api:monitor", verb=verb, **more)
    assert peer.orders == []
    running.call("steward", author="api:monitor", verb="restart")
    assert peer.orders == [{"verb": "restart"}]


def test_without_the_image_it_says_so_and_writes_nothing(running: Running, box: Box) -> None:
    running.service.steward = Steward(box.state / "no.sock")
    with pytest.raises(RatwallError, match="only on a box started from Ratwall's own image"):
        running.call("steward", author="admin", verb="restart")
    assert trail(box) == []
