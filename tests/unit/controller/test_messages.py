"""What sockets bring: every key has a type and a limit, and the rest is one line of refusal."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from ratwall.controller.messages import (
    DER_LIMIT,
    EVIDENCE_LIMIT,
    LINES_LIMIT,
    TEXT_LIMIT,
    FlowReport,
    MessageError,
    StatusReport,
    parse_object,
    parse_report,
    parse_reports,
)
from unit.controller.box import report


def parsed(message: dict[str, Any]) -> FlowReport | StatusReport:
    return parse_report(json.dumps(message).encode())


def refusal(message: dict[str, Any]) -> str:
    with pytest.raises(MessageError) as refused:
        parsed(message)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_a_flow_report_comes_through_whole() -> None:
    flow = parsed(report(mac="02:00:00:00:00:AB", server="2001:DB8:0:0::7"))
    assert isinstance(flow, FlowReport)
    assert flow.start == 1_750_000_000_000_001  # to the microsecond
    assert flow.mac == "02:00:00:00:00:ab"
    assert flow.server == "2001:db8::7"
    assert flow.der == b"0\0"
    assert flow.certificate is not None
    assert flow.certificate["subject"] == "CN=AsyncRAT Server"
    assert flow.evidence[0]["points"] == 95


def test_a_status_report_keeps_only_the_counters_that_are_known() -> None:
    status = parsed({"type": "status", "worker": 3, "pid": 77, "queued": 5, "colour": "red"})
    assert isinstance(status, StatusReport)
    assert status.counters["queued"] == 5
    assert status.counters["flows"] == 0
    assert "colour" not in status.counters


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "gossip"}, "type: expected one of flow, status"),
        ({"worker": -1}, "worker: expected an integer from 0 to 63, found -1"),
        ({"worker": 64}, "worker: expected an integer"),
        ({"worker": True}, "worker: expected an integer"),
        ({"class": "odd"}, "class: expected one of"),
        ({"verdict": ["block"]}, "verdict: expected one of"),
        ({"enforced": 1}, "enforced: expected true or false, found 1"),
        ({"client": "192.168.1.256"}, "client: expected an IPv4 or IPv6 address"),
        ({"server": "fe80::1%eth0"}, "server: expected an IPv4 or IPv6 address"),
        ({"server": 3405803783}, "server: expected an IPv4 or IPv6 address"),
        ({"server_port": 65_536}, "server_port: expected an integer from 0 to 65535"),
        ({"score": 101}, "score: expected an integer from 0 to 100"),
        ({"mac": "02:00:00:00:00"}, "mac: expected six bytes"),
        ({"mac": "0200:0000:0001"}, "mac: expected six bytes"),
        ({"start": "yesterday"}, "start: expected a time"),
        ({"start": "2025-06-15T15:06:40"}, "start: expected a time"),  # without a zone
        ({"start": "0001-01-01T00:00:00+00:00"}, "start: expected a time"),
        ({"der": "%%%"}, "der: expected base64"),
        ({"certificate": []}, "certificate: expected an object"),
        ({"certificate": {"subject": 1}}, "certificate: subject: expected text"),
        ({"evidence": None}, "evidence: expected a list"),
        ({"evidence": ["x"]}, "evidence: expected objects"),
        ({"evidence": [{"id": "x", "text": "y", "points": 1001}]}, "points: expected an integer"),
    ],
)
def test_what_is_not_agreed_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(report(**changes))


def test_a_missing_key_is_refused() -> None:
    message = report()
    del message["resumed"]
    assert "resumed: expected true or false, found null" in refusal(message)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"7", b"[]", b'"x"'])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(MessageError):
        parse_report(raw)
    with pytest.raises(MessageError):
        parse_object(raw, "request")


def test_text_limit() -> None:
    for length in (TEXT_LIMIT - 1, TEXT_LIMIT):
        flow = parsed(report(sni="x" * length))
        assert isinstance(flow, FlowReport)
        assert flow.sni == "x" * length
    assert "sni: expected text" in refusal(report(sni="x" * (TEXT_LIMIT + 1)))


def test_der_limit() -> None:
    for length in (DER_LIMIT - 1, DER_LIMIT):
        flow = parsed(report(der=base64.b64encode(bytes(length)).decode()))
        assert isinstance(flow, FlowReport)
        assert flow.der == bytes(length)
    too_long = base64.b64encode(bytes(DER_LIMIT + 1)).decode()
    assert "der: expected" in refusal(report(der=too_long))


def test_evidence_limit() -> None:
    fact = {"id": "x", "points": 1, "text": "y", "technique": None}
    for length in (EVIDENCE_LIMIT - 1, EVIDENCE_LIMIT):
        assert len(parsed(report(evidence=[fact] * length)).evidence) == length  # type: ignore[union-attr]
    assert "at most 64" in refusal(report(evidence=[fact] * (EVIDENCE_LIMIT + 1)))


def test_a_lone_surrogate_cannot_reach_the_ledger() -> None:
    flow = parse_report(json.dumps(report(sni="x\ud800y")).encode())
    assert isinstance(flow, FlowReport)
    assert flow.sni == "x?y"


def test_the_all_zero_hardware_address_is_none() -> None:
    flow = parsed(report(mac="00:00:00:00:00:00"))
    assert isinstance(flow, FlowReport)
    assert flow.mac is None


@pytest.mark.parametrize(
    ("unjudged", "refused"),
    [
        ([], False),
        ([["192.168.1.10", "203.0.113.7", 443]] * 100, False),
        ([["192.168.1.10", "203.0.113.7", 443]] * 101, True),
        ([["192.168.1.10", "203.0.113.7"]], True),
        ([["192.168.1.10", "not an address", 443]], True),
        ([["192.168.1.10", "203.0.113.7", 65_536]], True),
        ("none", True),
    ],
)
def test_what_an_inspector_had_to_give_up_is_checked_like_all_else(
    unjudged: object, refused: bool
) -> None:
    message = {"type": "status", "worker": 0, "pid": 1, "unjudged": unjudged}
    data = json.dumps(message).encode()
    if refused:
        with pytest.raises(MessageError):
            parse_report(data)
    else:
        report = parse_report(data)
        assert isinstance(report, StatusReport)
        assert len(report.unjudged) == len(unjudged)  # type: ignore[arg-type]


def told(*lines: object, **changes: Any) -> bytes:
    head = {**report(**changes), "type": "flows", **changes}
    return b"\n".join(json.dumps(item).encode() for item in (head, *lines))


LINE = ["192.168.1.11", 50_001, "02:00:00:00:00:AB", 7]


def test_a_line_is_a_connection_like_its_pattern() -> None:
    pattern, *none = parse_reports(json.dumps(report()).encode())  # type: ignore[misc]
    assert none == []
    flow, other = parse_reports(told(LINE, ["2001:DB8::0:1", 1, None, 0]))  # type: ignore[misc]
    assert flow == replace(
        pattern, client="192.168.1.11", client_port=50_001, mac="02:00:00:00:00:ab", start=7
    )
    assert (other.client, other.mac, other.start) == ("2001:db8::1", None, 0)


def test_lines_are_bounded() -> None:
    assert len(parse_reports(told(*[LINE] * LINES_LIMIT))) == LINES_LIMIT  # type: ignore[arg-type]
    with pytest.raises(MessageError, match="more than 64 connections"):
        parse_reports(told(*[LINE] * (LINES_LIMIT + 1)))


@pytest.mark.parametrize(
    "bad",
    [
        "none",
        LINE[:3],
        [*LINE, 1],
        ["nobody", *LINE[1:]],
        ["192.168.1.11", 65_536, None, 7],
        ["192.168.1.11", True, None, 7],
        ["192.168.1.11", 1, "02:00", 7],
        ["192.168.1.11", 1, 2, 7],
        ["192.168.1.11", 1, None, -1],
        ["192.168.1.11", 1, None, 2**63],
        ["192.168.1.11", 1, None, "7"],
    ],
)
def test_one_bad_line_has_the_whole_packet_refused(bad: object) -> None:
    with pytest.raises(MessageError):
        parse_reports(told(LINE, bad))


@pytest.mark.parametrize("changes", [{"type": "flow"}, {"type": "status"}, {"score": 101}])
def test_a_pattern_is_checked_like_a_report(changes: dict[str, Any]) -> None:
    for _ in range(2):  # what was refused is not remembered as read
        with pytest.raises(MessageError):
            parse_reports(told(LINE, **changes))
    with pytest.raises(MessageError):
        parse_reports(told(LINE) + b"\n{")
