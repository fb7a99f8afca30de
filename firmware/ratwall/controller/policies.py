"""Remote-support relays: ScreenConnect is a tool of honest people that intruders use as well.

Seeing one is never a verdict of malware. It is told, unless the relay is the office's own
(`[policy] screenconnect_relays`), and nothing is cut for it.

Design note: the relay speaks a protocol of its own, not TLS (asked for by nobody else on its port
but developers' servers in clear HTTP). An HTTP request is let go by the inspector with its first
segment, a TLS hello is reported within a second; what is still being read after three has said
neither.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from ratwall.controller.clock import moved
from ratwall.controller.listener import Listener
from ratwall.controller.messages import FlowReport
from ratwall.controller.proofs import Connection, Reported
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.settings.schema import Policy
from ratwall.signatures.evidence import Evidence
from ratwall.verdict.finding import Finding

RULE: Final = "policy.screenconnect"
RELAY_PORT: Final = 8041  # of the relay service where people run it themselves
RELAY_NAME: Final = "-relay.screenconnect.com"  # how the vendor's own relays are called
POINTS: Final = 60  # just an alert: a person knows whether it is theirs
WAIT_US: Final = 3_000_000  # a hello is reported within a second, whatever the load
WAITING_LIMIT: Final = 1024  # connections that began within those seconds
TOLD_US: Final = 24 * 3_600_000_000  # once a day and server
TOLD_LIMIT: Final = 4096
REMOTE_ACCESS: Final = "T1219"  # ATT&CK: Remote Access Software


class RelayWatch(Listener):
    """Hears of connections that are being read, and of those that were judged."""

    def __init__(
        self,
        names: Callable[[str], tuple[str, ...]],
        policy: Callable[[], Policy],
        found: Callable[[Finding], Any],
        clock: Callable[[], int],
    ) -> None:
        """`names` gives what a server was looked up by; `found` takes what is worth telling."""
        self._names = names
        self._policy = policy
        self._found = found
        self._clock = clock
        self._waiting: OrderedDict[Connection, int] = OrderedDict()
        self._told: OrderedDict[tuple[str, str], int] = OrderedDict()

    def take_event(self, event: FlowEvent) -> None:
        """Take in that a connection is being read."""
        if event.flow_class is not FlowClass.WATCH:
            return
        if event.destination_port != RELAY_PORT and not self._is_named(event.ends[2]):
            return
        self._waiting.setdefault(event.ends, self._clock())
        if len(self._waiting) > WAITING_LIMIT:
            self._waiting.popitem(last=False)

    def take_report(self, report: FlowReport, written: Reported) -> None:
        """Take in that a connection was TLS after all."""
        if not self._waiting:
            return
        self._waiting.pop(
            (report.client, report.client_port, report.server, report.server_port), None
        )

    def clock_set(self, by: int) -> None:
        """Wait as long as before, though the clock was set."""
        moved(self._waiting, by)
        moved(self._told, by)

    def tick(self, now: int) -> None:
        """Tell of what has said no hello for long enough."""
        while self._waiting:
            connection, began = next(iter(self._waiting.items()))
            if now - began < WAIT_US:
                return
            del self._waiting[connection]
            self._tell(connection, now)

    def _tell(self, connection: Connection, now: int) -> None:
        device, _, server, port = connection
        names = self._names(server)
        own = self._policy().screenconnect_relays
        if server in own or any(name in own for name in names):
            return
        told = self._told.get((device, server))
        if told is not None and now - told < TOLD_US:
            return
        self._told[device, server] = now
        self._told.move_to_end((device, server))
        if len(self._told) > TOLD_LIMIT:
            self._told.popitem(last=False)
        if self._is_named(server):
            how = "by its name one of ScreenConnect's"
        else:
            how = f"on port {RELAY_PORT} and not TLS, as ScreenConnect's are"
        text = (
            f"A connection with a remote-support relay, {how}. It may be your own helper's: then "
            "list it under [policy] screenconnect_relays. Intruders use the tool as well."
        )
        evidence = (Evidence(RULE, POINTS, text, REMOTE_ACCESS),)
        facts = {"names": list(names[:4])}
        self._found(Finding(RULE, device, server, port, evidence, now, (connection,), facts))

    def _is_named(self, server: str) -> bool:
        return any(name.endswith(RELAY_NAME) for name in self._names(server))
