"""The command line against a real controller and ledger: what people read, and exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ratwall.cli import main as cli
from ratwall.cli.main import COMMANDS, main
from ratwall.errors import ExitCode
from ratwall.ledger.store import FILE_NAME, Ledger
from unit.cli.conftest import SCREEN, Shell
from unit.controller.box import (
    CLIENT,
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    eventually,
    report,
)


def test_the_help_lists_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == ExitCode.OK
    text = capsys.readouterr().out
    for name in COMMANDS:
        assert f"\n  {name} " in text
    for code in ExitCode:
        assert f"\n  {code:>3}  " in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_the_help_of_a_command_shows_its_options_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["allow", "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for word in ("--certificate", "--device", "--for", "--reason", "--state-dir", "exit codes:"):
        assert word in text


def test_the_help_imports_no_command() -> None:
    code = (
        "import sys; from ratwall.cli.main import main; main(['--help']);"
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('peewee', 'scapy', 'pyroute2', 'flask') or name.startswith('ratwall.cli.')])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.splitlines()[-1] == "['ratwall.cli.main']"


def test_status_says_in_words_what_holds(shell: Shell, attacked: Running) -> None:
    text = shell.run("status")
    assert text.startswith("Protecting since 2025-06-15 15:06\n")
    assert "bridge: lan0 (office) and wan0 (internet)" in text
    assert "blocked now  1 server\n" in text
    assert "self-test    never run; try: ratwall selftest" in text
    assert shell.json("status")["state"] == "protecting"


def test_status_lists_what_passes_by_design(
    shell: Shell, box: Box, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Not inspected, by design" not in shell.run("status")
    counters = {"uninspected_packets": 0, "passed_quic_packets": 1, "passed_local_packets": 20}
    monkeypatch.setattr(box.sets, "counters", lambda: counters)
    box.now += 10_000_000
    eventually(lambda: running.call("status")["passed"]["quic"])
    listed = shell.run("status").partition("Not inspected, by design, since the box went inline:\n")
    assert listed[2].splitlines()[:2] == [
        "    1 connection over QUIC (UDP port 443)",
        "    20 packets within the office, past the internet port",
    ]


def test_status_says_how_much_of_what_is_observed_was_not_read(
    shell: Shell, box: Box, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Observing:
        def facts(self) -> dict[str, int]:
            return {"flows": 12, "capacity": 16, "copies": 9, "overflows": 1, "lost": 3} | {
                "evicted": 2
            }

        def follow(self, inspected: bool) -> None:
            pass

    counters = {"uninspected_packets": 0, "uncopied_packets": 40}
    monkeypatch.setattr(box.sets, "counters", lambda: counters)
    monkeypatch.setattr(running.service, "observation", Observing())
    box.now += 10_000_000
    eventually(lambda: running.call("status")["observed"]["uncopied"] == 40)
    assert (
        "observed     12 connections of 16 at most, 2 made room for more suspicious ones, "
        "43 segments of them not read\n"
    ) in shell.run("status")


def test_status_tells_what_went_wrong_in_an_inspector_only_if_it_did(
    shell: Shell, running: Running, inspector: FakeInspector
) -> None:
    counters = {"queued": 9, "flows": 8, "blocked": 7, "uptime_s": 5}
    well = {"reports_lost": 0, "evicted": 0, "failures": 0}
    badly = {"reports_lost": 3, "evicted": 2, "failures": 1}
    told = "process 77: 9 packets seen, 8 connections judged, 7 cut"
    for troubles, ending in (
        (well, "\n"),
        (badly, ", 3 reports lost, 2 connections given up, 1 fault inside\n"),
    ):
        inspector.send({"type": "status", "worker": 0, "pid": 77, **counters, **troubles})
        eventually(lambda ending=ending: f"{told}{ending}" in shell.run("status"))


def test_the_bounds_of_a_time_are_taken(shell: Shell, running: Running) -> None:
    for words in (
        ["block", "203.0.113.7:443", "--for", "60s"],
        ["block", "203.0.113.7:443", "--for", "30d"],
        ["allow", "203.0.113.7:443", "--for", "1m"],
        ["allow", "203.0.113.7:443", "--for", "366d"],
        ["allow", "203.0.113.7:443", "--for", "always"],
    ):
        shell.run(*words)


def test_a_capture_that_cannot_be_read_is_told_once_on_stderr(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("Dear diary")
    assert main(["replay", str(notes)]) == ExitCode.USAGE
    printed = capsys.readouterr()
    assert "not a capture" not in printed.out
    assert printed.out.startswith("1 file (1 not read to the end), 0 packets, 0 TLS flows")
    assert printed.err.count("notes.txt: not a capture") == printed.err.count("\n") == 1


def test_of_many_captures_that_cannot_be_read_a_few_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, ending in ((5, "there-4: cannot be read: No such file or directory\n"),
                          (6, "; and 1 more of 6 files\n")):  # fmt: skip
        main(["replay", *(str(tmp_path / f"there-{number}") for number in range(given))])
        error = capsys.readouterr().err
        assert error.count("cannot be read") == 5
        assert error.endswith(ending)


def test_status_calls_attention_to_a_kernel_that_refuses(
    shell: Shell, box: Box, running: Running
) -> None:
    box.sets.broken = True
    box.now += 10_000_000
    eventually(lambda: running.call("status")["kernel_problem"])
    assert "Attention: kernel counters: nft: No such file or directory" in shell.run("status")


def test_incidents_are_a_list_and_each_explains_itself(shell: Shell, attacked: Running) -> None:
    heading, line = shell.run("incidents").splitlines()
    assert heading == (
        "INCIDENT  LAST SEEN         STATE    SCORE  DEVICE        SERVER            TIMES  FAMILY"
    )
    assert heading.index("SERVER") == line.index("203.0.113.7:6606")  # aligned
    assert line.split() == [
        "1", "2025-06-15", "15:06", "blocked", "95", CLIENT, "203.0.113.7:6606", "1", "AsyncRAT",
    ]  # fmt: skip
    text = shell.run("incidents", "1")
    assert text.startswith("Incident 1: 192.168.1.10 tried to reach a remote-control server")
    assert "blocked until  2025-06-16 15:06" in text
    assert "\n   +95  The name. [T1573.002]\n" in text
    assert "subject    CN=AsyncRAT Server" in text
    assert shell.json("incidents", "1")["actions"][0]["author"] == "rule"
    assert shell.json("incidents")[0]["evidence"][0]["points"] == 95


def test_flows_are_searched(shell: Shell, attacked: Running) -> None:
    lines = shell.run("flows", "example").splitlines()
    assert len(lines) == 2
    assert lines[1].split()[-3:] == ["0", "clean", "www.example.org"]
    assert shell.run("flows", "--verdict", "block").splitlines()[1].split()[7:9] == [
        "95",
        "blocked",
    ]
    assert shell.run("flows", "nowhere") == "No connection matches.\n"
    assert [flow["id"] for flow in shell.json("flows", "--limit", "1")] == [2]


def test_devices_and_actions(shell: Shell, attacked: Running) -> None:
    assert shell.run("devices").splitlines()[1].split()[:6] == [
        "1", "-", CLIENT, "02:00:00:00:00:01", "1", "95",
    ]  # fmt: skip
    assert shell.json("devices")[0]["address"] == CLIENT
    assert "block  203.0.113.7:6606  2025-06-16 15:06  rule  The name." in shell.run(
        "actions", "--all"
    )


def test_a_list_of_nothing_says_so(shell: Shell, running: Running) -> None:
    assert shell.run("incidents") == "No incident.\n"
    assert shell.run("flows") == "No connection was judged yet.\n"
    assert shell.run("devices") == "No device was seen yet.\n"
    assert shell.run("actions") == "Nothing is in force.\n"
    assert shell.json("incidents") == []


def test_changes_say_what_holds_now_and_how_to_undo_it(
    shell: Shell, box: Box, attacked: Running
) -> None:
    assert shell.run("allow", f"{SERVER}:6606", "--for", "1h", "--reason", "ours") == (
        "203.0.113.7:6606 is allowed until 2025-06-15 16:06. Undo: ratwall undo 2\n"
    )
    assert box.sets.allowed == {(None, SERVER, 6606): 3600}
    assert shell.run("undo", "2") == "The allow is taken back.\n"
    assert box.sets.allowed == {}
    assert shell.run("allow", f"{SERVER}:6606", "--device", CLIENT) == (
        "203.0.113.7:6606 is allowed for 192.168.1.10 until it is undone. Undo: ratwall undo 3\n"
    )
    assert shell.run("block", "[2001:db8::7]:443", "--for", "12h") == (
        "[2001:db8::7]:443 is blocked until 2025-06-16 03:06. Undo: ratwall undo 4\n"
    )
    assert shell.run("keep", "1", code=2) == "keep: incident 1 blocks nothing now"
    assert shell.json("block", "198.51.100.1:1") == {
        "action": 5, "expires": NOON + 86_400 * 1_000_000,
    }  # fmt: skip


def test_keep_and_release(shell: Shell, box: Box, attacked: Running) -> None:
    assert shell.run("keep", "1", "--for", "7d") == (
        "What incident 1 blocks stays blocked until 2025-06-22 15:06.\n"
    )
    assert shell.run("release", "1", "--reason", "cleaned") == "1 block taken away.\n"
    assert box.sets.blocked == {}
    assert shell.run("release", f"{SERVER}:6606") == (
        "Nothing was blocked there; what was remembered of it is forgotten.\n"
    )


def test_certificates_are_allowed_by_their_fingerprint(
    shell: Shell, attacked: Running, inspector: FakeInspector
) -> None:
    text = shell.run("allow", "--certificate", "CD" * 32, "--device", CLIENT)
    assert text.startswith(f"certificate {'CD' * 32} is allowed for {CLIENT} until it is undone.")
    assert inspector.receive_until("forget")["server"] == SERVER


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["incident"], 2, 'there is no command "incident"; did you mean "incidents"?'),
        (["xyzzy"], 2, 'there is no command "xyzzy"; see: ratwall --help'),
        (
            ["status", "--jsn"],
            2,
            "status: unrecognized arguments: --jsn; see: ratwall status --help",
        ),
        (["undo"], 2, "undo: the following arguments are required: ACTION"),
        (["undo", "x"], 2, "undo: argument ACTION: expected a number, found 'x'"),
        (["undo", "9"], 2, "undo: action 9 is not in force"),
        (["quarantine", "192.168.1.10"], 2, "was left as it is; to mean it, add --yes"),
        (["quarantine", "PC-NOBODY", "--yes"], 2, "device: expected an address, or a MAC or name"),
        (["quarantine", "192.0.2.1", "--yes"], 2, "192.0.2.1 is on the never-block list"),
        (["quarantine", "192.168.1.10", "--yes", "--for", "31d"], 2, "from 1m to 30d"),
        (["pause", "--for", "37h"], 2, "expected a time from 1m to 36h, such as 12h, or tomorrow"),
        (["pause", "--for", "59s"], 2, "expected a time from 1m to 36h"),
        (["pause", "nobody"], 2, "device: expected an address, or a MAC or name"),
        (["resume", "192.168.1.77"], 2, "resume: 192.168.1.77 is not paused by itself"),
        (["rules", "set", "rhythm.*", "loud"], 2, "off, monitor, enforce, found 'loud'"),
        (["rules", "set", "Rhythm", "off"], 2, 'expected a rule such as "asyncrat.port"'),
        (["rules", "set"], 2, "give RULE and off, monitor, enforce, found nothing"),
        (["block", "192.0.2.1"], 2, "192.0.2.1 is on the never-block list"),
        (["block", "2001:db8::7"], 2, "expected ADDRESS:PORT"),
        (["block", "203.0.113.7:0"], 2, "expected ADDRESS:PORT"),
        (["block", "203.0.113.7:65536"], 2, "expected ADDRESS:PORT"),
        (["block", "2001:db8::7:443"], 2, "expected ADDRESS:PORT"),
        (["block", "[203.0.113.7]:443"], 2, "expected ADDRESS:PORT"),
        (["block", "www.example.org:443"], 2, "expected ADDRESS:PORT"),
        (["block", "203.0.113.7:443", "--for", "soon"], 2, "found 'soon'"),
        (["block", "203.0.113.7:443", "--for", "always"], 2, "found 'always'"),
        (
            ["block", "203.0.113.7:443", "--for", "59s"],
            2,
            "block: argument --for: expected a time from 1m to 30d, such as 12h, found '59s'",
        ),
        (["block", "203.0.113.7:443", "--for", "2592001s"], 2, "from 1m to 30d"),
        (["keep", "1", "--for", "31d"], 2, "keep: argument --for: expected a time from 1m to 30d"),
        (
            ["allow", "203.0.113.7:443", "--for", "59s"],
            2,
            "argument --for: expected a time from 1m to 366d, such as 12h, or always, found '59s'",
        ),
        (["allow", "203.0.113.7:443", "--for", "367d"], 2, "from 1m to 366d"),
        (["allow"], 2, "allow: give ADDRESS:PORT or --certificate SHA256, found neither"),
        (["allow", "203.0.113.7:443", "--certificate", "CD" * 32], 2, "SHA256, found both"),
        (
            ["allow", "--certificate", "abc"],
            2,
            "argument --certificate: expected the 64 hexadecimal digits of a SHA-256, found 'abc'",
        ),
        (["allow", "--certificate", "c" * 63], 2, "expected the 64 hexadecimal digits"),
        (["allow", "--certificate", "c" * 65], 2, "expected the 64 hexadecimal digits"),
        (["allow", "--certificate", "x" * 64], 2, "expected the 64 hexadecimal digits"),
        (
            ["release", "1.2.3"],
            2,
            "expected an incident's number, or ADDRESS:PORT such as 192.0.2.1:443 or "
            "[2001:db8::1]:443, found '1.2.3'",
        ),
        (["incidents", "7"], 2, "there is no incident 7; see: ratwall incidents"),
        (["incidents", "--state", "odd"], 2, "invalid choice: 'odd'"),
        (["flows", "--limit", "0"], 2, "expected 1 to 100000, found '0'"),
        (["flows", "--limit", "100001"], 2, "expected 1 to 100000, found '100001'"),
    ],
)
def test_a_mistake_is_one_line(
    shell: Shell, running: Running, words: list[str], code: int, error: str
) -> None:
    assert error in shell.run(*words, code=code)


@pytest.mark.parametrize("words", [["status"], ["allow", "203.0.113.7:1"], ["undo", "1"]])
def test_without_a_controller_it_says_how_to_start_one(shell: Shell, words: list[str]) -> None:
    assert "Ratwall is not running; start it with: ratwall run" in shell.run(*words, code=4)


@pytest.mark.parametrize("words", [["incidents"], ["flows"], ["devices"], ["actions"]])
def test_without_a_ledger_it_says_where_it_looked(shell: Shell, box: Box, words: list[str]) -> None:
    error = shell.run(*words, code=4)
    assert str(box.state / FILE_NAME) in error
    assert not (box.state / FILE_NAME).exists()


def test_the_lists_are_read_without_a_controller(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    running = Running(box)
    running.call("block", server=SERVER, server_port=6606, reason="mine")
    running.stop()
    assert "203.0.113.7:6606" in Shell(box.state, capsys).run("actions", "--all")


def test_a_broken_ledger_is_one_line(shell: Shell, box: Box) -> None:
    (box.state / FILE_NAME).write_bytes(b"#" * 8192)
    assert "file is not a database" in shell.run("flows", code=1)


def test_a_fault_of_our_own_is_one_line_too_and_debug_shows_where(
    shell: Shell, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(ledger: Ledger) -> None:
        raise ZeroDivisionError("something by nothing")

    monkeypatch.setattr("ratwall.ledger.queries.devices", fail)
    assert shell.run("devices", code=1) == (
        "ZeroDivisionError: something by nothing "
        "(a fault in Ratwall itself; add --debug to see where)"
    )
    with pytest.raises(ZeroDivisionError):
        shell.run("devices", "--debug")


def test_names_chosen_by_strangers_cannot_drive_the_terminal(
    shell: Shell, box: Box, running: Running, inspector: FakeInspector
) -> None:
    evil = "a\x1b[31mb\u202ec\nd" + "x" * 500
    facts = {**report()["certificate"], "subject": evil, "signature_algorithm": evil}
    text = [{"id": "x", "points": 95, "text": evil, "technique": None}]
    inspector.send(report(sni=evil, certificate=facts, evidence=text))
    eventually(lambda: box.sets.blocked)
    running.call("status")
    for words in (["flows"], ["incidents"], ["incidents", "1"], ["actions", "--all"]):
        for line in shell.run(*words).splitlines():
            assert line.isprintable() or line == ""
    for line in shell.run("flows").splitlines():
        assert len(line) <= SCREEN


def test_as_a_process_it_works_and_a_reader_that_leaves_is_no_error(
    box: Box, attacked: Running
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = f"{sys.executable} -m ratwall flows --json --state-dir {box.state}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_can_be_loaded_and_declares_its_arguments() -> None:
    for name, entry in COMMANDS.items():
        parser = cli.Parser(prog=f"ratwall {name}")
        command = cli._load(entry.target)
        command.add_arguments(parser)
        assert callable(command.run)
