"""The rhythm of an incident, drawn."""

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from ratwall_web.beats import LINE, beat_line
from web.browser import DESKTOP, PHONE, keep_picture, open_incident, overflow
from web.story import Office


def found(*beats: int, **facts: object) -> dict[str, object]:
    return {"facts": {"beats": list(beats), "period_us": 10_000_000, "redrawn": False, **facts}}


def test_beats_stand_on_the_line_where_they_were() -> None:
    line = beat_line([found(0, 10_000_000, 20_000_000, 40_000_000)])
    assert line is not None
    assert line.ticks == (0, LINE // 4, LINE // 2, LINE)
    assert (line.period, line.first, line.last) == (10.0, 0, 40_000_000)


def test_the_newest_rhythm_is_drawn_and_other_findings_are_not() -> None:
    assert beat_line([]) is None
    assert beat_line([{"facts": {"ports": [1]}}]) is None
    line = beat_line([{"facts": {}}, found(5, 6), found(1, 2)])
    assert line is not None
    assert line.first == 5


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_page_shows_the_clock(admin: Page, office: Office, size: ViewportSize) -> None:
    page = admin
    page.set_viewport_size(size)
    incident = office.attack(state="would_block")
    open_incident(page, "reach")
    expect(page.get_by_role("heading", name="How it reports in")).to_have_count(0)
    expect(page.get_by_role("heading", name="How regular")).to_have_count(0)
    office.beat(incident)
    office.score(incident)
    page.reload()
    expect(page.get_by_role("heading", name="How it reports in")).to_be_visible()
    expect(page.get_by_text("15 times, every 13.5 seconds. A person")).to_be_visible()
    expect(page.get_by_text("The device reports in like a clock.")).to_be_visible()
    expect(
        page.get_by_text("1,200 connections with this server within a day: 97 of 100.")
    ).to_be_visible()
    expect(
        page.get_by_text("RITA, a free tool that technicians know, would count 0.812")
    ).to_be_visible()
    assert page.locator("svg.beats rect.piece").count() == 15
    assert overflow(page) <= 0
    keep_picture(page, f"rhythm-{size['width']}")
