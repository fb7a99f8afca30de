"""The words of the admin page that depend on a state: what is so, what it means, what to do.

Only words, no logic: a translation would replace this file and the templates.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Phrase:
    """A state in words; `tone` is good, warn, bad or calm, and never the only sign of it."""

    tone: str
    title: str
    text: str


PROTECTION = {
    "protecting": Phrase(
        "good",
        "Protecting",
        "New outbound TLS connections are inspected, and remote-control servers are cut off.",
    ),
    "partial": Phrase(
        "warn",
        "Partly protecting",
        "Some new connections pass without being inspected. What is missing is restarted by "
        "itself; if this stays for a minute, restart the box.",
    ),
    "monitor": Phrase(
        "warn",
        "Monitor only",
        "Connections are inspected, but nothing is cut off. "
        "Incidents say what would have been blocked.",
    ),
    "paused": Phrase(
        "warn",
        "Paused",
        "New connections pass without being inspected; what was blocked stays blocked. "
        "It goes on by itself.",
    ),
    "bypassed": Phrase(
        "bad",
        "Bypassed",
        "The internet works, but new connections pass without being inspected.",
    ),
    "starting": Phrase(
        "warn",
        "Starting",
        "Inspection begins in a few seconds. The internet works meanwhile.",
    ),
}
UNKNOWN_PROTECTION = Phrase(
    "warn", "State unknown", "The box reported a state this page does not know."
)
NO_CONTROLLER = Phrase(
    "bad",
    "No answer from the controller",
    "The part of Ratwall that decides and records does not answer. The internet keeps working and "
    "blocks already made stay in force, but nothing can be changed here and nothing new is "
    "recorded. It is restarted by itself; if this stays for a minute, restart the box.",
)

INCIDENT_STATE = {
    "blocking": Phrase(
        "calm", "Blocking", "The order to cut the connection is out; the proof is not back yet."
    ),
    "blocked": Phrase(
        "good", "Blocked", "The connection was cut, and the kernel has confirmed it."
    ),
    "would_block": Phrase(
        "warn",
        "Not blocked: only watched",
        "In monitor mode, or by a rule that only tells, nothing is cut.",
    ),
    "alert": Phrase(
        "warn",
        "Suspicious, not blocked",
        "There are signs of a remote-control program, but too few to cut the connection.",
    ),
    "allowed": Phrase(
        "calm", "Allowed by you", "This connection passes because somebody allowed it."
    ),
    "released": Phrase("calm", "Released", "The block was taken away by hand."),
}
UNKNOWN_INCIDENT = Phrase("calm", "Recorded", "")

VERDICT = {
    "clean": Phrase("calm", "Clean", "Nothing suspicious"),
    "watch": Phrase("calm", "Watched", "Weak signs only"),
    "alert": Phrase("warn", "Suspicious", "Clear signs, not enough to cut"),
    "block": Phrase("bad", "Remote control", "Recognised"),
}
UNKNOWN_VERDICT = Phrase("calm", "Recorded", "")

ACTION = {
    "block": "Blocked",
    "allow": "Allowed",
    "release": "Block taken away",
    "keep": "Block kept",
    "block_device": "Blocked",
    "block_server": "Blocked on every port",
    "quarantine": "Cut off the internet",
    "watch": "Watched closely",
    "pause": "Paused",
    "rule": "Rule changed",
}

# What a shop owner should do, by the state of an incident.
GUIDANCE = {
    "cut": (
        "Take the device off the network: pull its cable or switch its Wi-Fi off. "
        "Ratwall cut this connection, but a program on the device asked for it and may try others.",
        "Do not sign in to anything from that device, least of all a bank.",
        "Run a full scan from outside the running system, for instance Microsoft Defender Offline.",
        "From another device, change the passwords that were used on it.",
        "Show this page to whoever looks after your computers. "
        "When in doubt, have the device installed anew.",
    ),
    "passed": (
        "This connection was not cut. If nobody knows the server, treat the device as infected: "
        "pull its cable or switch its Wi-Fi off.",
        "Ask who uses the device whether they know the server below, for instance from a "
        "remote-support or backup program.",
        "If it is known and wanted, allow it below; then it stops showing up as suspicious.",
        "If it is not, do not sign in to anything from that device, run a full scan from outside "
        "the running system, and change the passwords used on it from another device.",
    ),
    "allowed": (
        "Nothing, if you know this server and meant to allow it.",
        "If you are not sure any more, take the permission back below, under "
        "\u201cWhat was done\u201d: the next attempt is judged again.",
    ),
}
GUIDANCE_BY_STATE = {
    "blocking": "cut",
    "blocked": "cut",
    "would_block": "passed",
    "alert": "passed",
    "allowed": "allowed",
    "released": "passed",
}

# What passes uninspected by design: what it is called, one and many, and why it passes.
NOT_INSPECTED = {
    "quic": (
        "connection over QUIC (UDP port 443)",
        "connections over QUIC (UDP port 443)",
        "QUIC hides what is looked at here. With refuse_udp_443 in the settings browsers use TCP, "
        "which is inspected.",
    ),
    "inbound": (
        "connection opened from outside",
        "connections opened from outside",
        "Port forwards of your router: a server of yours speaks, not a program that calls home.",
    ),
    "local": (
        "packet within the office",
        "packets within the office",
        "They crossed the box, but did not leave for the internet.",
    ),
    "one_way": (
        "packet of half a connection",
        "packets of half a connection",
        "Only one direction crosses the box. A few are normal after a start; many mean that there "
        "is a second way to the internet beside the box.",
    ),
    "stacked": (
        "packet with two network tags",
        "packets with two network tags",
        "Doubly tagged VLANs (802.1ad): the kernel does not show them to Ratwall.",
    ),
}

# What is observed is read only so far.
NOT_OBSERVED = {
    "evicted": (
        "connection observed no longer",
        "connections observed no longer",
        "Only so many are observed at one time; these made room for more suspicious ones.",
    ),
    "unread": (
        "segment of observed connections not read",
        "segments of observed connections not read",
        "More was said at one time than is copied and read. A heartbeat among it is told later.",
    ),
}

SECONDS = {"hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "always": None}
LENGTH = {
    "hour": "1 hour",
    "day": "1 day",
    "week": "1 week",
    "month": "30 days",
    "always": "Always",
}
PAUSE_SECONDS = {"moment": 300, "hour": 3600}
PAUSE_LENGTH = {"moment": "5 minutes", "hour": "1 hour", "tomorrow": "until tomorrow, 6:00"}
# Actions about a device, in force until they end or are undone.
OF_DEVICES = ("quarantine", "watch", "pause", "block_device")
ALLOW_LENGTHS = ("hour", "day", "always")
BLOCK_LENGTHS = ("hour", "day", "week", "month")
# The controller makes no block longer than 30 days: an address is somebody else's by then.
KEEP_LENGTHS = ("day", "week", "month")

# What an API token may do.
TOKEN_SCOPE = {
    "read": "Look at everything, change nothing",
    "act": "Look, and block, allow or cut off as you could",
}

NOTHING_CHANGED = "Nothing was changed:"
NOT_ASKED = (
    "Nothing was changed: the controller does not answer. It is restarted by itself; "
    "try again in a minute."
)
NOT_KNOWN = (
    "The controller did not say whether this was done. "
    "Look under \u201cWhat was done\u201d in a minute before you try again."
)


def protection(facts: dict[str, Any] | None) -> Phrase:
    """Return the state of the box in words; None is a controller that does not answer."""
    if facts is None:
        return NO_CONTROLLER
    return PROTECTION.get(facts["state"], UNKNOWN_PROTECTION)


def not_inspected(facts: dict[str, Any] | None) -> list[tuple[int, str, str]]:
    """Return what passed uninspected by design: how many, of what, and why."""
    counted = dict(facts.get("passed") or {}) if facts else {}
    observed = (facts.get("observed") if facts else None) or {}
    counted["evicted"] = observed.get("evicted", 0)
    counted["unread"] = observed.get("uncopied", 0) + observed.get("lost", 0)
    return [
        (counted[kind], one if counted[kind] == 1 else many, why)
        for kind, (one, many, why) in (NOT_INSPECTED | NOT_OBSERVED).items()
        if counted.get(kind)
    ]


def incident_state(state: str) -> Phrase:
    """Return the state of an incident in words."""
    return INCIDENT_STATE.get(state, UNKNOWN_INCIDENT)


def verdict(name: str) -> Phrase:
    """Return the verdict on a connection in words."""
    return VERDICT.get(name, UNKNOWN_VERDICT)


def guidance(state: str) -> tuple[str, ...]:
    """Return what to do now about an incident in this state."""
    return GUIDANCE[GUIDANCE_BY_STATE.get(state, "passed")]


def action(kind: str) -> str:
    """Return what was done, in one word or two."""
    return ACTION.get(kind, kind)
