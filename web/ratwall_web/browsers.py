"""What a browser says of itself, in two words that its owner knows it by. Pure.

Nothing is decided by it: anybody can say anything there. Unknown ones are called a browser.
"""

from ratwall_web.language import _

# In this order: most browsers also claim to be those that come later.
BROWSERS = (
    ("Firefox/", "Firefox"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
READ_MOST = 400  # characters: longer than any real one


def browser_name(said: str) -> str:
    """Return `Firefox, Windows` and the like of a User-Agent header, empty if that says nothing."""
    part = said[:READ_MOST]
    names = (
        next((name for mark, name in table if mark in part), "") for table in (BROWSERS, SYSTEMS)
    )
    return ", ".join(name for name in names if name)


def shown(name: str) -> str:
    """Return the name, or a word for one that said nothing."""
    return name or _("A browser")
