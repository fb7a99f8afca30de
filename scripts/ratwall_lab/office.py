"""What the office's devices do in the demo, and in plain words what became of it.

One call is one conversation with one server of the cast. It never looks at Ratwall: what it tells
is what a client and a server saw.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from dataclasses import dataclass, replace
from typing import Literal

from ratwall_lab.cast import PRINTER_PAGE, Role
from ratwall_lab.clients import Attempt, IdleClient, fetch
from ratwall_lab.endpoint import End, end_of
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import page
from ratwall_lab.shapes import Shape, hurried
from ratwall_lab.topology import Lab

Fate = Literal["passed", "cut", "refused", "failed"]

TALK_SECONDS = 1.5  # a conversation that nobody cuts is ended by the demo after this
HEARTBEAT_SECONDS = 0.4  # the families' own 10 to 15 s would make a long demo
SETTLE_SECONDS = 3.0  # a server learns of a cut at its first retransmission or two


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one conversation."""

    fate: Fate
    device: str
    title: str
    address: str
    port: int
    detail: str
    expected: bool

    def line(self) -> str:
        """Return it as one line of the demo."""
        place = (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else (f"{self.address}:{self.port}")
        )
        mark = "" if self.expected else "   <-- NOT AS IT SHOULD BE"
        return f"  {self.fate:8}{self.device:6}{self.title:46}{place:24}{self.detail}{mark}"


def talk(
    lab: Lab,
    device: Host,
    role: Role,
    family: int = 4,
    *,
    port: int | None = None,
    session: ssl.SSLSession | None = None,
    blocked: bool = False,
) -> Outcome:
    """Let a device speak with a server of the cast, the way that server's clients do.

    `blocked` says that the server must be known already: nothing but a refusal will do.
    """
    address, port = lab.internet.address(role.index, family), port or role.port
    if role.shape is None:
        return _read_page(device, role, address, port)
    client = visit(device, role, role.shape, address, port, session=session)
    outcome = _judge(device, role, address, port, client.attempts[0])
    return replace(outcome, expected=outcome.fate == "refused") if blocked else outcome


def visit(
    device: Host,
    role: Role,
    shape: Shape,
    address: str,
    port: int,
    *,
    session: ssl.SSLSession | None = None,
    seconds: float = TALK_SECONDS,
) -> IdleClient:
    """Hold one conversation of a few hurried heartbeats and return the client afterwards."""
    client = IdleClient(
        device,
        [address],
        [port],
        role.client,
        hurried(shape, HEARTBEAT_SECONDS),
        resume=session is not None,
        session=session,
        attempts=1,
        seconds=seconds,
    )
    client.run()
    return client


def _read_page(device: Host, role: Role, address: str, port: int) -> Outcome:
    wanted = PRINTER_PAGE if role.name == "printer" else page()
    try:
        got = fetch(device, address, port, role.client, server_name=role.server_name)
    except OSError as error:
        fate: Fate = "refused" if end_of(error) is End.REFUSED else "failed"
        return Outcome(fate, device.name, role.title, address, port, str(error), expected=False)
    whole = got.sha256 == hashlib.sha256(wanted).hexdigest()
    state = "unharmed" if whole else "DAMAGED"
    detail = f"{got.size} bytes, {state} ({got.version})"
    return Outcome("passed", device.name, role.title, address, port, detail, expected=whole)


def _judge(device: Host, role: Role, address: str, port: int, attempt: Attempt) -> Outcome:
    leaked = _bytes_at_server(role, address, port, attempt)
    milliseconds = round(((attempt.ended or attempt.started) - attempt.started) * 1000)
    fate: Fate = "failed"
    if attempt.end is End.REFUSED:
        fate, detail = "refused", "the server is blocked: its connection was not even begun"
    elif attempt.end is End.RESET and attempt.handshaken is None:
        fate = "cut"
        detail = f"reset after {milliseconds} ms, {leaked} bytes of data reached the server"
    elif attempt.end is End.STOPPED:
        fate, detail = "passed", f"{attempt.pings} heartbeats, {leaked} bytes of data"
    else:
        detail = f"{attempt.end}: {attempt.error}"
    stopped = fate in ("cut", "refused") and leaked == 0
    expected = stopped if role.hostile else fate == "passed"
    return Outcome(fate, device.name, role.title, address, port, detail, expected)


def _bytes_at_server(role: Role, address: str, port: int, attempt: Attempt) -> int:
    """Return the bytes of application data that the server got in this conversation."""
    server = next(one for one in role.servers if (one.address, one.port) == (address, port))
    visits = [one for one in list(server.visits) if one.opened >= attempt.started]
    if not visits:
        return 0
    newest, deadline = visits[-1], time.monotonic() + SETTLE_SECONDS
    newest.over.wait(max(0.0, deadline - time.monotonic()))
    return newest.application_bytes + sum(newest.received.lengths()) * (newest.end is None)
