"""`ratwall explain`: why a connection, or each one of a capture, scored what it scored.

Never judges a ledger's connection again: it prints what was found then, and the arithmetic. What is
in force now (thresholds, modes of rules) is said to be so.
"""

import argparse
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ratwall.address import parse_place, place
from ratwall.cli.reading import (
    add_json,
    nothing_there,
    open_for_reading,
    print_json,
    whole_number,
)
from ratwall.cli.regularity import measures
from ratwall.cli.table import local_time, printable
from ratwall.errors import UsageError
from ratwall.ledger import explanation
from ratwall.ledger.store import FILE_NAME, Ledger
from ratwall.replay.command import judge_file
from ratwall.settings.load import load_settings
from ratwall.settings.schema import Settings
from ratwall.verdict.judge import SCORE_LIMIT

WRAP = 76  # columns of running text: fits the narrowest console in use
IN_FORCE = Path("run") / "settings.toml"
MICROSECOND = 1000  # nanoseconds
Row = dict[str, Any]
# What was done with a connection judged to be blocked, by the class it was given.
DONE = {
    "block": "It was cut; the kernel's proof is still to come.",
    "exempt": "It was let through, because you allowed it.",
    "observed": "It was not cut: Ratwall was only watching.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="+",
        metavar="FLOW|ENDS|FILE",
        help="a number of `ratwall flows`; CLIENT:PORT SERVER:PORT, the newest between them; or "
        "capture files",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings to explain by")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the explanation; UsageError if there is no such connection or file."""
    settings = _settings(options)
    found = list(_explained(options, settings))
    if options.json:
        print_json(found)
        return 0
    print("\n\n".join("\n".join(lines(one)) for one in found) or "No TLS connection in there.")
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    """Return the settings named, else those in force, else the defaults.

    What `ratwall rules set` changed goes before those in force, as it does in the box.
    """
    if options.config is not None:
        return load_settings(options.config)
    in_force = options.state_dir / IN_FORCE
    settings = load_settings(in_force if in_force.is_file() else None)
    if not (options.state_dir / FILE_NAME).exists():
        return settings  # a capture is explained where Ratwall never ran, too
    with open_for_reading(options) as ledger:
        now = time.time_ns() // MICROSECOND
        rules = explanation.rules_in_force(ledger, settings.rules, now)
    return replace(settings, rules=rules)


def _explained(options: argparse.Namespace, settings: Settings) -> Iterator[Row]:
    words: list[str] = options.what
    if len(words) == 1 and words[0].isdecimal():
        with open_for_reading(options) as ledger:
            yield _of_ledger(ledger, whole_number(words[0]), settings)
        return
    ends = _ends(words)
    if ends is not None:
        with open_for_reading(options) as ledger:
            number = explanation.newest_between(ledger, *ends[0], *ends[1])
            if number is None:
                raise UsageError(
                    f"explain: no connection from {words[0]} to {words[1]} was judged; "
                    "see: ratwall flows"
                )
            yield _of_ledger(ledger, number, settings)
        return
    for word in words:
        path = Path(word)
        if not path.exists():
            raise UsageError(
                f"explain: expected a flow's number, CLIENT:PORT SERVER:PORT or a capture file, "
                f"found {word!r}"
            )
        records, problem = judge_file(path, settings, options.state_dir)
        if problem is not None:
            raise UsageError(problem)
        for record in records:
            yield explained(record, settings) | {"file": word}


def _ends(words: list[str]) -> tuple[tuple[str, int], tuple[str, int]] | None:
    if len(words) != 2:
        return None
    try:
        return parse_place(words[0]), parse_place(words[1])
    except ValueError:
        return None


def _of_ledger(ledger: Ledger, number: int, settings: Settings) -> Row:
    flow = explanation.flow(ledger, number)
    if flow is None:
        raise nothing_there("flow", number)
    return explained(flow, settings)


def explained(record: Row, settings: Settings) -> Row:
    """Return a flow's record with its arithmetic: JSON-ready."""
    detection = settings.detection
    total = sum(int(fact["points"]) for fact in record["evidence"])
    evidence = [
        {**fact, "mode": settings.rules.mode_of(str(fact["id"]))} for fact in record["evidence"]
    ]
    return {
        "flow": record.get("id"),
        "client": record["client"],
        "client_port": record["client_port"],
        "server": record["server"],
        "server_port": record["server_port"],
        "start": record["start"],
        "evidence": evidence,
        "sum": total,
        "score": record["score"],
        "thresholds": {
            "watch": detection.watch, "alert": detection.alert, "block": detection.block,
        },
        "verdict": record["verdict"],
        "family": record["family"],
        "done": _done(record),
        "changed": record.get("changed", []),
        "found": record.get("found", []),
        "regularity": record.get("regularity"),
    }  # fmt: skip


def _done(record: Row) -> str:
    """Say in a sentence what was done with the connection."""
    if record.get("id") is None:
        return "Nothing was done: it is a capture."
    if record["verdict"] != "block":
        return "It was let through."
    if record["proven"]:
        return "It was cut, and the kernel has shown it."
    return DONE.get(str(record["flow_class"]), "It was let through.")


def lines(one: Row) -> list[str]:
    """Return an explanation as lines of text."""
    title = "Connection" if one["flow"] is None else f"Connection {one['flow']}"
    start = one["start"] if isinstance(one["start"], str) else local_time(one["start"])
    ends = (
        f"{place(one['client'], one['client_port'])} to {place(one['server'], one['server_port'])}"
    )
    limits = one["thresholds"]
    told = [f"{title}: {ends}, {start}", ""]
    for fact in one["evidence"]:
        technique = f", {fact['technique']}" if fact["technique"] else ""
        mode = "" if fact["mode"] == "enforce" else f"; rule set to {fact['mode']}"
        told += _wrapped(
            f"{fact['text']} [{fact['id']}{technique}{mode}]", f"  {fact['points']:>+4}  "
        )
    if not one["evidence"]:
        told.append("     0  Nothing was found.")
    told += [
        f"  {'=':>4}{one['sum']:>4}  {_counted(one)}",
        "",
        f"  watch from {limits['watch']}, alert from {limits['alert']}, block from "
        f"{limits['block']}: {str(one['verdict']).upper()}"
        + (f" ({printable(one['family'])})" if one["family"] else ""),
        f"  {one['done']}",
    ]
    for found in one["found"]:
        told.append(
            f"  {local_time(found['time'])}  {printable(found['rule'])} found over time, score "
            f"{found['score']}"
        )
    if one["regularity"] is not None:
        told += _wrapped(measures(one["regularity"]), "  ")
    for change in one["changed"]:
        until = "always" if change["expires"] is None else f"until {local_time(change['expires'])}"
        what = printable(f"{change['kind']} by {change['author']}, {until}: {change['reason']}")
        told += _wrapped(f"Action {change['id']}: {what}", "  ")
    return told


def _counted(one: Row) -> str:
    """Say how the sum became the score."""
    total, score = int(one["sum"]), int(one["score"])
    if total == score:
        return f"score {score} of {SCORE_LIMIT}"
    if score == SCORE_LIMIT:
        return f"counted as {SCORE_LIMIT}, the most there is"
    if score < total:
        return f"counted as {score}: none of these facts alone is enough to cut a connection"
    return f"score {score} of {SCORE_LIMIT} as it was judged"


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        printable(text), WRAP, initial_indent=indent, subsequent_indent=" " * len(indent)
    )
