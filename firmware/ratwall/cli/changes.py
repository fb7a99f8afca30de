"""The commands about servers: allow, block, release, keep, undo.

Each asks the controller and prints what now holds.
"""

import argparse
import ipaddress

from ratwall.address import parse_place, place
from ratwall.cli.asking import Change, add_blocked_time, add_common, ask, say, seconds
from ratwall.cli.reading import whole_number
from ratwall.cli.table import count, local_time
from ratwall.controller.messages import (
    ALLOW_SECONDS_HIGH,
    ALLOW_SECONDS_LOW,
    SHA256_LENGTH,
    is_sha256,
)
from ratwall.errors import UsageError

Endpoint = tuple[str, int]


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
    add_common(parser)


def _allow(options: argparse.Namespace) -> int:
    endpoint: Endpoint | None = options.server
    if (endpoint is None) == (options.certificate is None):
        found = "neither" if endpoint is None else "both"
        raise UsageError(f"allow: give ADDRESS:PORT or --certificate SHA256, found {found}")
    answer = ask(
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
    return say(
        options, f"{what} is allowed{who} until {until}. Undo: ratwall undo {answer['action']}"
    )


def _block_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "server",
        type=_server,
        metavar="ADDRESS[:PORT]",
        help="what to block; without a port all of the server",
    )
    parser.add_argument(
        "--device", metavar="DEVICE", help="for this device only: address, MAC or name"
    )
    add_blocked_time(parser)
    add_common(parser)


def _block(options: argparse.Namespace) -> int:
    server, port = options.server
    answer = ask(
        options,
        "block",
        server=server,
        server_port=port,
        device=options.device,
        seconds=options.seconds,
    )
    what = f"{server}, every port," if port is None else place(server, port)
    who = f" for {options.device}" if options.device else ""
    return say(
        options,
        f"{what} is blocked{who} until {local_time(answer['expires'])}. "
        f"Undo: ratwall undo {answer['action']}",
    )


def _release_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        type=_releasable,
        metavar="INCIDENT|ADDRESS[:PORT]",
        help="an incident's number, a server, or the address of a device",
    )
    add_common(parser)


def _release(options: argparse.Namespace) -> int:
    if isinstance(options.what, int):
        answer = ask(options, "release", incident=options.what)
    else:
        server, port = options.what
        answer = ask(options, "release", server=server, server_port=port)
    released = answer["released"]
    return say(
        options,
        f"{count(released, 'block')} taken away."
        if released
        else "Nothing was blocked there; what was remembered of it is forgotten.",
    )


def _keep_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("incident", type=whole_number, metavar="INCIDENT", help="its number")
    add_blocked_time(parser, "30d, from now on")
    add_common(parser)


def _keep(options: argparse.Namespace) -> int:
    answer = ask(options, "keep", incident=options.incident, seconds=options.seconds)
    until = local_time(answer["expires"])
    return say(options, f"What incident {options.incident} blocks stays blocked until {until}.")


def _undo_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", type=whole_number, metavar="ACTION", help="its number, see: ratwall actions"
    )
    add_common(parser)


def _undo(options: argparse.Namespace) -> int:
    answer = ask(options, "undo", action=options.action)
    text = f"The {answer['kind']} is taken back."
    if answer["blocks"]:
        text += f" {count(answer['blocks'], 'block')} that it had ended holds again."
    return say(options, text)


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


def _server(text: str) -> tuple[str, int | None]:
    """Return (address, port); the port is None for `ADDRESS`, or `[ADDRESS]` of IPv6.

    Without brackets the end of an IPv6 address could be meant as a port.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return _endpoint(text)
    return _endpoint(text) if (address.version == 6) is (bare == text) else (str(address), None)


def _releasable(text: str) -> int | tuple[str, int | None]:
    if text.isdecimal():
        return whole_number(text)
    try:
        return _server(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            str(error).replace("expected", "expected an incident's number, or", 1)
        ) from error


def _sha256(text: str) -> str:
    if not is_sha256(text):
        raise argparse.ArgumentTypeError(
            f"expected the {SHA256_LENGTH} hexadecimal digits of a SHA-256, found {text!r}"
        )
    return text


def _allowed_time(text: str) -> int | None:
    if text == "always":
        return None
    return seconds(text, ALLOW_SECONDS_LOW, ALLOW_SECONDS_HIGH, ", or always")


allow = Change(_allow_arguments, _allow)
block = Change(_block_arguments, _block)
release = Change(_release_arguments, _release)
keep = Change(_keep_arguments, _keep)
undo = Change(_undo_arguments, _undo)
