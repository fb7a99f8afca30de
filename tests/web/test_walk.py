"""A person's way through the admin page, in Debian's Chromium."""

import re
import socket
import time
import zipfile
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from web.browser import (
    PATIENCE_MS,
    allow,
    block,
    keep_blocking,
    keep_picture,
    log_in,
    log_out,
    open_incident,
    overflow,
    release,
    set_up,
    type_password,
    visit,
)
from web.conftest import PASSWORD, Site, serve, web_command
from web.peer import ControllerPeer
from web.story import Office

LIVE_MS = PATIENCE_MS  # the page polls every 2 s; the rest is a busy machine's


def test_first_start_to_sign_out(page: Page, site: Site) -> None:
    assert site.code is not None
    page.goto("/")
    expect(page.get_by_role("heading", name="Set up this box")).to_be_visible()
    keep_picture(page, "set-up")

    set_up(page, site.code, PASSWORD)
    expect(page.locator(".strip")).to_contain_text("Protecting")
    expect(page.get_by_text("Nothing suspicious so far.")).to_be_visible()

    log_out(page)
    page.goto("/devices/")
    expect(page).to_have_url(re.compile("/login"))
    log_in(page, PASSWORD)
    expect(page).to_have_url(re.compile("/devices/$"))


def test_set_up_refuses_a_wrong_code_and_a_weak_password(page: Page, site: Site) -> None:
    assert site.code is not None
    page.goto("/")
    for code, password, again, answer in (
        (
            "0000-0000" if site.code != "0000-0000" else "1",
            PASSWORD,
            PASSWORD,
            "not the set-up code",
        ),
        (site.code, PASSWORD, PASSWORD + "x", "are not the same"),
        (site.code, "aaaaaaaaaaaa", "aaaaaaaaaaaa", "repeats the same few characters"),
    ):
        page.get_by_label("Set-up code").fill(code)
        page.get_by_label("New password").fill(password)
        page.get_by_label("The same password again").fill(again)
        page.get_by_role("button", name="Set the password").click()
        expect(page.get_by_role("alert")).to_contain_text(answer)
        expect(page.get_by_label("Set-up code")).to_have_value(code)
    set_up(page, site.code, PASSWORD)
    assert not (site.state_dir / "web" / "setup-code").exists()


def test_wrong_passwords_lock_this_device_out(page: Page, owned_site: Site) -> None:
    page.goto("/")
    for left in (4, 3, 2):
        type_password(page, "not the password")
        expect(page.get_by_role("alert")).to_contain_text(f"{left} tries are left")
    type_password(page, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("One try is left")
    type_password(page, "not the password")
    expect(page.get_by_role("alert")).to_contain_text("Wait 5 minutes, then try again")
    type_password(page, PASSWORD)  # right, but too late
    expect(page.get_by_role("alert")).to_contain_text("Too many wrong passwords")


def test_an_attack_appears_without_reload_and_explains_itself(admin: Page, office: Office) -> None:
    expect(admin.get_by_text("Nothing suspicious so far.")).to_be_visible()
    admin.evaluate("window.stayed = true")
    office.attack()

    headline = admin.get_by_role("link", name="192.168.1.10 tried to reach a remote-control server")
    expect(headline).to_be_visible(timeout=LIVE_MS)
    assert admin.evaluate("window.stayed"), "the page was loaded anew"
    expect(admin.locator(".figures")).to_contain_text("1blocked today")

    headline.click()
    expect(admin.locator(".strip .state")).to_have_text("Blocked")
    expect(admin.get_by_text("carries the name that AsyncRAT gives")).to_be_visible()
    expect(admin.locator(".evidence strong")).to_have_text(["+80", "+25", "+10"])
    expect(admin.locator(".total")).to_contain_text("Together 115 points")
    ends = admin.locator(".evidence .piece").evaluate_all(
        "bars => bars.map(bar => ['x', 'width'].map(name => Number(bar.getAttribute(name))))"
    )
    assert ends == [[0, 80], [80, 25], [105, 10]]
    expect(admin.get_by_text("CN=AsyncRAT Server").first).to_be_visible()
    expect(admin.get_by_text("Take the device off the network")).to_be_visible()


def test_an_open_incident_follows_its_state(admin: Page, office: Office) -> None:
    incident = office.attack(state="blocking")
    open_incident(admin, "tried to reach")
    expect(admin.locator(".strip .state")).to_have_text("Blocking")
    admin.get_by_label("Reason").fill("half-typed")
    office.turn(incident, "blocked")
    expect(admin.locator(".strip .state")).to_have_text("Blocked", timeout=LIVE_MS)
    expect(admin.get_by_label("Reason")).to_have_value("half-typed")


def test_allow_and_take_it_back(admin: Page, office: Office, controller: ControllerPeer) -> None:
    incident = office.attack()
    open_incident(admin, "tried to reach")
    admin.get_by_label("Reason").fill("our own <b>support</b> tool")
    allow(admin)
    expect(admin.get_by_text("192.168.1.10 may reach 203.0.113.7:6606 for 1 hour.")).to_be_visible()
    expect(admin.locator(".strip .state")).to_have_text("Allowed by you")
    assert controller.changes() == [
        {
            "command": "allow",
            "author": "admin",
            "device": "192.168.1.10",
            "server": "203.0.113.7",
            "server_port": 6606,
            "certificate_sha256": None,
            "seconds": 3600,
            "reason": "our own <b>support</b> tool",
            "incident": incident,
        }
    ]
    admin.get_by_role("link", name="Protection").click()
    allowed = admin.locator("section").filter(
        has=admin.get_by_role("heading", name="Allowed", exact=True)
    )
    expect(allowed).to_contain_text("our own <b>support</b> tool")
    allowed.get_by_role("button", name="Undo").click()
    expect(admin.get_by_text("Undone.")).to_be_visible()
    expect(admin.get_by_text("Nothing is allowed against the rules.")).to_be_visible()


def test_allow_a_certificate_for_everyone_for_ever(
    admin: Page, office: Office, controller: ControllerPeer
) -> None:
    office.attack()
    open_incident(admin, "tried to reach")
    allow(admin, "Every device", "This certificate", "Always")
    expect(admin.get_by_text("Every device may reach any server with this")).to_be_visible()
    (asked,) = controller.changes()
    assert (asked["device"], asked["server"], asked["server_port"]) == (None, None, None)
    assert asked["certificate_sha256"].startswith("ce772ec3")
    assert asked["seconds"] is None


def test_keep_blocking_and_release(admin: Page, office: Office, controller: ControllerPeer) -> None:
    office.attack()
    open_incident(admin, "tried to reach")
    keep_blocking(admin, "1 week")
    expect(admin.get_by_text("203.0.113.7:6606 stays blocked until")).to_be_visible()
    release(admin)
    expect(admin.locator(".strip .state")).to_have_text("Released")
    assert [each["command"] for each in controller.changes()] == ["keep", "release"]
    assert controller.changes()[0]["seconds"] == 7 * 86400


def test_block_a_server_from_its_incident_and_take_it_back(
    admin: Page, office: Office, controller: ControllerPeer
) -> None:
    incident = office.attack()
    open_incident(admin, "tried to reach")
    form = admin.locator("form[action$='/block']")
    form.get_by_role("button", name="Block").click()
    assert controller.changes() == [], "the box must be ticked first"
    block(admin, "this device", "Every port", "1 week")
    expect(
        admin.get_by_text("203.0.113.7, on every port, is refused to 192.168.1.10 for 1 week.")
    ).to_be_visible()
    assert controller.changes() == [
        {
            "command": "block",
            "author": "admin",
            "server": "203.0.113.7",
            "server_port": None,
            "device": "192.168.1.10",
            "seconds": 7 * 86400,
            "reason": "blocked on the admin page",
            "incident": incident,
        }
    ]
    admin.get_by_role("button", name="Undo: Blocked").first.click()
    expect(admin.get_by_text("Undone.")).to_be_visible()


def test_block_the_server_of_a_connection(
    admin: Page, office: Office, controller: ControllerPeer
) -> None:
    office.browse("www.example.org")
    admin.goto("/connections/")
    admin.get_by_role("link", name="Block 198.51.100.80:443").click()
    expect(admin.get_by_role("heading", name="Block a server")).to_be_visible()
    expect(admin.locator(".summary")).to_contain_text("www.example.org")
    controller.refusals["block"] = "198.51.100.80 is on the never-block list"
    admin.get_by_label("Why").fill("nobody knows it")
    block(admin, "all devices", "Only", "1 hour")
    expect(admin.get_by_role("alert")).to_contain_text("is on the never-block list")
    expect(admin.get_by_label("Why")).to_have_value("nobody knows it")
    expect(admin.get_by_label("Block for all devices")).to_be_checked()
    controller.refusals.clear()
    block(admin, "all devices", "Only", "1 hour")
    expect(admin.get_by_text("198.51.100.80:443 is refused to every device for 1")).to_be_visible()
    expect(admin).to_have_url(re.compile("/allowed/$"))
    asked = controller.changes()[-1]
    assert (asked["device"], asked["server_port"], asked["seconds"]) == (None, 443, 3600)
    assert asked["reason"] == "nobody knows it"
    answer = admin.goto("/connections/4711/block")
    assert answer is not None and answer.status == 404


def test_the_lists_are_shown_with_state_and_age(admin: Page, controller: ControllerPeer) -> None:
    admin.get_by_role("link", name="Protection").click()
    admin.get_by_role("link", name="Lists").click()
    rows = admin.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("came with Ratwall")
    expect(rows.nth(1)).to_contain_text("key own")
    expect(rows.nth(2)).to_contain_text("1,200")
    expect(rows.nth(3)).to_contain_text("lists.example: answers 503")
    expect(admin.get_by_text("the signature does not hold")).to_be_visible()
    controller.close()

    def said() -> bool:
        admin.reload()
        return admin.get_by_text("it is not known what is in force").is_visible()

    deadline = time.monotonic() + LIVE_MS / 1000  # the page keeps a status for a second
    while not said():
        assert time.monotonic() < deadline


def test_a_token_is_made_shown_once_and_revoked(admin: Page) -> None:
    admin.get_by_role("link", name="Settings").click()
    admin.get_by_role("link", name="API tokens").click()
    admin.get_by_label("Name", exact=False).fill("monitoring")
    admin.get_by_label("Look at everything").check()
    admin.get_by_role("button", name="Make the token").click()
    made = admin.get_by_label("The token", exact=True)
    expect(made).to_be_focused()
    assert made.input_value().startswith("ratwall_")
    assert overflow(admin) <= 0
    admin.goto("/tokens/")
    expect(made).to_have_count(0)
    admin.get_by_role("button", name="Revoke: monitoring").click()
    expect(admin.get_by_text("is of no use any more")).to_be_visible()


def test_a_refusal_is_shown_and_nothing_typed_is_lost(
    admin: Page, office: Office, controller: ControllerPeer
) -> None:
    controller.refusals["allow"] = "203.0.113.7 is on the list of servers that nobody may allow"
    office.attack()
    open_incident(admin, "tried to reach")
    admin.get_by_label("Reason").fill("a long story")
    allow(admin, "Every device", "This certificate", "1 day")
    expect(admin.get_by_role("alert")).to_contain_text(
        "on the list of servers that nobody may allow"
    )
    expect(admin.get_by_role("alert")).to_be_focused()
    expect(admin.get_by_label("Reason")).to_have_value("a long story")
    expect(admin.get_by_label("Every device")).to_be_checked()
    expect(admin.get_by_label("This certificate, on any server")).to_be_checked()


def test_without_a_controller_the_page_still_shows_the_ledger(
    admin: Page, office: Office, controller: ControllerPeer
) -> None:
    office.attack()
    controller.close()
    expect(admin.locator(".strip")).to_contain_text(
        "No answer from the controller", timeout=LIVE_MS
    )
    open_incident(admin, "tried to reach")
    admin.get_by_label("Reason").fill("kept")
    allow(admin)
    expect(admin.get_by_role("alert")).to_contain_text("Nothing was changed")
    expect(admin.get_by_label("Reason")).to_have_value("kept")


def test_the_state_of_the_box_in_words(admin: Page, controller: ControllerPeer) -> None:
    controller.status |= {"state": "bypassed", "reason": "the inspector is being restarted"}
    strip = admin.locator(".strip")
    expect(strip).to_contain_text(
        "Bypassed because the inspector is being restarted", timeout=LIVE_MS
    )
    controller.status |= {"state": "monitor", "reason": None, "enforce": False}
    expect(strip).to_contain_text("Monitor only", timeout=LIVE_MS)
    controller.status |= {"uninspected": {"packets": 12, "last": time.time_ns() // 1000}}
    expect(admin.locator(".figures")).to_contain_text("12 packets since the start", timeout=LIVE_MS)
    now = time.time_ns() // 1000
    interruption = {"what": "no inspector was running", "since": now - 1_000_000, "until": now}
    table = {"tracked": 900, "limit": 1000, "stage": "full"}
    controller.status |= {"interruptions": [interruption], "conntrack": table}
    told = admin.get_by_text("no inspector was running")
    expect(told).to_be_visible(timeout=LIVE_MS)
    expect(admin.get_by_role("alert")).to_contain_text("table of connections is full")


def test_what_passes_by_design_is_listed_in_words(admin: Page, controller: ControllerPeer) -> None:
    listed = admin.get_by_label("Not inspected, by design")
    expect(listed).to_have_count(0)
    passed = {"quic": 1, "inbound": 0, "local": 0, "one_way": 1234, "stacked": 0}
    controller.status |= {"passed": passed}
    expect(listed).to_contain_text("1 connection over QUIC (UDP port 443)", timeout=LIVE_MS)
    expect(listed).to_contain_text("1,234 packets of half a connection")
    expect(listed).not_to_contain_text("opened from outside")


def test_signing_out_in_one_tab_ends_the_others(admin: Page) -> None:
    other = admin.context.new_page()
    other.goto("/devices/")
    log_out(other)
    expect(admin).to_have_url(re.compile("/login"), timeout=LIVE_MS)


def test_a_lost_box_is_said_and_found_again(browser: Browser, state_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        command = web_command(state_dir, f"127.0.0.1:{found.getsockname()[1]}")
    with serve(state_dir, command=command) as site:
        page = visit(browser, site.url).new_page()
        assert site.code is not None
        set_up(page, site.code, PASSWORD)
        banner = page.get_by_text("The box does not answer. Trying again")
        expect(banner).to_be_hidden()
    expect(banner).to_be_visible(timeout=LIVE_MS)
    with serve(state_dir, command=command):
        expect(page).to_have_url(re.compile("/login"), timeout=LIVE_MS)
    page.context.close()


def test_connections_are_searched_and_paged(admin: Page, office: Office) -> None:
    for number in range(120):
        office.browse(f"host{number}.example.com")
    office.browse("www.example.org", server="198.51.100.99")
    admin.goto("/connections/")
    rows = admin.locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("www.example.org")
    seen = set(rows.locator("[data-label='Asked for']").all_inner_texts())
    admin.get_by_role("link", name="Older").click()
    expect(rows.first).to_contain_text("host70.example.com")
    seen |= set(rows.locator("[data-label='Asked for']").all_inner_texts())
    admin.get_by_role("link", name="Older").click()
    expect(rows).to_have_count(21)
    seen |= set(rows.locator("[data-label='Asked for']").all_inner_texts())
    assert len(seen) == 121

    admin.get_by_label("Search", exact=True).fill("198.51.100.99")
    admin.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    admin.get_by_label("Verdict").select_option("Suspicious")
    admin.get_by_role("button", name="Search").click()
    expect(admin.get_by_text("No connection matches.")).to_be_visible()


def test_the_evidence_can_be_taken_away(
    admin: Page, office: Office, controller: ControllerPeer, tmp_path: Path
) -> None:
    office.attack()
    open_incident(admin, "tried to reach")
    with admin.expect_download() as taken:
        admin.get_by_role("button", name="Download the evidence").click()
    assert taken.value.suggested_filename == "incident-1.zip"
    taken.value.save_as(tmp_path / "case.zip")
    with zipfile.ZipFile(tmp_path / "case.zip") as package:
        assert package.testzip() is None
        assert "CN=AsyncRAT Server" in package.read("incident.txt").decode()
        assert "SHA256SUMS" in package.namelist()


def test_nobody_gets_evidence_without_signing_in(page: Page, owned_site: Site) -> None:
    answer = page.request.get("/incidents/1/evidence.zip", max_redirects=0)
    assert answer.status in (302, 303)
