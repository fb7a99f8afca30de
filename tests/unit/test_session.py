"""The rules of tests/conftest.py, tried on sessions of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RULES = Path(__file__).parents[1] / "conftest.py"


def session(
    folder: Path, tests: str, *options: str, no_skip: str
) -> subprocess.CompletedProcess[str]:
    """Run these tests under our rules."""
    shutil.copy(RULES, folder / "conftest.py")
    (folder / "pytest.ini").write_text("[pytest]\nfaulthandler_timeout = 60\n")
    (folder / "test_it.py").write_text(tests)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, str(folder)],
        env={**os.environ, "RATWALL_NO_SKIP": no_skip},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


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
