"""Observation between kernel, reports and table, with plain memory in place of the kernel."""

import json
from collections.abc import Collection
from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP, TCP

from ratwall.controller.messages import FlowReport, parse_report
from ratwall.controller.observation import (
    EARLY_COPIES,
    EARLY_LIMIT,
    EARLY_US,
    READ_AGAIN_US,
    TOLD_US,
    Observation,
)
from ratwall.controller.proofs import Connection, Reported
from ratwall.controller.rhythms import Rhythms
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.kernel.nflog import Copy
from unit.controller.box import CLIENT, NOON, SERVER, report

WRITTEN = Reported(1, None)
ENDS: Connection = (CLIENT, 50_000, SERVER, 6606)
REMEMBERED = "198.51.100.66"
OLD: Connection = (CLIENT, 50_001, "198.51.100.1", 443)


class Kernel:
    """The conntrack table, and the copies that wait."""

    def __init__(self) -> None:
        self.classes: dict[Connection, FlowClass] = {}
        self.copies: list[Copy] = []
        self.overflows = self.lost = 0
        self.now = NOON

    def fileno(self) -> int:
        return 0

    def read(self) -> list[Copy]:
        copies, self.copies = self.copies, []
        return copies

    def dump(self) -> list[FlowEvent]:
        return [event(flow_class, ends) for ends, flow_class in self.classes.items()]

    def change(self, ends: Connection, before: Collection[FlowClass], after: FlowClass) -> bool:
        if self.classes.get(ends) not in before:
            return False
        self.classes[ends] = after
        return True


def event(flow_class: FlowClass, ends: Connection = ENDS, ended: bool = False) -> FlowEvent:
    source, destination = ip_address(ends[0]), ip_address(ends[2])
    return FlowEvent(ended, source, ends[1], destination, ends[3], flow_class, 0, 0)


def flow_report(**changes: object) -> FlowReport:
    parsed = parse_report(json.dumps(report(**changes)).encode())
    assert isinstance(parsed, FlowReport)
    return parsed


def copy(ends: Connection = ENDS, length: int = 500) -> Copy:
    segment = IP(src=ends[0], dst=ends[2]) / TCP(sport=ends[1], dport=ends[3]) / bytes(length)
    return Copy(NOON, bytes(segment)[:96])


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture
def observation(kernel: Kernel) -> Observation:
    return make(kernel)


def make(kernel: Kernel, capacity: int = 9, seen: bool = True) -> Observation:
    return Observation(
        capacity,
        kernel,
        kernel,
        kernel.dump,
        lambda server: seen,
        lambda server, port: server == REMEMBERED,
        lambda: kernel.now,
    )


def test_a_copy_is_counted_by_what_the_segment_held(
    kernel: Kernel, observation: Observation
) -> None:
    kernel.copies = [copy(length=500), Copy(0, copy(length=20).datagram), Copy(NOON, b"\x45")]
    observation.take_copies()
    (flow,) = observation.listing(9)
    assert (flow["copies"], flow["bytes"], flow["last"]) == (2, 520, NOON)
    assert observation.facts()["copies"] == 3


def test_what_has_to_leave_is_copied_no_longer(kernel: Kernel) -> None:
    observation = make(kernel, capacity=1)
    kernel.classes = {ENDS: FlowClass.OBSERVED, OLD: FlowClass.OBSERVED}
    kernel.copies = [copy(OLD)]
    observation.take_copies()
    observation.take_report(flow_report(**{"class": "observed"}), WRITTEN)
    assert kernel.classes == {ENDS: FlowClass.OBSERVED, OLD: FlowClass.EVICTED}
    assert observation.facts()["evicted"] == 1


@pytest.mark.parametrize("told", [True, False])
def test_in_a_full_table_a_copy_waits_for_the_report_of_its_connection(
    kernel: Kernel, told: bool
) -> None:
    """Else the most suspicious newcomer would be the first to leave, and be copied no more."""
    observation = make(kernel, capacity=1)
    kernel.classes = {ENDS: FlowClass.OBSERVED, OLD: FlowClass.OBSERVED}
    old = flow_report(**{"class": "observed", "client_port": OLD[1], "server": OLD[2]})
    observation.take_report(replace(old, server_port=OLD[3]), WRITTEN)
    kernel.copies = [copy(), copy()]
    observation.take_copies()
    observation.tick(kernel.now + EARLY_US - 1)
    assert kernel.classes == {ENDS: FlowClass.OBSERVED, OLD: FlowClass.OBSERVED}
    if told:
        observation.take_report(flow_report(**{"class": "observed"}), WRITTEN)
    observation.tick(kernel.now + EARLY_US)
    gone, stays = (OLD, ENDS) if told else (ENDS, OLD)
    assert kernel.classes == {stays: FlowClass.OBSERVED, gone: FlowClass.EVICTED}
    (flow,) = observation.listing(9)
    assert (flow["client_port"], flow["copies"]) == (stays[1], 2 if told else 0)


def test_copies_that_wait_are_bounded_and_leave_with_their_connection(kernel: Kernel) -> None:
    observation = make(kernel, capacity=1)
    kernel.copies = [copy(OLD)]
    observation.take_copies()
    for port in range(EARLY_LIMIT + 1):
        kernel.copies = [copy((CLIENT, port, SERVER, 443))] * (EARLY_COPIES + 1)
        observation.take_copies()
    assert len(observation._early) == EARLY_LIMIT
    assert {len(copies) for _, copies in observation._early.values()} == {EARLY_COPIES}
    observation.take_event(event(FlowClass.NONE, (CLIENT, EARLY_LIMIT, SERVER, 443), ended=True))
    assert len(observation._early) == EARLY_LIMIT - 1


def test_nobody_listens_to_what_had_to_leave_at_once(kernel: Kernel) -> None:
    """A flood of connections, ended unheard, would fill the memory with their beats."""
    observation = make(kernel, capacity=2)
    observation.rhythms = rhythms = Rhythms(lambda server: None, lambda finding: None)
    for number, score in enumerate((59, 58, 3, 2, 1)):
        ends = {"client_port": 50_000 + number, "score": score}
        observation.take_report(flow_report(**{"class": "observed", **ends}), WRITTEN)
    assert len(rhythms) == 2


def test_nobody_listens_to_what_waits_for_its_class_and_has_ended(kernel: Kernel) -> None:
    observation = make(kernel, seen=False)
    observation.rhythms = rhythms = Rhythms(lambda server: None, lambda finding: None)
    observation.take_report(flow_report(**{"class": "clean", "verdict": "clean"}), WRITTEN)
    observation.take_table({ENDS})
    assert len(rhythms) == 1
    observation.take_table(set())
    assert len(rhythms) == 0


def test_a_connection_that_was_cut_meanwhile_stays_cut(kernel: Kernel) -> None:
    observation = make(kernel, capacity=1)
    kernel.classes = {ENDS: FlowClass.OBSERVED, OLD: FlowClass.BLOCK}
    kernel.copies = [copy(OLD)]
    observation.take_copies()
    observation.take_report(flow_report(**{"class": "observed"}), WRITTEN)
    assert kernel.classes[OLD] is FlowClass.BLOCK
    assert observation.facts()["evicted"] == 0


@pytest.mark.parametrize("in_time", [True, False])
def test_a_clean_connection_with_an_unseen_server_is_observed(
    kernel: Kernel, in_time: bool
) -> None:
    observation = make(kernel, seen=False)
    kernel.classes = {ENDS: FlowClass.CLEAN if in_time else FlowClass.WATCH}
    observation.take_report(flow_report(**{"class": "clean", "verdict": "clean"}), WRITTEN)
    if not in_time:
        assert observation.listing(9) == []
        kernel.classes[ENDS] = FlowClass.CLEAN
        observation.take_event(event(FlowClass.CLEAN))
    assert kernel.classes[ENDS] is FlowClass.OBSERVED
    (flow,) = observation.listing(9)
    assert flow["reasons"] == ["server never seen before"]

    kernel.classes[OLD] = FlowClass.CLEAN
    again = flow_report(**{"class": "clean", "verdict": "clean", "client_port": 50_002})
    observation.take_report(again, WRITTEN)
    assert len(observation.listing(9)) == 1, "the second time the server is known"


def test_a_clean_connection_with_a_known_server_is_left_alone(
    kernel: Kernel, observation: Observation
) -> None:
    kernel.classes = {ENDS: FlowClass.CLEAN}
    observation.take_report(flow_report(**{"class": "clean", "verdict": "clean"}), WRITTEN)
    assert kernel.classes == {ENDS: FlowClass.CLEAN}


@pytest.mark.parametrize("ends", [ENDS, (*ENDS[2:], *ENDS[:2])])
@pytest.mark.parametrize(("flow_class", "ended"), [("BLOCK", False), ("OBSERVED", True)])
def test_what_ended_or_got_another_class_is_observed_no_longer(
    observation: Observation, ends: Connection, flow_class: str, ended: bool
) -> None:
    observation.take_report(flow_report(**{"class": "observed"}), WRITTEN)
    observation.take_event(event(FlowClass.OBSERVED, ends))
    assert len(observation.listing(9)) == 1
    observation.take_event(event(FlowClass[flow_class], ends, ended))
    assert observation.listing(9) == []


def test_what_passed_uninspected_is_read_again_when_the_cause_is_gone(
    kernel: Kernel, observation: Observation
) -> None:
    known: Connection = (REMEMBERED, 6606, CLIENT, 50_009)  # picked up while the server spoke
    kernel.classes = dict.fromkeys((OLD, known), FlowClass.OBSERVED)
    kernel.classes[ENDS] = FlowClass.UNINSPECTED
    observation.follow(inspected=False)
    assert kernel.classes[ENDS] is FlowClass.UNINSPECTED, "nobody could read it"
    observation.follow(inspected=True)
    kernel.now += TOLD_US - 1
    observation.take_event(event(FlowClass.UNINSPECTED))
    assert kernel.classes[known] is FlowClass.OBSERVED, "it is not told of the memory yet"
    kernel.now += 1
    observation.follow(inspected=True)
    assert kernel.classes == {
        ENDS: FlowClass.NONE,
        known: FlowClass.NONE,
        OLD: FlowClass.OBSERVED,
    }

    kernel.classes[ENDS] = FlowClass.UNINSPECTED
    observation.take_event(event(FlowClass.UNINSPECTED))
    kernel.now += READ_AGAIN_US - 1
    observation.follow(inspected=True)
    assert kernel.classes[ENDS] is FlowClass.UNINSPECTED, "the queue may be overflowing still"
    kernel.now += 1
    observation.follow(inspected=True)
    assert kernel.classes[ENDS] is FlowClass.NONE


def test_what_ended_unheard_is_observed_no_longer(observation: Observation) -> None:
    for port in (50_000, 50_001):
        told = {"class": "observed", "client_port": port}
        observation.take_report(flow_report(**told), WRITTEN)
    runs = (CLIENT, 50_001, SERVER, 6606)
    observation.take_table({runs, (*runs[2:], *runs[:2])})
    assert [flow["client_port"] for flow in observation.listing(9)] == [50_001]
