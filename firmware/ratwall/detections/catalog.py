"""All models and responses by name, and the one that weighs the others together.

Pure. Design note: no model alone has anything blocked. What may be is what two kinds of models
agree on about one device and one server: one that looked at the handshake, and one that looked at
time. These have no fact in common, so they are two witnesses and not one twice.
"""

from collections.abc import Iterable
from typing import Final

from ratwall.detections import beaconing, encrypted, facts, failures
from ratwall.detections.history import History
from ratwall.detections.model import Match, Model, Reasons, Response, Severity
from ratwall.signatures.evidence import Evidence

ANOMALY_POINTS: Final = 80  # the block threshold: nothing more is needed
ANOMALY: Final = "model.significant-anomaly"

_EXAMINED: Final = (*encrypted.MODELS, *beaconing.MODELS, *failures.MODELS)
_OF_HANDSHAKES: Final = frozenset({encrypted.SUSPICIOUS_SSL, encrypted.SELF_SIGNED})
_OF_TIME: Final = frozenset(
    {beaconing.BEACONING_RARE, beaconing.HIGH_VOLUME, beaconing.SSL_BEACON, failures.FAILURES}
)


def examine(history: History) -> list[Match]:
    """Return every model that fires, in the order of the list."""
    found = [Match(model, reasons) for model in _EXAMINED if (reasons := model.examine(history))]
    together = _agreed(found)
    if together:
        found.append(Match(SIGNIFICANT_ANOMALY, together))
    return found


def _agreed(found: Iterable[Match]) -> Reasons:
    names = {match.model.id: match.model.name for match in found}
    handshakes = [names[one] for one in names if one in _OF_HANDSHAKES]
    time = [names[one] for one in names if one in _OF_TIME]
    if not handshakes or not time:
        return ()
    text = f"Two independent findings agree about this server: “{handshakes[0]}” and “{time[0]}”."
    own = Evidence(ANOMALY, ANOMALY_POINTS, text, facts.ENCRYPTED_CHANNEL, decisive=True)
    return (own,)


def _together(history: History) -> Reasons:
    return _agreed([match for match in examine(history) if match.model.id != ANOMALY])


SIGNIFICANT_ANOMALY: Final = Model(
    ANOMALY,
    "Significant anomaly: controlled and model alert",
    "Antigena / Significant Anomaly: Controlled and Model Alert",
    Severity.HIGH,
    ("T1573.002",),
    "A model that looked at handshakes and one that looked at time agree about one device and one "
    "server. Where its rule may enforce, the server is blocked for that device for a time and "
    "what runs is cut; the block is listed with its expiry and can be undone.",
    _together,
)

MODELS: Final = (*_EXAMINED, SIGNIFICANT_ANOMALY)

RESPONSES: Final = (
    Response(
        "response.controlled",
        "Timed block of the matching connections",
        "Antigena / Significant Anomaly: Controlled and Model Alert",
        "What `model.significant-anomaly` asks for: the endpoint is blocked for the device for "
        "`[block] seconds`, running connections with it are cut. Listed with author, reason and "
        "expiry; undone with `ratwall undo`.",
    ),
    Response(
        "response.enhanced-monitoring",
        "Enhanced monitoring of the device",
        "Antigena / Enhanced Monitoring from Client Block",
        "After a connection of a device was cut it is watched closely for "
        "`[response] watch_seconds`: its connections are observed, and models ask for half of the "
        "usual proof. Listed with its expiry by `ratwall actions`, taken back with `ratwall undo`.",
    ),
)
