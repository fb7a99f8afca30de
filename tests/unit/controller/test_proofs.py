"""The report and the kernel's proof of one connection, in either order."""

import pytest

from ratwall.controller import proofs
from ratwall.controller.proofs import WAIT_US, Proofs, Reported

CONNECTION = ("192.168.1.10", 50_000, "203.0.113.7", 6606)
REPORTED = Reported(flow_id=5, incident_id=2)


def test_the_report_comes_first() -> None:
    line = Proofs()
    assert not line.report(CONNECTION, REPORTED, now=1)
    assert line.prove(CONNECTION, now=2) == REPORTED


def test_the_proof_comes_first() -> None:
    line = Proofs()
    assert line.prove(CONNECTION, now=1) is None
    assert line.report(CONNECTION, REPORTED, now=2)


@pytest.mark.parametrize(("after", "fresh"), [(-1, True), (0, False), (1, False)])
def test_an_old_proof_is_of_another_life_of_the_same_ports(after: int, fresh: bool) -> None:
    line = Proofs()
    line.prove(CONNECTION, now=1)
    assert line.report(CONNECTION, REPORTED, now=1 + WAIT_US + after) is fresh


def test_a_proof_serves_one_report_only() -> None:
    line = Proofs()
    line.prove(CONNECTION, now=1)
    assert line.report(CONNECTION, REPORTED, now=2)
    assert not line.report(CONNECTION, REPORTED, now=3)


def test_an_ended_connection_is_forgotten() -> None:
    line = Proofs()
    line.report(CONNECTION, REPORTED, now=1)
    assert line.end(CONNECTION) == REPORTED
    assert line.end(CONNECTION) is None
    assert line.prove(CONNECTION, now=2) is None


def test_both_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "AT_HAND_LIMIT", 3)
    line = Proofs()
    for port in range(4):
        line.report(("c", port, "s", 1), Reported(port, None), now=1)
        line.prove(("c", 100 + port, "s", 1), now=1)
    assert line.prove(("c", 0, "s", 1), now=1) is None
    assert line.prove(("c", 1, "s", 1), now=1) == Reported(1, None)
    assert not line.report(("c", 101, "s", 1), REPORTED, now=1)  # two newer have come since
    assert line.report(("c", 103, "s", 1), REPORTED, now=1)
