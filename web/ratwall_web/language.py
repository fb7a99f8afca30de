"""The language in which a page speaks: English as written, German from a catalogue beside it.

Templates write `{{ _("…") }}` or `{% trans %}`, views `_("…")`; a constant is marked with `N_` and
translated where it is shown. A place in a sentence has a name, `%(server)s`, and what comes into it
is cleaned and escaped like any value of a page. The language of a request is the one chosen on the
page, which a cookie remembers, else the one that the browser prefers. Outside a request, as in the
audit trail and on the command line, and in the API, everything is English.
"""

import gettext
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flask import Flask, g, has_request_context, request
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from ratwall_web.cookies import LANGUAGE_COOKIE

DOMAIN = "messages"
CATALOGUES = Path(__file__).parent / "translations"
# Each by the name that its speakers give it.
LANGUAGES = {"en": "English", "de": "Deutsch"}
ENGLISH = "en"


class Words(Mapping[str, str]):
    """A table of constants, each translated when it is looked up."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def __getitem__(self, key: str) -> str:
        return _(self._words[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)


def install(app: Flask) -> None:
    """Make `_`, `ngettext` and the trans block known to every template."""
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.newstyle_gettext = True  # type: ignore[attr-defined]
    app.jinja_env.globals.update(
        _=_shown,
        gettext=_shown,
        ngettext=_shown_number,
        language=language,
        languages=LANGUAGES,
    )


def language() -> str:
    """Return the language of this request."""
    if not has_request_context():
        return ENGLISH
    if "language" not in g:
        chosen = request.cookies.get(LANGUAGE_COOKIE, "")
        asked = request.accept_languages.best_match(list(LANGUAGES), ENGLISH)
        g.language = chosen if chosen in LANGUAGES else asked
    found: str = g.language
    return found


def speak_english() -> None:
    """Answer this request in English, whatever its sender prefers: programs read the answer."""
    g.language = ENGLISH


def _(message: str, /, **values: object) -> str:
    """Return a message in the language of this request; as it is where it has no translation."""
    found = _catalogue(language()).gettext(message) if message else ""  # "" is its head
    return found % values if values else found


def ngettext(singular: str, plural: str, number: int, /, **values: object) -> str:
    """Return the form of a message that goes with this number; `num` is the number, if asked."""
    found = _catalogue(language()).ngettext(singular, plural, number)
    return found % {"num": grouped(number), **values} if values else found


def N_(message: str) -> str:  # noqa: N802 -- the name that gettext's tools look for
    """Mark a message that is translated later, where it is shown."""
    return message


def NN_(singular: str, plural: str) -> tuple[str, str]:  # noqa: N802 -- as above
    """Mark a message with two forms, for `ngettext` to choose from later."""
    return singular, plural


def grouped(number: int) -> str:
    """Return a whole number with its thousands set apart, as this language does."""
    text = f"{number:,}"
    return text.replace(",", ".") if language() == "de" else text


def decimal(number: float, digits: int = 1) -> str:
    """Return a number with so many digits after the point, or comma."""
    text = f"{number:.{digits}f}"
    return text.replace(".", ",") if language() == "de" else text


@pass_eval_context
def _shown(context: EvalContext, message: str, /, **values: Any) -> str:
    return _filled(context, _(message), values)


@pass_eval_context
def _shown_number(
    context: EvalContext, singular: str, plural: str, number: int, /, **values: Any
) -> str:
    message = _catalogue(language()).ngettext(singular, plural, number)
    return _filled(context, message, {"num": grouped(number), **values})


def _filled(context: EvalContext, message: str, values: dict[str, Any]) -> str:
    """Fill the places of a message, which is ours, with values, which are hostile."""
    finalize = context.environment.finalize
    cleaned = {name: finalize(value) if finalize else value for name, value in values.items()}
    text = Markup(message) if context.autoescape else message  # noqa: S704 -- from our catalogue
    return text % cleaned


@cache
def _catalogue(name: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, CATALOGUES, [name], fallback=True)
