"""The language in which a page speaks: English as written, German from a catalogue beside it.

Templates write `{{ _("…") }}` or `{% trans %}`, views `_("…")`; a constant is marked with `N_` and
translated where it is shown. Which language a request wants is asked once and kept in `g`. Outside
a request, as in the audit trail, everything is English.
"""

import gettext
from functools import cache
from pathlib import Path

from flask import Flask, g, has_request_context, request

DOMAIN = "messages"
CATALOGUES = Path(__file__).parent / "translations"
LANGUAGES = ("en", "de")


def install(app: Flask) -> None:
    """Make `_`, `ngettext` and the trans block known to every template."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        _, ngettext, newstyle=True
    )
    app.jinja_env.globals["language"] = language


def language() -> str:
    """Return the language of this request: what the browser prefers of the languages we have."""
    if not has_request_context():
        return LANGUAGES[0]
    if "language" not in g:
        g.language = request.accept_languages.best_match(LANGUAGES, LANGUAGES[0])
    found: str = g.language
    return found


def _(message: str) -> str:
    """Return a message in the language of this request; as it is where it has no translation."""
    return _catalogue(language()).gettext(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """Return the form of a message that goes with this number."""
    return _catalogue(language()).ngettext(singular, plural, number)


def N_(message: str) -> str:  # noqa: N802 -- the name that gettext's tools look for
    """Mark a message that is translated later, where it is shown."""
    return message


@cache
def _catalogue(name: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, CATALOGUES, [name], fallback=True)
