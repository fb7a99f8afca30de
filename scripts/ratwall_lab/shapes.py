"""The sizes and the timing of conversations: what RATs, brokers and agents look like when idle.

Sizes only: every payload is zero bytes, and a message means nothing to anybody. Design note: RAT
and honest look-alike are the same code with other numbers, so that nothing but the numbers can
tell them apart.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from ratwall_lab.endpoint import Endpoint

LENGTH_PREFIX = 4  # a RAT writes the little-endian length first, as a write of its own


@dataclass(frozen=True, slots=True)
class Shape:
    """An idle conversation: one hello, then pings at a constant period, each answered."""

    name: str
    hello: int  # bytes, client to server, once
    ping: int
    pong: int  # 0: the server does not answer
    answer: int  # the client's answer to the pong; 0: none
    period: tuple[float, float]  # seconds; drawn once per connection, then constant
    prefixed: bool  # length prefix in a write of its own before every message
    split: bool  # TLS 1.0 CBC: the first byte of every write is a record of its own

    def draw_period(self) -> float:
        """Draw the period of one connection."""
        return random.uniform(*self.period)

    def send(self, endpoint: Endpoint, length: int) -> None:
        """Send one message of `length` zero bytes in this shape's records."""
        if self.prefixed:
            self._write(endpoint, length.to_bytes(LENGTH_PREFIX, "little"))
        self._write(endpoint, bytes(length))

    def receive(self, endpoint: Endpoint, length: int) -> None:
        """Read one message of `length` bytes, and forget it."""
        endpoint.receive_exactly(length + (LENGTH_PREFIX if self.prefixed else 0))

    def _write(self, endpoint: Endpoint, data: bytes) -> None:
        if self.split and len(data) > 1:
            endpoint.send(data[:1], data[1:])
        else:
            endpoint.send(data)


# Plaintext sizes that give the measured records: hello 304, ping and its answer 80, pong 64 under
# TLS 1.0 with CBC and HMAC-SHA1 (the facts of one genuine capture).
ASYNCRAT_TLS10 = Shape("asyncrat", 276, 52, 37, 48, (10.0, 15.0), prefixed=True, split=True)
ASYNCRAT_TLS12 = Shape("asyncrat", 276, 52, 37, 48, (10.0, 15.0), prefixed=True, split=False)
QUASAR = Shape("quasar", 420, 0, 0, 0, (25.0, 25.0), prefixed=True, split=False)  # no ping at all
MQTT = Shape("mqtt", 40, 2, 2, 0, (12.0, 12.0), prefixed=False, split=False)  # PINGREQ, PINGRESP
AGENT = Shape("agent", 700, 230, 96, 0, (30.0, 30.0), prefixed=False, split=False)  # an RMM agent


def rat_shape(version: str) -> Shape:
    """Return AsyncRAT's shape under a TLS version: .NET splits CBC records up to TLS 1.0."""
    return ASYNCRAT_TLS10 if version == "1.0" else ASYNCRAT_TLS12


def hurried(shape: Shape, period: float) -> Shape:
    """Return the same shape with another, constant period, for tests that cannot wait."""
    return replace(shape, period=(period, period))
