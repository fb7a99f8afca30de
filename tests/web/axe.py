"""What axe-core finds on a page that keeps people out: rules of WCAG 2.2 AA and good practice.

The library is vendored for the tests alone (`scripts/vendor`) and is put into the page by the
browser's debugger, so that the page's own policy need not know of it.
"""

from pathlib import Path

from playwright.sync_api import Page

SOURCE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()
RUN = """async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations
    .filter((rule) => ["serious", "critical"].includes(rule.impact))
    .map((rule) => `${rule.id} (${rule.help}): ${rule.nodes.map((node) => node.html).join(" ")}`);
}"""


def barriers(page: Page) -> list[str]:
    """Return what is serious or critical on the page as it stands, one line for each rule."""
    page.evaluate(f"{SOURCE}; 0")
    found: list[str] = page.evaluate(RUN)
    return found
