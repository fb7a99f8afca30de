"""`ratwall capture`: whole packets of one device into a file, for a time."""

import argparse
import ipaddress

from ratwall.cli.asking import AUTHOR
from ratwall.cli.asking import seconds as seconds_within
from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import local_time, table
from ratwall.controller.captures import SECONDS_HIGH, SECONDS_LOW
from ratwall.controller.client import Client
from ratwall.errors import UsageError

SECONDS_DEFAULT = 600  # ten minutes: some forty heartbeats


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("switch", choices=("on", "off", "list"), help="begin, end, or what runs")
    parser.add_argument("--device", type=_address, metavar="ADDRESS", help="of whom")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_time,
        default=SECONDS_DEFAULT,
        metavar="TIME",
        help="1m to 1d (default: 10m)",
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the audit trail")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Ask the controller; UsageError without a device."""
    client = Client(options.state_dir / "run" / "control.sock")
    if options.switch == "list":
        found = client.call("captures")["captures"]
        if options.json:
            print_json(found)
        elif not found:
            print("Nothing is being captured.")
        else:
            rows = [
                (one["device"], local_time(one["since"]), local_time(one["until"]),
                 one["packets"], one["author"])
                for one in found
            ]  # fmt: skip
            print(table(("DEVICE", "SINCE", "UNTIL", "PACKETS", "BY"), rows))
        return 0
    if options.device is None:
        raise UsageError(f"capture: {options.switch}: give --device ADDRESS")
    answer = client.call(
        "capture",
        author=AUTHOR,
        reason=options.reason,
        on=options.switch == "on",
        device=options.device,
        seconds=options.seconds,
    )
    if options.json:
        print_json(answer)
    elif options.switch == "on":
        print(f"{options.device} is captured until {local_time(answer['until'])}.")
    else:
        print(f"{options.device} is captured no longer; {answer['packets']} packets were kept.")
    return 0


def _time(text: str) -> int:
    return seconds_within(text, SECONDS_LOW, SECONDS_HIGH, "")


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected an address, found {text!r}") from error
