"""Restart, power off and factory reset at the page: said first, asked again, done once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from web.story import Office
from web.upkeep import Desk, desk


@pytest.fixture
def page(state_dir: Path, office: Office) -> Iterator[Desk]:
    with desk(state_dir, office) as found:
        yield found


@pytest.mark.parametrize("verb", ["restart", "power-off"])
def test_the_box_is_asked_once_and_the_page_says_what_happens(page: Desk, verb: str) -> None:
    answer = page.post(f"/power/{verb}")
    assert answer.status_code == 200 and "no internet" in answer.text
    assert page.orders() == [{"verb": verb}]


def test_a_reset_wants_a_tick_and_signs_everybody_out(page: Desk) -> None:
    answer = page.post("/power/factory-reset")
    assert answer.status_code == 422 and "Tick the box first" in answer.text
    assert page.orders() == []
    answer = page.post("/power/factory-reset", sure="yes")
    assert "set-up code that stands on its screen" in answer.text
    assert page.orders() == [{"verb": "factory-reset"}]
    assert page.get("/power/").status_code == 303


@pytest.mark.parametrize("verb", ["restart", "power-off", "factory-reset"])
def test_the_password_is_asked_for_again(page: Desk, verb: str) -> None:
    page.clock.now += page.config.confirmed_s
    answer = page.post(f"/power/{verb}", sure="yes")
    assert answer.status_code == 403 and "Your password, once more" in answer.text
    assert page.orders() == []


def test_a_refusal_stands_beside_the_button(page: Desk) -> None:
    page.controller.refusals["steward"] = "systemd refuses: Access denied"
    answer = page.post("/power/power-off")
    assert answer.status_code == 409
    assert answer.text.index("Access denied") > answer.text.index('id="off"')
    assert answer.text.index("Access denied") < answer.text.index('id="reset"')


def test_no_other_word_and_no_link_does_anything(page: Desk) -> None:
    assert page.post("/power/halt").status_code == 404
    assert page.get("/power/restart").status_code in (404, 405)
    assert (
        page.client.post("/power/restart", base_url="https://192.168.1.1:8443").status_code == 422
    )
    assert page.orders() == []


def test_elsewhere_the_page_says_that_it_is_for_boxes(state_dir: Path, office: Office) -> None:
    with desk(state_dir, office, image=False) as page:
        text = page.get("/power/").text
        assert "started from Ratwall's own image" in text
        assert "<button" not in text.split("<main", 1)[1].split("</main>")[0]
