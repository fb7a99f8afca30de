"""The plain-words headline of an incident: who tried to reach what, and whether it was stopped.

It never says "blocked" unless the caller knows that it was.
"""

from enum import StrEnum

from ratwall.address import bracketed


class Outcome(StrEnum):
    """What became of the connection; the values are the ledger's incident states."""

    BLOCKING = "blocking"  # refused, the kernel's proof still to come
    BLOCKED = "blocked"
    WOULD_BLOCK = "would_block"  # monitor mode
    ALERT = "alert"
    ALLOWED = "allowed"
    RELEASED = "released"


_ENDINGS = {
    Outcome.BLOCKING: "being blocked",
    Outcome.BLOCKED: "blocked",
    Outcome.WOULD_BLOCK: "not blocked, only watched",
    Outcome.ALERT: "not blocked, please check",
    Outcome.ALLOWED: "let through, because you allowed it",
    Outcome.RELEASED: "block taken away",
}


def headline(
    *,
    device: str,
    server: str,
    server_port: int,
    family: str | None,
    outcome: Outcome | str,
    name: str | None = None,
) -> str:
    """Return one sentence, e.g. "PC-ANNA tried to reach a remote-control server (AsyncRAT) at …".

    `device` is its name or address, `server` an address as text; IPv6 is put in brackets. `name` is
    the DNS name that the device asked for, None if that is not known.
    """
    outcome = Outcome(outcome)
    what = "a remote-control server" if family else "a suspicious server"
    named = f" ({family})" if family else ""
    verb = "reached" if outcome in (Outcome.ALERT, Outcome.WOULD_BLOCK) else "tried to reach"
    where = bracketed(server) if name is None else f"{name} ({server})"
    return f"{device} {verb} {what}{named} at {where} port {server_port}: {_ENDINGS[outcome]}"
