"""docs/commands.md names every command, argument, exit code and JSON key, and none that is not."""

import argparse
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratwall.cli.feeds import checked
from ratwall.cli.main import COMMANDS, Parser, _load
from ratwall.controller.messages import COUNTERS
from ratwall.errors import ExitCode
from ratwall.export.trial import Trial
from ratwall.feeds.directory import FeedState
from ratwall.feeds.formats import read_feed
from ratwall.ledger import contacts, models, names
from ratwall.ledger.store import FILE_NAME, open_ledger
from ratwall.ledger.writer import LedgerWriter
from ratwall.replay.command import Summary
from ratwall.selftest.selftest import SelfTestResult
from unit.cli.conftest import Shell
from unit.controller.box import CLIENT, SERVER, FakeInspector, Running, eventually
from unit.controller.keeper import FileKeeper
from unit.controller.test_captures import one_capture
from unit.signatures.seen import facts, hello
from unit.verdict.test_record import record
from unit.wire.x509.minting import mint

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "commands.md").read_text()
WORD = re.compile(r"`([^`]+)`")
SELFTEST = SelfTestResult(True, "cut", "a handshake was cut", 90).to_dict()


def rows(after: str, before: str) -> dict[str, list[str]]:
    """Return the cells of a part of the page by the first cell of their row."""
    part = PAGE[PAGE.index(after) : PAGE.index(before)].replace("\\|", "\0")
    cells = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
    return {first.strip(): [cell.replace("\0", "|") for cell in rest] for first, *rest in cells[1:]}


def arguments(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The arguments of a command as the page writes them."""
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield name
                yield from arguments(inner)
            continue
        words = [action.option_strings[-1]] if action.option_strings else []
        if action.metavar or not words:
            words.append(str(action.metavar or action.dest))
        yield " ".join(words)


def test_every_command_is_documented_with_its_arguments() -> None:
    documented = {
        WORD.findall(name)[0]: sorted(WORD.findall(cells[0]))
        for name, cells in rows("# Commands", "## Exit codes").items()
    }
    actual = {}
    for name, entry in COMMANDS.items():
        parser = Parser(prog=name)
        _load(entry.target).add_arguments(parser)
        actual[name] = sorted(arguments(parser))
    assert documented == actual


def test_every_exit_code_is_documented() -> None:
    assert [int(code) for code in rows("## Exit codes", "## Keys")] == list(ExitCode)


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md"])
def test_readme_and_changelog_name_every_command(page: str) -> None:
    text = (ROOT / page).read_text()
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", text)] == []


@pytest.fixture
def keeper(shell: Shell) -> Iterator[FileKeeper]:
    keeper = FileKeeper(shell.state)
    yield keeper
    keeper.stop()


def test_the_keys_of_every_json_output_are_documented(
    shell: Shell,
    attacked: Running,
    inspector: FakeInspector,
    tmp_path: Path,
    keeper: FileKeeper,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = shell.json("settings")
    (shell.state / "web").mkdir()
    copy = tmp_path / "copy.ratwall"
    monkeypatch.setattr(sys, "stdin", io.StringIO("four words for tests\n" * 2))
    counters = dict.fromkeys(COUNTERS, 1)
    inspector.send({"type": "status", "worker": 0, "pid": 77, **counters})
    attacked.call("selftest_result", result=SELFTEST)
    eventually(lambda: shell.json("status")["inspectors"][0]["worker"] == 0)
    with open_ledger(shell.state / FILE_NAME) as ledger:
        writer = LedgerWriter(ledger)
        names.write(writer, "kashuub.example", (SERVER,), CLIENT, 1)
        place = writer.device(None, CLIENT, 1), SERVER, 6606
        contacts.write(writer, [(place, CLIENT, None, contacts.Seen(1, 1))], [], 1)
        assert writer.flush(durable=False)
    status, incident = shell.json("status"), shell.json("incidents")[0]
    story, flow = shell.json("incidents", "1"), shell.json("flows", "--verdict", "block")[0]
    judged = record(facts(mint("AsyncRAT Server"), client=hello()))
    shown: dict[str, Any] = {
        "`status`": status,
        "`status`: `inspectors`": status["inspectors"][0],
        "`status`: `uninspected`": status["uninspected"],
        "`status`: `ledger`": status["ledger"],
        "`status`: `selftest`": status["selftest"],
        "`incidents`": incident,
        "`incidents NUMBER`": ["incidents", *(set(story) - set(incident))],  # "as `incidents`"
        "`flows`": flow,
        "their `device`": incident["device"],
        "their `certificate`": flow["certificate"],
        "their `story`": story["story"][0],
        "their `found`": ["time", "rule"],
        "their `detections`": models.Detection._meta.sorted_field_names,
        "their `evidence`": flow["evidence"][0],
        "`feeds`, `feeds update`": FeedState("own", "plain", "/own.txt", 24).as_dict(),
        "`signatures`": (packs := shell.json("signatures")),
        "`signatures`: `packs`": packs["packs"][0],
        "`feeds check`": checked("plain", read_feed("plain", b"198.51.100.7")),
        "`explain`": (explained := shell.json("explain", "1")[0]),
        "`explain`: `thresholds`": explained["thresholds"],
        "`explain`: `changed`": ["id", "kind", "author", "reason", "device", "expires"],
        "`names`": shell.json("names", "kashuub")[0],
        "`contacts`": shell.json("contacts")[0],
        "`devices`": shell.json("devices")[0],
        "`actions`": shell.json("actions", "--all")[0],
        "`allow`, `block`, `keep`": shell.json("keep", "1"),
        "`release`": shell.json("release", "1"),
        "`undo`": shell.json("undo", str(shell.json("block", f"{SERVER}:1")["action"])),
        "`capture on`, `capture off`": ["until", "packets"],
        "`capture list`": one_capture(tmp_path),
        "`evidence`": shell.json("evidence", "1", "-o", str(shell.state / "case.zip")),
        "`quarantine`": shell.json("quarantine", CLIENT, "--yes"),
        "`watch`, `pause`": shell.json("pause", CLIENT),
        "`resume`": shell.json("resume"),
        "`rules set`": shell.json("rules", "set", "rhythm.*", "enforce"),
        "`rules`": shell.json("rules"),
        "`settings set`, `settings unset`": shell.json("settings", "set", "block.seconds", "61"),
        "`backup`": shell.json("backup", str(copy)),
        "`restore`": shell.json("restore", "--check", str(copy)),
        "`settings test`": Trial(1, True, "250 Ok").as_dict(),
        "`settings`": settings,
        "its `settings` by name": settings["settings"]["detection.alert"],
        "`selftest`": SELFTEST,
        "`replay`, each line": {"file", *judged},
        "`replay`: `certificate`": judged["certificate"],
        "`replay`, last line: `summary`": Summary().as_dict(),
    }
    assert shell.json("allow", f"{SERVER}:1").keys() == shell.json("block", f"{SERVER}:1").keys()
    assert shell.json("watch", CLIENT).keys() == shown["`watch`, `pause`"].keys()
    assert incident["device"].keys() == flow["device"].keys()
    assert incident["certificate"].keys() == flow["certificate"].keys()
    assert story["flows"][0].keys() == flow.keys()
    assert story["actions"][0].keys() == set(shown["`actions`"])
    documented = {
        name: sorted(WORD.findall(cells[0]))
        for name, cells in rows("## Keys", "Of `status` besides").items()
    }
    assert documented == {name: sorted(keys) for name, keys in shown.items()}
