"""What the controller tells an inspector that is told nowhere else."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ratwall.inspector.process import Process
from ratwall.verdict.judge import Judgement, Verdict
from ratwall.verdict.memory import VerdictMemory

SERVER = bytes((203, 0, 113, 7))
NOON = 1_750_000_000_000_000
YEAR = 365 * 86_400 * 1_000_000


def obey(memory: VerdictMemory, message: dict[str, Any]) -> None:
    """Have a process without a queue obey: of it an instruction on the memory needs only that."""
    Process._obey(cast(Process, SimpleNamespace(_memory=memory)), message)


@pytest.fixture
def memory() -> VerdictMemory:
    memory = VerdictMemory()
    memory.learn(SERVER, 6606, Judgement(Verdict.BLOCK, 100, "AsyncRAT", ()), "ab" * 32, NOON)
    return memory


@pytest.mark.parametrize("by", [YEAR, -YEAR])
def test_the_memory_is_as_old_as_before_when_the_clock_is_set(
    memory: VerdictMemory, by: int
) -> None:
    obey(memory, {"type": "clock", "by": by, "since": NOON - 1, "until": NOON})
    assert [entry.learned for entry in memory.entries()] == [NOON + by]
    assert memory.recall(SERVER, 6606, resumed=True, has_sni=False, now=NOON + by) is not None


@pytest.mark.parametrize(
    "message",
    [
        {"type": "clock"},
        {"type": "clock", "by": "x", "since": 0, "until": NOON},
        {"type": "clock", "by": 5, "since": None, "until": NOON},
    ],
)
def test_what_cannot_be_read_changes_nothing(
    memory: VerdictMemory, message: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    obey(memory, message)
    assert [entry.learned for entry in memory.entries()] == [NOON]
    assert "unreadable instruction" in caplog.text
