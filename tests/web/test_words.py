"""How values become text, and how evidence adds up."""

import pytest

from ratwall_web.evidence import explain
from ratwall_web.filters import TEXT_LIMIT, brief, clean, clock, endpoint, person, span
from ratwall_web.wording import not_inspected


def piece(points: int, text: str = "a fact") -> dict[str, object]:
    return {"id": "x", "points": points, "text": text, "technique": None}


def test_evidence_is_laid_end_to_end_strongest_first() -> None:
    scale = explain([piece(10), piece(55), piece(20)], 85)
    assert [(step.points, step.start, step.width) for step in scale.steps] == [
        (55, 0, 55),
        (20, 55, 20),
        (10, 75, 10),
    ]
    assert (scale.total, scale.length, scale.capped) == (85, 100, False)


@pytest.mark.parametrize(("points", "capped"), [(99, False), (100, False), (101, True)])
def test_more_than_a_hundred_points_is_said(points: int, capped: bool) -> None:
    scale = explain([piece(points)], min(points, 100))
    assert (scale.capped, scale.length) == (capped, max(points, 100))


def test_a_fact_in_favour_takes_points_back() -> None:
    scale = explain([piece(-20), piece(60)], 40)
    assert [(step.start, step.width) for step in scale.steps] == [(0, 60), (40, 20)]
    assert scale.total == 40


def test_no_evidence_is_no_failure() -> None:
    assert explain([], 0).steps == ()


@pytest.mark.parametrize(("length", "cut"), [(599, False), (600, False), (601, True)])
def test_text_is_cut_and_says_how_long_it_was(length: int, cut: bool) -> None:
    assert TEXT_LIMIT == 600
    shown = clean("x" * length)
    assert shown == ("x" * 600 + "\u2026 (601 characters)" if cut else "x" * length)


def test_characters_that_mislead_are_made_visible() -> None:
    assert brief("\u202egnp.exe") == "\u2039U+202E\u203agnp.exe"
    assert brief("a\x00b\x1b[2J\n") == "a\u2039U+0000\u203ab\u2039U+001B\u203a[2J\u2039U+000A\u203a"
    assert brief("Büro Ø 事務所") == "Büro Ø 事務所"


def test_what_of_the_observed_was_not_read_is_among_what_is_not_inspected() -> None:
    passed = {"quic": 2, "inbound": 0}
    observed = {"flows": 16, "evicted": 1, "lost": 3, "uncopied": 40}
    said = [(number, what) for number, what, _ in not_inspected({"passed": passed})]
    assert said == [(2, "connections over QUIC (UDP port 443)")]
    said = [(number, what) for number, what, _ in not_inspected({"observed": observed})]
    assert said == [
        (1, "connection observed no longer"),
        (43, "segments of observed connections not read"),
    ]
    assert not_inspected({"passed": None, "observed": None}) == not_inspected(None) == []


def test_small_words() -> None:
    assert endpoint("2001:db8::7", 6606) == "[2001:db8::7]:6606"
    assert endpoint("203.0.113.7", 6606) == "203.0.113.7:6606"
    assert clock(1_700_000_000_000_000) == (
        '<time datetime="2023-11-14T22:13:20Z">14 Nov 2023 22:13 UTC</time>'
    )
    assert person({"name": None, "address": "192.168.1.10", "mac": None}) == "192.168.1.10"
    assert [span(seconds) for seconds in (1, 60, 61, 300, 3600, 3601, 86401)] == [
        "1 minute",
        "1 minute",
        "2 minutes",
        "5 minutes",
        "60 minutes",
        "2 hours",
        "2 days",
    ]
