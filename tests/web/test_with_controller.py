"""The page with the real controller: reports go in where the inspector's do, buttons go back.

Only the kernel is a plain memory here; what happens on the wire is the inline tests' matter.
"""

import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from ratwall.kernel.response import BlockedFor, Paused, Quarantined
from unit.controller.box import Box, FakeInspector, Running, proof, report
from web.browser import (
    PATIENCE_MS,
    Console,
    allow,
    block,
    keep_blocking,
    keep_picture,
    log_out,
    open_incident,
    overflow,
    release,
    set_up,
    visit,
)
from web.conftest import PASSWORD, serve

LIVE_MS = PATIENCE_MS  # the page polls every 2 s; the rest is a busy machine's
ENDPOINT = ("203.0.113.7", 6606)
CLIENT = "192.168.1.10"


@pytest.fixture
def inspector(box: Box) -> Iterator[FakeInspector]:
    controller = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(STATUS)
    yield inspector
    inspector.close()
    controller.stop()


STATUS = {
    "type": "status",
    "worker": 0,
    "pid": 4711,
    "queued": 2,
    "flows": 1,
    "blocked": 1,
    "reports_lost": 0,
    "uptime_s": 1,
}


@pytest.fixture
def owner(browser: Browser, box: Box, inspector: FakeInspector) -> Iterator[Page]:
    """Somebody who has just set up the box."""
    with serve(box.state) as site:
        context = visit(browser, site.url)
        page = context.new_page()
        console = Console(page)
        assert site.code is not None
        set_up(page, site.code, PASSWORD)
        yield page
        context.close()
        assert console.complaints == []


def attack(box: Box, inspector: FakeInspector) -> None:
    """Let the inspector report a cut connection, and the kernel confirm it."""
    box.now = time.time_ns() // 1000
    start = time.strftime("%Y-%m-%dT%H:%M:%S.000001Z", time.gmtime())
    inspector.send(report(start=start))
    box.watch.show(proof())


def test_from_the_report_to_the_page_and_back(
    owner: Page, box: Box, inspector: FakeInspector
) -> None:
    expect(owner.locator(".strip")).to_contain_text("Protecting", timeout=LIVE_MS)
    attack(box, inspector)
    headline = owner.get_by_role("link", name=f"{CLIENT} tried to reach a remote-control server")
    expect(headline).to_be_visible(timeout=LIVE_MS)
    headline.click()
    expect(owner.locator(".strip .state")).to_have_text("Blocked", timeout=LIVE_MS)
    assert ENDPOINT in box.sets.blocked

    keep_blocking(owner, "30 days")
    expect(owner.get_by_text("203.0.113.7:6606 stays blocked until")).to_be_visible()
    assert box.sets.blocked[ENDPOINT] == 30 * 86400

    allow(owner)
    expect(owner.get_by_text(f"{CLIENT} may reach 203.0.113.7:6606 for 1 hour.")).to_be_visible()
    expect(owner.locator(".strip .state")).to_have_text("Allowed by you")
    assert box.sets.allowed == {(CLIENT, *ENDPOINT): 3600}
    assert ENDPOINT in box.sets.blocked, "the block stays for all other devices"

    owner.get_by_role("link", name="Protection").click()
    owner.get_by_role("button", name="Undo: 203.0.113.7").first.click()
    expect(owner.get_by_text("Undone.")).to_be_visible()
    assert box.sets.allowed == {}

    open_incident(owner, "tried to reach")
    expect(owner.locator(".strip .state")).to_have_text("Blocked")
    release(owner)
    expect(owner.locator(".strip .state")).to_have_text("Released")
    assert box.sets.blocked == {}

    owner.get_by_role("link", name="Settings").click()
    owner.get_by_role("link", name="Audit trail").click()
    for word in ("set-up", "keep", "allow", "undo", "release"):
        expect(owner.get_by_role("cell", name=word, exact=True)).to_be_visible()
    log_out(owner)


def test_a_kernel_that_refuses_is_told_in_words(
    owner: Page, box: Box, inspector: FakeInspector
) -> None:
    attack(box, inspector)
    open_incident_when_there(owner)
    box.sets.broken = True
    owner.get_by_label("Reason").fill("a support call")
    allow(owner)
    expect(owner.get_by_role("alert")).to_contain_text("Nothing was changed: ")
    expect(owner.get_by_label("Reason")).to_have_value("a support call")
    box.sets.broken = False
    owner.get_by_role("button", name="Allow").click()
    expect(owner.locator(".strip .state")).to_have_text("Allowed by you")


def test_a_device_is_cut_off_and_let_back_and_everything_paused(
    owner: Page, box: Box, inspector: FakeInspector
) -> None:
    attack(box, inspector)
    open_incident_when_there(owner)
    owner.get_by_role("link", name=CLIENT).first.click()
    expect(owner.get_by_role("heading", name="What can be done")).to_be_visible()
    assert overflow(owner) == 0

    owner.get_by_role("button", name="Cut off").click()
    assert box.sets.held == [], "the box must be ticked first"
    owner.get_by_label("I know what stops").check()
    owner.get_by_role("button", name="Cut off").click()
    expect(owner.get_by_text("reaches nothing but this box now")).to_be_visible()
    (held,) = box.sets.held
    assert isinstance(held, Quarantined)
    assert (list(held.addresses), held.mac) == ([CLIENT], "02:00:00:00:00:01")
    keep_picture(owner, "device-quarantined")
    owner.get_by_role("button", name="Undo: Cut off").click()
    expect(owner.get_by_text("Undone.")).to_be_visible()
    assert box.sets.held == []

    owner.get_by_role("link", name="Overview").first.click()
    owner.get_by_label("5 minutes").check()
    owner.get_by_role("button", name="Pause").click()
    expect(owner.get_by_text("passes until").first).to_be_visible(timeout=LIVE_MS)
    expect(owner.get_by_text("left)").first).to_be_visible(timeout=LIVE_MS)
    (paused,) = box.sets.held
    assert paused == Paused((), None, paused.seconds)
    keep_picture(owner, "overview-paused")
    owner.get_by_role("button", name="Go on now").click()
    expect(owner.get_by_text("Protection goes on.")).to_be_visible()
    assert box.sets.held == []


def test_a_server_is_blocked_for_one_device_and_let_back(
    owner: Page, box: Box, inspector: FakeInspector
) -> None:
    attack(box, inspector)
    open_incident_when_there(owner)
    block(owner, "this device", "Every port", "1 hour")
    expect(owner.get_by_text(f"every port, is refused to {CLIENT} for 1 hour.")).to_be_visible()
    (held,) = box.sets.held
    assert isinstance(held, BlockedFor)
    assert (held.device, held.server, held.port) == (CLIENT, ENDPOINT[0], None)
    done = owner.get_by_role("row").filter(has_text="Blocked for")
    expect(done).to_contain_text("every port")
    done.get_by_role("button", name="Undo").click()
    expect(owner.get_by_text("Undone.")).to_be_visible()
    assert box.sets.held == []


def open_incident_when_there(page: Page) -> None:
    expect(page.get_by_role("link", name="tried to reach").first).to_be_visible(timeout=LIVE_MS)
    open_incident(page, "tried to reach")
