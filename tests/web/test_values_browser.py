"""Settings in a real browser: what is wrong is said beside the field while it is typed."""

from playwright.sync_api import Page, expect

from web.axe import barriers
from web.browser import PATIENCE_MS


def test_a_field_says_at_once_what_is_wrong(admin: Page) -> None:
    admin.goto("/settings/values/detection")
    field = admin.get_by_label("Score for an incident")
    field.fill("0")
    field.press("Tab")
    verdict = admin.locator('[id="detection.alert-verdict"]')
    expect(verdict).to_contain_text("a whole number from 1 to 100", timeout=PATIENCE_MS)
    assert barriers(admin) == []
    field.fill("62")
    field.press("Tab")
    expect(verdict).to_be_empty(timeout=PATIENCE_MS)
