"""The model that looks at what does not work: a server that is tried and tried, and not there.

Pure. What Ratwall itself refused is no failure: the kernel keeps no record of it.
"""

from typing import Final

from ratwall.detections import facts
from ratwall.detections.history import COMMON_PORTS, SECOND, History
from ratwall.detections.model import Model, Reasons, Severity
from ratwall.detections.regularity import period
from ratwall.signatures.evidence import Evidence

FAILED: Final = 10  # attempts of the last hour: fifty seconds of the five-second loop
SHARE: Final = 10  # at most one attempt of ten got through
# The families sleep five seconds; an attempt that nobody answers takes up to thirty more. Printers
# and agents that have lost their server try by the minute.
LOOP_US: Final = 40 * SECOND
FAILED_POINTS: Final = 45  # with a stranger it just makes an alert


def failed_connections(history: History) -> Reasons:
    """Fire on many attempts at a stranger, or at odd ports of one, nearly all in vain."""
    answered = history.attempts - history.failures
    clockwork = facts.clockwork(history)
    loops = clockwork is not None and period(history.starts) <= LOOP_US
    odd = tuple(port for port in history.failed_ports if port not in COMMON_PORTS)
    if (
        history.failures < history.least(FAILED)
        or answered * SHARE > history.attempts
        or not (history.stranger or len(odd) > 1 or (history.rarity.rare and loops))
    ):
        return ()
    text = (
        f"{history.failures} attempts to reach this server within an hour were refused or not "
        "answered, and the device goes on trying."
    )
    own = Evidence(FAILURES, FAILED_POINTS, text, facts.FALLBACK_CHANNELS)
    ports = (facts.several_ports(odd),) if len(odd) > 1 and len(history.odd_ports) < 2 else ()
    return (
        own,
        *facts.surroundings(history),
        *ports,
        *(() if clockwork is None else (clockwork,)),
    )


FAILURES: Final = "model.failed-connections"

MODELS: Final = (
    Model(
        FAILURES,
        "Large number of suspicious failed connections",
        "Compromise / Large Number of Suspicious Failed Connections",
        Severity.MEDIUM,
        ("T1008", "T1571"),
        "Ten or more attempts within an hour at a rare server, or at several odd ports of one, of "
        "which nine of ten were refused or never answered: a control server that is down. A "
        "known server that is down for an hour is left alone.",
        failed_connections,
    ),
)
