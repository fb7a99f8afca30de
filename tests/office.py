"""A day of an office, compressed: a plan of the lab's, played through the controller as it is.

Real are the handshakes (OpenSSL's, read and judged by the packet path's own code), the service,
its analysers and its ledger. Played are the kernel (sets, classes, copies, events) and the clock.
"""

import heapq
import itertools
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any

import dns.message
import dns.rrset

from ratwall.controller.messages import FlowReport, parse_report
from ratwall.controller.service import Service
from ratwall.controller.wiring import wire
from ratwall.detections.history import LEARNING_US
from ratwall.flow.connection import Connection
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.nflog import Copy
from ratwall.ledger import queries
from ratwall.ledger.store import open_in_memory
from ratwall.settings.schema import Rules, Settings
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds, Verdict, judge
from ratwall.verdict.record import flow_record
from ratwall.wire.packet import Segment, TcpFlag
from ratwall.wire.tls.facts import TlsFacts
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.contexts import client_context, server_context
from ratwall_lab.day import Conversation, plan
from ratwall_lab.day import Service as Site
from ratwall_lab.handshakes import flights
from unit.controller.box import FakeSets, FakeWatch

MIDNIGHT = 1_750_032_000_000_000  # of some Monday in June 2025, UTC microseconds
SECOND = 1_000_000
TICK_SECONDS = 60
RESOLVER = "9.9.9.9"
COPY_BYTES = 96
HANDSHAKE_SECONDS = 0.08
SYN_BYTES = 60


@dataclass
class Kernel:
    """Copies that wait, and classes that change when asked."""

    copies: list[Copy] = field(default_factory=list)
    overflows: int = 0
    lost: int = 0
    cut: list[Any] = field(default_factory=list)

    def fileno(self) -> int:
        return 0

    def read(self) -> list[Copy]:
        copies, self.copies = self.copies, []
        return copies

    def dump(self) -> list[FlowEvent]:
        return []

    def change(self, ends: Any, before: Any, after: FlowClass) -> bool:
        if after is FlowClass.BLOCK:
            self.cut.append(ends)
        return True


class Day:
    """Plays one day; `service` holds what came of it."""

    def __init__(
        self,
        seed: int,
        conversations: list[Conversation] | None = None,
        *,
        long_here: bool = False,
    ) -> None:
        """`long_here`: the box has been there for days, and all that is played is new all the
        same, which is worse than any day can be."""
        self._long_here = long_here
        self.now = MIDNIGHT
        self._dice = random.Random(f"day {seed}")
        self._plan = plan(seed) if conversations is None else conversations
        self._notary = Notary()
        self._identities: dict[str, Identity] = {}
        self._packs = load_packs()
        self._facts: dict[Site, TlsFacts] = {}
        self._ports = itertools.cycle(range(49_152, 65_000))
        self._asked: set[tuple[str, str]] = set()
        self._sequence = itertools.count()
        self.kernel, self.answers, self.sets = Kernel(), Kernel(), FakeSets()
        self.connections = self.copies = 0
        self.service = self._service()

    def _service(self) -> Service:
        clock: Callable[[], int] = lambda: self.now  # noqa: E731
        service = Service(
            replace(Settings(), rules=Rules(enforce=("*",))),
            enforce=True,
            open_ledger=open_in_memory,
            sets=self.sets,
            watch=FakeWatch(),
            never_block=frozenset(),
            neighbour=lambda address: None,
            clock=clock,
        )
        wire(
            service,
            copies=self.kernel,
            answers=self.answers,
            classes=self.kernel,
            table=self.kernel.dump,
        )
        service.start()
        if self._long_here and service.models is not None:
            service.models.since = MIDNIGHT - LEARNING_US
        return service

    def play(self) -> None:
        """Play it to the end."""
        waiting: list[tuple[float, int, Callable[[], None]]] = []

        def later(at: float, what: Callable[[], None]) -> None:
            heapq.heappush(waiting, (at, next(self._sequence), what))

        for conversation in self._plan:
            later(conversation.start, lambda one=conversation: self._begin(one, later))
        next_tick = 0.0
        while waiting:
            at, _, what = heapq.heappop(waiting)
            while next_tick <= at:
                self.now = MIDNIGHT + round(next_tick * SECOND)
                self.service.tick()
                self.service.flush()
                next_tick += TICK_SECONDS
            self.now = MIDNIGHT + round(at * SECOND)
            what()
        self.service.flush()

    def incidents(self) -> list[dict[str, Any]]:
        """Return what a person would read, each with the facts."""

        return queries.incidents(self.service.ledger, limit=1000)

    def _begin(self, one: Conversation, later: Callable[[float, Callable[[], None]], None]) -> None:
        self.connections += 1
        port = next(self._ports)
        if one.service.named:
            self._look_up(one.device, one.service)
        if one.failure is not None:
            end = one.start + (0.03 if one.failure == "refused" else 120.0)
            received = 40 if one.failure == "refused" else 0
            later(end, lambda: self._end(one, port, received))
            return
        self._report(one, port)
        state = [1]  # the next sequence number
        begun = one.start + HANDSHAKE_SECONDS
        for at, lengths in one.writes(self._dice):
            later(max(at, begun), lambda lengths=lengths: self._write(one, port, state, lengths))
        later(one.start + one.seconds, lambda: self._end(one, port, 20_000))

    def _report(self, one: Conversation, port: int) -> None:
        site = one.service
        facts = self._facts_of(site)
        server = ip_address(site.address).packed
        judgement = judge(
            self._packs, Thresholds(), facts, Endpoint(server, site.port), None, self.now
        )
        seen = judgement.verdict is Verdict.CLEAN and site.named and facts.certificate is not None
        record = flow_record(
            client=ip_address(one.device).packed,
            client_port=port,
            server=server,
            server_port=site.port,
            start_us=self.now,
            facts=facts,
            judgement=judgement,
        )
        message = {
            "type": "flow",
            "worker": 0,
            "class": "clean" if seen else "observed",
            "enforced": True,
            "proxied": False,
            "mac": None,
            "der": None,
            **record,
        }
        report = parse_report(json.dumps(message).encode())
        assert isinstance(report, FlowReport)
        self.service.take_report(report)

    def _write(
        self, one: Conversation, port: int, state: list[int], lengths: tuple[int, ...]
    ) -> None:
        payload = b"".join(
            b"\x17\x03\x03" + length.to_bytes(2, "big") + bytes(length) for length in lengths
        )
        site = one.service
        ends = ip_address(one.device).packed, ip_address(site.address).packed
        tcp = struct.pack("!HHIIBBHHH", port, site.port, state[0], 1, 0x50, 0x18, 65535, 0, 0)
        head = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0)
        state[0] += len(payload)
        datagram = (head + ends[0] + ends[1] + tcp + payload)[:COPY_BYTES]
        self.kernel.copies.append(Copy(self.now, datagram))
        self.copies += 1
        if self.service.observation is not None:
            self.service.observation.take_copies()

    def _end(self, one: Conversation, port: int, received: int) -> None:
        site = one.service
        event = FlowEvent(
            True,
            ip_address(one.device),
            port,
            ip_address(site.address),
            site.port,
            FlowClass.NONE,
            SYN_BYTES if one.failure is not None else 1000,
            received,
            MIDNIGHT + round(one.start * SECOND),
        )
        for listener in self.service.listeners:
            listener.take_event(event)

    def _look_up(self, device: str, site: Site) -> None:
        if (device, site.name) in self._asked:
            return
        self._asked.add((device, site.name))
        question = dns.message.make_query(site.name, "A")
        answer = dns.message.make_response(question)
        answer.answer.append(dns.rrset.from_text(f"{site.name}.", 300, "IN", "A", site.address))
        wire = answer.to_wire()
        udp = struct.pack("!HHHH", 53, 40_000, 8 + len(wire), 0)
        head = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(wire), 0, 0, 64, 17, 0)
        ends = ip_address(RESOLVER).packed + ip_address(device).packed
        self.answers.copies.append(Copy(self.now, head + ends + udp + wire))

    def _facts_of(self, site: Site) -> TlsFacts:
        if site not in self._facts:
            connection = Connection(self.now)
            sequences = {True: 1000, False: 5000}
            for from_client, data in self._flights(site):
                segment = _segment(from_client, sequences[from_client], data)
                sequences[from_client] += len(data)
                connection.push(from_client, segment)
            self._facts[site] = connection.facts
        return self._facts[site]

    def _flights(self, site: Site) -> list[tuple[bool, bytes]]:
        server = server_context(self._identity(site.certificate), site.version, site.version)
        client = client_context(site.version, site.version)
        return flights(server, client, site.name if site.named else None)

    def _identity(self, kind: str) -> Identity:
        """Return one certificate a kind: making one takes longer than an hour of this day."""
        if kind not in self._identities:
            makers: dict[str, Callable[[], Identity]] = {
                "appliance": self._notary.appliance,
                "printer": self._notary.printer,
                "authority": lambda: self._notary.web_site("shop.example"),
            }
            self._identities[kind] = makers[kind]()
        return self._identities[kind]


def _segment(from_client: bool, sequence: int, data: bytes) -> Segment:
    ends = (b"\xc0\xa8\x4d\x14", 50_000), (b"\xcb\x00\x71\x07", 443)
    (source, source_port), (target, target_port) = ends if from_client else ends[::-1]
    return Segment(
        version=4,
        source=source,
        destination=target,
        source_port=source_port,
        destination_port=target_port,
        sequence=sequence,
        acknowledgement=1,
        flags=TcpFlag.ACK,
        payload=data,
        ip_header_length=20,
        tcp_header_length=20,
        datagram_length=40 + len(data),
    )
