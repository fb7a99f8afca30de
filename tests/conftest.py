"""What holds for every test: none may hang, and where RATWALL_NO_SKIP=1 none may be left out.

A skip is a courtesy to whoever works without root or without the corpus. In CI it would be a hole
that nobody sees: there the session fails and lists the reasons.
"""

import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

# The longest step (judging the whole corpus, on two busy cores) needs a quarter of it.
TEST_SECONDS = "240"
# When what cleans up after the interruption hangs as well, it is interrupted in its turn.
AGAIN_SECONDS = 30.0
# Exit code of a session that left a test out where it may not; none of pytest's own (0 to 5).
LEFT_OUT = 10

_skipped = pytest.StashKey[dict[str, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("test_seconds", "the longest a test's set-up, call or end may take", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_skipped] = {}
    config.pluginmanager.register(_SkipWatch(config.stash[_skipped]))


@contextmanager
def _limited(item: pytest.Item) -> Iterator[None]:
    """Fail the step at hand, with the stack where it hangs, when its time is over."""
    seconds = float(item.config.getini("test_seconds") or TEST_SECONDS)

    def interrupt(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"still not done after {seconds:.0f} s; it hangs where this trace ends")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of the test's own that other users may enter, as they may a state directory.

    Pytest's own are closed, and shared with other tests: their rights are not a test's to change.
    """
    with tempfile.TemporaryDirectory(prefix="ratwall-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


# Around each step and not in a fixture: a fixture that serves many tests is set up before any that
# could watch it.
@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with _limited(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with _limited(item):
        return (yield)


class _SkipWatch:
    """Notes what was left out, and why."""

    def __init__(self, skipped: dict[str, str]) -> None:
        self._skipped = skipped

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "no reason given"
            self._skipped[report.nodeid] = reason


def _forbidden(config: pytest.Config) -> dict[str, str]:
    """What was left out although nothing may be, by test."""
    return config.stash[_skipped] if os.environ.get("RATWALL_NO_SKIP") == "1" else {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _forbidden(session.config):
        session.exitstatus = LEFT_OUT


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    skipped = _forbidden(config)
    if skipped:
        terminalreporter.section("skipped although RATWALL_NO_SKIP=1: the session fails", red=True)
        for test, reason in skipped.items():
            terminalreporter.line(f"{test}: {reason}")
