"""The rhythms of a capture's connections, by the listener that the controller has inline.

It is given what the kernel would copy of a client's segments, no more, and the capture's own times;
how rare a server is it counts in the capture itself, as a new box would. It judges like the
controller: a finding that is no alert is not told.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from ratwall.controller.rhythms import Rhythms
from ratwall.kernel.ruleset import COPY_BYTES
from ratwall.rhythm.decide import RARE_DEVICES
from ratwall.verdict.finding import Connection, Finding
from ratwall.verdict.judge import Judgement, Thresholds, Verdict, weigh
from ratwall.wire.packet import Segment

SERVERS_LIMIT: Final = 16_384  # whose first connection is remembered, as inline; 4 MB

_ORDER: Final = tuple(Verdict)  # mildest first


@dataclass(slots=True)
class _Server:
    """Who met a server: no more of them than it takes not to be rare."""

    first: int
    clients: set[str] = field(default_factory=set)


class Heard:
    """Feed it a capture's clients; `close` says what was found of a connection."""

    def __init__(self, thresholds: Thresholds, tells: Callable[[str], bool]) -> None:
        """`tells` says whether a rule may say anything."""
        self._thresholds = thresholds
        self._tells = tells
        self._rhythms = Rhythms(self._rarity, self._found)
        self._servers: OrderedDict[str, _Server] = OrderedDict()
        self._judgements: dict[Connection, Judgement] = {}
        self._now = 0

    def meet(self, connection: Connection, time: int) -> bool:
        """Note that a connection was judged; True if it is the first with its server."""
        client, _, server, _ = connection
        known = self._servers.get(server)
        if known is None:
            self._servers[server] = _Server(time, {client})
            if len(self._servers) > SERVERS_LIMIT:
                self._servers.popitem(last=False)
            return True
        self._servers.move_to_end(server)
        if len(known.clients) <= RARE_DEVICES:
            known.clients.add(client)
        return False

    def note(self, connection: Connection, *, named: bool | None, version: str | None) -> None:
        """Note what its hello said; `named` None if it was not seen."""
        self._rhythms.note(connection, named=named, tls_version=version)

    def take(self, connection: Connection, segment: Segment, time: int) -> None:
        """Take in a segment of the client, as far as the kernel would copy it."""
        self._now = time
        headers = segment.ip_header_length + segment.tcp_header_length
        copied = replace(segment, payload=segment.payload[: max(0, COPY_BYTES - headers)])
        self._rhythms.take_segment(connection, copied, time)

    def close(self, connection: Connection) -> Judgement | None:
        """Return the weightiest that was found of a connection, and let go of it."""
        self._rhythms.forget(connection)
        return self._judgements.pop(connection, None)

    def _rarity(self, server: str) -> tuple[int, int]:
        known = self._servers.get(server)
        if known is None:
            return 1, 0
        return len(known.clients), self._now - known.first

    def _found(self, finding: Finding) -> None:
        if not self._tells(finding.rule):
            return
        judgement = weigh(finding.evidence, self._thresholds)
        if judgement.verdict not in (Verdict.ALERT, Verdict.BLOCK):
            return
        (connection,) = finding.connections
        known = self._judgements.get(connection)
        if known is None or known.score <= judgement.score:
            self._judgements[connection] = judgement


def joined(handshake: Judgement, heard: Judgement | None) -> Judgement:
    """Return one judgement of both, as an incident joins them: the worse of each, all evidence."""
    if heard is None:
        return handshake
    evidence = (*handshake.evidence, *heard.evidence)
    return Judgement(
        max(handshake.verdict, heard.verdict, key=_ORDER.index),
        max(handshake.score, heard.score),
        handshake.family or heard.family,
        tuple(sorted(evidence, key=lambda item: (not item.decisive, -item.points))),
    )
