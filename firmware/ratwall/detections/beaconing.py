"""Models that look at time: a beat inside a connection, or connections begun like a clock.

Pure. A rhythm alone makes none of them fire: brokers, VPNs and chat programs beat all day.
"""

from typing import Final

from ratwall.detections import facts
from ratwall.detections.history import History
from ratwall.detections.model import Model, Reasons, Severity
from ratwall.detections.regularity import regularity
from ratwall.signatures.evidence import Evidence

HIGH_SCORE: Final = 85  # percent: the loops measured have 90 and more, people below 40
MODERATE_SCORE: Final = 65  # chance gets there in one case of a hundred (thirty starts)
MANY: Final = 20  # connections of the last hour: a five-second loop has them in two minutes
RHYTHM_POINTS: Final = 45  # with a stranger it just makes an alert
WEAK_POINTS: Final = 40  # with one weak signal it is kept in mind, with two it makes an alert


def beaconing_rare(history: History) -> Reasons:
    """Fire on a high rhythm towards a stranger, inside a connection or across them."""
    score = regularity(history.starts)
    if not history.stranger or (history.beat is None and score < HIGH_SCORE):
        return ()
    if history.beat is not None:
        text = _beats(history)
    else:
        text = f"{len(history.starts)} connections to this server, begun like a clock: {score}/100."
    own = Evidence(BEACONING_RARE, RHYTHM_POINTS, text, facts.ENCRYPTED_CHANNEL)
    return (own, *facts.surroundings(history))


def high_volume(history: History) -> Reasons:
    """Fire on many connections to one stranger that have at least a moderate rhythm."""
    score = regularity(history.starts)
    many = history.least(MANY)
    if not history.stranger or history.attempts < many or score < MODERATE_SCORE:
        return ()
    text = (
        f"{history.attempts} connections to this server within an hour, at regular intervals "
        f"({score}/100): a program that never gives up."
    )
    own = Evidence(HIGH_VOLUME, RHYTHM_POINTS, text, facts.FALLBACK_CHANNELS)
    return (own, *facts.surroundings(history))


def ssl_beacon_rare(history: History) -> Reasons:
    """Fire on a beat inside a TLS connection with a stranger."""
    if history.beat is None or not history.handshakes or not history.stranger:
        return ()
    text = f"Inside an encrypted connection to a server that is new here: {_beats(history)}"
    own = Evidence(SSL_BEACON, RHYTHM_POINTS, text, facts.ENCRYPTED_CHANNEL)
    return (own, *facts.surroundings(history))


def suspicious_beaconing(history: History) -> Reasons:
    """Fire on a beat with one weak second signal, at a server of few devices, however old."""
    weak = (facts.nameless(history), facts.fingerprint(history), facts.port(history))
    if history.beat is None or not any(weak) or history.rarity.devices > 2:
        return ()
    own = Evidence(SUSPICIOUS_BEACON, WEAK_POINTS, _beats(history), facts.ENCRYPTED_CHANNEL)
    return (own, *facts.surroundings(history))


def _beats(history: History) -> str:
    assert history.beat is not None
    return (
        f"The device reports in {history.beat.beats} times, every "
        f"{facts.seconds(history.beat.period)}."
    )


BEACONING_RARE: Final = "model.beaconing-rare"
HIGH_VOLUME: Final = "model.high-volume-beacon"
SSL_BEACON: Final = "model.ssl-beacon-rare"
SUSPICIOUS_BEACON: Final = "model.suspicious-beaconing"

MODELS: Final = (
    Model(
        BEACONING_RARE,
        "Beaconing to a rare server",
        "Compromise / Beaconing Activity To External Rare",
        Severity.MEDIUM,
        ("T1573.002",),
        "A beat inside a connection, or connections begun like a clock, to a rare server. A server "
        "that several devices use, or one for long, may beat as it likes.",
        beaconing_rare,
    ),
    Model(
        HIGH_VOLUME,
        "High volume of connections with a rhythm",
        "Compromise / High Volume of Connections with Beacon Score",
        Severity.MEDIUM,
        ("T1008", "T1573.002"),
        "Twenty or more connections to one rare server within an hour, with at least a moderate "
        "rhythm: the reconnect loop. A web page opens as many at once, without any.",
        high_volume,
    ),
    Model(
        SSL_BEACON,
        "TLS beacon to a rare server",
        "Compromise / SSL Beaconing to Rare Destination",
        Severity.MEDIUM,
        ("T1573.002",),
        "A beat inside a TLS connection to a rare server. A beat in clear text, or with a server "
        "that is known here, is left alone.",
        ssl_beacon_rare,
    ),
    Model(
        SUSPICIOUS_BEACON,
        "Suspicious beaconing",
        "Compromise / Suspicious Beaconing Behaviour",
        Severity.LOW,
        ("T1573.002", "T1571"),
        "A beat, and one weak second signal: no server name, an unusual hello, an unusual port. "
        "The server may be known for long, but to two devices at most. Two weak signals make an "
        "incident, one is kept in mind.",
        suspicious_beaconing,
    ),
)
