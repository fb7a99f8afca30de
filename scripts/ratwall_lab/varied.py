"""A varied RAT at work: its server in the lab's internet, its client in the office.

The client beats and, where somebody is at work, answers commands; the server counts what reaches
it. It never looks at Ratwall.
"""

from __future__ import annotations

import random
import socket
import time
from dataclasses import replace

from ratwall_lab.certificates import Identity, Notary, asyncrat_family, qwqdanchun_family
from ratwall_lab.clients import Attempt, IdleClient
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import Endpoint, TlsEndpoint
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server
from ratwall_lab.shapes import rat_shape
from ratwall_lab.variations import LOOP_SECONDS, Variation

ANSWER_SECONDS = 0.05  # from a ping to the answer to its pong: one way there and back
COMMAND_BYTES = (60, 4000)  # what a client sends back: a listing, a small picture
KEYS_OF_ITS_OWN = 0  # number in the cabinet: the look-alikes share keys, as makers share routines


def identity(notary: Notary, variation: Variation) -> Identity:
    """Return the certificate that the varied server shows."""
    if variation.maker == "authority":
        return notary.web_site(variation.common_name, kind="rsa2048")
    if variation.maker == "dcrat":
        return notary.rat(replace(qwqdanchun_family(), key_kind=variation.key))
    family = replace(asyncrat_family(variation.common_name), key_kind=variation.key)
    return notary.rat(family, key=KEYS_OF_ITS_OWN)


def server(host: Host, address: str, notary: Notary, variation: Variation) -> Server:
    """Return its server, to be entered; the server of a variation that is down is not made."""
    who = identity(notary, variation)
    if variation.key == "ec256":  # Schannel's usual pick is for RSA keys
        context = server_context(who, variation.version, variation.version)
    else:
        context = rat_server_context(who, variation.version)
    return Server(host, address, variation.port, context, count, name=variation.family)


def count(endpoint: Endpoint) -> None:
    """Take what comes, and forget it: the server's side of every variation."""
    while endpoint.receive():
        pass


class VariedClient(IdleClient):
    """Beats by the variation's rhythm; a connection that is cut is tried again after 5 s."""

    def __init__(self, host: Host, address: str, variation: Variation, *, seconds: float) -> None:
        named = variation.server_name is not None
        context = client_context("1.3", "1.3") if named else rat_client_context(variation.version)
        super().__init__(
            host,
            [address],
            [variation.port],
            context,
            replace(rat_shape(variation.version), period=variation.period),
            server_name=variation.server_name,
            reconnect_seconds=LOOP_SECONDS,
            seconds=seconds,
        )
        self._variation = variation
        self._dice = random.Random(f"{variation.family} {variation.seed} at work")

    def _converse(self, connection: socket.socket, attempt: Attempt, deadline: float) -> None:
        endpoint = TlsEndpoint(connection, self._context, server_side=False, server_name=self._name)
        endpoint.handshake()
        attempt.handshaken = time.monotonic()
        shape = self.shape
        shape.send(endpoint, shape.hello)
        period = self._dice.uniform(*shape.period)
        due = time.monotonic() + period
        command = self._next_command(time.monotonic())
        while not self._stop.is_set() and time.monotonic() < deadline:
            self._wait(endpoint, min(due, command, deadline))
            now = time.monotonic()
            if now >= command:
                shape.send(endpoint, self._dice.randint(*COMMAND_BYTES))
                command = self._next_command(now)
            if now >= due:
                shape.send(endpoint, shape.ping)
                attempt.pings += 1
                self._wait(endpoint, now + ANSWER_SECONDS)
                shape.send(endpoint, shape.answer)
                if self._variation.redrawn:
                    period = self._dice.uniform(*shape.period)
                due += period
        endpoint.close()

    def _next_command(self, now: float) -> float:
        gap = self._variation.command_gap
        return float("inf") if gap is None else now + self._dice.expovariate(1 / gap)
