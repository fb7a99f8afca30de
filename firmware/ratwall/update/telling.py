"""Tells the audit trail what became of an update, once, by whichever version runs when it is known.

The controller that writes it may not be up yet, or may be what was wrong: then the next start
tells.
"""

import sys

from ratwall.controller.client import Client
from ratwall.errors import RatwallError
from ratwall.replacing import replace_file
from ratwall.update.attempt import Attempt, State
from ratwall.update.place import Place, last_attempt

AUTHOR = "root"
EVENT = "update"
DETAIL_LIMIT = 500  # characters, as the controller's
NAME = "told"


def outcome(last: Attempt) -> str:
    """Say in a line what became of an attempt that is over."""
    if last.state is State.GOOD:
        return (f"version {last.version} passed its check and counts; before it ran {last.former}")[
            :DETAIL_LIMIT
        ]
    return f"version {last.version} failed, {last.former} runs on: {last.reason}"[:DETAIL_LIMIT]


def tell_outcome(place: Place, client: Client) -> bool:
    """Have the last attempt written down if it is over and was not; whether it was just now."""
    last = last_attempt(place)
    if last is None or last.is_open:
        return False
    mark, told = f"{last.began} {last.state.value}\n", place.directory / NAME
    try:
        if told.is_file() and told.read_text(errors="replace") == mark:
            return False
        client.call("audit", author=AUTHOR, event=EVENT, detail=outcome(last))
        replace_file(told, mark)
    except (OSError, RatwallError) as error:
        print(f"ratwall: update: not in the audit trail yet: {error}", file=sys.stderr)
        return False
    return True


def note(client: Client, detail: str) -> None:
    """Put a line into the audit trail if the controller is there to take it."""
    try:
        client.call("audit", author=AUTHOR, event=EVENT, detail=detail[:DETAIL_LIMIT])
    except RatwallError as error:
        print(f"ratwall: update: not in the audit trail: {error}", file=sys.stderr)
