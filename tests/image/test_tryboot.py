"""The Pi's boot loader backend, driven as RAUC drives it, and as a firmware reads its file.

There is no Pi here, and no kernel with FAT: the boot partition is a folder, the firmware a few
lines that read `autoboot.txt` as the maker's documentation says. The script is
the one on the image.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image.conftest import OVERLAY, ROOT

SCRIPT = OVERLAY / "usr/lib/ratwall/tryboot"
SHIPPED = ROOT / "buildroot/board/raspberrypi/autoboot.txt"
FLAG = "0 tryboot"
SECTOR = (
    512  # what a card writes whole or not at all, and the most that a firmware reads of the file
)
NUMBERS = {"2": "A", "3": "B"}  # partitions boot-a and boot-b


def firmware(text: str, tryboot: bool) -> str | None:
    """The slot that a Pi starts: settings hold where the section before them does."""
    holds, slot = True, None
    for line in text.splitlines():
        if line.startswith("["):
            holds = line == "[all]" or (line == "[tryboot]" and tryboot)
        elif holds and line.startswith("boot_partition="):
            slot = NUMBERS.get(line.removeprefix("boot_partition="))
    return slot if "tryboot_a_b=1" in text else None


@dataclass
class Pi:
    """A box with a boot partition, a kernel's command line and a way to restart."""

    folder: Path

    def __post_init__(self) -> None:
        self.bootsel = self.folder / "bootsel"
        self.bootsel.mkdir()
        self.file = self.bootsel / "autoboot.txt"
        shutil.copy(SHIPPED, self.file)
        self.param = self.folder / "reboot-param"
        self.start("A")

    def start(self, slot: str | None) -> None:
        assert slot is not None, "no slot starts"
        (self.folder / "cmdline").write_text(f"root=PARTLABEL=root ro rauc.slot={slot} quiet\n")
        self.param.unlink(missing_ok=True)  # it is in memory

    def restart(self) -> str | None:
        """What systemd and firmware make of it: the slot that runs then."""
        flag = self.param.exists() and self.param.read_text().strip() == FLAG
        slot = firmware(self.file.read_text(), flag)
        self.start(slot)
        return slot

    def cut(self) -> str | None:
        """The power goes and comes."""
        self.param.unlink(missing_ok=True)
        return self.restart()

    def run(self, *words: str, path: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["/bin/sh", SCRIPT, *words],
            env={
                "PATH": path or os.environ["PATH"],
                "RATWALL_BOOTSEL": str(self.bootsel),
                "RATWALL_COMMAND_LINE": str(self.folder / "cmdline"),
                "RATWALL_REBOOT_PARAM": str(self.param),
            },
            capture_output=True,
            text=True,
            timeout=60,
        )

    def ask(self, *words: str) -> str:
        """Run it as RAUC does: it must not fail, and RAUC strips what it says."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state(self) -> str:
        """Next start, then what is called good."""
        good = [slot for slot in "AB" if self.ask("get-state", slot) == "good"]
        return f"{self.ask('get-primary')} {''.join(good)}"


@pytest.fixture
def pi(tmp_path: Path) -> Pi:
    return Pi(tmp_path)


def install(pi: Pi, slot: str) -> None:
    """What RAUC asks for in an installation, in its order."""
    pi.ask("set-state", slot, "bad")
    pi.ask("set-primary", slot)


def test_as_it_comes_from_the_factory(pi: Pi) -> None:
    assert pi.state() == "A AB"
    assert pi.ask("get-current") == "A"
    assert pi.restart() == "A"


def test_a_good_update_is_tried_once_and_then_counts(pi: Pi) -> None:
    install(pi, "B")
    assert pi.state() == "B AB"
    assert pi.restart() == "B", "the flag was handed over"
    assert pi.ask("get-current") == "B"
    assert pi.state() == "A AB", "until its check is passed the next start is the old one's"
    pi.ask("set-state", "B", "good")
    assert pi.state() == "B AB"
    assert pi.cut() == "B"
    assert pi.restart() == "B"

    install(pi, "A")
    assert pi.restart() == "A", "and back again"
    pi.ask("set-state", "A", "good")
    assert pi.cut() == "A"


@pytest.mark.parametrize("ending", ["power cut", "panic", "failed check"])
def test_a_failing_update_is_left_after_one_try(pi: Pi, ending: str) -> None:
    install(pi, "B")
    assert pi.restart() == "B"
    if ending == "failed check":
        pi.ask("set-state", "B", "bad")
        assert pi.state() == "A A"
    assert pi.restart() == "A", "the firmware has forgotten the flag"
    pi.ask("set-state", "B", "bad")  # what the old version says of it
    assert pi.state() == "A A"
    assert pi.restart() == "A"
    install(pi, "B")
    assert pi.restart() == "B", "the next update is tried"


def test_a_power_cut_before_the_restart_forgets_the_try(pi: Pi) -> None:
    install(pi, "B")
    assert pi.cut() == "A"
    assert pi.ask("get-primary") == "A"


def test_a_slot_that_is_being_written_is_never_tried(pi: Pi) -> None:
    install(pi, "B")
    pi.ask("set-state", "B", "bad")  # a second installation begins
    assert pi.state() == "A A"
    assert pi.restart() == "A"


def test_a_try_may_be_called_off(pi: Pi) -> None:
    install(pi, "B")
    pi.ask("set-primary", "A")
    assert pi.ask("get-primary") == "A"
    assert pi.restart() == "A"


def test_the_check_of_the_version_that_runs_calls_no_try_off(pi: Pi) -> None:
    """It is made after every start, and an update may be installed before it is over."""
    install(pi, "B")
    pi.ask("set-state", "A", "good")
    assert pi.restart() == "B"


def test_another_restart_argument_is_nobodys_try(pi: Pi) -> None:
    pi.param.write_text("1 firmware\n")
    assert pi.ask("get-primary") == "A"
    pi.ask("set-state", "B", "bad")
    assert pi.param.read_text() == "1 firmware\n"


def test_a_version_that_counts_and_is_called_bad_gives_way(pi: Pi) -> None:
    pi.ask("set-state", "A", "bad")
    assert pi.state() == "B B"
    assert pi.cut() == "B"
    pi.ask("set-state", "B", "bad")
    assert pi.state() == "B ", "nobody is good: the one that starts is better than none"
    assert pi.cut() == "B"


def test_on_trial_the_slot_that_counts_is_not_written_under_it(pi: Pi) -> None:
    """An installation during a trial would write the slot that a power cut falls back to."""
    install(pi, "B")
    assert pi.restart() == "B"
    pi.ask("set-state", "A", "bad")
    assert pi.cut() == "B"


STATES = [
    f"# good: {a} {b}\n[all]\ntryboot_a_b=1\nboot_partition={all_}\n"
    f"[tryboot]\nboot_partition={try_}\n"
    for (all_, try_), a, b in itertools.product((("2", "3"), ("3", "2")), "A-", "B-")
]
COMMANDS = [
    (command, slot, *more)
    for slot in "AB"
    for command, *more in (("set-primary",), ("set-state", "good"), ("set-state", "bad"))
]


def test_every_state_has_the_same_length_and_fits_a_sector(pi: Pi) -> None:
    assert SHIPPED.read_text() in STATES
    assert {len(text) for text in STATES} == {len(SHIPPED.read_bytes())}
    assert len(SHIPPED.read_bytes()) <= SECTOR


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tools that write, each of which a power cut may end before or after its work.

    `within` ends dd between opening its file, which may empty it, and writing.
    """
    folder = tmp_path_factory.mktemp("tools")
    for name in ("dd", "mv", "sync", "rm"):
        shim = folder / name
        shim.write_text(
            f"#!/bin/sh\necho x >> {folder}/count\n"
            f'[ "$(wc -l < {folder}/count)" -ne "$(cat {folder}/before)" ] || kill -9 "$PPID" $$\n'
            f'[ {name} != dd ] || [ "$(cat {folder}/within)" -eq 0 ] || {{\n'
            f'  {shutil.which(name)} "$@" count=0 < /dev/null 2> /dev/null\n'
            f'  kill -9 "$PPID" $$\n}}\n'
            f'{shutil.which(name)} "$@"\nstatus=$?\n'
            f'[ "$(wc -l < {folder}/count)" -ne "$(cat {folder}/after)" ] || kill -9 "$PPID" $$\n'
            "exit $status\n"
        )
        shim.chmod(0o755)
    yield folder


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("running", "AB")
def test_a_power_cut_at_any_step_leaves_the_old_state_or_the_new(
    pi: Pi, tools: Path, command: tuple[str, ...], running: str
) -> None:
    """The firmware finds a whole file, whatever the moment; and the next call works."""
    # Of the eight states the two that differ most, in both of which the other slot runs or not.
    for text in (STATES[0], STATES[-1]):
        pi.file.write_text(text)
        pi.start(running)
        pi.ask(*command)
        whole = pi.file.read_text()
        assert whole in STATES
        moments = [*itertools.product(("before", "after"), (1, 2)), ("within", 1)]
        for when, step in moments:
            pi.file.write_text(text)
            pi.start(running)
            (tools / "count").write_text("")
            for name in ("before", "after", "within"):
                (tools / name).write_text(f"{step if name == when else 0}\n")
            pi.run(*command, path=f"{tools}:{os.environ['PATH']}")
            assert pi.file.read_text() in (text, whole), f"cut {when} step {step}"
            assert pi.cut() in ("A", "B")
            pi.start(running)
            pi.ask(*command)
            assert pi.file.read_text() == whole


@pytest.mark.parametrize("running", "AB")
@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"\0" * 80,
        b"\xff" * 80,
        SHIPPED.read_bytes()[:40],
        SHIPPED.read_bytes() + b"\0",
        SHIPPED.read_bytes()[:40].ljust(len(SHIPPED.read_bytes()), b"\0"),
        SHIPPED.read_bytes().replace(b"\n", b"\r\n"),
        b"[all]\nboot_partition=9\n",
        b"x" * 100_000,
    ],
    ids=[
        "missing",
        "empty",
        "zeros",
        "ones",
        "short",
        "longer",
        "torn",
        "edited",
        "foreign",
        "long",
    ],
)
def test_a_damaged_file_is_made_good_for_the_slot_that_runs(
    pi: Pi, text: bytes | None, running: str
) -> None:
    """The health check's mark, after every start, is what mends it."""
    pi.start(running)
    if text is None:
        pi.file.unlink()
    else:
        pi.file.write_bytes(text)
    assert pi.state() == f"{running} {running}", "nothing is believed but what is seen"
    pi.ask("set-state", running, "good")
    assert pi.file.read_text() in STATES
    assert pi.cut() == running
    assert pi.state() == f"{running} {running}"
    assert [path.name for path in pi.bootsel.iterdir()] == ["autoboot.txt"]


def test_what_a_cut_off_repair_left_is_taken_up(pi: Pi) -> None:
    pi.file.write_text("")
    (pi.bootsel / "autoboot.new").write_text(STATES[-1])
    assert pi.state() == "B ", "B counts, and nobody is good"


def test_a_partition_that_cannot_be_written_is_told_of(pi: Pi, tmp_path: Path) -> None:
    """RAUC must not take it for done. /dev/full is the real thing: a device without room."""
    shim = tmp_path / "tools"
    shim.mkdir()
    (shim / "dd").write_text("#!/bin/sh\nexec cat > /dev/full\n")
    (shim / "dd").chmod(0o755)
    for text in (SHIPPED.read_text(), "torn"):
        pi.file.write_text(text)
        done = pi.run("set-state", "B", "bad", path=f"{shim}:{os.environ['PATH']}")
        assert done.returncode == 1
        assert f"ratwall: tryboot: {pi.file}: cannot be" in done.stderr
        assert pi.file.read_text() == text


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("get-primary", "A"),
        ("set-primary",),
        ("set-primary", "C"),
        ("set-primary", ""),
        ("set-state", "A"),
        ("set-state", "A", "fine"),
        ("get-state", "A", "B"),
        ("reboot",),
        ("set-state", "A", "good", "more"),
    ],
)
def test_words_that_make_no_sense_change_nothing(pi: Pi, words: tuple[str, ...]) -> None:
    done = pi.run(*words)
    assert done.returncode == 1
    assert done.stderr.startswith("ratwall: tryboot: ") and "expected" in done.stderr
    assert pi.file.read_text() == SHIPPED.read_text() and not pi.param.exists()


def test_without_a_slot_on_the_command_line_nothing_is_changed(pi: Pi) -> None:
    (pi.folder / "cmdline").write_text("root=/dev/sda1 rauc.slot=AB\n")
    for words in (("get-current",), ("set-primary", "B"), ("set-state", "A", "bad")):
        done = pi.run(*words)
        assert done.returncode == 1 and "names no slot" in done.stderr
    assert pi.file.read_text() == SHIPPED.read_text()
