"""Models that look at handshakes: what certificate, how often, to whom.

Pure. Each asks for a server that hardly anybody here knows; none can block.
"""

from typing import Final

from ratwall.detections import facts
from ratwall.detections.history import History
from ratwall.detections.model import Model, Reasons, Severity
from ratwall.signatures.evidence import Evidence

REPEATED: Final = 3  # connections: a person who is curious looks once or twice
TWICE: Final = 2
SELF_SIGNED_FACTS: Final = (
    *("history.rare", "history.no-name", "history.certificate", "history.fingerprint"),
)
RISEN_HOURS: Final = 3  # in a row: a meeting, a large page or an update is over by then
RISEN_LEAST: Final = 10  # connections an hour: one every six minutes
RISEN_TIMES: Final = 2  # as many as with any other server in the busiest hour of a week
SUSPICIOUS_POINTS: Final = 25  # the three oddities speak for themselves
SELF_SIGNED_POINTS: Final = 20  # with its three facts it just makes an alert
RISEN_POINTS: Final = 45  # with a stranger it just makes an alert


def suspicious_ssl(history: History) -> Reasons:
    """Fire on repeated TLS with a stranger, its certificate, hello and port all unusual."""
    wanted = (
        facts.certificate(history),
        facts.fingerprint(history),
        facts.port(history),
    )
    if not history.stranger or history.handshakes < history.least(REPEATED) or None in wanted:
        return ()
    text = (
        f"{history.handshakes} encrypted connections to a server that is unusual in every way: "
        "its certificate, its port, and how the program says hello."
    )
    own = Evidence(SUSPICIOUS_SSL, SUSPICIOUS_POINTS, text, facts.ENCRYPTED_CHANNEL)
    return (own, *facts.surroundings(history))


def self_signed_rare(history: History) -> Reasons:
    """Fire on a self-made certificate at a stranger that is called by its address."""
    if (
        not history.self_signed
        or history.named
        or not history.stranger
        or history.handshakes < history.least(TWICE)
    ):
        return ()
    text = "The server vouches for itself, has no name, and is new here."
    own = Evidence(SELF_SIGNED, SELF_SIGNED_POINTS, text, "T1587.003")
    # An odd port is no news with it: appliances have that as well.
    around = (fact for fact in facts.surroundings(history) if fact.id in SELF_SIGNED_FACTS)
    return (own, *around)


def sustained_increase(history: History) -> Reasons:
    """Fire on far more connections to a stranger than the device makes otherwise, for hours."""
    wanted = max(RISEN_LEAST, RISEN_TIMES * history.usual_hour)
    newest = history.hours[-1 - history.least(RISEN_HOURS) : -1]  # the hour that runs is not over
    if not history.stranger or min(newest) <= wanted:
        return ()
    text = (
        f"For {len(newest)} hours the device made at least {min(newest)} connections an hour to "
        f"this server; with others it makes {history.usual_hour} in a busy hour."
    )
    own = Evidence(INCREASE, RISEN_POINTS, text, "T1041")
    return (own, *facts.surroundings(history))


SUSPICIOUS_SSL: Final = "model.suspicious-ssl"
SELF_SIGNED: Final = "model.self-signed-rare"
INCREASE: Final = "model.sustained-increase"

MODELS: Final = (
    Model(
        SUSPICIOUS_SSL,
        "Suspicious SSL activity",
        "Compromise / Suspicious SSL Activity",
        Severity.HIGH,
        ("T1573.002", "T1571"),
        "Repeated TLS to a server that is rare here, with an unusual certificate, an unusual hello "
        "and an unusual port, all three together. An appliance has one or two of these.",
        suspicious_ssl,
    ),
    Model(
        SELF_SIGNED,
        "Self-signed certificate at a rare server",
        "Anomalous Connection / Suspicious Self-Signed SSL; Rare External SSL Self-Signed",
        Severity.MEDIUM,
        ("T1587.003", "T1573.002"),
        "A certificate that was issued by itself, or signed with its own key whatever issuer it "
        "names, at a rare server that is called by its address. A router or printer that many "
        "devices use, or one with a name, is left alone.",
        self_signed_rare,
    ),
    Model(
        INCREASE,
        "Sustained increase of connections",
        "Compromise / Sustained SSL or HTTP Increase",
        Severity.MEDIUM,
        ("T1041", "T1573.002"),
        "For three whole hours more TLS connections to a rare server than twice what the device "
        "makes to any other server in its busy hours. A long working day with known servers "
        "raises the measure itself.",
        sustained_increase,
    ),
)
