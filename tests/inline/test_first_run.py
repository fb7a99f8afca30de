"""The whole first run on a running box: real rules, real inspector, real self-test, real Chromium.

The owner sets the box up and sees a remote-control program's handshake cut; one that is not cut,
because of a pause, says why; nothing of the tests is left in the kernel or in the history.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from ratwall_lab.box import Ratwall
from ratwall_lab.topology import Lab
from web.browser import PATIENCE_MS, PHONE, Console, chromium, keep_picture, set_password, visit

PASSWORD = "a fine day for a swim"


@pytest.fixture(scope="module")
def mode() -> str:
    return "bridge"


@pytest.fixture
def ratwall(lab: Lab, tmp_path: Path) -> Iterator[Ratwall]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Ratwall(lab, tmp_path / "state", listener) as ratwall,
    ):
        yield ratwall


def test_the_first_run_ends_with_a_handshake_that_was_cut(lab: Lab, ratwall: Ratwall) -> None:
    links = lab.box.run(["ip", "-br", "link"]).stdout
    with chromium() as browser, visit(browser, ratwall.url, viewport=PHONE) as profile:
        page = profile.new_page()
        page.set_default_timeout(PATIENCE_MS)
        console = Console(page)
        assert ratwall.setup_code is not None
        set_password(page, ratwall.setup_code, PASSWORD)
        expect(page.get_by_text("link is up")).to_have_count(2)  # both of the lab's cables
        expect(page.get_by_label("Bridge")).to_be_checked()
        keep_picture(page, "inline-first-run-place")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_label("Cut off")).to_be_checked()
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("button", name="Test protection").click()
        expect(page.get_by_text("The protection works")).to_be_visible()
        keep_picture(page, "inline-first-run-passed")
        page.get_by_role("button", name="Finish").click()
        expect(page.get_by_text("The box is set up.")).to_be_visible()

        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".strip")).to_contain_text("Paused")
        page.get_by_role("button", name="Test again").click()
        expect(page.get_by_text("Not cut: the protection is paused")).to_be_visible()
        keep_picture(page, "inline-test-paused")
        page.get_by_role("button", name="Go on now").click()
        expect(page.locator(".strip")).to_contain_text("Protecting")
        page.get_by_role("button", name="Test again").click()
        expect(page.get_by_text("The protection works")).to_be_visible()
        expect(page.get_by_text("Nothing suspicious so far.")).to_be_visible()
        assert console.complaints == []

    status = ratwall.ask("status")
    assert (status["selftest"]["ok"], status["selftest"]["cause"]) == (True, "cut")
    ports = {port["name"]: port["up"] for port in status["health"]["ports"]}
    assert ports == {"lan": True, "wan": True}
    assert status["health"]["queue_percent"] == 0
    assert status["blocks"] == 0, "the test's server is nobody's enemy"
    assert ratwall.ask("incidents") == []
    assert lab.box.run(["ip", "-br", "link"]).stdout == links, "no cable is left"
