"""Where the controller knocks for a self-test: who may, one at a time, nothing left at the end."""

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.controller.sockets import SELFTEST_BEGUN
from ratwall.supervisor.testing import BUSY, SelfTester

WAIT_SECONDS = 20.0
# Stands in for the self-test, which needs a box around it: says that it runs, and waits.
STAND_IN = "import sys, time; open(sys.argv[1], 'a').write('ran '); time.sleep(float(sys.argv[2]))"


def made_in(folder: Path, seconds: float) -> SelfTester:
    argv = [sys.executable, "-c", STAND_IN, str(folder / "ran"), str(seconds)]
    return SelfTester(folder / "door", None, argv)


@pytest.fixture
def tester(tmp_path: Path) -> Iterator[SelfTester]:
    tester = made_in(tmp_path, 60)
    yield tester
    tester.close()


def knock(tester: SelfTester, folder: Path) -> bytes:
    """Knock as the controller does, and have the supervisor's loop answer."""
    with socket.socket(socket.AF_UNIX) as visitor, selectors.DefaultSelector() as selector:
        visitor.settimeout(WAIT_SECONDS)
        visitor.connect(str(folder / "door"))
        selector.register(tester, selectors.EVENT_READ)
        assert selector.select(WAIT_SECONDS)
        tester.accept()
        return visitor.recv(64)


def ran(folder: Path) -> str:
    path = folder / "ran"
    return path.read_text() if path.exists() else ""


def wait_until_ran(folder: Path, times: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while ran(folder).count("ran") < times:
        assert time.monotonic() < deadline, "the test was not begun"
        time.sleep(0.02)


def test_one_test_at_a_time_and_none_survives_the_supervisor(
    tmp_path: Path,
) -> None:
    tester = made_in(tmp_path, 60)
    assert knock(tester, tmp_path) == SELFTEST_BEGUN
    assert knock(tester, tmp_path) == BUSY
    wait_until_ran(tmp_path, 1)
    process = tester._process
    assert process is not None and process.poll() is None
    tester.close()
    assert process.poll() is not None
    assert not (tmp_path / "door").exists()


def test_when_one_is_over_the_next_is_begun(tmp_path: Path) -> None:
    tester = made_in(tmp_path, 0)
    try:
        assert knock(tester, tmp_path) == SELFTEST_BEGUN
        assert tester._process is not None
        tester._process.wait(WAIT_SECONDS)
        assert knock(tester, tmp_path) == SELFTEST_BEGUN
        wait_until_ran(tmp_path, 2)
    finally:
        tester.close()


@pytest.mark.root
def test_a_stranger_begins_nothing(tester: SelfTester, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):  # pytest's own, closed to others
        folder.chmod(0o755)
    (tmp_path / "door").chmod(0o666)  # as if its rights had been given away
    script = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(64))"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "door")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as stranger:
        with selectors.DefaultSelector() as selector:
            selector.register(tester, selectors.EVENT_READ)
            assert selector.select(WAIT_SECONDS)
        tester.accept()
        assert stranger.communicate(timeout=WAIT_SECONDS)[0] == "b''\n"
    assert tester._process is None and ran(tmp_path) == ""


def test_the_supervisor_carries_nothing_of_the_ledger() -> None:
    """It stays as long as the box runs: what it imports by mistake is memory for good."""
    asked = "import sys, ratwall.supervisor.run; print('peewee' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", asked], stdout=subprocess.PIPE, check=True)
    assert found.stdout == b"False\n"
