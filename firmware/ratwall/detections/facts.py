"""The facts that several models share, as evidence: each is worth little, and says what it is.

Pure. No fact here is decisive: a port, a fingerprint, a rhythm, a stranger, a home-made certificate
are all honest somewhere.
"""

from collections.abc import Iterator
from typing import Final

from ratwall.detections.history import SECOND, History
from ratwall.detections.regularity import regularity
from ratwall.signatures.evidence import Evidence

ENCRYPTED_CHANNEL: Final = "T1573.002"
NON_STANDARD_PORT: Final = "T1571"
FALLBACK_CHANNELS: Final = "T1008"

RARE_POINTS: Final = 15  # strangers are met every day, by people as well as by programs
LEARNING_POINTS: Final = 5  # to a new box all are strangers
NAMELESS_POINTS: Final = 10  # programs that connect by address are rare, and mostly honest
CERTIFICATE_POINTS: Final = 15  # appliances make their own too
FINGERPRINT_POINTS: Final = 10  # names a library, not a program
PORT_POINTS: Final = 10  # any program may choose any port
PORTS_POINTS: Final = 10  # one server, several odd ports: a list that is tried in turn
SHAPE_POINTS: Final = 15  # a habit of these families that few others share
CLOCK_POINTS: Final = 15  # programs that retry mostly wait longer each time
CLOCK_SCORE: Final = 80  # percent of regularity that deserves the word


def rare(history: History) -> Evidence | None:
    """Return that hardly anybody here knows the server."""
    if not history.rarity.rare:
        return None
    few = "One device" if history.rarity.devices == 1 else f"{history.rarity.devices} devices"
    text = f"{few} of this office had to do with the server, and not for longer than a week."
    points = RARE_POINTS
    if history.learning:
        points = LEARNING_POINTS
        text += " Ratwall is new here itself, so that says little yet."
    return Evidence("history.rare", points, text, None)


def nameless(history: History) -> Evidence | None:
    """Return that the server was called by its address."""
    if history.named or not history.handshakes:
        return None
    text = "The device calls the server by its address: no name was asked for or given."
    return Evidence("history.no-name", NAMELESS_POINTS, text, None)


def certificate(history: History) -> Evidence | None:
    """Return that the server's certificate is out of the ordinary."""
    if history.odd_certificate is None and not history.self_signed:
        return None
    text = history.odd_certificate or "The server made its certificate itself."
    return Evidence("history.certificate", CERTIFICATE_POINTS, text, "T1587.003")


def fingerprint(history: History) -> Evidence | None:
    """Return that the program says hello in an unusual way."""
    if history.odd_fingerprint is None:
        return None
    return Evidence(
        "history.fingerprint", FINGERPRINT_POINTS, history.odd_fingerprint, ENCRYPTED_CHANNEL
    )


def port(history: History) -> Evidence | None:
    """Return that TLS is spoken where it is not by convention."""
    odd = history.odd_ports
    if not odd:
        return None
    if len(odd) > 1:
        return several_ports(odd)
    text = f"Encrypted traffic on port {odd[0]}, where none is expected."
    return Evidence("history.port", PORT_POINTS, text, NON_STANDARD_PORT)


def several_ports(ports: tuple[int, ...]) -> Evidence:
    """Return that one server is tried on several ports."""
    named = ", ".join(str(number) for number in ports[:6])  # as many as fit a line
    text = f"The device tries this one server on several unusual ports: {named}."
    return Evidence("history.ports", PORTS_POINTS, text, FALLBACK_CHANNELS)


def shape(history: History) -> Evidence | None:
    """Return that the beats look like the families'."""
    if history.beat is None or not history.beat.shape:
        return None
    text = (
        "Each message has its length in a small record of its own in front: AsyncRAT and its "
        "relatives write like that, few others do."
    )
    return Evidence("history.shape", SHAPE_POINTS, text, ENCRYPTED_CHANNEL)


def clockwork(history: History) -> Evidence | None:
    """Return that connections are begun like a clock."""
    score = regularity(history.starts)
    if score < CLOCK_SCORE:
        return None
    text = f"The attempts come like a clock ({score} of 100 for regularity)."
    return Evidence("history.clockwork", CLOCK_POINTS, text, None)


def surroundings(history: History) -> Iterator[Evidence]:
    """Yield every one of these facts that holds, beside what a model itself has found."""
    for fact in (rare, nameless, certificate, fingerprint, port, shape):
        found = fact(history)
        if found is not None:
            yield found


def seconds(microseconds: int) -> str:
    """Say a period."""
    return f"{microseconds / SECOND:.1f} seconds"
