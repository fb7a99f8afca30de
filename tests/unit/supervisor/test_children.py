"""A supervised process: ready when it says so, told apart how it ended, restarted with patience."""

import sys
import time

import pytest

from ratwall.supervisor.children import FIRST_DELAY, LONGEST_DELAY, STEADY_SECONDS, Child


def python(program: str) -> Child:
    return Child("the child", [sys.executable, "-u", "-c", program])


def read_to_end(child: Child) -> list[str]:
    lines: list[str] = []
    while (new := child.read()) is not None:
        lines += new
    return lines


def test_it_is_ready_once_it_says_so() -> None:
    child = python("print('setting up'); print('ready https://'); print('more')")
    child.start(0.0)
    assert not child.ready
    assert read_to_end(child) == ["setting up", "ready https://", "more"]
    assert child.ready
    assert child.reap(1.0) == "ended with code 0"
    assert child.pid is None


def test_a_signal_is_named() -> None:
    child = python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    child.start(0.0)
    read_to_end(child)
    assert child.reap(1.0) == "was ended by SIGKILL"


def test_a_child_that_keeps_dying_waits_longer_each_time_up_to_a_limit() -> None:
    child = python("")
    delays = []
    for _ in range(12):
        child.start(0.0)
        read_to_end(child)
        child.reap(1.0)
        assert child.restart_at is not None
        delays.append(round(child.restart_at - 1.0, 3))
    assert delays[0] == FIRST_DELAY
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY

    child.start(0.0)
    read_to_end(child)
    child.reap(STEADY_SECONDS + 1)
    assert child.restart_at == STEADY_SECONDS + 1 + FIRST_DELAY, "a long run makes up for it"


def test_a_child_that_will_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ratwall.supervisor.children.END_SECONDS", 0.3)
    child = python(
        "import signal; signal.signal(15, signal.SIG_IGN); print('ready'); signal.pause()"
    )
    child.start(0.0)
    while not child.ready:
        child.read()
    started = time.monotonic()
    child.terminate()
    assert child.finish() == -9
    assert 0.3 <= time.monotonic() - started < 8


def test_a_hang_up_is_answered_with_ready_and_not_sent_before_it() -> None:
    child = python(
        "import signal, time\n"
        "heard = []\n"
        "time.sleep(0.1)\n"
        "signal.signal(signal.SIGHUP, lambda number, _: heard.append(number))\n"
        "print('ready')\n"
        "while not heard: time.sleep(0.01)\n"
        "print('ready again')\n"
    )
    child.start(time.monotonic())
    child.hang_up()  # would end it: the handler is not there yet
    while not child.ready:
        assert child.read() is not None
    child.hang_up()
    assert not child.ready
    assert read_to_end(child) == ["ready again"]
    assert child.ready
    assert child.reap(time.monotonic()) == "ended with code 0"
