"""`ratwall status`: whether the office is protected, in words."""

import argparse
from typing import Any

from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import ago, count, local_time, printable, size
from ratwall.controller.client import Client

WORDS = {
    "protecting": "Protecting",
    "partial": "Partly protecting",
    "monitor": "Monitor only",
    "bypassed": "Bypassed",
    "starting": "Starting",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Print the controller's status; NotRunningError if it does not answer."""
    facts = Client(options.state_dir / "run" / "control.sock").call("status")
    if options.json:
        print_json(facts)
    else:
        print("\n".join(_lines(facts)))
    return 0


def _lines(facts: dict[str, Any]) -> list[str]:
    reason = f": {facts['reason']}" if facts["reason"] else ""
    missed = facts["uninspected"]
    ledger = facts["ledger"]
    lines = [
        f"{WORDS[facts['state']]} since {local_time(facts['since'])}{reason}",
        "",
        f"  place        {facts['mode']}: {facts['lan']} (office) and {facts['wan']} (internet)",
        *(f"  inspector    {_inspector(inspector)}" for inspector in facts["inspectors"]),
        f"  blocked now  {count(facts['blocks'], 'server')}",
        f"  uninspected  {_missed(missed)}",
        f"  ledger       {ledger['path']}, {size(ledger['bytes'])}",
        f"  self-test    {_selftest(facts['selftest'])}",
        f"  version      {facts['version']}",
    ]
    for problem in (ledger["notice"], facts["kernel_problem"]):
        if problem:
            lines += ["", f"Attention: {printable(problem)}"]
    return lines


def _inspector(facts: dict[str, Any]) -> str:
    if not facts["alive"]:
        return f"process {facts['pid']} does not answer"
    if facts["worker"] is None:
        return f"process {facts['pid']} has just connected"
    text = (
        f"process {facts['pid']}: {count(facts['queued'], 'packet')} seen, "
        f"{count(facts['flows'], 'connection')} judged, {facts['blocked']} cut"
    )
    if facts["reports_lost"]:
        text += f", {count(facts['reports_lost'], 'report')} lost"
    return text


def _missed(missed: dict[str, Any]) -> str:
    if not missed["packets"]:
        return "nothing"
    return f"{count(missed['packets'], 'packet')}, last {ago(missed['last'])}"


def _selftest(result: dict[str, Any] | None) -> str:
    if result is None:
        return "never run; try: ratwall selftest"
    word = "passed" if result.get("ok") is True else "FAILED"
    reason = f": {printable(str(result['reason']))}" if result.get("reason") else ""
    return f"{word} {ago(result['time'])}{reason}"
