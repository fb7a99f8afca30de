"""The validation corpus, parsed once for all tests that read it.

It lies beside the repository and is no part of it: captures of other projects, with the truth about
their TLS streams as read off by tshark.
"""

import json
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from corpus import CORPUS, require_corpus
from ratwall.errors import UsageError
from ratwall.replay.capture import read_capture
from ratwall.replay.engine import CaptureJudge
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds

Record = dict[str, Any]
StreamName = tuple[str, int]  # capture, and tshark's number of the stream


@dataclass
class Corpus:
    files: list[str]
    truth: dict[StreamName, Record]
    labels: dict[StreamName, Record]
    records: dict[str, list[Record]] = field(default_factory=dict)  # by capture
    errors: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    matched: dict[StreamName, Record] = field(default_factory=dict)

    def match(self) -> None:
        """Find the record of each stream in truth: same endpoints, nearest in time, used once."""
        waiting: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for file, records in self.records.items():
            for record in records:
                waiting[file, _endpoint(record, "client"), _endpoint(record, "server")].append(
                    record
                )
        for name, stream in self.truth.items():
            candidates = waiting[stream["file"], stream["client"], stream["server"]]
            if candidates:
                seen = float(stream["time"])
                nearest = min(candidates, key=lambda one: abs(_seconds(one["start"]) - seen))
                candidates.remove(nearest)
                self.matched[name] = nearest


def _endpoint(record: Record, side: str) -> str:
    return f"{record[side]}:{record[side + '_port']}"


def _seconds(iso: str) -> float:
    return datetime.strptime(iso, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()


def _lines(name: str) -> list[Record]:
    with (CORPUS / name).open() as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    require_corpus()
    parsed = Corpus(
        files=[line["file"] for line in _lines("files.jsonl")],
        truth={(line["file"], line["stream"]): line for line in _lines("truth.jsonl")},
        labels={(line["file"], line["stream"]): line for line in _lines("labels.jsonl")},
    )
    packs = load_packs()
    for file in parsed.files:
        started = time.perf_counter()
        judge = CaptureJudge(packs, Thresholds())
        try:
            for moment, datagram in read_capture(CORPUS / "captures" / file):
                judge.push(moment, datagram)
        except UsageError as error:
            parsed.errors[file] = str(error)
        parsed.records[file] = judge.finish()
        parsed.seconds[file] = time.perf_counter() - started
    parsed.match()
    return parsed
