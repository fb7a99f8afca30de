"""What counters and ports say of the links: each finding at its limit, none without a reason."""

import pytest

from ratwall.kernel import passing
from ratwall.kernel.links_report import ONE_WAY_PACKETS, PASSED, findings, passed

QUIET = {"uninspected_packets": 0, "refused_packets": 3}


def ids(counters: dict[str, int]) -> list[str]:
    return [finding.id for finding in findings(counters)]


def test_every_kind_is_counted_by_a_rule() -> None:
    counters = {*passing.INET_COUNTERS, *passing.BRIDGE_COUNTERS}
    assert {f"passed_{kind}" for kind in PASSED} <= counters


def test_what_passed_is_listed_by_kind() -> None:
    counted = passed({"passed_quic_packets": 7, "passed_local_packets": 1, "refused_packets": 3})
    assert counted == {"quic": 7, "inbound": 0, "local": 1, "one_way": 0, "stacked": 0}
    assert set(passed({}).values()) == {0}, "before the kernel was asked"


def test_an_ordinary_office_gives_no_finding() -> None:
    assert ids(QUIET) == []
    assert ids({}) == [], "nor a box that is not inline"


@pytest.mark.parametrize("counter", ["tagged", "stacked"])
@pytest.mark.parametrize("frames", [0, 1])
def test_tags_are_told_of_from_the_first(counter: str, frames: int) -> None:
    name = "tagged_packets" if counter == "tagged" else "passed_stacked_packets"
    assert ids({**QUIET, name: frames}) == [f"links.{counter}"] * frames


@pytest.mark.parametrize(("packets", "told"), [(-1, False), (0, True), (1, True)])
def test_half_connections_are_told_of_when_they_are_many(packets: int, told: bool) -> None:
    counters = {"passed_one_way_packets": ONE_WAY_PACKETS + packets}
    assert ("links.one_way" in ids(counters)) == told
