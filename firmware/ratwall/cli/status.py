"""`ratwall status`: whether the office is protected, in words."""

import argparse
from typing import Any

from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import ago, count, local_time, printable, size
from ratwall.controller.client import Client
from ratwall.kernel.links_report import PASSED

WORDS = {
    "protecting": "Protecting",
    "partial": "Partly protecting",
    "monitor": "Monitor only",
    "bypassed": "Bypassed",
    "paused": "Paused",
    "starting": "Starting",
}
WAYS = {
    "quic": "over QUIC (UDP port 443)",
    "inbound": "opened from outside (port forwards)",
    "local": "within the office, past the internet port",
    "one_way": "of which only one direction crosses the box",
    "stacked": "with two VLAN tags, or PPPoE in a VLAN",
}
STAGES = {
    "crowded": "filling: each device may add only a share",
    "waning": "less full again: new connections are tracked and inspected",
    "full": "FULL: new connections pass uninspected",
}
SHOWN = 5  # interruptions; --json has more
MICROSECONDS = 1_000_000


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
        f"{_state(facts)}{reason}",
        "",
        f"  place        {facts['mode']}: {facts['lan']} (office) and {facts['wan']} (internet)",
        *(f"  inspector    {_inspector(inspector)}" for inspector in facts["inspectors"]),
        *(
            f"  paused       {pause['device']} until {local_time(pause['until'])}"
            for pause in facts["pauses"]
            if pause["device"] is not None
        ),
        f"  blocked now  {count(facts['blocks'], 'server')}",
        f"  uninspected  {_missed(missed)}",
        *_conntrack(facts.get("conntrack"), missed),
        f"  observed     {_observed(facts['observed'])}",
        f"  ledger       {ledger['path']}, {size(ledger['bytes'])}{_left_out(facts['contacts'])}",
        f"  self-test    {_selftest(facts['selftest'])}",
        *_export(facts["export"]),
        f"  version      {facts['version']}",
        *_passed(facts["passed"]),
    ]
    if facts["interruptions"]:
        lines += ["", "Lately:", *(f"  {_told(entry)}" for entry in facts["interruptions"][:SHOWN])]
    for problem in (ledger["notice"], facts["kernel_problem"]):
        if problem:
            lines += ["", f"Attention: {printable(problem)}"]
    return lines


def _state(facts: dict[str, Any]) -> str:
    """Say the state in a word, and since or until when it holds."""
    ends = [pause["until"] for pause in facts["pauses"] if pause["device"] is None]
    if facts["state"] == "paused" and ends:
        return f"Paused until {local_time(ends[0])}"
    return f"{WORDS[facts['state']]} since {local_time(facts['since'])}"


def _inspector(facts: dict[str, Any]) -> str:
    if not facts["alive"]:
        return f"process {facts['pid']} does not answer"
    if facts["worker"] is None:
        return f"process {facts['pid']} has just connected"
    text = (
        f"process {facts['pid']}: {count(facts['queued'], 'packet')} seen, "
        f"{count(facts['flows'], 'connection')} judged, {facts['blocked']} cut"
    )
    # What should not happen is told when it did: each is a connection less well judged or told.
    troubles = (("reports_lost", "report", "lost"), ("evicted", "connection", "given up"),
                ("failures", "fault", "inside"))  # fmt: skip
    for key, noun, what in troubles:
        if facts.get(key):
            text += f", {count(facts[key], noun)} {what}"
    return text


def _export(receivers: dict[str, Any] | None) -> list[str]:
    """List who is told of what happens here, and how that goes; nothing where nobody is."""
    if receivers is None:
        return []
    if not receivers:
        return ["  export       the exporter does not answer; it is started again by itself"]
    return [
        f"  {'export' if not number else '':12} {_receiver(name, told)}"
        for number, (name, told) in enumerate(receivers.items())
    ]


def _receiver(name: str, told: dict[str, Any]) -> str:
    text = f"{name} to {printable(str(told['to']))}: "
    last = "nothing sent yet" if told["last_sent"] is None else f"last {ago(told['last_sent'])}"
    text += f"{count(told['sent'] or 0, 'record')} sent, {last}, {told['backlog'] or 0} waiting"
    if told["error"] is not None:
        text += f"; since {local_time(told['error_since'])}: {printable(told['error'])}"
    return text


def _missed(missed: dict[str, Any]) -> str:
    if not missed["packets"] and not missed["escaped_packets"]:
        return "nothing"
    text = f"{count(missed['packets'], 'packet')} of {count(missed['flows'], 'connection')}"
    if missed["escaped_packets"]:
        text += (
            f", {count(missed['escaped_packets'], 'packet')} of "
            f"{count(missed['escaped_flows'], 'connection')} around the full conntrack table"
        )
    return f"{text}, last {ago(missed['last'])}"


def _conntrack(table: dict[str, Any] | None, missed: dict[str, Any]) -> list[str]:
    if table is None:
        return []
    text = f"{table['tracked']} of {count(table['limit'], 'connection')}, at most {table['most']}"
    if table["stage"] != "calm":
        text += f"; {STAGES[table['stage']]}"
    if missed["crowded_packets"]:
        text += f"; {count(missed['crowded_packets'], 'packet')} refused beyond a device's share"
    return [f"  conntrack    {text}"]


def _told(entry: dict[str, Any]) -> str:
    begun = "" if entry["since"] is None else f"{local_time(entry['since'])} "
    if entry["until"] is None:
        return f"{begun}until now: {printable(entry['what'])}"
    if entry["since"] is None:
        return f"{local_time(entry['until'])}: {printable(entry['what'])}"
    lasted = (entry["until"] - entry["since"]) / MICROSECONDS
    return f"{begun}for {lasted:.1f} s: {printable(entry['what'])}"


def _passed(counted: dict[str, int]) -> list[str]:
    """List what passed uninspected by design, where anything did."""
    lines = [
        f"    {count(counted[kind], unit)} {WAYS[kind]}"
        for kind, unit in PASSED.items()
        if counted[kind]
    ]
    return ["", "Not inspected, by design, since the box went inline:", *lines] if lines else []


def _observed(observed: dict[str, Any] | None) -> str:
    if observed is None:
        return "nothing"
    text = f"{count(observed['flows'], 'connection')} of {observed['capacity']} at most"
    if observed["evicted"]:
        text += f", {observed['evicted']} made room for more suspicious ones"
    if unread := observed["uncopied"] + observed["lost"]:
        text += f", {count(unread, 'segment')} of them not read"
    return text


def _left_out(contacts: dict[str, int] | None) -> str:
    if contacts is None or not contacts["left_out"]:
        return ""
    return f"; {count(contacts['left_out'], 'connection')} not counted among the contacts"


def _selftest(result: dict[str, Any] | None) -> str:
    if result is None:
        return "never run; try: ratwall selftest"
    word = "passed" if result.get("ok") is True else "FAILED"
    reason = f": {printable(str(result['reason']))}" if result.get("reason") else ""
    return f"{word} {ago(result['time'])}{reason}"
