"""`python -m ratwall.steward`: one order from the connection that systemd hands in, and its end.

The only process of the box that acts as root because somebody at the page asked. Started by
`ratwall-steward.socket` for each connection, so it costs nothing while nobody asks. Who asks is the
kernel's word (SO_PEERCRED): the controller's user or root, nobody else; the socket file lets nobody
else in either.
"""

import json
import logging
import os
import pwd
import signal
import socket
import struct
import sys
import time
from collections.abc import Collection

from ratwall.errors import NotPermittedError, RatwallError
from ratwall.steward.acts import Steward
from ratwall.steward.order import LINE_LIMIT, parse_order

log = logging.getLogger("ratwall.steward")

CONTROLLER = "ratwall"
PEER = struct.Struct("=iII")  # struct ucred of unix(7): pid, uid, gid
PATIENCE_SECONDS = 5.0  # the controller sends its line at once
CONNECTION = 0  # StandardInput=socket


def serve(connection: socket.socket, allowed: Collection[int], steward: Steward) -> bool:
    """Read one order, begin it and answer; whether it was begun."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
        pid, uid, _ = PEER.unpack(raw)
        if uid not in allowed:
            raise NotPermittedError(f"steward: user {uid} (process {pid}) may not ask for anything")
        order = parse_order(_read_line(connection))
        steward.do(order)
    except RatwallError as error:
        log.warning("refused: %s", error)
        _answer(connection, {"ok": False, "error": " ".join(str(error).split())})
        return False
    log.warning("%s: %s", order.verb, order.words())
    _answer(connection, {"ok": True})
    return True


def _read_line(connection: socket.socket) -> bytes:
    line, deadline = b"", time.monotonic() + PATIENCE_SECONDS
    while not line.endswith(b"\n") and len(line) <= LINE_LIMIT:
        try:
            # A time-out of 0 would not wait at all.
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            part = connection.recv(LINE_LIMIT)
        except OSError as error:
            raise RatwallError(f"steward: no order came: {error}") from error
        if not part:
            break
        line += part
    return line


def _answer(connection: socket.socket, answer: dict[str, object]) -> None:
    try:
        connection.sendall(json.dumps(answer).encode() + b"\n")
    except OSError as error:
        log.warning("nobody waits for the answer: %s", error)


def main() -> int:
    """Serve the connection on stdin."""
    logging.basicConfig(format="ratwall: steward: %(message)s", stream=sys.stderr)
    # A restart that it has begun would end it before it has answered; five seconds are allowed.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    allowed = {0}
    try:
        allowed.add(pwd.getpwnam(CONTROLLER).pw_uid)
    except KeyError:
        log.warning("there is no user %s here", CONTROLLER)
    with socket.socket(fileno=os.dup(CONNECTION)) as connection:
        serve(connection, allowed, Steward())
    return 0


if __name__ == "__main__":
    sys.exit(main())
