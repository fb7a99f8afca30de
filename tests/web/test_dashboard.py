"""The dashboard: one drawing for all tabs, thirty days from the hourly counts, the box's health."""

import json
import re
import threading
from datetime import datetime
from html import unescape

import pytest
from flask.testing import FlaskClient

from ratwall.ledger.days import DAYS
from ratwall_web import conditions, create_app
from ratwall_web.amounts import of_bytes, of_rate
from ratwall_web.config import Config
from ratwall_web.control import STATUS_KEPT_S
from ratwall_web.services import DASHBOARD_KEPT_S, MONTH_KEPT_S
from ratwall_web.sharing import Shared
from web.conftest import FAST, PASSWORD
from web.peer import HEALTH, STATUS, ControllerPeer
from web.story import Office

BASE = "https://192.168.1.1"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(office: Office, controller: ControllerPeer, clock: Clock) -> FlaskClient:
    """Return somebody who is signed in, without a process of the page's own."""
    config = Config(office.path.parent, **FAST)
    config.web_dir.mkdir(mode=0o700)
    app = create_app(config, clock)
    app.extensions["ratwall"].credentials.set(PASSWORD)
    client = app.test_client()
    form = client.get("/login", base_url=BASE).text
    csrf = form.split('name="csrf" value="')[1].split('"')[0]
    fields = {"password": PASSWORD, "csrf": csrf}
    assert client.post("/login", data=fields, base_url=BASE).status_code == 303
    return client


def show(client: FlaskClient, path: str = "/", **headers: str) -> str:
    answer = client.get(path, base_url=BASE, headers=headers)
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.text)


def chart(text: str, step: str) -> list[list[int]]:
    (found,) = re.findall(rf'data-chart="([^"]*)" data-step="{step}"', text)
    drawn: list[list[int]] = json.loads(unescape(found))
    return drawn


def test_thirty_days_are_drawn_from_the_hourly_counts(client: FlaskClient, office: Office) -> None:
    office.fill_day()
    text = show(client)
    days, inspected, uninspected, blocked = chart(text, "day")
    assert (len(days), sum(inspected) > 0, sum(uninspected), sum(blocked)) == (DAYS, True, 31, 2)
    assert datetime.fromtimestamp(days[-1]).date() == datetime.now().date()
    assert sum(inspected) == sum(chart(text, "hour")[1]), "today and yesterday are all there is"
    assert "The last 30 days" in show(client, "/month")


def test_the_health_of_the_box_is_told(
    client: FlaskClient, controller: ControllerPeer, clock: Clock
) -> None:
    text = show(client)
    for words in ("7 %", "12 % of 4.0 GB", "48 °C", "4 % of 32 GB", "queue 0 % full", "2 days"):
        assert words in text
    assert "Office (lan0)" in text and "1.0 Gbit/s" in text and "18 Mbit/s" in text
    assert "One of the two network ports has no link" in text

    controller.status = STATUS | {"health": None}
    clock.now += STATUS_KEPT_S
    assert "The box itself" not in show(client), "it has not looked yet"


def test_what_the_machine_does_not_say_is_said_in_words(
    client: FlaskClient, controller: ControllerPeer
) -> None:
    silent = dict.fromkeys(("processor_percent", "temperature", "disk_percent", "queue_percent"))
    controller.status = STATUS | {"health": HEALTH | silent | {"tight": []}}
    text = show(client)
    for words in ("being measured", "no sensor", "unknown", "nobody inspects"):
        assert words in text
    assert conditions.hints(HEALTH | {"tight": ["unheard of"]}) == []


def test_all_tabs_see_one_drawing_and_a_change_is_seen_at_once(
    client: FlaskClient, controller: ControllerPeer, clock: Clock, office: Office
) -> None:
    show(client)
    before = show(client, "/live")
    office.browse()
    assert show(client, "/live") == before, "drawn less than a second ago"
    clock.now += DASHBOARD_KEPT_S
    after = show(client, "/live")
    assert after != before

    controller.status = STATUS | {"state": "monitor"}
    clock.now += DASHBOARD_KEPT_S / 2
    assert show(client, "/live") == after
    client.application.extensions["ratwall"].control._kept = None  # as after every change
    assert "Monitor only" in show(client), "whoever loads the page sees it as it is"
    assert "Monitor only" in show(client, "/live"), "and so do all other tabs"


def test_a_tab_in_another_language_does_not_get_this_one(client: FlaskClient) -> None:
    show(client)
    german = show(client, "/live", **{"Accept-Language": "de"})
    english = show(client, "/live", **{"Accept-Language": "en"})
    assert show(client, "/live", **{"Accept-Language": "de"}) == german
    assert show(client, "/live", **{"Accept-Language": "en"}) == english


def test_a_controller_that_is_down_and_a_ledger_that_cannot_be_read_are_told(
    client: FlaskClient, controller: ControllerPeer, office: Office, clock: Clock
) -> None:
    controller.close()
    assert "No answer from the controller" in show(client)
    office.close()
    office.path.write_bytes(b"not a ledger" * 100)
    clock.now += MONTH_KEPT_S
    text = show(client)
    assert text.count("ledger.sqlite3") >= 2, "figures and days say why they are missing"
    assert 'data-step="day"' not in text


def test_only_one_draws_while_others_wait() -> None:
    drawn, waiting, go = [], threading.Barrier(5), threading.Event()

    def draw() -> int:
        go.wait()
        drawn.append(1)
        return len(drawn)

    shared: Shared[int] = Shared(lambda: 0.0, 1.0)
    seen: list[int] = []

    def ask() -> None:
        waiting.wait()
        seen.append(shared.get("en", draw))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    waiting.wait()
    go.set()
    for thread in threads:
        thread.join()
    assert (seen, len(drawn)) == ([1] * 4, 1)


def test_what_failed_is_not_kept() -> None:
    shared: Shared[int] = Shared(lambda: 0.0, 1.0)

    def fail() -> int:
        raise OSError

    with pytest.raises(OSError):
        shared.get("en", fail)
    assert shared.get("en", lambda: 7) == 7


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("0 bytes", 0),
        ("999 bytes", 999),
        ("1.0 kB", 1000),
        ("9.9 kB", 9949),
        ("10 kB", 9951),
        ("999 kB", 999_499),
        ("1.0 MB", 999_500),
        ("64 GB", 64 * 10**9),
        ("2,000 GB", 2 * 10**12),
    ],
)
def test_amounts_are_read_by_people(words: str, number: int) -> None:
    assert of_bytes(number) == words


def test_rates_are_in_bits() -> None:
    assert [of_rate(0), of_rate(940 * 10**6)] == ["0 bit/s", "940 Mbit/s"]
