"""The words of the admin page that depend on a state: what is so, what it means, what to do.

Only words, no logic. The tables hold English; each word is translated when it is shown.
"""

from dataclasses import dataclass
from typing import Any

from ratwall_web.language import N_, NN_, Words, _, ngettext


@dataclass(frozen=True, slots=True)
class Phrase:
    """A state in words; `tone` is good, warn, bad or calm, and never the only sign of it."""

    tone: str
    english_title: str
    english_text: str

    @property
    def title(self) -> str:
        """Return the state in a word or two."""
        return _(self.english_title)

    @property
    def text(self) -> str:
        """Return what the state means."""
        return _(self.english_text)


PROTECTION = {
    "protecting": Phrase(
        "good",
        N_("Protecting"),
        N_("New outbound TLS connections are inspected, and remote-control servers are cut off."),
    ),
    "partial": Phrase(
        "warn",
        N_("Partly protecting"),
        N_(
            "Some new connections pass without being inspected. What is missing is restarted by "
            "itself; if this stays for a minute, restart the box."
        ),
    ),
    "monitor": Phrase(
        "warn",
        N_("Monitor only"),
        N_(
            "Connections are inspected, but nothing is cut off. "
            "Incidents say what would have been blocked."
        ),
    ),
    "paused": Phrase(
        "warn",
        N_("Paused"),
        N_(
            "New connections pass without being inspected; what was blocked stays blocked. "
            "It goes on by itself."
        ),
    ),
    "bypassed": Phrase(
        "bad",
        N_("Bypassed"),
        N_("The internet works, but new connections pass without being inspected."),
    ),
    "starting": Phrase(
        "warn",
        N_("Starting"),
        N_("Inspection begins in a few seconds. The internet works meanwhile."),
    ),
}
UNKNOWN_PROTECTION = Phrase(
    "warn", N_("State unknown"), N_("The box reported a state this page does not know.")
)
NO_CONTROLLER = Phrase(
    "bad",
    N_("No answer from the controller"),
    N_(
        "The part of Ratwall that decides and records does not answer. The internet keeps working "
        "and "
        "blocks already made stay in force, but nothing can be changed here and nothing new is "
        "recorded. It is restarted by itself; if this stays for a minute, restart the box."
    ),
)

INCIDENT_STATE = {
    "blocking": Phrase(
        "calm",
        N_("Blocking"),
        N_("The order to cut the connection is out; the proof is not back yet."),
    ),
    "blocked": Phrase(
        "good", N_("Blocked"), N_("The connection was cut, and the kernel has confirmed it.")
    ),
    "would_block": Phrase(
        "warn",
        N_("Not blocked: only watched"),
        N_("In monitor mode, or by a rule that only tells, nothing is cut."),
    ),
    "alert": Phrase(
        "warn",
        N_("Suspicious, not blocked"),
        N_("There are signs of a remote-control program, but too few to cut the connection."),
    ),
    "allowed": Phrase(
        "calm", N_("Allowed by you"), N_("This connection passes because somebody allowed it.")
    ),
    "released": Phrase("calm", N_("Released"), N_("The block was taken away by hand.")),
}
UNKNOWN_INCIDENT = Phrase("calm", N_("Recorded"), "")

VERDICT = {
    "clean": Phrase("calm", N_("Clean"), N_("Nothing suspicious")),
    "watch": Phrase("calm", N_("Watched"), N_("Weak signs only")),
    "alert": Phrase("warn", N_("Suspicious"), N_("Clear signs, not enough to cut")),
    "block": Phrase("bad", N_("Remote control"), N_("Recognised")),
}
UNKNOWN_VERDICT = Phrase("calm", N_("Recorded"), "")

ACTION = Words(
    {
        "block": N_("Blocked"),
        "allow": N_("Allowed"),
        "release": N_("Block taken away"),
        "keep": N_("Block kept"),
        "block_device": N_("Blocked"),
        "block_server": N_("Blocked on every port"),
        "quarantine": N_("Cut off the internet"),
        "watch": N_("Watched closely"),
        "pause": N_("Paused"),
        "rule": N_("Rule changed"),
    }
)

# What a shop owner should do, by the state of an incident.
GUIDANCE = {
    "cut": (
        N_(
            "Take the device off the network: pull its cable or switch its Wi-Fi off. "
            "Ratwall cut this connection, but a program on the device asked for it and may try "
            "others."
        ),
        N_("Do not sign in to anything from that device, least of all a bank."),
        N_(
            "Run a full scan from outside the running system, for instance Microsoft Defender "
            "Offline."
        ),
        N_("From another device, change the passwords that were used on it."),
        N_(
            "Show this page to whoever looks after your computers. "
            "When in doubt, have the device installed anew."
        ),
    ),
    "passed": (
        N_(
            "This connection was not cut. If nobody knows the server, treat the device as "
            "infected: "
            "pull its cable or switch its Wi-Fi off."
        ),
        N_(
            "Ask who uses the device whether they know the server below, for instance from a "
            "remote-support or backup program."
        ),
        N_("If it is known and wanted, allow it below; then it stops showing up as suspicious."),
        N_(
            "If it is not, do not sign in to anything from that device, run a full scan from "
            "outside "
            "the running system, and change the passwords used on it from another device."
        ),
    ),
    "allowed": (
        N_("Nothing, if you know this server and meant to allow it."),
        N_(
            "If you are not sure any more, take the permission back below, under "
            "\u201cWhat was done\u201d: the next attempt is judged again."
        ),
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

# What passes uninspected by design: what it is called, and why it passes.
NOT_INSPECTED = {
    "quic": (
        NN_("connection over QUIC (UDP port 443)", "connections over QUIC (UDP port 443)"),
        N_(
            "QUIC hides what is looked at here. With refuse_udp_443 in the settings browsers use "
            "TCP, "
            "which is inspected."
        ),
    ),
    "inbound": (
        NN_("connection opened from outside", "connections opened from outside"),
        N_(
            "Port forwards of your router: a server of yours speaks, not a program that calls home."
        ),
    ),
    "local": (
        NN_("packet within the office", "packets within the office"),
        N_("They crossed the box, but did not leave for the internet."),
    ),
    "one_way": (
        NN_("packet of half a connection", "packets of half a connection"),
        N_(
            "Only one direction crosses the box. A few are normal after a start; many mean that "
            "there "
            "is a second way to the internet beside the box."
        ),
    ),
    "stacked": (
        NN_("packet with two network tags", "packets with two network tags"),
        N_("Doubly tagged VLANs (802.1ad): the kernel does not show them to Ratwall."),
    ),
}

# What is observed is read only so far.
NOT_OBSERVED = {
    "evicted": (
        NN_("connection observed no longer", "connections observed no longer"),
        N_("Only so many are observed at one time; these made room for more suspicious ones."),
    ),
    "unread": (
        NN_(
            "segment of observed connections not read", "segments of observed connections not read"
        ),
        N_(
            "More was said at one time than is copied and read. A heartbeat among it is told later."
        ),
    ),
}

# What is said when something was allowed: by whom it is for, what it is, and whether for ever.
ALLOWED = {
    ("device", "server", False): N_("%(device)s may reach %(server)s for %(length)s."),
    ("device", "server", True): N_("%(device)s may reach %(server)s from now on."),
    ("device", "certificate", False): N_(
        "%(device)s may reach any server with this certificate for %(length)s."
    ),
    ("device", "certificate", True): N_(
        "%(device)s may reach any server with this certificate from now on."
    ),
    ("everyone", "server", False): N_("Every device may reach %(server)s for %(length)s."),
    ("everyone", "server", True): N_("Every device may reach %(server)s from now on."),
    ("everyone", "certificate", False): N_(
        "Every device may reach any server with this certificate for %(length)s."
    ),
    ("everyone", "certificate", True): N_(
        "Every device may reach any server with this certificate from now on."
    ),
}

SECONDS = {"hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "always": None}
LENGTH = Words(
    {
        "hour": N_("1 hour"),
        "day": N_("1 day"),
        "week": N_("1 week"),
        "month": N_("30 days"),
        "always": N_("Always"),
    }
)
PAUSE_SECONDS = {"moment": 300, "hour": 3600}
PAUSE_LENGTH = Words(
    {"moment": N_("5 minutes"), "hour": N_("1 hour"), "tomorrow": N_("until tomorrow, 6:00")}
)
# Actions about a device, in force until they end or are undone.
OF_DEVICES = ("quarantine", "watch", "pause", "block_device")
ALLOW_LENGTHS = ("hour", "day", "always")
BLOCK_LENGTHS = ("hour", "day", "week", "month")
# The controller makes no block longer than 30 days: an address is somebody else's by then.
KEEP_LENGTHS = ("day", "week", "month")

# What an API token may do.
TOKEN_SCOPE = Words(
    {
        "read": N_("Look at everything, change nothing"),
        "act": N_("Look, and block, allow or cut off as you could"),
    }
)

# The way in which traffic passes the box, and where.
PLACE = {
    "bridge": N_("Bridge between %(lan)s and %(wan)s"),
    "router": N_("Router between %(lan)s and %(wan)s"),
}
# What a rule may do since somebody changed it.
RULE_MODE = {
    "off": N_("%(rule)s is switched off"),
    "monitor": N_("%(rule)s only tells"),
    "enforce": N_("%(rule)s may cut"),
}

NOTHING_CHANGED = N_("Nothing was changed: %(reason)s")
NOT_ASKED = N_(
    "Nothing was changed: the controller does not answer. It is restarted by itself; "
    "try again in a minute."
)
NOT_KNOWN = N_(
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
        (counted[kind], ngettext(*what, counted[kind]), _(why))
        for kind, (what, why) in (NOT_INSPECTED | NOT_OBSERVED).items()
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
    return tuple(_(step) for step in GUIDANCE[GUIDANCE_BY_STATE.get(state, "passed")])


def action(kind: str) -> str:
    """Return what was done, in one word or two."""
    return ACTION.get(kind, kind)


def place(mode: str, lan: str, wan: str) -> str:
    """Return where the box stands."""
    return _(PLACE.get(mode, N_("Between %(lan)s and %(wan)s")), lan=lan, wan=wan)
