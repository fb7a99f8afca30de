"""The commands that change something: allow, block, release, keep, undo.

Each asks the controller and prints what now holds; the controller decides, writes it down with the
author "root", and refuses in words.
"""

import argparse
import ipaddress
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ratwall.address import parse_place, place
from ratwall.cli.reading import add_json, print_json, whole_number
from ratwall.cli.table import count, local_time
from ratwall.controller.client import Client
from ratwall.controller.messages import (
    ALLOW_SECONDS_HIGH,
    ALLOW_SECONDS_LOW,
    SHA256_LENGTH,
    is_sha256,
)
from ratwall.errors import UsageError
from ratwall.settings.schema import BLOCK_SECONDS_HIGH, BLOCK_SECONDS_LOW

AUTHOR = "root"  # the command line of the box is root's
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DURATION = re.compile(r"([0-9]{1,9})([smhd])")

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """One changing command: its arguments and what it does."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _ask(options: argparse.Namespace, command: str, **arguments: Any) -> dict[str, Any]:
    """Send a command; print its answer if --json, and a warning that came with it."""
    client = Client(options.state_dir / "run" / "control.sock")
    answer = client.call(command, author=AUTHOR, reason=options.reason, **arguments)
    if options.json:
        print_json(answer)
    elif "warning" in answer:
        print(f"ratwall: {answer['warning']}", file=sys.stderr)
    return answer


def _say(options: argparse.Namespace, text: str) -> int:
    if not options.json:
        print(text)
    return 0


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept with the action")
    add_json(parser)


def _allow_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "server", nargs="?", type=_endpoint, metavar="ADDRESS:PORT", help="the server to let pass"
    )
    parser.add_argument(
        "--certificate", type=_sha256, metavar="SHA256", help="let this certificate pass instead"
    )
    parser.add_argument("--device", type=_address, metavar="ADDRESS", help="for this device only")
    parser.add_argument("--incident", type=whole_number, metavar="N", help="note it there")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_allowed_time,
        metavar="TIME",
        help="1m to 366d, such as 12h (default: always)",
    )
    _common(parser)


def _allow(options: argparse.Namespace) -> int:
    endpoint: Endpoint | None = options.server
    if (endpoint is None) == (options.certificate is None):
        found = "neither" if endpoint is None else "both"
        raise UsageError(f"allow: give ADDRESS:PORT or --certificate SHA256, found {found}")
    answer = _ask(
        options,
        "allow",
        server=None if endpoint is None else endpoint[0],
        server_port=None if endpoint is None else endpoint[1],
        certificate_sha256=options.certificate,
        device=options.device,
        incident=options.incident,
        seconds=options.seconds,
    )
    what = f"certificate {options.certificate}" if endpoint is None else place(*endpoint)
    who = f" for {options.device}" if options.device else ""
    until = local_time(answer["expires"], never="it is undone")
    return _say(
        options, f"{what} is allowed{who} until {until}. Undo: ratwall undo {answer['action']}"
    )


def _block_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", type=_endpoint, metavar="ADDRESS:PORT", help="what to block")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_blocked_time,
        metavar="TIME",
        help="1m to 30d, such as 12h (default: from the settings)",
    )
    _common(parser)


def _block(options: argparse.Namespace) -> int:
    server, port = options.server
    answer = _ask(options, "block", server=server, server_port=port, seconds=options.seconds)
    return _say(
        options,
        f"{place(server, port)} is blocked until {local_time(answer['expires'])}. "
        f"Undo: ratwall undo {answer['action']}",
    )


def _release_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        type=_incident_or_endpoint,
        metavar="INCIDENT|ADDRESS:PORT",
        help="an incident's number, or a server",
    )
    _common(parser)


def _release(options: argparse.Namespace) -> int:
    if isinstance(options.what, int):
        answer = _ask(options, "release", incident=options.what)
    else:
        server, port = options.what
        answer = _ask(options, "release", server=server, server_port=port)
    released = answer["released"]
    return _say(
        options,
        f"{count(released, 'block')} taken away."
        if released
        else "Nothing was blocked there; what was remembered of it is forgotten.",
    )


def _keep_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", type=whole_number, metavar="INCIDENT", help="its number")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_blocked_time,
        metavar="TIME",
        help="from now on, 1m to 30d (default: 30d)",
    )
    _common(parser)


def _keep(options: argparse.Namespace) -> int:
    answer = _ask(options, "keep", incident=options.incident, seconds=options.seconds)
    until = local_time(answer["expires"])
    return _say(options, f"What incident {options.incident} blocks stays blocked until {until}.")


def _undo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", type=whole_number, metavar="ACTION", help="its number, see: ratwall actions"
    )
    _common(parser)


def _undo(options: argparse.Namespace) -> int:
    answer = _ask(options, "undo", action=options.action)
    text = f"The {answer['kind']} is taken back."
    if answer["blocks"]:
        text += f" {count(answer['blocks'], 'block')} that it had ended holds again."
    return _say(options, text)


def _endpoint(text: str) -> Endpoint:
    """Return (address, port); for argparse."""
    try:
        return parse_place(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected {error}, found {text!r}") from error


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected an address, found {text!r}") from error


def _incident_or_endpoint(text: str) -> int | Endpoint:
    if text.isdecimal():
        return whole_number(text)
    try:
        return parse_place(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"expected an incident's number, or {error}, found {text!r}"
        ) from error


def _sha256(text: str) -> str:
    if not is_sha256(text):
        raise argparse.ArgumentTypeError(
            f"expected the {SHA256_LENGTH} hexadecimal digits of a SHA-256, found {text!r}"
        )
    return text


def _blocked_time(text: str) -> int:
    return _seconds(text, BLOCK_SECONDS_LOW, BLOCK_SECONDS_HIGH, "")


def _allowed_time(text: str) -> int | None:
    if text == "always":
        return None
    return _seconds(text, ALLOW_SECONDS_LOW, ALLOW_SECONDS_HIGH, ", or always")


def _seconds(text: str, low: int, high: int, also: str) -> int:
    """Return seconds of "90s", "30m", "1h", "7d" within bounds; for argparse."""
    match = DURATION.fullmatch(text)
    seconds = 0 if match is None else int(match[1]) * UNITS[match[2]]
    if not low <= seconds <= high:
        raise argparse.ArgumentTypeError(
            f"expected a time from {low // UNITS['m']}m to {high // UNITS['d']}d, "
            f"such as 12h{also}, found {text!r}"
        )
    return seconds


allow = Change(_allow_arguments, _allow)
block = Change(_block_arguments, _block)
release = Change(_release_arguments, _release)
keep = Change(_keep_arguments, _keep)
undo = Change(_undo_arguments, _undo)
