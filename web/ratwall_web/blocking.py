"""Blocking a server by hand: what was chosen in the form, as a command and in words.

Only reads the form; the views send the command. Every choice must be made and the box ticked: what
is refused here may be what an office lives by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratwall_web import wording
from ratwall_web.filters import endpoint, person
from ratwall_web.language import N_, _
from ratwall_web.records import Row

REASON = N_("blocked on the admin page")
# What is said when it is done, by what was blocked and for whom.
DONE = {
    ("port", "device"): N_("%(server)s is refused to %(device)s for %(length)s."),
    ("port", "everyone"): N_("%(server)s is refused to every device for %(length)s."),
    ("server", "device"): N_("%(server)s, on every port, is refused to %(device)s for %(length)s."),
    ("server", "everyone"): N_(
        "%(server)s, on every port, is refused to every device for %(length)s."
    ),
}


@dataclass(frozen=True, slots=True)
class Block:
    """A block as it was asked for: the command's arguments, and what is said when it is done."""

    arguments: dict[str, Any]
    done: str


def asked_for(
    form: Mapping[str, str], device: Row, server: str, port: int, reason: str, incident: int | None
) -> Block | str:
    """Return the block that a form asks for, or what is missing in it."""
    who, what, length = form.get("who"), form.get("what"), form.get("length", "")
    if who not in ("device", "everyone") or what not in ("port", "server"):
        return _("Choose for whom, and what to block.")
    if length not in wording.BLOCK_LENGTHS:
        return _("Choose for how long to block.")
    place = endpoint(server, port)
    if form.get("sure") != "yes":
        if what == "port":
            return _("Tick the box to have %(server)s refused.", server=place)
        return _("Tick the box to have %(server)s, on every port, refused.", server=server)
    arguments: dict[str, Any] = {
        "server": server,
        "server_port": port if what == "port" else None,
        "device": device["address"] if who == "device" else None,
        "seconds": wording.SECONDS[length],
        "reason": reason or REASON,
        "incident": incident,
    }
    values = {
        "server": place if what == "port" else server,
        "device": person(device),
        "length": wording.LENGTH[length],
    }
    return Block(arguments, _(DONE[what, who], **values))
