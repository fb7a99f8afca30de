"""The whole way in one story: a packet enters the kernel's queue, the reason is on the page.

Real box, real traffic, real Chromium. The owner sets the box up, an attack appears without a
reload, its incident explains itself; what the owner allows passes, what the owner releases is
judged again.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from inline.conftest import wait_for
from ratwall_lab.box import Ratwall
from ratwall_lab.certificates import Identity
from ratwall_lab.clients import IdleClient
from ratwall_lab.contexts import rat_client_context, rat_server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import hurried, rat_shape
from ratwall_lab.topology import Lab
from web.browser import (
    PATIENCE_MS,
    Console,
    allow,
    chromium,
    keep_blocking,
    keep_picture,
    log_in,
    log_out,
    open_incident,
    release,
    set_up,
    visit,
)

PASSWORD = "a fine day for a swim"
PORT = 6606
PASSED_PINGS = 3  # heartbeats: nothing will be cut any more
LIVE_MS = PATIENCE_MS  # the page asks every 2 s; the rest is a busy machine's


@pytest.fixture(scope="module")
def mode() -> str:
    return "router"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def ratwall(lab: Lab, tmp_path: Path) -> Iterator[Ratwall]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Ratwall(lab, tmp_path / "state", listener) as ratwall,
    ):
        yield ratwall


class Attack:
    """The look-alike's server, and one attempt after the other to reach it."""

    def __init__(self, lab: Lab, rat: Identity) -> None:
        self.lab = lab
        self.address = lab.internet.address(3)
        self.server = Server(
            lab.internet,
            self.address,
            PORT,
            rat_server_context(rat, "1.0"),
            idle_handler(rat_shape("1.0")),
        )

    def attempt(self, device: str = "anna") -> tuple[End, int]:
        """Connect once from a device; how it ended, and heartbeats that went through."""
        with IdleClient(
            self.lab.host(device),
            [self.address],
            [PORT],
            rat_client_context("1.0"),
            hurried(rat_shape("1.0"), 0.1),
            attempts=1,
        ) as client:
            (attempt,) = client.wait_attempts(1)
            wait_for(
                lambda: attempt.over.is_set() or attempt.pings > PASSED_PINGS,
                PATIENCE_SECONDS,
                lambda: f"neither ended nor passed: {attempt}",
            )
        assert attempt.end is not None
        return attempt.end, attempt.pings


@pytest.fixture
def attack(lab: Lab, rat: Identity) -> Iterator[Attack]:
    attack = Attack(lab, rat)
    with attack.server:
        yield attack


def test_from_the_wire_to_the_page_and_back(
    browser: Browser, ratwall: Ratwall, attack: Attack
) -> None:
    with visit(browser, ratwall.url) as profile:
        page = profile.new_page()
        console = Console(page)
        assert ratwall.setup_code is not None
        set_up(page, ratwall.setup_code, PASSWORD)
        expect(page.locator(".strip")).to_contain_text("Protecting")

        assert attack.attempt() == (End.RESET, 0)
        headline = page.get_by_role("link", name="remote-control server").first
        expect(headline).to_be_visible(timeout=LIVE_MS)  # without a reload
        keep_picture(page, "inline-dashboard")

        open_incident(page, "remote-control server")
        expect(page.locator(".strip .state")).to_have_text("Blocked", timeout=LIVE_MS)
        expect(page.get_by_text("CN=Acme Printing Ltd").first).to_be_visible()
        expect(page.get_by_text("down to a prime serial number").first).to_be_visible()
        keep_picture(page, "inline-incident")
        assert attack.attempt()[0] is End.REFUSED
        keep_blocking(page)
        expect(page.get_by_text("stays blocked until")).to_be_visible()

        allow(page, who="Only", what="Server", length="1 hour")
        expect(page.get_by_text("for 1 hour.")).to_be_visible()
        end, pings = attack.attempt()
        assert (end, pings > PASSED_PINGS) == (End.STOPPED, True), "allowed for anna: it passes"
        assert attack.attempt("ben")[0] is End.REFUSED, "and for nobody else"
        log_out(page)

        log_in(page, PASSWORD)
        page.goto("/allowed/")
        page.get_by_role("button", name="Undo").first.click()
        expect(page.get_by_text("Undone.")).to_be_visible()
        assert attack.attempt()[0] is End.REFUSED, "no longer allowed"

        open_incident(page, "remote-control server")
        release(page)
        expect(page.locator(".strip .state")).to_have_text("Released", timeout=LIVE_MS)
        assert attack.attempt()[0] is End.RESET, "released is not allowed: it is judged again"
        log_out(page)
        assert console.complaints == []
