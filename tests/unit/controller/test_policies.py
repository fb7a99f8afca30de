"""Remote-support relays: told, unless they are the office's own, and never taken for malware."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from ratwall.controller.policies import RELAY_PORT, TOLD_US, WAIT_US, RelayWatch
from ratwall.controller.proofs import Reported
from ratwall.kernel.conntrack import FlowEvent
from ratwall.kernel.marks import FlowClass
from ratwall.settings.schema import Policy
from ratwall.verdict.finding import Finding
from ratwall.verdict.judge import Thresholds, Verdict, weigh
from unit.controller.box import CLIENT, NOON, SERVER
from unit.controller.test_observation import flow_report

EVENT = FlowEvent(
    False, ip_address(CLIENT), 50_000, ip_address(SERVER), RELAY_PORT, FlowClass.WATCH, 200, 0
)


class Office:
    """A watch for relays, and what it found."""

    def __init__(self) -> None:
        self.now = NOON
        self.policy = Policy()
        self.names: dict[str, tuple[str, ...]] = {}
        self.found: list[Finding] = []
        self.watch = RelayWatch(
            lambda server: self.names.get(server, ()),
            lambda: self.policy,
            self.found.append,
            lambda: self.now,
        )

    def passes(self, microseconds: int) -> None:
        self.now += microseconds
        self.watch.tick(self.now)


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.mark.parametrize(("waited", "told"), [(WAIT_US - 1, 0), (WAIT_US, 1)])
def test_a_relay_is_an_alert_and_names_no_family(office: Office, waited: int, told: int) -> None:
    office.watch.take_event(EVENT)
    office.passes(waited)
    assert len(office.found) == told
    for finding in office.found:
        judged = weigh(finding.evidence, Thresholds())
        assert (judged.verdict, judged.family) == (Verdict.ALERT, None)
        assert (finding.server, finding.server_port) == (SERVER, RELAY_PORT)


def test_the_vendors_relays_are_known_by_name_on_any_port(office: Office) -> None:
    office.names[SERVER] = ("instance-a1b2c3-relay.screenconnect.com",)
    office.watch.take_event(replace(EVENT, destination_port=443))
    office.passes(WAIT_US)
    assert office.found[0].server_port == 443


@pytest.mark.parametrize(
    "event",
    [
        replace(EVENT, destination_port=8042),
        replace(EVENT, flow_class=FlowClass.OBSERVED),
        replace(EVENT, flow_class=FlowClass.EXEMPT),
    ],
    ids=["another port", "let go at once, as HTTP is", "allowed"],
)
def test_what_is_no_relay_is_left_alone(office: Office, event: FlowEvent) -> None:
    office.watch.take_event(event)
    office.passes(WAIT_US)
    assert office.found == []


def test_tls_on_the_port_is_no_relay(office: Office) -> None:
    office.watch.take_event(EVENT)
    office.watch.take_report(flow_report(server_port=RELAY_PORT), Reported(1, None))
    office.passes(WAIT_US)
    assert office.found == []


@pytest.mark.parametrize("own", [SERVER, "relay.office.example"])
def test_ones_own_relay_is_not_told_of(office: Office, own: str) -> None:
    office.names[SERVER] = ("relay.office.example",)
    office.policy = Policy(screenconnect_relays=(own,))
    office.watch.take_event(EVENT)
    office.passes(WAIT_US)
    assert office.found == []


def test_it_is_told_once_a_day(office: Office) -> None:
    for _ in range(3):
        office.watch.take_event(EVENT)
        office.passes(WAIT_US)
    assert len(office.found) == 1
    office.now += TOLD_US
    office.watch.take_event(EVENT)
    office.passes(WAIT_US)
    assert len(office.found) == 2
