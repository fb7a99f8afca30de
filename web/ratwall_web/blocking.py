"""Blocking a server by hand: what was chosen in the form, as a command and in words.

Only reads the form; the views send the command. Every choice must be made and the box ticked: what
is refused here may be what an office lives by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ratwall_web import wording
from ratwall_web.filters import endpoint, person
from ratwall_web.records import Row

REASON = "blocked on the admin page"


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
        return "Choose for whom, and what to block."
    if length not in wording.BLOCK_LENGTHS:
        return "Choose for how long to block."
    place = endpoint(server, port) if what == "port" else f"{server}, on every port,"
    if form.get("sure") != "yes":
        return f"Tick the box to have {place} refused."
    arguments: dict[str, Any] = {
        "server": server,
        "server_port": port if what == "port" else None,
        "device": device["address"] if who == "device" else None,
        "seconds": wording.SECONDS[length],
        "reason": reason or REASON,
        "incident": incident,
    }
    whom = person(device) if who == "device" else "every device"
    return Block(arguments, f"{place} is refused to {whom} for {wording.LENGTH[length]}.")
