"""How a person goes through the admin page: one function per errand, in a real browser.

Reusable by any test that has a page served somewhere: `page` is a Playwright page whose context
has the page's address as its base URL.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ARTIFACTS = Path(__file__).parents[2] / "artifacts" / "web"
# For what is sure to come: a busy machine may take its time, and only a failure takes all of it.
PATIENCE_MS = 30_000
LAUNCH_MS = 120_000
expect.set_options(timeout=PATIENCE_MS)
DESKTOP = {"width": 1440, "height": 900}
TABLET = {"width": 768, "height": 1024}
PHONE = {"width": 360, "height": 740}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS), timeout=LAUNCH_MS
        )
        yield browser
        browser.close()


def visit(browser: Browser, url: str, **options: Any) -> BrowserContext:
    """Open a fresh browser profile that takes the box's own certificate."""
    settings = {"viewport": DESKTOP, "locale": "en-GB", **options}
    return browser.new_context(base_url=url, ignore_https_errors=True, **settings)


# Chromium calls each refused form an error of the console; tests look at refusals by themselves.
REFUSAL = re.compile(r"Failed to load resource: the server responded with a status of (4\d\d|503)")


class Console:
    """What a page complained about: script errors, lost requests, policy violations."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and not REFUSAL.match(message.text):
            self.complaints.append(f"{message.type}: {message.text}")


def set_up(page: Page, code: str, password: str) -> None:
    """Set the first password with the code from the console, and go on to the overview."""
    set_password(page, code, password)
    page.get_by_role("link", name="Go on later").click()
    expect(page.locator(".strip")).to_be_visible()


def set_password(page: Page, code: str, password: str) -> None:
    """Set the first password, and arrive at the next step of the first run."""
    page.goto("/")
    page.get_by_label("Set-up code").fill(code)
    page.get_by_label("New password").fill(password)
    page.get_by_label("The same password again").fill(password)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def log_in(page: Page, password: str) -> None:
    """Sign in and arrive on the page that was asked for, or the overview."""
    type_password(page, password)
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()


def type_password(page: Page, password: str) -> None:
    """Type a password into the sign-in form and send it, right or wrong."""
    if not page.url.startswith("http") or "/login" not in page.url:
        page.goto("/login")
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def log_out(page: Page) -> None:
    """Sign out."""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()


def open_incident(page: Page, words: str) -> None:
    """Open the newest incident whose headline contains `words`, from the overview."""
    page.goto("/")
    page.get_by_role("link", name=words).first.click()
    expect(page.get_by_role("heading", name="What should I do now?")).to_be_visible()


def allow(page: Page, who: str = "Only", what: str = "Server", length: str = "1 hour") -> None:
    """Allow what the open incident is about; the arguments are how the choices begin."""
    form = page.locator("form[action$='/allow']")
    for choice in (who, what, length):
        form.locator("label").filter(has_text=choice).first.click()
    form.get_by_role("button", name="Allow").click()


def release(page: Page) -> None:
    """Take the open incident's block away."""
    page.get_by_role("button", name="Release").click()


def keep_blocking(page: Page, length: str = "1 day") -> None:
    """Keep the open incident's server blocked for longer."""
    form = page.locator("form[action$='/keep']")
    form.locator("label").filter(has_text=length).first.click()
    form.get_by_role("button", name="Keep blocking").click()


def block(page: Page, who: str = "this device", what: str = "Only", length: str = "1 day") -> None:
    """Have the server on the open page refused; the arguments are words of the choices."""
    form = page.locator("form[action$='/block']")
    for choice in (who, what, length):
        form.locator("label").filter(has_text=choice).first.click()
    form.get_by_label("I know what stops").check()
    form.get_by_role("button", name="Block").click()


def keep_picture(page: Page, name: str) -> Path:
    """Keep a picture of the whole page under artifacts/web."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTIFACTS / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    return path


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    return int(page.evaluate(script))


def faint_texts(page: Page) -> list[str]:
    """Return texts whose contrast with their background is below WCAG AA (4.5, large 3)."""
    script = """() => {
      const parse = (text) => {
        const numbers = text.match(/[\\d.]+/g).map(Number);
        const scale = text.startsWith("color(") ? 255 : 1;
        return [numbers[0] * scale, numbers[1] * scale, numbers[2] * scale, numbers[3] ?? 1];
      };
      const light = ([r, g, b]) => [r, g, b].map((value) => {
        const part = value / 255;
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
      }).reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
      const backdrop = (element) => {
        for (let each = element; each; each = each.parentElement) {
          const colour = parse(getComputedStyle(each).backgroundColor);
          if (colour[3] === 1) return colour;
        }
        return [255, 255, 255, 1];
      };
      const faint = [];
      for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        const box = element.getBoundingClientRect();
        const seen = box.width > 2 && box.height > 2 && !element.closest(".unseen, .skip, svg");
        if (!own || !seen) continue;
        const style = getComputedStyle(element);
        const [one, other] = [light(parse(style.color)), light(backdrop(element))];
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        const size = parseFloat(style.fontSize);
        const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
        if (contrast < (large ? 3 : 4.5)) {
          const words = element.textContent.trim().slice(0, 40);
          faint.push(`${contrast.toFixed(2)} ${element.tagName} ${words}`);
        }
      }
      return faint;
    }"""
    found: list[str] = page.evaluate(script)
    return found
