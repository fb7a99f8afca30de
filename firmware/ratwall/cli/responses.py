"""The commands about a device: quarantine, watch, pause, resume.

A device is named by an address, a MAC, or its name; `ratwall devices` lists all three. A quarantine
stops a whole machine, so it asks first.
"""

import argparse
import sys
from datetime import datetime, timedelta
from typing import Any

from ratwall.cli.asking import Change, add_blocked_time, add_common, ask, say, seconds
from ratwall.cli.table import count, local_time
from ratwall.errors import UsageError
from ratwall.settings.schema import PAUSE_SECONDS_HIGH, PAUSE_SECONDS_LOW

TOMORROW_HOUR = 6  # before anybody comes to work
PAUSE_SECONDS = 300  # unless --for says otherwise: long enough to try whether it helps
DEVICE_HELP = "its address, MAC or name, see: ratwall devices"


def _quarantine_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar="DEVICE", help=DEVICE_HELP)
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
    add_blocked_time(parser)
    add_common(parser)


def _quarantine(options: argparse.Namespace) -> int:
    if not options.yes and not _confirmed(options.device):
        raise UsageError(f"quarantine: {options.device} was left as it is; to mean it, add --yes")
    answer = ask(options, "quarantine", device=options.device, seconds=options.seconds)
    known = ", ".join([*answer["addresses"], *([answer["mac"]] if answer["mac"] else [])])
    return say(
        options,
        f"{answer['device']} ({known}) reaches nothing but DNS and this box until "
        f"{local_time(answer['expires'])}. Undo: ratwall undo {answer['action']}",
    )


def _confirmed(device: str) -> bool:
    """Ask the person at the console; nobody there means no."""
    if not sys.stdin.isatty():
        return False
    print(f"{device} will reach nothing but DNS and this box. Type yes to go on: ", end="")
    return input().strip().lower() == "yes"


def _watch_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", metavar="DEVICE", help=DEVICE_HELP)
    add_blocked_time(parser)
    add_common(parser)


def _watch(options: argparse.Namespace) -> int:
    answer = ask(options, "watch", device=options.device, seconds=options.seconds)
    return say(
        options,
        f"{answer['device']} is watched closely until {local_time(answer['expires'])}. "
        f"Undo: ratwall undo {answer['action']}",
    )


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", nargs="?", metavar="DEVICE", help=f"{DEVICE_HELP} (default: all)")
    parser.add_argument(
        "--for",
        dest="seconds",
        type=_pause_time,
        default=PAUSE_SECONDS,
        metavar="TIME",
        help="1m to 36h, or tomorrow (6:00) (default: 5m)",
    )
    add_common(parser)


def _pause(options: argparse.Namespace) -> int:
    answer = ask(options, "pause", device=options.device, seconds=options.seconds)
    who = answer["device"] or "everything"
    return say(
        options,
        f"Paused until {local_time(answer['expires'])}: {who} passes uninspected; what is blocked "
        "stays blocked. It resumes by itself; at once with: ratwall resume",
    )


def _resume_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("device", nargs="?", metavar="DEVICE", help=f"{DEVICE_HELP} (default: all)")
    add_common(parser)


def _resume(options: argparse.Namespace) -> int:
    answer = ask(options, "resume", device=options.device)
    resumed = answer["resumed"]
    return say(options, f"{count(resumed, 'pause')} ended." if resumed else "Nothing was paused.")


def until_tomorrow(now: datetime) -> int:
    """Return the seconds from `now` (local time) until tomorrow morning."""
    morning = (now + timedelta(days=1)).replace(
        hour=TOMORROW_HOUR, minute=0, second=0, microsecond=0
    )
    return max(PAUSE_SECONDS_LOW, int((morning - now).total_seconds()))


def _pause_time(text: str) -> Any:
    if text == "tomorrow":
        return until_tomorrow(datetime.now().astimezone())
    return seconds(text, PAUSE_SECONDS_LOW, PAUSE_SECONDS_HIGH, ", or tomorrow")


quarantine = Change(_quarantine_arguments, _quarantine)
watch = Change(_watch_arguments, _watch)
pause = Change(_pause_arguments, _pause)
resume = Change(_resume_arguments, _resume)
