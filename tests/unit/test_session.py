"""The rules of tests/conftest.py, tried on sessions of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).parents[1] / "conftest.py"
RUN_TESTS = Path(__file__).parents[2] / "scripts/run-tests"


def session(
    folder: Path, tests: str, *options: str, no_skip: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run these tests under our rules."""
    lay_out(folder, tests)
    return run(
        folder,
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder)],
        RATWALL_NO_SKIP=no_skip,
    )


def lay_out(folder: Path, tests: str) -> None:
    shutil.copy(RULES, folder / "conftest.py")
    (folder / "pytest.ini").write_text("[pytest]\nfaulthandler_timeout = 60\n")
    (folder / "test_it.py").write_text(tests)


def run(folder: Path, argv: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command there, with these environment variables besides."""
    return subprocess.run(
        argv,
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def tried_again(folder: Path, tests: str, limit: str = "2") -> subprocess.CompletedProcess[str]:
    """Run these tests as CI does: so many failures are tried again."""
    lay_out(folder, tests)
    strict = {"RATWALL_NO_SKIP": "1", "RATWALL_TRY_AGAIN": limit}
    return run(folder, [str(RUN_TESTS)], PYTHON_BIN=sys.executable, **strict)


ONE_SKIPPED = """
import pytest

def test_runs(): pass

@pytest.mark.skipif(True, reason="no moon")
def test_at_night(): pass
"""
ALL_SKIPPED = "import pytest\npytest.skip('no moon', allow_module_level=True)\n"


@pytest.mark.parametrize("tests", [ONE_SKIPPED, ALL_SKIPPED], ids=["one test", "a whole file"])
def test_a_skip_fails_the_session_and_is_named_where_nothing_may_be_left_out(
    tmp_path: Path, tests: str
) -> None:
    strict = session(tmp_path, tests, no_skip="1")
    assert strict.returncode != 0
    assert "the session fails" in strict.stdout
    assert "no moon" in strict.stdout


def test_elsewhere_a_skip_is_allowed(tmp_path: Path) -> None:
    assert session(tmp_path, ONE_SKIPPED, no_skip="").returncode == 0


def test_nothing_skipped_nothing_said(tmp_path: Path) -> None:
    done = session(tmp_path, "def test_runs(): pass\n", no_skip="1")
    assert done.returncode == 0
    assert "RATWALL_NO_SKIP" not in done.stdout


HANGS = """
import pytest, threading

def wait_for_nobody():
    threading.Event().wait()

@pytest.fixture(scope="module")
def shared():
    wait_for_nobody()

def test_that_hangs(): wait_for_nobody()
def test_whose_shared_fixture_hangs(shared): pass
def test_that_comes_after(): pass
"""


def test_what_hangs_fails_with_its_stack_and_the_rest_goes_on(tmp_path: Path) -> None:
    done = session(tmp_path, HANGS, "-o", "test_seconds=0.3", no_skip="")
    assert "1 failed, 1 passed, 1 error" in done.stdout, done.stdout
    assert done.stdout.count("in wait_for_nobody") == 2, "the place is named"


UNSTEADY = """
from pathlib import Path

def test_runs(): pass

def test_that_fails_the_first_time():
    once = Path("once")
    if not once.exists():
        once.touch()
        assert False, "a bad moment"
"""
FAILS = "def test_fails(): assert False\n"


def test_what_fails_once_is_tried_again_alone_and_named(tmp_path: Path) -> None:
    done = tried_again(tmp_path, UNSTEADY)
    assert done.returncode == 0, done.stdout
    assert "a bad moment" in done.stdout, "the failure is shown all the same"
    said = done.stdout.splitlines()
    assert "UNSTEADY" in said[-2]
    assert said[-1] == "test_it.py::test_that_fails_the_first_time"


@pytest.mark.parametrize(
    ("tests", "limit"),
    [
        (UNSTEADY, "0"),
        (FAILS, "2"),
        (UNSTEADY + FAILS.replace("fails", "two") + FAILS.replace("fails", "three"), "2"),
        (UNSTEADY + "def test_breaks_off():\n    raise KeyboardInterrupt\n", "2"),
        (UNSTEADY + ONE_SKIPPED.replace("test_runs", "test_more"), "2"),
        ("import nothing_of_this_name\n", "2"),
    ],
    ids=["not asked for", "fails twice", "too many", "broken off", "left out", "unreadable"],
)
def test_all_else_is_final(tmp_path: Path, tests: str, limit: str) -> None:
    done = tried_again(tmp_path, tests, limit)
    assert done.returncode != 0, done.stdout
    assert "UNSTEADY" not in done.stdout
