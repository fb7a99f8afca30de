"""The command socket: one JSON request a line in, one JSON answer a line out.

Never acts itself; it hands each request to a function and turns what that raises into one line.
Who may connect is decided by the kernel's word on the peer, not by what the request says.
"""

import json
import logging
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ratwall.controller.messages import MessageError, parse_object
from ratwall.controller.sockets import Peer, close_door, peer_of
from ratwall.errors import NotPermittedError, RatwallError

log = logging.getLogger(__name__)

LINE_LIMIT = 1_048_576  # bytes of one request: a backup that is put back, with all its actions
ANSWER_LIMIT = 2_097_152  # bytes waiting for a client that does not read
CLIENTS_LIMIT = 32  # the page keeps a few, the command line one at a time
RECEIVE_BYTES = 65_536

Handler = Callable[[dict[str, Any], Peer], Any]


@dataclass(slots=True, eq=False)
class Client:
    """One connection and what is still under way on it."""

    connection: socket.socket
    peer: Peer
    received: bytes = b""
    answers: bytes = b""

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self.connection.fileno()


class ControlServer:
    """All command connections; the service's selector calls back with what is ready."""

    def __init__(
        self,
        server: socket.socket,
        group: int | None,
        selector: selectors.BaseSelector,
        handler: Handler,
    ) -> None:
        """`handler` answers a request or raises RatwallError."""
        self._server = server
        self._group = group
        self._selector = selector
        self._handler = handler
        self._clients: list[Client] = []
        selector.register(server, selectors.EVENT_READ, self._accept)

    def close(self) -> None:
        """Leave: close every connection and remove the socket."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.unregister(self._server)
        close_door(self._server)

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._server.accept()
        except OSError:  # it left again, or we are out of descriptors: the next turn tries again
            return
        peer = peer_of(connection)
        if not peer.may_enter(self._group):
            log.warning("refused a command connection of user %d, process %d", peer.uid, peer.pid)
            with connection, suppress(OSError):  # it may have left already
                connection.send(_line(_refusal(NotPermittedError("commands are not for you"))))
            return
        if len(self._clients) >= CLIENTS_LIMIT:
            self._drop(self._clients[0])  # the one that has been there longest
        connection.setblocking(False)
        client = Client(connection, peer)
        self._clients.append(client)
        self._selector.register(
            client, selectors.EVENT_READ, lambda events: self._serve(client, events)
        )

    def _serve(self, client: Client, events: int) -> None:
        if client not in self._clients:  # dropped since the selector spoke
            return
        if events & selectors.EVENT_READ and not self._receive(client):
            self._drop(client)
            return
        self._flush(client)

    def _receive(self, client: Client) -> bool:
        """Take in what came and answer every whole line; False if the client is to be dropped."""
        try:
            data = client.connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        *lines, client.received = (client.received + data).split(b"\n")
        for line in lines:
            self._answer(client, line)
        if len(client.received) > LINE_LIMIT:
            self._answer(client, client.received)
            client.received = b""
            self._flush(client)
            return False  # where the next request begins is anybody's guess
        return len(client.answers) <= ANSWER_LIMIT

    def _answer(self, client: Client, line: bytes) -> None:
        try:
            if len(line) > LINE_LIMIT:
                raise MessageError(f"request: longer than {LINE_LIMIT} bytes")
            answer = {
                "ok": True,
                "result": self._handler(parse_object(line, "request"), client.peer),
            }
        except RatwallError as error:
            answer = _refusal(error)
        except Exception:  # a request that trips us must not end protection
            log.exception("a request could not be answered")
            answer = {"ok": False, "error": "an error inside the controller; see its log"}
        client.answers += _line(answer)

    def _flush(self, client: Client) -> None:
        try:
            sent = client.connection.send(client.answers) if client.answers else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        client.answers = client.answers[sent:]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.answers else 0)
        key = self._selector.get_key(client)
        if key.events != wanted:
            self._selector.modify(client, wanted, key.data)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._selector.unregister(client)
            client.connection.close()
            self._clients.remove(client)


def _refusal(error: RatwallError) -> dict[str, Any]:
    """Return an error as an answer; the code tells its kind."""
    return {"ok": False, "error": " ".join(str(error).split()), "code": int(error.exit_code)}


def _line(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"
