"""`ratwall replay`: judge capture files and print a record for each flow that carried TLS.

With --json every line is one object, the last one {"summary": …}; without it the same for people.
Exit code: 0 nothing at alert or above, 10 something, 2 a file could not be read to its end (the
others are judged all the same, and so is what stood before the damage).
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ratwall.address import place
from ratwall.errors import ExitCode, UsageError
from ratwall.replay.capture import read_capture
from ratwall.replay.engine import CaptureJudge
from ratwall.settings.load import load_settings
from ratwall.settings.schema import Rules, Settings
from ratwall.signatures.pack import Pack
from ratwall.signatures.store import packs_in_force
from ratwall.verdict.judge import Thresholds, Verdict

MESSAGES_SHOWN = 5  # of files that could not be read: the error stays one line; --json has all


@dataclass(slots=True)
class Summary:
    """What all captures of one command had in them."""

    files: int = 0
    packets: int = 0
    malformed_packets: int = 0
    flows: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)  # messages, one a file

    @property
    def exit_code(self) -> ExitCode:
        """What the command returns when every file could be read."""
        found = self.verdicts[Verdict.ALERT] + self.verdicts[Verdict.BLOCK]
        return ExitCode.FOUND if found else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; every verdict is there, also at 0."""
        return {
            "files": self.files,
            "packets": self.packets,
            "malformed_packets": self.malformed_packets,
            "flows": self.flows,
            "verdicts": {str(verdict): self.verdicts[verdict] for verdict in Verdict},
            "unreadable": self.unreadable,
        }


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments of `ratwall replay`."""
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings file (thresholds)")
    parser.add_argument(
        "--state-dir",
        type=Path,
        metavar="DIR",
        help="judge by the signature packs of the box that keeps its state there; without it by "
        "those shipped",
    )
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="pcap or pcapng capture"
    )


def run(arguments: Namespace, out: TextIO | None = None) -> int:
    """Judge the files; return the exit code; UsageError at the end if one could not be read."""
    out = sys.stdout if out is None else out
    settings = load_settings(arguments.config)
    detection = settings.detection
    thresholds = Thresholds(detection.watch, detection.alert, detection.block)
    packs = packs_in_force(arguments.state_dir, settings.signatures.trust).packs
    summary = Summary()
    for path in arguments.files:
        for record in _judge_file(path, packs, thresholds, settings.rules, summary):
            out.write(json.dumps(record) + "\n" if arguments.json else _describe(record))
    if arguments.json:
        out.write(json.dumps({"summary": summary.as_dict()}) + "\n")
    else:
        out.write(_describe_summary(summary))
    out.flush()
    if summary.unreadable:
        more = len(summary.unreadable) - MESSAGES_SHOWN
        raise UsageError(
            "; ".join(summary.unreadable[:MESSAGES_SHOWN])
            + (f"; and {more} more of {summary.files} files" if more > 0 else "")
        )
    return summary.exit_code


def judge_file(
    path: Path, settings: Settings, state_dir: Path
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the records of one capture by the packs of a state directory, and why it
    could not be read to its end if so."""
    detection = settings.detection
    thresholds = Thresholds(detection.watch, detection.alert, detection.block)
    summary = Summary()
    packs = packs_in_force(state_dir, settings.signatures.trust).packs
    records = list(_judge_file(path, packs, thresholds, settings.rules, summary))
    return records, next(iter(summary.unreadable), None)


def _judge_file(
    path: Path, packs: tuple[Pack, ...], thresholds: Thresholds, rules: Rules, summary: Summary
) -> Iterator[dict[str, Any]]:
    capture = CaptureJudge(packs, thresholds, lambda rule: rules.mode_of(rule) != "off", rules)
    try:
        for time, datagram in read_capture(path):
            capture.push(time, datagram)
    except UsageError as error:
        summary.unreadable.append(str(error))
    for record in capture.finish():
        summary.flows += 1
        summary.verdicts[record["verdict"]] += 1
        yield {"file": str(path), **record}
    summary.files += 1
    summary.packets += capture.packets
    summary.malformed_packets += capture.malformed


def _describe(record: dict[str, Any]) -> str:
    """A flow in one line, and below it the reasons for anything but clean."""
    name = record["sni"] or "no server name"
    line = (
        f"{record['start']}  {record['verdict'].upper():5}  "
        f"{place(record['client'], record['client_port'])} -> "
        f"{place(record['server'], record['server_port'])}  "
        f"{record['tls_version'] or 'TLS, version unseen'}, {name}"
    )
    if record["resumed"]:
        line += ", resumed"
    if record["verdict"] == Verdict.CLEAN:
        return _printable(line) + "\n"
    family = f" ({record['family']})" if record["family"] else ""
    reasons = [f"    score {record['score']}{family}"]
    reasons += [f"    {item['points']:+4}  {item['text']}" for item in record["evidence"]]
    return "".join(_printable(each) + "\n" for each in (line, *reasons))


def _printable(text: str) -> str:
    """Escape what a stranger's name could do to a terminal."""
    return "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}" for character in text
    )


def _describe_summary(summary: Summary) -> str:
    verdicts = ", ".join(f"{summary.verdicts[verdict]} {verdict}" for verdict in Verdict)
    unread = len(summary.unreadable)  # which ones and why is the error's to say
    damaged = f" ({unread} not read to the end)" if unread else ""
    plural = "" if summary.files == 1 else "s"
    return (
        f"{summary.files} file{plural}{damaged}, {summary.packets} packets, "
        f"{summary.flows} TLS flows: {verdicts}\n"
    )
