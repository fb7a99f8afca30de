"""`ratwall flows`: the judged connections, searched and listed; or those observed at the moment."""

import argparse

from ratwall.address import place
from ratwall.cli.reading import add_json, add_limit, open_for_reading, print_json
from ratwall.cli.table import local_time, table
from ratwall.controller.client import Client
from ratwall.controller.messages import OBSERVED_LIMIT
from ratwall.controller.uninspected import LISTED_LIMIT
from ratwall.errors import UsageError
from ratwall.ledger import queries

VERDICTS = ("clean", "watch", "alert", "block")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "search", nargs="*", help="words that must all occur: address, name, certificate, port"
    )
    parser.add_argument("--verdict", choices=VERDICTS, help="only flows with this verdict")
    parser.add_argument(
        "--observed",
        action="store_true",
        help="what is under observation now, the most suspicious first, judged or not",
    )
    parser.add_argument(
        "--uninspected",
        action="store_true",
        help="who passed without a look lately: devices, servers, ports, the newest first",
    )
    add_limit(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print flows, newest first; UsageError for a search in what is observed."""
    if options.observed or options.uninspected:
        if options.search or options.verdict or (options.observed and options.uninspected):
            one = "--observed" if options.observed else "--uninspected"
            raise UsageError(f"flows: {one} lists, it does not search: leave the rest away")
        return _run_observed(options) if options.observed else _run_uninspected(options)
    with open_for_reading(options) as ledger:
        found = queries.flows(
            ledger, " ".join(options.search), verdict=options.verdict, limit=options.limit
        )
    if options.json:
        print_json(found)
        return 0
    if not found:
        narrowed = options.search or options.verdict
        print("No connection matches." if narrowed else "No connection was judged yet.")
        return 0
    rows = [
        (
            flow["id"],
            local_time(flow["start"]),
            flow["device"]["name"] or flow["client"],
            place(flow["server"], flow["server_port"]),
            flow["tls_version"],
            flow["score"],
            outcome(flow),
            flow["sni"] or next(iter(flow["names"]), (flow["certificate"] or {}).get("subject")),
        )
        for flow in found
    ]
    headings = ("FLOW", "STARTED", "DEVICE", "SERVER", "TLS", "SCORE", "VERDICT", "NAME")
    print(table(headings, rows))
    return 0


def _run_uninspected(options: argparse.Namespace) -> int:
    client = Client(options.state_dir / "run" / "control.sock")
    found = client.call("uninspected", limit=min(options.limit, LISTED_LIMIT))["flows"]
    if options.json:
        print_json(found)
        return 0
    if not found:
        print("None since Ratwall was started.")
        return 0
    rows = [
        (
            local_time(one["last"]),
            one["client"],
            place(one["server"], one["server_port"]),
            one["flows"],
        )
        for one in found
    ]
    print(table(("LAST", "DEVICE", "SERVER", "CONNECTIONS"), rows))
    return 0


def _run_observed(options: argparse.Namespace) -> int:
    client = Client(options.state_dir / "run" / "control.sock")
    found = client.call("observed", limit=min(options.limit, OBSERVED_LIMIT))["flows"]
    if options.json:
        print_json(found)
        return 0
    if not found:
        print("None at the moment.")
        return 0
    rows = [
        (
            local_time(flow["since"]),
            flow["client"],
            place(flow["server"], flow["server_port"]),
            flow["score"],
            flow["copies"],
            next(iter(flow["names"]), None),
            ", ".join(flow["reasons"]),
        )
        for flow in found
    ]
    print(table(("SINCE", "DEVICE", "SERVER", "SCORE", "SEGMENTS", "NAME", "BECAUSE"), rows))
    return 0


def outcome(flow: queries.Row) -> str:
    """Return the verdict and what was done, "blocked" only with the kernel's proof."""
    verdict = str(flow["verdict"])
    if verdict != "block":
        return verdict
    if flow["proven"]:
        return "blocked"
    if flow["flow_class"] == "exempt":
        return "block (allowed)"
    return "blocking" if flow["flow_class"] == "block" else "would block"
