"""Where a form may lead to: a path on this page, never another site."""

from urllib.parse import urlsplit


def own_path(wanted: str | None) -> str:
    """Return a path on this page only: never another site, whatever the browser makes of it."""
    if not wanted or not wanted.startswith("/") or wanted.startswith("//") or "\\" in wanted:
        return "/"
    if any(ord(char) < 0x21 for char in wanted):
        return "/"
    split = urlsplit(wanted)
    return wanted if not split.scheme and not split.netloc else "/"
