"""The page of messages: how each way fares, and a test that goes all the way to a mail server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from ratwall.settings.load import load_settings
from ratwall_lab.certificates import Notary
from unit.controller.box import Box, Running
from unit.export.conftest import eventually, exporter, free_port
from unit.export.test_people import mail_server
from web.test_values import BASE, app, client, clock, field_in

__all__ = ["app", "client", "clock"]  # fixtures


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(box: Box, port: int) -> Iterator[Running]:
    """The controller and the real exporter, which is to tell Anna by mail."""
    (box.state / "export").mkdir()
    running = Running(box)
    running.service.export_directory = box.state / "export"
    text = (
        f'[export.mail]\nserver = "localhost:{port}"\nsender = "ratwall@office.example"\n'
        f'recipients = ["anna@office.example"]\nca_file = "{Notary().trust_root()}"\n'
    )
    with exporter(box.state, text):
        assert load_settings(Path(box.state / "ratwall.toml")).export.wanted
        yield running
    running.stop()


def ask(client: FlaskClient, way: str) -> Any:
    page = client.get("/settings/messages/", base_url=BASE)
    form = {"csrf": field_in(page, "csrf")}
    return client.post(f"/settings/messages/{way}/test", data=form, base_url=BASE)


def test_a_test_shows_what_the_server_said(
    client: FlaskClient, running: Running, port: int
) -> None:
    page = eventually(
        lambda: (
            (p := client.get("/settings/messages/", base_url=BASE).text).count("Send a test") and p
        ),
        lambda: client.get("/settings/messages/", base_url=BASE).text,
    )
    assert f"localhost port {port}" in page and "Switch on: MQTT" in page
    with mail_server(port) as mailbox:
        asked = ask(client, "mail")
        assert asked.status_code == 200 and "A test is under way" in asked.text
        link = asked.text.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")

        def answer() -> str | None:
            text = client.get(link, base_url=BASE).text
            return text if "under way" not in text else None

        assert "250 2.0.0 Ok: queued as 4711" in eventually(answer, lambda: "no answer")
    assert mailbox.letters[0]["Subject"].endswith(": test")
    refused = ask(client, "mqtt")
    assert refused.status_code == 409 and "nobody is to be told that way" in refused.text
    assert client.get(link.replace("mail", "x"), base_url=BASE).status_code == 404
    old = client.get("/settings/messages/push/trial?asked=1", base_url=BASE).text
    assert "No answer came" in old


def test_without_a_controller_it_says_so(client: FlaskClient) -> None:
    page = client.get("/settings/messages/", base_url=BASE)
    assert page.status_code == 200 and "does not answer" in page.text
    assert ask(client, "mail").status_code == 503
