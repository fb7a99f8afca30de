"""The first run in Debian's Chromium, by keys alone, on a phone in the dark."""

import time

from playwright.sync_api import Browser, Page, expect

from web.browser import PHONE, Console, faint_texts, keep_picture, overflow, visit
from web.conftest import PASSWORD, Site
from web.peer import ControllerPeer


def test_the_first_run_by_keyboard_on_a_phone(
    browser: Browser, site: Site, controller: ControllerPeer
) -> None:
    """Nothing but keys at 360 px, from the code to the overview; each step is looked at."""
    context = visit(browser, site.url, viewport=PHONE, color_scheme="dark")
    page = context.new_page()
    console = Console(page)
    assert site.code is not None
    page.goto("/")
    for text in (site.code, PASSWORD, PASSWORD):  # the code has the focus
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    for heading, name in (
        ("Where does the box stand?", "first-run-place"),
        ("Cut off, or only watch?", "first-run-protection"),
    ):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        looked_at(page, name)
        tab_to(page, "Go on")
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Does it protect?")).to_be_visible()
    expect(page.get_by_text("Not tested yet.")).to_be_visible()
    looked_at(page, "first-run-test")
    tab_to(page, "Test protection")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The test runs.")).to_be_visible()
    looked_at(page, "first-run-testing")
    result = {"ok": False, "cause": "passed", "reason": "nothing cuts now", "duration_ms": 90}
    done = {"selftest_began": None, "selftest": {**result, "time": time.time_ns() // 1000}}
    controller.status = controller.status | done
    expect(page.get_by_text("What to do:")).to_be_visible()  # without a reload
    looked_at(page, "first-run-failed")
    tab_to(page, "Test again")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The test runs.")).to_be_visible()
    controller.status = (
        controller.status
        | done
        | {"selftest": {**result, "ok": True, "cause": "cut", "time": time.time_ns() // 1000}}
    )
    expect(page.get_by_text("The protection works")).to_be_visible()
    looked_at(page, "first-run-passed")
    tab_to(page, "Finish")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The box is set up.")).to_be_visible()
    context.close()
    assert console.complaints == []


def looked_at(page: Page, name: str) -> None:
    assert overflow(page) <= 0
    assert faint_texts(page) == []
    keep_picture(page, name)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until the button of this name has the focus."""
    button = page.get_by_role("button", name=name, exact=True)
    for _ in range(40):
        page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"no key leads to {name}")
