"""A page speaks the browser's language if it is one of ours, and English otherwise."""

import pytest
from flask import Flask, render_template_string

from ratwall_web import language


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("de-AT,de;q=0.9,en;q=0.5", "de"), ("fr,en;q=0.4", "en"), ("fr", "en"), ("", "en")],
)
def test_the_browser_is_asked(wanted: str, given: str) -> None:
    app = Flask("ratwall_web")
    language.install(app)
    with app.test_request_context(headers={"Accept-Language": wanted}):
        assert render_template_string("{{ language() }}") == given


def test_a_message_without_translation_stays_as_it_is() -> None:
    app = Flask("ratwall_web")
    language.install(app)
    with app.test_request_context(headers={"Accept-Language": "de"}):
        shown = render_template_string("{{ _('No such %(what)s', what='message') }}")
    assert shown == "No such message"
