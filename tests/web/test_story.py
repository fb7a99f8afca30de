"""The story of a device on the page of each incident that it is made of."""

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from web.browser import DESKTOP, PHONE, open_incident, overflow
from web.story import Office

HEADING = "The whole story of this device"


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_an_incident_leads_to_the_others_of_its_device(
    admin: Page, office: Office, size: ViewportSize
) -> None:
    page = admin
    page.set_viewport_size(size)
    office.attack(server="198.51.100.50")
    open_incident(page, "198.51.100.50")
    expect(page.get_by_role("heading", name=HEADING)).to_have_count(0)

    office.attack(server="198.51.100.81")
    page.reload()
    expect(page.get_by_role("heading", name=HEADING)).to_be_visible()
    story = page.locator("section").filter(has=page.get_by_role("heading", name=HEADING))
    stages = story.get_by_role("listitem")
    expect(stages).to_have_count(2)
    expect(stages.first).to_contain_text("(this incident)")
    assert overflow(page) <= 0

    stages.last.get_by_role("link").click()
    expect(page.get_by_role("heading", name=HEADING)).to_be_visible()
    expect(stages.first).to_contain_text("198.51.100.50")
    expect(stages.last).to_contain_text("198.51.100.81")
    expect(stages.last).to_contain_text("(this incident)")
