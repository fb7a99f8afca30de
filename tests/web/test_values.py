"""Every setting on a page: with its meaning, checked by the schema, kept whole or not at all."""

import html
import re
import tomllib
from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall.settings.catalogue import entries
from ratwall_web import create_app, settings_form
from ratwall_web import settings_words as words
from ratwall_web.config import Config
from ratwall_web.services import EXTENSION
from unit.controller.box import Box, Running
from unit.controller.keeper import FileKeeper
from web.conftest import FAST

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"
FILE = """\
[detection]
alert = 60   # as it came
"""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keeper(box: Box) -> Iterator[FileKeeper]:
    keeper = FileKeeper(box.state, FILE)
    yield keeper
    keeper.stop()


@pytest.fixture
def running(box: Box, keeper: FileKeeper) -> Iterator[Running]:
    running = Running(box)
    yield running
    running.stop()


@pytest.fixture
def app(box: Box, clock: Clock) -> Flask:
    (box.state / "web").mkdir(mode=0o700)
    app = create_app(Config(box.state, **FAST), clock)
    app.extensions[EXTENSION].credentials.set(PASSWORD)
    return app


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "192.168.1.1:8443"
    form = {"password": PASSWORD, "csrf": field_in(client.get("/login", base_url=BASE), "csrf")}
    assert client.post("/login", data=form, base_url=BASE).status_code == 303
    return client


def field_in(page: TestResponse, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


def filled(page: TestResponse) -> dict[str, str]:
    """Return the form of a section as a browser would send it back untouched."""
    form = {name: field_in(page, name) for name in ("csrf", "digest")}
    inputs = re.findall(r'<input id="([^"]+)"[^>]*? type="text" value="([^"]*)"', page.text)
    areas = re.findall(r'<textarea id="([^"]+)"[^>]*>([^<]*)</textarea>', page.text)
    form |= {name: html.unescape(value) for name, value in inputs + areas}
    for name, options in re.findall(r'<select id="([^"]+)"[^>]*>(.*?)</select>', page.text, re.S):
        (form[name],) = re.findall(r'value="([^"]*)" selected', options)
    return form


def show(client: FlaskClient, section: str) -> TestResponse:
    return client.get(f"/settings/values/{section}", base_url=BASE)


def save(client: FlaskClient, section: str, **typed: str) -> TestResponse:
    form = filled(show(client, section)) | {
        f"{section}.{key}": value for key, value in typed.items()
    }
    return client.post(f"/settings/values/{section}", data=form, base_url=BASE)


def test_every_setting_and_section_has_words() -> None:
    assert set(words.SETTINGS) == set(entries())
    assert set(words.SECTIONS) == {entry.section for entry in entries().values()}
    for entry in entries().values():
        assert settings_form.allowed(entry), entry.name


def test_every_section_is_shown_and_changes_nothing_when_sent_back(
    client: FlaskClient, running: Running, keeper: FileKeeper
) -> None:
    index = client.get("/settings/values/", base_url=BASE)
    for section in settings_form.section_names():
        assert f'href="/settings/values/{section}"' in index.text
        assert show(client, section).status_code == 200
        assert save(client, section).status_code == 303, section
    assert keeper.path.read_text() == FILE


def test_a_change_is_kept_with_the_comments_and_written_down(
    client: FlaskClient, running: Running, keeper: FileKeeper
) -> None:
    assert save(client, "detection", enforce="off", alert="61").status_code == 303
    assert tomllib.loads(keeper.path.read_text()) == {"detection": {"alert": 61, "enforce": False}}
    assert "# as it came" in keeper.path.read_text()
    assert "Saved, and in force." in show(client, "detection").text


def test_lists_feeds_and_what_needs_a_restart(
    client: FlaskClient, running: Running, keeper: FileKeeper
) -> None:
    save(client, "never_block", addresses="192.0.2.53\r\n2001:db8::53\r\n")
    save(client, "feeds", sources="own plain 24 /etc/ratwall/own.txt")
    save(client, "web", listen="192.0.2.1:443")
    document = tomllib.loads(keeper.path.read_text())
    assert document["never_block"]["addresses"] == ["192.0.2.53", "2001:db8::53"]
    (feed,) = document["feeds"]["sources"]
    assert feed == {"name": "own", "kind": "plain", "hours": 24, "source": "/etc/ratwall/own.txt"}
    assert "after the box was started again" in client.get("/settings/values/", base_url=BASE).text
    save(client, "never_block", addresses="")
    assert not tomllib.loads(keeper.path.read_text())["never_block"].get("addresses")


def test_what_is_wrong_is_said_beside_the_field_and_nothing_is_lost(
    client: FlaskClient, running: Running, keeper: FileKeeper
) -> None:
    page = save(client, "detection", alert="ninety<b>", watch="7")
    assert page.status_code == 422
    assert "a whole number from 1 to 100. Found: &#34;ninety&lt;b&gt;&#34;" in page.text
    assert 'value="ninety&lt;b&gt;"' in page.text and 'value="7"' in page.text
    page = save(client, "detection", alert="95")
    assert page.status_code == 422 and "watch &lt; alert &lt; block" in page.text
    assert keeper.path.read_text() == FILE


def test_each_field_is_checked_as_it_is_typed(client: FlaskClient, running: Running) -> None:
    form = filled(show(client, "detection"))

    def check(**typed: str) -> str:
        data = form | {f"detection.{key}": value for key, value in typed.items()}
        (name,) = typed
        path = f"/settings/values/detection/check?field=detection.{name}"
        return client.post(path, data=data, base_url=BASE).text.strip()

    assert check(alert="62") == ""
    assert "a whole number from 1 to 100" in check(alert="0")
    assert "watch &lt; alert &lt; block" in check(alert="80")


def test_a_secret_is_set_kept_and_removed_and_never_shown(
    client: FlaskClient, running: Running, keeper: FileKeeper
) -> None:
    url = "https://hooks.example/x"
    save(client, "export.webhook", url=url, secret_file="open sesame")
    kept = keeper.path.parent / "secrets" / "webhook"
    assert kept.read_text() == "open sesame\n"
    page = show(client, "export.webhook")
    assert "set; leave empty to keep it" in page.text and "sesame" not in page.text
    save(client, "export.webhook", url=f"{url}/y")
    assert kept.read_text() == "open sesame\n"
    save(client, "export.webhook", url="", **{"secret_file.remove": "yes"})
    assert not kept.exists()


def test_what_weakens_the_box_asks_for_the_password(
    client: FlaskClient, running: Running, keeper: FileKeeper, clock: Clock
) -> None:
    clock.now += 301
    assert save(client, "block", seconds="61").status_code == 303
    asked = save(client, "detection", enforce="off")
    assert asked.status_code == 403 and "Your password, once more" in asked.text
    assert "enforce" not in tomllib.loads(keeper.path.read_text())["detection"]


def test_two_people_at_once_do_not_undo_each_other(
    client: FlaskClient, running: Running, keeper: FileKeeper
) -> None:
    late = filled(show(client, "block")) | {"block.seconds": "99"}
    save(client, "ledger", retention_days="30")
    answer = client.post("/settings/values/block", data=late, base_url=BASE)
    assert answer.status_code == 409 and "changed by somebody else" in answer.text
    assert 'value="99"' in answer.text
    assert tomllib.loads(keeper.path.read_text())["ledger"] == {"retention_days": 30}


def test_without_a_controller_it_says_so_and_keeps_what_was_typed(client: FlaskClient) -> None:
    page = show(client, "detection")
    assert page.status_code == 200 and "does not answer" in page.text
    typed = {"csrf": field_in(page, "csrf"), "detection.alert": "64"}
    answer = client.post("/settings/values/detection", data=typed, base_url=BASE)
    assert answer.status_code == 422 and 'value="64"' in answer.text
    assert client.get("/settings/values/nothing", base_url=BASE).status_code == 404
