"""What passes is told together, and the controller reads the same reports as one by one."""

from dataclasses import replace
from typing import Any

from ratwall.controller.messages import FlowReport, parse_report, parse_reports
from ratwall.reports.gathering import GATHER_SECONDS, TOGETHER_LIMIT, Gathering, encode
from unit.controller.box import clean

MAC = "02:00:00:00:00:02"
WORKER = 3


def flows(messages: list[bytes]) -> list[FlowReport]:
    found = []
    for message in messages:
        told = parse_reports(message)
        assert isinstance(told, list)
        found += told
    return found


def single(report: dict[str, Any]) -> FlowReport:
    told = parse_report(encode({**report, "worker": WORKER}))
    assert isinstance(told, FlowReport)
    return told


def test_connections_of_one_kind_are_lines_behind_their_pattern() -> None:
    gathering, pattern, other = Gathering(WORKER), clean(), clean(sni="other.example")
    gathering.add(pattern, 0.0)
    gathering.add_like(pattern, ("192.168.1.11", 50_001, MAC, 7), 0.01)
    gathering.add(other, 0.02)
    gathering.add_like(pattern, ("192.168.1.12", 50_002, None, 8), 0.03)
    messages = gathering.take()
    assert len(messages) == 3
    first = single(pattern)
    assert flows(messages) == [
        first,
        replace(first, client="192.168.1.11", client_port=50_001, mac=MAC, start=7),
        replace(first, client="192.168.1.12", client_port=50_002, mac=None, start=8),
        single(other),
    ]
    assert gathering.take() == []


def test_what_waits_is_due_after_a_moment_or_when_it_is_much() -> None:
    gathering, pattern = Gathering(WORKER), clean()
    assert not gathering.due(1e9)
    gathering.add(pattern, 5.0)
    assert gathering.waiting
    assert not gathering.due(5.0 + GATHER_SECONDS - 0.001)
    assert gathering.due(5.0 + GATHER_SECONDS)
    for number in range(TOGETHER_LIMIT - 1):
        assert not gathering.due(5.0)
        gathering.add_like(pattern, ("192.168.1.11", number, None, 7), 5.0)
    assert gathering.due(5.0)
    gathering.take()
    assert not gathering.due(1e9)


def test_no_message_grows_beyond_what_the_controller_takes() -> None:
    gathering, pattern = Gathering(WORKER), clean()
    for number in range(2 * TOGETHER_LIMIT + 1):
        gathering.add_like(pattern, ("192.168.1.11", number, None, 7), 0.0)
    messages = gathering.take()
    assert [message.count(b"\n") for message in messages] == [TOGETHER_LIMIT, TOGETHER_LIMIT, 1]
    assert [flow.client_port for flow in flows(messages)] == list(range(2 * TOGETHER_LIMIT + 1))


def test_a_message_stands_for_itself() -> None:
    """One that is lost must not make the next unreadable."""
    gathering, pattern = Gathering(WORKER), clean()
    heads = []
    for number in range(2):
        gathering.add_like(pattern, ("192.168.1.11", number, None, 7), 0.0)
        (message,) = gathering.take()
        heads.append(message.split(b"\n")[0])
        assert [flow.client_port for flow in flows([message])] == [number]
    assert heads[0] == heads[1]  # the controller knows it again by its bytes
