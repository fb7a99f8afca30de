"""Lists and what is behind them: servers, certificates, rules, names, notes, the audit trail.

Flask's own client asks; the controller and the ledger are the real ones. The browser walks the
pages in `test_pages`.
"""

import csv
import html
import io
import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall.ledger import queries
from ratwall.ledger.store import FILE_NAME, Ledger
from ratwall_web import create_app
from ratwall_web.config import Config
from ratwall_web.services import EXTENSION
from unit.controller.box import (
    CLIENT,
    SERVER,
    Box,
    FakeInspector,
    Running,
    clean,
    eventually,
    report,
)
from web.conftest import FAST

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"
PLAIN, FORMULA = "198.51.100.80", "=cmd.example.com"
MET = """
INSERT INTO contact (device, address, server, port, name, first_seen, last_seen, connections,
  failures, sent, received, handshakes, hour, in_hour, busiest, busiest_at)
VALUES (1, ?, ?, 443, ?, 1, ?, 9, 1, 0, 0, 9, 0, 0, 0, 0)
"""


@pytest.fixture
def running(box: Box) -> Iterator[Running]:
    """A controller that has heard of an attack and of an ordinary connection."""
    running = Running(box)
    inspector = FakeInspector(box.state)
    inspector.send(report())
    inspector.send(clean(sni=FORMULA, server=PLAIN, client_port=50_001))
    eventually(lambda: len(asked(box, queries.flows)) == 2)
    with sqlite3.connect(box.state / FILE_NAME) as ledger:
        ledger.execute(MET, (CLIENT, SERVER, "control.example", 5_000_000))
        ledger.execute(MET, (CLIENT, PLAIN, FORMULA, 6_000_000))
    ledger.close()
    yield running
    inspector.close()
    running.stop()


def asked(box: Box, query: Callable[..., Any], *arguments: Any) -> Any:
    with box.reading() as ledger:
        return query(ledger, *arguments)


def device(ledger: Ledger) -> dict[str, Any]:
    return queries.devices(ledger)[0]


@pytest.fixture
def client(box: Box, running: Running) -> FlaskClient:
    (box.state / "web").mkdir(mode=0o700)
    app: Flask = create_app(Config(box.state, **FAST), time.monotonic)
    app.extensions[EXTENSION].credentials.set(PASSWORD)
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "192.168.1.1:8443"
    form = {"password": PASSWORD, "csrf": token(client, "/login")}
    assert client.post("/login", data=form, base_url=BASE).status_code == 303
    return client


def token(client: FlaskClient, path: str) -> str:
    found = re.search(r'name="csrf" value="([^"]*)"', show(client, path).text)
    assert found is not None
    return html.unescape(found[1])


def show(client: FlaskClient, path: str) -> TestResponse:
    return client.get(path, base_url=BASE)


def send(client: FlaskClient, path: str, **fields: str) -> TestResponse:
    data = {"csrf": token(client, "/rules/"), **fields}
    return client.post(path, data=data, base_url=BASE)


def test_servers_are_found_by_address_and_name_and_shown_whole(client: FlaskClient) -> None:
    page = show(client, "/servers/").text
    assert page.index(f"/servers/{PLAIN}") < page.index(f"/servers/{SERVER}")  # spoken with last
    page = show(client, "/servers/?q=CONTROL").text
    assert SERVER in page
    assert PLAIN not in page
    assert "No server matches." in show(client, "/servers/?q=nowhere").text
    page = show(client, f"/servers/{SERVER}").text
    for text in ("control.example", "tried to reach", "CN=AsyncRAT Server", CLIENT):
        assert text in page
    for path in ("/servers/192.0.2.200", "/servers/x", "/servers/certificates/77"):
        assert show(client, path).status_code == 404


def test_certificates_are_found_and_laid_out(client: FlaskClient) -> None:
    assert "CN=AsyncRAT Server" in show(client, f"/servers/certificates/?q={'ab' * 20}").text
    assert "No certificate matches." in show(client, "/servers/certificates/?q=nowhere").text
    page = show(client, "/servers/certificates/1").text
    for text in ("cd" * 32, "9999-12-31", "by itself: nobody vouches", f"{SERVER}:6606"):
        assert text in page


def test_a_server_is_blocked_and_allowed_for_every_device(client: FlaskClient, box: Box) -> None:
    block = {"length": "day", "sure": "yes", "port": "8443"}
    assert send(client, f"/servers/{PLAIN}/block", **block).status_code == 303
    assert (PLAIN, 8443) in box.sets.blocked
    allow = {"length": "hour", "port": "8443"}
    assert send(client, f"/servers/{PLAIN}/allow", **allow).status_code == 303
    assert (PLAIN, 8443) not in box.sets.blocked


@pytest.mark.parametrize(
    ("what", "change", "problem"),
    [
        ("block", {"sure": ""}, "Tick the box"),
        ("block", {"port": "70000"}, "Give a port from 1 to 65535"),
        ("block", {"length": "ever"}, "Choose for how long."),
        ("allow", {"port": ""}, "Give a port from 1 to 65535"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_and_nothing_typed_is_lost(
    client: FlaskClient, box: Box, what: str, change: dict[str, str], problem: str
) -> None:
    before = dict(box.sets.blocked)
    form = {"length": "hour", "sure": "yes", "port": "443", "reason": "because of that"}
    answer = send(client, f"/servers/{PLAIN}/{what}", **form | change)
    assert answer.status_code == 422
    assert problem in answer.text
    assert "because of that" in answer.text
    assert box.sets.blocked == before


def test_a_rule_is_set_with_audit_and_taken_back(client: FlaskClient, box: Box) -> None:
    page = show(client, "/rules/").text
    assert "rhythm.*" in page
    form = {"rule": "asyncrat.port", "mode": "off", "reason": "our own port"}
    assert send(client, "/rules/", **form).status_code == 303
    page = show(client, "/rules/").text
    assert "asyncrat.port" in page
    assert "our own port" in page
    assert asked(box, queries.audit)[0]["detail"] == "asyncrat.port may off: our own port"
    number = asked(box, queries.actions, box.now)[0]["id"]
    assert send(client, f"/rules/undo/{number}").status_code == 303
    assert "our own port" not in show(client, "/rules/").text


def test_a_rule_that_cannot_be_is_refused(client: FlaskClient) -> None:
    for form in ({"rule": "<b>", "mode": "off"}, {"rule": "rhythm.*", "mode": "sometimes"}):
        answer = send(client, "/rules/", **form)
        assert answer.status_code == 422
        assert html.escape(form["rule"]) in answer.text


def test_without_a_controller_the_rules_say_so(client: FlaskClient, running: Running) -> None:
    running.stop()
    assert "The controller does not answer" in show(client, "/rules/").text


def test_a_device_has_a_maker_a_risk_and_gets_a_name(client: FlaskClient, box: Box) -> None:
    page = show(client, "/devices/").text
    assert "made-up address, as phones use" in page
    assert re.findall(r"badge \w+.>(\w+)<", page) == ["1", "High"]
    number = asked(box, device)["id"]
    assert send(client, f"/devices/{number}/name", name=" Anna's  PC ").status_code == 303
    assert asked(box, device)["name"] == "Anna's PC"
    answer = send(client, f"/devices/{number}/name", name="192.168.1.7")
    assert answer.status_code == 409
    assert "192.168.1.7" in answer.text
    assert asked(box, device)["name"] == "Anna's PC"


def test_the_risk_is_that_of_open_incidents_of_a_week(box: Box, running: Running) -> None:
    week = 7 * 86_400_000_000
    opened = asked(box, queries.incident, 1)
    assert asked(box, queries.risks, opened["updated"] + week - 1) == {opened["device"]["id"]: 95}
    assert asked(box, queries.risks, opened["updated"] + week) == {}
    running.call("release", incident=1)
    assert asked(box, queries.risks, opened["updated"]) == {}


def test_a_note_is_kept_on_an_incident(client: FlaskClient, box: Box) -> None:
    assert send(client, "/incidents/1/note", note="Anna\r\nknows it").status_code == 303
    assert asked(box, queries.incident, 1)["note"] == "Anna\nknows it"
    page = show(client, "/incidents/1").text
    assert "Anna\nknows it</textarea>" in page
    assert "https://attack.mitre.org/techniques/T1573/002/" in page
    answer = send(client, "/incidents/1/note", note="a\x07b")
    assert answer.status_code == 409
    assert asked(box, queries.incident, 1)["note"] == "Anna\nknows it"


def test_the_audit_trail_is_searched_and_paged(client: FlaskClient, running: Running) -> None:
    for number in range(60):
        running.call("audit", event="note", detail=f"number {number:02}")
    page = show(client, "/audit/").text
    assert "number 59" in page
    assert "number 05" not in page
    older = re.search(r'href="(/audit/\?before=\d+)"', page)
    assert older is not None
    assert "number 05" in show(client, older[1]).text
    assert "number 05" in show(client, "/audit/?q=number+05").text
    assert "number 05" in show(client, "/audit/?author=root&q=number+05").text
    assert "No entry matches." in show(client, "/audit/?author=admin&q=number+05").text


def test_connections_are_taken_away_as_files(client: FlaskClient, box: Box) -> None:
    taken = show(client, "/connections/export.csv?port=443")
    rows = list(csv.DictReader(io.StringIO(taken.text)))
    assert [row["server"] for row in rows] == [PLAIN]
    assert rows[0]["name"] == f"'{FORMULA}"  # no table program runs it
    taken = show(client, "/connections/export.jsonl")
    assert {json.loads(line)["server"] for line in taken.text.splitlines()} == {PLAIN, SERVER}
    assert show(client, "/connections/export.csv?port=x").status_code == 422
    eventually(lambda: any(row["event"] == "export" for row in asked(box, queries.audit)))


def test_a_filter_that_cannot_be_read_is_said_beside_its_field(client: FlaskClient) -> None:
    answer = show(client, "/connections/?port=x&server=here&since=tomorrow&score=101&q=kept")
    assert answer.status_code == 422
    for field in ("port", "server", "since", "score"):
        assert f'id="wrong-{field}"' in answer.text
    assert 'value="kept"' in answer.text
    assert (
        "swap the two times" in show(client, "/connections/?since=2026-02-01&until=2026-01-01").text
    )


def test_a_search_goes_on_by_itself_while_nothing_is_found(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratwall.ledger.search.LOOKED", 1)
    page = show(client, "/connections/?port=6606").text
    assert "Looked back as far as" in page
    onward = re.search(r'hx-get="([^"]+)" hx-trigger="load"', page)
    assert onward is not None
    assert f"{SERVER}:6606" in show(client, html.unescape(onward[1])).text
