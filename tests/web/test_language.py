"""A page speaks the browser's language if it is one of ours, and English otherwise."""

import pytest
from flask import Flask, render_template_string

from ratwall_web import create_app, filters, language
from ratwall_web.config import Config


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


def test_what_comes_into_a_sentence_is_escaped_and_cleaned(config: Config) -> None:
    app = create_app(config)
    with app.test_request_context():
        shown = render_template_string("{{ _('to %(server)s', server=name) }}", name="<b>\u202e")
        assert shown == "to &lt;b&gt;\u2039U+202E\u203a"
        shown = render_template_string(
            "{% trans server=name %}to {{ server }}{% endtrans %}", name="<\x1b"
        )
        assert shown == "to &lt;\u2039U+001B\u203a"
        shown = render_template_string("{{ ngettext('%(num)s day', '%(num)s days', 1200) }}")
        assert shown == "1,200 days"


def test_numbers_and_times_are_written_as_the_language_does(config: Config) -> None:
    app = create_app(config)
    with app.test_request_context(headers={"Accept-Language": "de"}):
        assert (language.grouped(1_234_567), language.decimal(13.53)) == ("1.234.567", "13,5")
        assert "14.11.2023 22:13 UTC" in str(filters.clock(1_700_000_000_000_000))


def test_no_message_at_all_is_not_the_head_of_the_catalogue() -> None:
    assert language._("") == ""


def test_the_choice_is_remembered_and_leads_back(config: Config) -> None:
    client = create_app(config).test_client()
    page = client.get("/setup", base_url="https://127.0.0.1", headers={"Accept-Language": "en"})
    form = {"csrf": page.text.split('name="csrf" value="')[1].split('"')[0]}
    form |= {"language": "de", "next": "/setup"}
    answer = client.post("/language", data=form, base_url="https://127.0.0.1")
    assert (answer.status_code, answer.location) == (303, "/setup")
    again = client.get("/setup", base_url="https://127.0.0.1", headers={"Accept-Language": "en"})
    assert '<html lang="de">' in again.text
    form |= {"language": "xx"}
    assert client.post("/language", data=form, base_url="https://127.0.0.1").status_code == 404


def test_programs_are_answered_in_english(config: Config) -> None:
    client = create_app(config).test_client()
    answer = client.get(
        "/api/v1/status", base_url="https://127.0.0.1", headers={"Accept-Language": "de"}
    )
    assert answer.status_code == 401
    assert answer.json is not None
    assert "Send a token" in answer.json["detail"]
