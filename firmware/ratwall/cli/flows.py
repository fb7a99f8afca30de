"""`ratwall flows`: the judged connections, searched and listed."""

import argparse

from ratwall.address import place
from ratwall.cli.reading import add_json, add_limit, open_for_reading, print_json
from ratwall.cli.table import local_time, table
from ratwall.ledger import queries

VERDICTS = ("clean", "watch", "alert", "block")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "search", nargs="*", help="words that must all occur: address, name, certificate, port"
    )
    parser.add_argument("--verdict", choices=VERDICTS, help="only flows with this verdict")
    add_limit(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print flows, newest first."""
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
            flow["sni"] or (flow["certificate"] or {}).get("subject"),
        )
        for flow in found
    ]
    headings = ("FLOW", "STARTED", "DEVICE", "SERVER", "TLS", "SCORE", "VERDICT", "NAME")
    print(table(headings, rows))
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
