"""The console page as text: facts in, lines out.

Never asks anybody anything; `ratwall.console.facts` does. Whoever stands in front of the box needs
five things: is the office protected, where is the admin page, is that page the right one
(fingerprint), how is it set up (code), and what is wrong with the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PORT = 443  # ratwall-web.socket
WIDTH = 78  # a serial line has 80 columns
# What each state of protection is called in front of the box.
STATES: Mapping[str, str] = {
    "protecting": "Protecting",
    "monitor": "Monitor only: it cuts nothing and says what it would have cut",
    "partial": "Partly protecting",
    "paused": "Paused",
    "bypassed": "NOT PROTECTING: traffic passes uninspected",
    "starting": "Starting",
}
UNKNOWN = "Not running yet: traffic passes uninspected"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the box now; None is "not known"."""

    name: str
    version: str
    addresses: tuple[str, ...] = ()
    state: str | None = None
    reason: str | None = None
    fingerprint: str | None = None
    setup_code: str | None = None
    problem: str | None = None
    site: str | None = None
    update: str | None = None


def render(facts: Facts) -> list[str]:
    """Return the lines of the page, none longer than WIDTH unless one word is."""
    state = UNKNOWN if facts.state is None else STATES.get(facts.state, facts.state)
    lines = [f"Ratwall {facts.version}", ""]
    if facts.site is not None:
        lines += _row("Site", facts.site)
    lines += _row("State", state)
    if facts.reason:
        lines += _row("", facts.reason)
    lines += [""]
    if facts.addresses:
        for number, address in enumerate(facts.addresses):
            lines += _row("" if number else "Admin page", f"https://{_host(address)}")
        lines += _row("", f"https://{facts.name}.local")
    else:
        lines += _row("Admin page", "no address yet: is the cable in, and does DHCP answer?")
    if facts.fingerprint is not None:
        lines += _row("Certificate", facts.fingerprint)
    if facts.setup_code is not None:
        half = len(facts.setup_code) // 2
        code = f"{facts.setup_code[:half]}-{facts.setup_code[half:]}"
        lines += ["", *_row("Set-up code", f"{code}  (the admin page asks for it once)")]
    if facts.update is not None:
        lines += ["", *_row("Update", facts.update)]
    if facts.problem is not None:
        lines += ["", *_row("Settings", facts.problem)]
    return lines


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _row(label: str, text: str) -> list[str]:
    """Return a label and its text, folded behind the label; nothing a terminal would obey."""
    clean = "".join(char if char.isprintable() else "?" for char in text)
    room = WIDTH - 14
    words, lines = clean.split(" "), [""]
    for word in words:
        # A fingerprint is one word of 102 characters: cut at a colon.
        while len(word) > room:
            cut = word.rfind(":", 0, room) + 1 or room
            lines.append(word[:cut])
            word = word[cut:]
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    shown = [line for line in lines if line] or [""]
    return [f"  {label if not n else '':<12}{line}" for n, line in enumerate(shown)]
