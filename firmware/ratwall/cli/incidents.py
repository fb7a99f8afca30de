"""`ratwall incidents`: the list, or one incident explained."""

import argparse
import textwrap
from typing import Any

from ratwall.address import place
from ratwall.cli.actions import scope, until
from ratwall.cli.flows import outcome
from ratwall.cli.reading import (
    add_json,
    add_limit,
    nothing_there,
    open_for_reading,
    print_json,
    whole_number,
)
from ratwall.cli.regularity import measures
from ratwall.cli.table import local_time, printable, table
from ratwall.ledger import queries
from ratwall.verdict.headline import Outcome

NAMES_SHOWN = 4  # of a server, the newest: a line
WRAP = 76  # columns of running text: fits the narrowest console in use
STATES = {
    Outcome.BLOCKING: "being blocked",
    Outcome.BLOCKED: "blocked",
    Outcome.WOULD_BLOCK: "would have blocked",
    Outcome.ALERT: "alert",
    Outcome.ALLOWED: "allowed",
    Outcome.RELEASED: "released",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "number", nargs="?", type=whole_number, help="explain this incident instead of listing"
    )
    parser.add_argument("--state", choices=[str(state) for state in Outcome], help="only these")
    add_limit(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print incidents, newest first, or one in full."""
    with open_for_reading(options) as ledger:
        if options.number is not None:
            story = queries.incident(ledger, options.number)
            if story is None:
                raise nothing_there("incident", options.number)
            print_json(story) if options.json else print(_explain(story))
            return 0
        found = queries.incidents(ledger, limit=options.limit, state=options.state)
    if options.json:
        print_json(found)
        return 0
    if not found:
        print("No incident." if options.state is None else "No incident in that state.")
        return 0
    rows = [
        (
            incident["id"],
            local_time(incident["updated"]),
            STATES[Outcome(incident["state"])],
            incident["score"],
            incident["device"]["name"] or incident["device"]["address"],
            place(incident["server"], incident["server_port"]),
            incident["count"],
            incident["family"],
        )
        for incident in found
    ]
    headings = ("INCIDENT", "LAST SEEN", "STATE", "SCORE", "DEVICE", "SERVER", "TIMES", "FAMILY")
    print(table(headings, rows))
    return 0


def _explain(story: queries.Row) -> str:
    """Return one incident as text: what, why, the certificate, what was done, the connections."""
    lines = [
        f"Incident {story['id']}: {printable(story['headline'])}",
        "",
        f"  first seen     {local_time(story['opened'])}",
        f"  last seen      {local_time(story['updated'])}, {story['count']} in all",
    ]
    if story["blocked_until"] is not None:
        lines.append(f"  blocked until  {local_time(story['blocked_until'])}")
    if story["names"]:
        lines.append(f"  asked for as   {printable(', '.join(story['names'][:NAMES_SHOWN]))}")
    if story["note"]:
        lines.append(f"  note           {printable(story['note'])}")
    lines += ["", f"Why (score {story['score']} of 100):"]
    for fact in story["evidence"]:
        technique = f" [{fact['technique']}]" if fact["technique"] else ""
        lines += textwrap.wrap(
            printable(f"{fact['text']}{technique}"),
            WRAP,
            initial_indent=f"  {fact['points']:>+4}  ",
            subsequent_indent=" " * 8,
        )
    if story["detections"]:
        lines += ["", "Found over time:"]
        for found in story["detections"]:
            lines += textwrap.wrap(
                printable(f"{local_time(found['time'])}  {found['facts']['text']}"),
                WRAP,
                initial_indent="  ",
                subsequent_indent=" " * 20,
            )
    rhythm = next((one["facts"] for one in story["detections"] if "beats" in one["facts"]), None)
    if rhythm is not None:
        lines += ["", "Rhythm:", *_rhythm_lines(rhythm)]
    if story["regularity"] is not None:
        lines += [
            *("", "How regular its connections are:"),
            *textwrap.wrap(
                measures(story["regularity"]), WRAP, initial_indent="  ", subsequent_indent="  "
            ),
        ]
    if len(story["story"]) > 1:
        lines += ["", "The whole story of this device:", *_story_lines(story)]
    if story["certificate"] is not None:
        lines += ["", "Certificate:", *_certificate_lines(story["certificate"])]
    if story["actions"]:
        lines += ["", "What was done:", *_action_lines(story["actions"])]
    if story["flows"]:
        rows = [
            (flow["id"], local_time(flow["start"]), place(flow["server"], flow["server_port"]),
             flow["tls_version"], outcome(flow))
            for flow in story["flows"]
        ]  # fmt: skip
        listing = table(("FLOW", "STARTED", "SERVER", "TLS", "OUTCOME"), rows)
        lines += ["", "Newest connections:", textwrap.indent(listing, "  ")]
    return "\n".join(lines)


def _story_lines(story: queries.Row) -> list[str]:
    lines = []
    for number, stage in enumerate(story["story"], start=1):
        here = "  (this one)" if stage["id"] == story["id"] else ""
        lines += textwrap.wrap(
            printable(
                f"{local_time(stage['opened'])}  incident {stage['id']}{here}: {stage['headline']}"
            ),
            WRAP,
            initial_indent=f"  {number:>2}. ",
            subsequent_indent=" " * 6,
        )
        lines += [
            f"      {local_time(found['time'])}  {printable(found['rule'])}"
            for found in stage["found"]
        ]
    return lines


def _rhythm_lines(rhythm: dict[str, Any]) -> list[str]:
    kind = "on average every" if rhythm["redrawn"] else "every"
    beats = rhythm["beats"]
    return [
        f"  period     {kind} {rhythm['period_us'] / 1e6:.2f} s",
        f"  beats      {len(beats)}, from {local_time(beats[0])} to {local_time(beats[-1])}",
    ]


def _certificate_lines(certificate: queries.Row) -> list[str]:
    lines = [
        f"  {label:<9}  {printable(str(certificate[key]))}"
        for label, key in (
            ("subject", "subject"),
            ("issuer", "issuer"),
            ("serial", "serial"),
            ("from", "not_before"),
            ("until", "not_after"),
            ("SHA-1", "sha1"),
            ("SHA-256", "sha256"),
        )
        if certificate[key]
    ]
    key = f"{certificate['key_type']} {certificate['key_bits']} bits"
    return [
        *lines,
        f"  {'key':<9}  {printable(key)}, {printable(certificate['signature_algorithm'])}",
    ]


def _action_lines(actions: list[queries.Row]) -> list[str]:
    rows = [
        (
            action["id"],
            local_time(action["created"]),
            action["kind"],
            scope(action),
            until(action),
            action["author"],
        )
        for action in actions
    ]
    listing = table(("ACTION", "AT", "KIND", "WHAT", "UNTIL", "BY"), rows)
    return textwrap.indent(listing, "  ").splitlines()
