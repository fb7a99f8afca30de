"""Every page at every width, light and dark; with hostile text, and with the keyboard alone."""

import re

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from web.axe import barriers
from web.browser import (
    DESKTOP,
    PHONE,
    TABLET,
    Console,
    faint_texts,
    keep_picture,
    log_in,
    overflow,
    visit,
)
from web.conftest import PASSWORD, Site
from web.pages import PAGES
from web.story import TILL, Office

# Bytes over the wire until the overview is there, the sign-in before it and all libraries included.
FIRST_SIGHT = 250_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [PHONE, TABLET, DESKTOP], ids=["360", "768", "1440"])
def test_every_page_fits_every_window(
    browser: Browser, owned_site: Site, office: Office, window: dict[str, int], scheme: str
) -> None:
    office.fill_day()
    office.attack()
    office.attack(
        server="2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa", port=7707, state="alert", score=64
    )
    office.browse("a-very-long-name-" * 12 + ".example.com")
    context = visit(browser, owned_site.url, viewport=window, color_scheme=scheme)
    page = context.new_page()
    console = Console(page)
    page.goto("/login")
    keep_picture(page, f"sign-in-{window['width']}-{scheme}")
    assert barriers(page) == []
    log_in(page, PASSWORD)
    for name, path in PAGES.items():
        page.goto(path)
        assert overflow(page) <= 0, f"{path} is wider than {window['width']} pixels"
        keep_picture(page, f"{name}-{window['width']}-{scheme}")
        assert faint_texts(page) == []
        if window != TABLET:  # between the two nothing is laid out in a third way
            assert barriers(page) == [], path
    context.close()
    assert console.complaints == []


def test_every_page_fits_a_phone_in_german(
    browser: Browser, owned_site: Site, office: Office
) -> None:
    """German words are longer; and what the first sight of a page costs is counted on the way."""
    incident = office.attack()
    office.beat(incident)
    office.score(incident)
    office.browse("www.example.com")
    context = visit(browser, owned_site.url, viewport=PHONE, locale="de-DE")
    page = context.new_page()
    finished: list[Request] = []

    def hear(request: Request) -> None:
        finished.append(request)

    page.on("requestfinished", hear)
    page.goto("/login")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.get_by_label("Passwort", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Anmelden").click()
    expect(page.locator(".strip .state")).to_have_text("Schützt")
    page.wait_for_load_state("load")
    page.remove_listener("requestfinished", hear)
    received = {each.url: each.sizes()["responseBodySize"] for each in finished}
    assert any("uPlot" in url for url in received)
    assert sum(received.values()) < FIRST_SIGHT, received
    for name, path in PAGES.items():
        page.goto(path)
        assert overflow(page) <= 0, f"{path} is wider than a phone in German"
        keep_picture(page, f"{name}-360-german")
    page.goto(f"/incidents/{incident}")
    expect(page.locator("h1")).to_contain_text("wollte einen Fernsteuerungs-Server (AsyncRAT)")
    context.close()


def test_the_language_is_chosen_at_the_foot_of_a_page(admin: Page) -> None:
    admin.goto("/devices/")
    admin.get_by_role("button", name="Deutsch").click()
    expect(admin.get_by_role("heading", name="Geräte", exact=True)).to_be_visible()
    expect(admin).to_have_url(re.compile("/devices/$"))
    admin.get_by_role("button", name="English").click()
    expect(admin.get_by_role("heading", name="Devices", exact=True)).to_be_visible()


def test_an_incident_on_paper_has_the_story_and_nothing_to_press(
    admin: Page, office: Office
) -> None:
    office.attack()
    admin.emulate_media(media="print", color_scheme="dark")
    admin.goto("/incidents/1")
    expect(admin.get_by_text("carries the name that AsyncRAT gives")).to_be_visible()
    expect(admin.get_by_role("heading", name="What was done")).to_be_visible()
    for pressed in ("button", "nav", "form", "[role=button]"):
        assert [each for each in admin.locator(pressed).all() if each.is_visible()] == []
    colours = "(style => [style.color, style.backgroundColor])"
    ink = admin.evaluate(f"{colours}(getComputedStyle(document.documentElement))")
    assert ink == ["rgb(0, 0, 0)", "rgb(255, 255, 255)"]
    keep_picture(admin, "incident-on-paper")


def test_whoever_wants_no_motion_gets_none(admin: Page) -> None:
    admin.emulate_media(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll("*")].filter((each) => {
      const style = getComputedStyle(each);
      const lasts = (times) => times.split(",").some((time) => parseFloat(time) > 0);
      return (style.transitionProperty !== "none" && lasts(style.transitionDuration))
        || (style.animationName !== "none" && lasts(style.animationDuration));
    }).map((each) => each.outerHTML.slice(0, 80))"""
    assert admin.evaluate(moving) == []


def test_what_keeps_people_out_is_found(admin: Page) -> None:
    assert barriers(admin) == []
    admin.evaluate("document.querySelector('main').append(document.createElement('button'))")
    (found,) = barriers(admin)
    assert found.startswith("button-name")


HOSTILE = (
    "<script>window.pwned = 1</script>",
    '"><img src=x onerror="window.pwned = 1">',
    "{{ 7 * 7 }}${7*7}",
    "\u202egnp.exe\u2066\u200b\x1b[2J",
    "x" * 10_000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=["script", "image", "template", "direction", "long"])
def test_strings_from_the_wire_are_inert(admin: Page, office: Office, text: str) -> None:
    certificate = {
        "subject": f"CN={text}",
        "issuer": text,
        "sha1": text[:40],
        "sha256": "ab" * 32,
        "serial": text,
        "not_before": text,
        "not_after": text,
        "self_issued": True,
        "key_type": text,
        "key_bits": 2048,
        "signature_algorithm": text,
    }
    evidence = [{"id": text, "points": 90, "text": text, "technique": text}]
    incident = office.attack(
        certificate=certificate, words=text, family=text, evidence=evidence, note=text
    )
    office.browse(text, ja3=text, device=TILL)
    office.act(incident, 1, kind="allow", author=text, reason=text, server="203.0.113.7")
    office.write_down(text, text, text)
    paths = ("/", "/incidents/", f"/incidents/{incident}", "/devices/", "/devices/1")
    for path in (*paths, "/connections/", "/connections/1/block", "/allowed/", "/audit/"):
        response = admin.goto(path)
        assert response is not None and response.ok
        assert len(response.body()) < 64 * 1024
        assert not admin.evaluate("window.pwned")
        assert admin.locator("main script, main img").count() == 0
        assert "\u202e" not in admin.content()
        assert ">49<" not in admin.content()
        assert overflow(admin) <= 0


def test_searching_for_markup_is_inert(admin: Page) -> None:
    admin.goto("/connections/")
    admin.get_by_role("searchbox").fill('"><script>window.pwned = 1</script>')
    admin.get_by_role("button", name="Search").click()
    expect(admin.get_by_text("No connection matches.")).to_be_visible()
    assert not admin.evaluate("window.pwned")


def test_keyboard_alone(page: Page, owned_site: Site, office: Office) -> None:
    """From the sign-in to an allowed server without a mouse; focus can always be seen."""
    office.attack()
    page.goto("/")
    expect(page.get_by_label("Password")).to_be_focused()  # nobody has to look for it
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="192.168.1.10 tried to reach").first)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="What should I do now?")).to_be_visible()

    tab_to(page, page.get_by_label("Only 192.168.1.10"))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Every device")).to_be_checked()
    tab_to(page, page.get_by_role("button", name="Allow"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Every device may reach 203.0.113.7:6606 for 1 hour.")).to_be_visible()


def tab_to(page: Page, target: "object") -> None:
    """Press Tab until `target` has the focus, and look that the focus shows at each stop."""
    for _ in range(60):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            "(() => { const style = getComputedStyle(document.activeElement);"
            " return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2; })()"
        )
        assert outline, page.evaluate("document.activeElement.outerHTML")
        if target.evaluate("element => element === document.activeElement"):  # type: ignore[attr-defined]
            return
    raise AssertionError("sixty Tabs did not lead there")
