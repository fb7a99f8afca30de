"""The guard: kills who does not feed, leaves the others alone, cleans up when it is deserted."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.kernel.undo import Undo
from ratwall.supervisor.children import Child
from ratwall.supervisor.guard import WATCHDOG_SECONDS
from ratwall.supervisor.guarding import Guarding

# Feeds every 0.1 s for as long as its input says so; then it is silent but alive.
FEEDER = """
import os, select, socket, sys, time
from ratwall.inspector.heartbeat import Heartbeat
heart = Heartbeat()
heart.ready()
print("ready", flush=True)
while {condition}:
    heart.beat(time.monotonic())
    time.sleep(0.05)
{farewell}
time.sleep(60)
"""


class Post:
    """A guard at work, as the supervisor starts it."""

    def __init__(self, folder: Path) -> None:
        self.guarding = Guarding(folder / "undo.jsonl")
        self.children: list[Child] = []
        self.guard = self.start(self.guarding.guard())

    def start(self, child: Child) -> Child:
        child.start(time.monotonic())
        self.children.append(child)
        while not child.ready:
            assert child.read() is not None
        return child

    def feeder(self, condition: str, farewell: str = "") -> Child:
        program = FEEDER.format(condition=condition, farewell=farewell)
        child = Child(
            "the feeder",
            [sys.executable, "-c", program],
            environment=self.guarding.environment,
            watchdog=True,
        )
        child.start(time.monotonic())
        self.children.append(child)
        self.guarding.hand_over(child)
        while not child.ready:
            assert child.read() is not None
        return child

    def close(self) -> None:
        self.guarding.leave()
        for child in self.children:
            if child is not self.guard:
                child.terminate()
            child.finish()


@pytest.fixture
def post(tmp_path: Path) -> Iterator[Post]:
    post = Post(tmp_path)
    yield post
    post.close()


def lives(child: Child, seconds: float) -> bool:
    """Say whether a process is alive after so long (its output ends with it)."""
    return not select.select([child], [], [], seconds)[0]


def test_who_feeds_lives_and_who_stops_is_killed_after_a_second(post: Post) -> None:
    faithful = post.feeder("True")
    silent = post.feeder("False")
    begun = time.monotonic()
    assert not lives(silent, 10.0)
    assert time.monotonic() - begun > WATCHDOG_SECONDS / 2, "not before its time"
    assert silent.reap(time.monotonic()) == "was ended by SIGKILL"
    assert lives(faithful, 0.5)


def test_a_stopped_process_is_killed_too(post: Post) -> None:
    child = post.feeder("True")
    assert child.pid is not None
    os.kill(child.pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert not lives(child, 10.0)
    assert time.monotonic() - begun < 4 * WATCHDOG_SECONDS, "1 s, and patience with the machine"


def test_who_says_that_it_ends_may_take_its_time(post: Post) -> None:
    child = post.feeder("False", farewell="heart.stopping()")
    assert lives(child, 2 * WATCHDOG_SECONDS)


SUPERVISOR = """
import sys, time
from pathlib import Path
from ratwall.kernel.undo import Undo
from ratwall.supervisor.children import Child
from ratwall.supervisor.guarding import Guarding
guarding = Guarding(Path(sys.argv[1]))
undo = Undo(guarding.journal)
undo.add("sysctl", "net/netfilter/nf_conntrack_nonsense", "1")
guard = guarding.guard()
guard.start(time.monotonic())
orphan = Child("orphan", [sys.executable, "-c", {orphan!r}])
orphan.start(time.monotonic())
for child in (guard, orphan):
    while not child.ready:
        child.read()
guarding.hand_over(orphan)
print(orphan.pid, flush=True)
time.sleep(60)
"""
STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True);"
    "time.sleep(60)"
)


def test_after_a_kill_of_the_supervisor_the_journal_is_obeyed_and_orphans_end(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "undo.jsonl"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR.format(orphan=STUBBORN), str(journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None and supervisor.stderr is not None
    orphan = os.pidfd_open(int(supervisor.stdout.readline()))
    assert journal.exists()
    supervisor.kill()
    killed = time.monotonic()
    assert select.select([orphan], [], [], 10.0)[0], "the orphan lives"
    os.close(orphan)
    said = supervisor.stderr.read()  # ends when the guard does
    assert time.monotonic() - killed < 5.0
    assert not journal.exists()
    assert "the supervisor was killed" in said
    assert "could not undo sysctl" in said, "it tried, and told"
    supervisor.wait()
    supervisor.stdout.close()
    supervisor.stderr.close()


def test_after_an_orderly_end_the_guard_leaves_without_a_word(tmp_path: Path) -> None:
    post = Post(tmp_path)
    undo = Undo(post.guarding.journal)
    undo.add("bridge")
    undo.restore()
    post.guarding.leave()
    assert post.guard.finish() == 0
    post.children.remove(post.guard)


def test_a_restarted_guard_takes_up_where_the_other_was(post: Post) -> None:
    child = post.feeder("True")
    assert post.guard.pid is not None
    os.kill(post.guard.pid, signal.SIGKILL)
    while post.guard.read() is not None:
        pass
    assert post.guard.reap(time.monotonic()) == "was ended by SIGKILL"
    post.start(post.guard)
    post.guarding.hand_over(child)
    assert child.pid is not None
    assert lives(child, 1.5 * WATCHDOG_SECONDS)
    os.kill(child.pid, signal.SIGSTOP)
    assert not lives(child, 40.0)
