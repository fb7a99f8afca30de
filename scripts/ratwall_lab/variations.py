"""Ten ways to vary a RAT's outside, drawn from a seed: what its operator or a fork could change.

Pure: a seed in, a description out; nobody connects here. What is drawn is the certificate, the
port, the version, the rhythm and the name, never a function: every message is zero bytes.

Design note: where a variation shows a certificate of the families' own routine, it is caught at the
first handshake. The others hide it (TLS 1.3) or buy one (an authority's), so that only what happens
afterwards can give them away.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from ratwall_lab.contexts import Version
from ratwall_lab.keys import KeyKind

Maker = Literal["asyncrat", "dcrat", "authority"]

STOCK_PERIOD = (10.0, 15.0)  # seconds: drawn once per connection, then constant
LONG_PERIOD = (30.0, 55.0)  # what a patient operator sets; four beats fit into a few minutes
COMMAND_GAP = (20.0, 45.0)  # mean seconds between commands of an operator who is at work
LOOP_SECONDS = 5.0  # AsyncRAT's and DcRat's fixed sleep when the server cannot be reached
STOCK_PORTS = (6606, 7707, 8808)
OTHER_PORTS = (1024, 65_000)
WORDS = ("Harbour", "Maple", "Northwind", "Orchid", "Quartz", "Saffron", "Tundra", "Violet")
TRADES = ("Bakery", "Consulting", "Dental", "Logistics", "Optics", "Printing", "Roofing", "Travel")


@dataclass(frozen=True, slots=True)
class Variation:
    """One varied RAT; periods and gaps are seconds."""

    family: str
    seed: int
    maker: Maker = "asyncrat"  # whose routine the certificate comes from
    common_name: str = "AsyncRAT Server"
    key: KeyKind = "rsa4096"
    version: Version = "1.0"
    port: int = STOCK_PORTS[0]
    period: tuple[float, float] = STOCK_PERIOD
    redrawn: bool = False  # the period is drawn anew at each beat
    command_gap: float | None = None  # mean time between commands; None: nobody is at work
    server_name: str | None = None  # the DNS name that the client asks for, and says in its hello
    down: bool = False  # nobody listens at the server

    @property
    def shows_its_maker(self) -> bool:
        """Whether its certificate crosses the box in clear and comes from a family's routine."""
        return self.version != "1.3" and self.maker != "authority" and not self.down


def _name(dice: random.Random) -> str:
    return f"{dice.choice(WORDS)} {dice.choice(TRADES)} {dice.randrange(100)}"


def _renamed(dice: random.Random) -> dict[str, object]:
    return {"common_name": _name(dice)}


def _other_port(dice: random.Random) -> dict[str, object]:
    return {"port": dice.randint(*OTHER_PORTS)}


def _newer_tls(dice: random.Random) -> dict[str, object]:
    return {"version": dice.choice(("1.2", "1.3"))}


def _other_key(dice: random.Random) -> dict[str, object]:
    key = dice.choice(("rsa2048", "ec256"))
    return {"key": key, "version": "1.2", "common_name": _name(dice)}


def _bought_certificate(dice: random.Random) -> dict[str, object]:
    return {
        "maker": "authority",
        "version": "1.2",
        "common_name": f"c{dice.randrange(10**6)}.example",
    }


def _long_period(dice: random.Random) -> dict[str, object]:
    period = dice.uniform(*LONG_PERIOD)
    return {"version": "1.3", "period": (period, period)}


def _jitter(dice: random.Random) -> dict[str, object]:
    return {"version": "1.3", "redrawn": True, "port": dice.randint(*OTHER_PORTS)}


def _commands(dice: random.Random) -> dict[str, object]:
    return {"version": "1.3", "command_gap": dice.uniform(*COMMAND_GAP)}


def _loop(dice: random.Random) -> dict[str, object]:
    return {"down": True, "port": dice.choice(STOCK_PORTS)}


def _named(dice: random.Random) -> dict[str, object]:
    return {
        "version": "1.3",
        "server_name": f"{dice.choice(WORDS).lower()}{dice.randrange(10**6)}.example",
        "port": dice.randint(*OTHER_PORTS),
    }


FAMILIES = {
    "renamed": _renamed,
    "other port": _other_port,
    "TLS 1.2 or 1.3": _newer_tls,
    "RSA-2048 or ECDSA": _other_key,
    "authority's certificate": _bought_certificate,
    "long period": _long_period,
    "jitter": _jitter,
    "commands": _commands,
    "server down": _loop,
    "by name": _named,
}


def draw(family: str, seed: int) -> Variation:
    """Return the variation that a seed stands for: the same one every time."""
    dice = random.Random(f"{family} {seed}")
    changes = FAMILIES[family](dice)
    return Variation(family, seed, **changes)  # type: ignore[arg-type]  # a row of named values
