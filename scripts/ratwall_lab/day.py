"""A working day of a small office, as a plan: who talks to whom, when, and how it beats.

Pure and drawn from a seed; nothing is sent here. Forty and some devices do what such devices do:
browse, hold push channels and VPNs open, poll for updates, print, film, report to a broker. A good
part of it looks like a RAT in one trait or another: it beats every ten to fifteen seconds, names no
server, speaks TLS 1.0, shows a certificate of its own making, or cannot reach its server.

Design note: the numbers come from what such programs are documented to do, not from the thresholds
of any detector.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from ratwall_lab.contexts import Version

Certificate = Literal["authority", "appliance", "printer"]
Failure = Literal["refused", "silent"]

HOUR = 3600.0
DAY = 24 * HOUR
OPENS, CLOSES = 8 * HOUR, 18 * HOUR
PREFIXED = (21, 69)  # records of four bytes and of a short message under TLS 1.3
OFFICE_NETWORK = "192.168.77."
FIRST_DEVICE = 20


@dataclass(frozen=True, slots=True)
class Service:
    """One server of the internet and how it speaks."""

    name: str
    address: str
    port: int = 443
    version: Version = "1.3"
    certificate: Certificate = "authority"
    named: bool = True  # its clients say the name in their hello, and look it up first


@dataclass(frozen=True, slots=True)
class Beat:
    """A program's own timer inside a connection: seconds, and the records it writes each time."""

    period: float
    jitter: float  # standard deviation of one beat, seconds
    records: tuple[int, ...]  # lengths of the TLS records, in the order they are written


@dataclass(frozen=True, slots=True)
class Conversation:
    """One connection; times are seconds since midnight."""

    device: str
    service: Service
    start: float
    seconds: float
    failure: Failure | None = None
    beat: Beat | None = None
    requests: tuple[float, ...] = ()  # when else its client writes, after the start
    request_bytes: int = 400
    prefixed: tuple[float, ...] = ()  # when it writes a length, and apart from it a message

    def writes(self, dice: random.Random) -> Iterator[tuple[float, tuple[int, ...]]]:
        """Yield when its client writes, in order, and the lengths of the records."""
        planned: list[tuple[float, tuple[int, ...]]] = [
            (self.start + at, (max(40, round(dice.gauss(self.request_bytes, 60))),))
            for at in self.requests
            if at < self.seconds
        ]
        planned += [(self.start + at, PREFIXED) for at in self.prefixed if at < self.seconds]
        if self.beat is not None:
            for number in range(1, int(self.seconds / self.beat.period) + 1):
                at = number * self.beat.period + dice.gauss(0, self.beat.jitter)
                planned.append((self.start + max(0.1, at), self.beat.records))
        return iter(sorted(planned))


@dataclass(slots=True)
class Office:
    """Its devices by what they are, and the servers that they know."""

    dice: random.Random
    devices: dict[str, list[str]] = field(default_factory=dict)
    sites: list[Service] = field(default_factory=list)

    def some(self, kind: str) -> list[str]:
        """Return the devices of a kind."""
        return self.devices[kind]


KINDS = {"pc": 24, "phone": 6, "printer": 3, "camera": 4, "sensor": 4, "nas": 1, "till": 2}
SITES = 150  # that somebody visits on this day; most of them are visited by several

UPDATES = Service("updates.vendor.example", "198.51.100.80")
TELEMETRY = Service("telemetry.vendor.example", "198.51.100.81", version="1.2")
PUSH = Service("push.vendor.example", "198.51.100.82", 5228)
CHAT = Service("chat.vendor.example", "198.51.100.83")
VPN = Service("vpn.headquarters.example", "198.51.100.84", version="1.2")
RMM = Service("", "198.51.100.85", 5721, "1.2", "appliance", named=False)
BROKER = Service("broker.things.example", "198.51.100.86", 8883, "1.2")
BROKER_BY_ADDRESS = Service("", "198.51.100.87", 8883, "1.2", "appliance", named=False)
CAMERA_CLOUD = Service("", "198.51.100.88", 8443, "1.3", named=False)
PRINTER_MAKER = Service("", "198.51.100.89", 443, "1.0", "printer", named=False)
PAYMENTS = Service("terminal.bank.example", "198.51.100.90", 443, "1.0")
BACKUP = Service("backup.storage.example", "198.51.100.91", 443, "1.3")
GONE = Service("licence.closed.example", "198.51.100.92", 443, "1.2")
SILENT = Service("", "198.51.100.93", 9100, "1.2", named=False)

FIXED = (
    UPDATES, TELEMETRY, PUSH, CHAT, VPN, RMM, BROKER, BROKER_BY_ADDRESS, CAMERA_CLOUD,
    PRINTER_MAKER, PAYMENTS, BACKUP, GONE, SILENT,
)  # fmt: skip


def office(seed: int) -> Office:
    """Return an office and the sites it visits."""
    dice = random.Random(f"office {seed}")
    made = Office(dice)
    number = FIRST_DEVICE
    for kind, count in KINDS.items():
        made.devices[kind] = [f"{OFFICE_NETWORK}{number + index}" for index in range(count)]
        number += count
    for index in range(SITES):
        version: Version = "1.3" if dice.random() < 0.8 else "1.2"
        made.sites.append(Service(f"www{index}.example", f"203.0.113.{20 + index}", 443, version))
    return made


def plan(seed: int) -> list[Conversation]:
    """Return the day's conversations in the order in which they begin."""
    where = office(seed)
    everything = [
        *_browsing(where),
        *_channels(where),
        *_updates(where),
        *_things(where),
        *_failures(where),
    ]
    return sorted(everything, key=lambda one: one.start)


def clip(conversations: list[Conversation], begin: float, end: float) -> list[Conversation]:
    """Return what happens between two times of the day, seconds since midnight."""
    clipped = []
    for one in conversations:
        start, over = max(one.start, begin), min(one.start + one.seconds, end)
        if start < over:
            requests = tuple(at - (start - one.start) for at in one.requests)
            requests = tuple(at for at in requests if at >= 0)
            clipped.append(replace(one, start=start, seconds=over - start, requests=requests))
    return clipped


def _browsing(where: Office) -> Iterator[Conversation]:
    """People look at pages: few sites often, many sites once (Zipf's law)."""
    dice = where.dice
    weights = [1 / (rank + 1) for rank in range(SITES)]
    for device in (*where.some("pc"), *where.some("phone")):
        pages = dice.randint(60, 140)
        for _ in range(pages):
            start = dice.uniform(OPENS, CLOSES)
            for site in dice.choices(where.sites, weights, k=dice.randint(1, 6)):
                requests = tuple(sorted(dice.uniform(0.05, 20) for _ in range(dice.randint(1, 8))))
                seconds = requests[-1] + dice.choice((5.0, 60.0, 115.0))
                yield Conversation(
                    device, site, start + dice.uniform(0, 3), seconds, requests=requests
                )


def _channels(where: Office) -> Iterator[Conversation]:
    """Long connections with a timer of their own."""
    dice = where.dice
    for device in where.some("pc"):
        arrives = OPENS + dice.uniform(0, HOUR)
        stays = CLOSES - arrives - dice.uniform(0, HOUR)
        chat = Beat(dice.choice((15.0, 25.0, 30.0)), 0.05, (dice.randint(24, 60),))
        talks = tuple(sorted(dice.uniform(60, stays) for _ in range(dice.randint(5, 60))))
        yield Conversation(device, CHAT, arrives, stays, beat=chat, requests=talks)
        yield Conversation(device, PUSH, arrives, stays, beat=Beat(28 * 60.0, 1.0, (27,)))
    for device in where.some("phone"):
        yield Conversation(device, PUSH, 0.0, DAY, beat=Beat(28 * 60.0, 2.0, (27,)))
    for device in where.some("pc")[:4]:  # TLS VPN: dead peer detection, and work going through it
        seconds = 6 * HOUR
        beat = Beat(dice.choice((10.0, 12.0)), 0.02, (53,))
        bursts = tuple(sorted(dice.uniform(0, seconds) for _ in range(400)))
        yield Conversation(
            device, VPN, OPENS + HOUR, seconds, beat=beat, requests=bursts, request_bytes=1300
        )
    for device in where.some("pc")[:12]:  # the provider's maintenance agent, by address
        beat = Beat(30.0, 0.2, (254,))
        yield Conversation(device, RMM, OPENS, CLOSES - OPENS, beat=beat)


def _updates(where: Office) -> Iterator[Conversation]:
    """Programs that ask by the clock, each time in a new connection."""
    dice = where.dice
    for device in where.some("pc"):
        at = OPENS + dice.uniform(0, HOUR)
        while at < CLOSES:
            yield Conversation(device, UPDATES, at, 4.0, requests=(0.1, 0.4))
            at += HOUR + dice.gauss(0, 60)
        at = OPENS + dice.uniform(0, 300)
        while at < CLOSES:
            yield Conversation(device, TELEMETRY, at, 3.0, requests=(0.1,))
            at += 300.0 + dice.gauss(0, 2)
    for device in where.some("nas"):  # writes a length, then a block
        seconds = 3 * HOUR
        writes = tuple(sorted(dice.uniform(0, seconds) for _ in range(600)))
        yield Conversation(
            device, BACKUP, 1 * HOUR, seconds, beat=Beat(12.0, 0.3, (21, 120)), requests=writes
        )


def _things(where: Office) -> Iterator[Conversation]:
    """Printers, cameras, sensors, tills: old TLS, no names, steady timers, day and night."""
    dice = where.dice
    for device in where.some("printer"):
        for at in (7 * HOUR, 13 * HOUR):
            yield Conversation(
                device, PRINTER_MAKER, at + dice.uniform(0, 600), 5.0, requests=(0.2, 0.5)
            )
    for device in where.some("camera"):
        yield Conversation(device, CAMERA_CLOUD, 0.0, DAY, beat=Beat(10.0, 0.03, (41,)))
    for number, device in enumerate(where.some("sensor")):
        broker = BROKER_BY_ADDRESS if number == 3 else BROKER
        beat = Beat((10.0, 12.0, 15.0, 12.0)[number], 0.02, (26,))
        readings = tuple(at + dice.uniform(0, 5) for at in _every(60.0, DAY))
        yield Conversation(
            device, broker, 0.0, DAY, beat=beat, requests=readings, request_bytes=110
        )
    for device in where.some("till"):
        for _ in range(120):
            yield Conversation(
                device, PAYMENTS, dice.uniform(OPENS, CLOSES), 3.0, requests=(0.1, 0.8)
            )


def _failures(where: Office) -> Iterator[Conversation]:
    """Servers that are gone, and programs that cannot let go."""
    dice = where.dice
    for device in where.some("pc")[:3]:  # gives up more and more slowly
        at, wait = OPENS + dice.uniform(0, HOUR), 1.0
        while at < CLOSES:
            yield Conversation(device, GONE, at, 0.1, failure="refused")
            at += wait
            wait = min(wait * 2, 900.0) * dice.uniform(0.8, 1.2)
    for device in where.some("pc")[3:5]:  # a driver that asks for a scanner which is elsewhere now
        for at in _every(60.0, CLOSES - OPENS):
            yield Conversation(device, SILENT, OPENS + at, 21.0, failure="silent")


def _every(period: float, seconds: float) -> Iterator[float]:
    return (number * period for number in range(math.floor(seconds / period)))
