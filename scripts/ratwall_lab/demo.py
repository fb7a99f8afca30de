"""`make run`: a small network in namespaces, Ratwall inline in it, real traffic, plain words.

It sends what a small office sends and what RATs look like, tells what passed and what was cut and
why, then keeps a little traffic going so that the admin page lives, until Ctrl-C. It never leaves
anything behind: namespaces, processes, state.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any

from ratwall_lab.box import Ratwall, listen
from ratwall_lab.cast import Role, Stage, make_roles
from ratwall_lab.certificates import Notary
from ratwall_lab.namespaces import LabError
from ratwall_lab.office import Outcome, talk, visit
from ratwall_lab.tools import DEMO_TOOLS, check_root, check_tools
from ratwall_lab.topology import Lab

WEB_HOST, WEB_PORT = "127.0.0.1", 8443
PORT_LIMIT = 65535
ROUND_SECONDS = 30.0  # light traffic: enough to see the page move, not to heat the machine
LEDGER_SECONDS = 1.5  # the controller writes flows in batches
LISTED = "1000"  # more than the demo can make
EVIDENCE_SHOWN = 4
SHAPE_OF_RESUMING = "quasar"  # the family whose session hides its certificate


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the demo's command line."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--mode", choices=("router", "bridge"), default="router")
    parser.add_argument(
        "--web",
        type=_place,
        default=(WEB_HOST, WEB_PORT),
        metavar="HOST:PORT",
        help=f"where the admin page answers (default: {WEB_HOST}:{WEB_PORT})",
    )
    parser.add_argument("--state-dir", type=Path, help="keep Ratwall's state here (default: none)")
    parser.add_argument("--once", action="store_true", help="end after the first round")
    return parser.parse_args(argv)


def _place(text: str) -> tuple[str, int]:
    """Return (host, port) of "127.0.0.1:8443"; for argparse."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_LIMIT:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT (0 to {PORT_LIMIT}), found {text!r}")
    return host, int(port)


def main(argv: list[str] | None = None) -> int:
    """Run the demo; 0 when everything was as it should be, 1 otherwise."""
    options = parse(sys.argv[1:] if argv is None else argv)
    try:
        check_root("make run")
        check_tools(DEMO_TOOLS)
        with _stop_on_signals() as stop:
            return _run(options, stop)
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, stop: threading.Event) -> int:
    say("Making certificates (the first time takes a few seconds) ...")
    roles = make_roles(Notary())
    with (
        listen(*options.web) as page,
        _state_directory(options.state_dir) as state,
        Lab(options.mode) as lab,
        Stage(lab, roles) as stage,
    ):
        say(f"An office (anna, ben), a box and an internet stand in namespaces {lab.prefix}-*.")
        hiding = session_before_ratwall(lab, stage.role(SHAPE_OF_RESUMING))
        say(f"Starting Ratwall in the box, in {options.mode} mode ...")
        with Ratwall(lab, state, page, say=lambda line: say(f"    {line}")) as ratwall:
            outcomes = []
            for outcome in chain(_honest_round(lab, stage), _hostile_round(lab, stage, hiding)):
                outcomes.append(outcome)
                if stop.is_set():
                    break
            stop.wait(LEDGER_SECONDS)
            _tell_incidents(ratwall)
            surprises = [one for one in outcomes if not one.expected]
            _sum_up(outcomes, surprises)
            if not options.once and not stop.is_set():
                _tell_page(ratwall, "{}:{}".format(*page.getsockname()[:2]))
                _keep_going(lab, stage, stop)
            say("Taking everything down ...")
    say("Namespaces, processes and rules are gone.")
    return 1 if surprises else 0


def session_before_ratwall(lab: Lab, role: Role) -> Any:
    """Let anna's device talk to a RAT look-alike before anyone watches, and keep the session."""
    if role.shape is None:
        raise LabError(f"{role.name} has no session to keep")
    address = lab.internet.address(role.index)
    client = visit(lab.anna, role, role.shape, address, role.ports[1], seconds=0.5)
    return client.session


def _honest_round(lab: Lab, stage: Stage) -> Iterator[Outcome]:
    say("\nOrdinary traffic, which must pass:")
    for number, role in enumerate(role for role in stage.roles if not role.hostile):
        for family in (4, 6):
            device = (lab.anna, lab.ben)[(number + family // 6) % 2]
            yield _told(talk(lab, device, role, family))


def _hostile_round(lab: Lab, stage: Stage, hiding: Any) -> Iterator[Outcome]:
    say("\nRAT-shaped traffic, which must be cut before its first byte of data:")
    for number, role in enumerate(role for role in stage.roles if role.hostile):
        for family in (4, 6):
            device = (lab.ben, lab.anna)[(number + family // 6) % 2]
            yield _told(talk(lab, device, role, family))
    say("\nThe same servers again: refused in the kernel, without a look at any certificate:")
    yield _told(talk(lab, lab.ben, stage.role("asyncrat"), blocked=True))
    yield _told(talk(lab, lab.anna, stage.role("dcrat"), 6, blocked=True))
    quasar = stage.role(SHAPE_OF_RESUMING)
    say(
        "\nA session from before Ratwall was there, resumed on another port: no certificate is"
        "\nshown, but Ratwall remembers the server:"
    )
    yield _told(talk(lab, lab.anna, quasar, port=quasar.ports[1], session=hiding))


def _keep_going(lab: Lab, stage: Stage, stop: threading.Event) -> None:
    """Send a little of everything every half minute until asked to stop."""
    honest = [role for role in stage.roles if not role.hostile]
    hostile = [role for role in stage.roles if role.hostile]
    unused = [(stage.role("asyncrat"), port) for port in stage.role("asyncrat").ports[1:]]
    say(f"\nLight traffic every {ROUND_SECONDS:.0f} s:")
    while not stop.wait(ROUND_SECONDS):
        device, family = random.choice((lab.anna, lab.ben)), random.choice((4, 6))
        _told(talk(lab, device, random.choice(honest), family))
        role, port = unused.pop() if unused else (random.choice(hostile), None)
        _told(talk(lab, device, role, family, port=port))


def _tell_incidents(ratwall: Ratwall) -> None:
    incidents = ratwall.ask("incidents", "--limit", LISTED)
    flows = ratwall.ask("flows", "--limit", LISTED)
    say(f"\nWhat Ratwall wrote down: {len(flows)} connections, {len(incidents)} incidents.")
    for incident in reversed(incidents):
        say(f"  #{incident['id']} {incident['headline']}")
        times = "once" if incident["count"] == 1 else f"{incident['count']} times"
        say(f"      {incident['state']}, score {incident['score']}, seen {times}")
        for evidence in incident["evidence"][:EVIDENCE_SHOWN]:
            say(f"      {evidence['points']:+4} {evidence['text']}")


def _sum_up(outcomes: list[Outcome], surprises: list[Outcome]) -> None:
    passed = sum(one.fate == "passed" for one in outcomes)
    stopped = sum(one.fate in ("cut", "refused") for one in outcomes)
    say(f"\n{passed} conversations passed, {stopped} were stopped.")
    if surprises:
        say(f"{len(surprises)} went otherwise than they should; they are marked above.")


def _tell_page(ratwall: Ratwall, web: str) -> None:
    say(f"\nThe admin page: https://{web}")
    say(f"  certificate fingerprint (SHA-256): {ratwall.fingerprint or 'see above'}")
    if ratwall.setup_code is not None:
        say(f"  set-up code: {ratwall.setup_code}")
    say("Press Ctrl-C to end.")


def _told(outcome: Outcome) -> Outcome:
    say(outcome.line())
    return outcome


def say(line: str) -> None:
    """Tell the person at the console, at once."""
    print(line, flush=True)


@contextmanager
def _state_directory(kept: Path | None) -> Iterator[Path]:
    """Give Ratwall's state directory: the user's own, or one that is gone afterwards."""
    if kept is not None:
        yield kept.absolute()
        return
    directory = Path(tempfile.mkdtemp(prefix="ratwall-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Turn Ctrl-C and SIGTERM into an event, so that what was made is taken down in order."""
    stop = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
