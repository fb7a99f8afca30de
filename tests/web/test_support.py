"""The support page: says what is in the file first; a door opens for a key and some hours."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from web.story import Office
from web.upkeep import Desk, desk

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFsQBGxx4FjC9tFbYgHXqnZqk9yP3Qh0d3MQZbq0xgqD anna"


@pytest.fixture
def page(state_dir: Path, office: Office, tmp_path: Path) -> Iterator[Desk]:
    with desk(state_dir, office, runtime_dir=tmp_path) as found:
        yield found


def left(page: Desk, name: str, content: object) -> None:
    (page.config.runtime_dir / name).write_text(json.dumps(content))


def test_the_door_is_asked_for_with_a_key_and_hours(page: Desk) -> None:
    assert page.post("/support/access", key=f" {KEY}\r\n", hours="4").status_code == 303
    assert page.orders() == [{"verb": "support-on", "hours": 4, "key": KEY}]


@pytest.mark.parametrize(
    ("key", "hours", "words"),
    [
        ("ssh-ed25519 AAAA", "4", "is damaged or not all of it"),
        ("<script>", "4", "expected one line such as"),
        (KEY, "24", "Choose for how long"),
        (KEY, "", "Choose for how long"),
    ],
)
def test_what_is_wrong_stands_beside_what_was_typed(
    page: Desk, key: str, hours: str, words: str
) -> None:
    answer = page.post("/support/access", key=key, hours=hours)
    assert answer.status_code == 422 and words in answer.text
    assert key.replace("<", "&lt;").replace(">", "&gt;") in answer.text
    assert page.orders() == []


def test_while_it_is_open_every_page_says_so_and_ends_it(page: Desk) -> None:
    assert "somebody may come in" not in page.get("/tokens/").text
    left(page, "support.json", {"until": time.time_ns() // 1000 + 3_600_000_000})
    (page.config.runtime_dir / "support-fingerprint").write_text("SHA256:abc\n")
    for path in ("/tokens/", "/power/", "/support/"):
        assert "Support access is on" in page.get(path).text
    text = page.get("/support/").text
    assert "SHA256:abc" in text and "ssh root@192.168.1.1" in text
    # Shutting a door asks for nothing.
    page.clock.now += page.config.confirmed_s
    assert page.post("/support/access/end").status_code == 303
    assert page.orders() == [{"verb": "support-off"}]
    left(page, "support.json", {"until": time.time_ns() // 1000 - 1})
    assert "Support access is on" not in page.get("/tokens/").text


@pytest.mark.parametrize("content", ["x", [], {"until": "x"}, {"until": None}, {}])
def test_a_damaged_note_is_no_open_door(page: Desk, content: object) -> None:
    left(page, "support.json", content)
    assert "Support access is on" not in page.get("/tokens/").text


def test_the_file_is_made_offered_and_taken(page: Desk) -> None:
    assert "settings, without passwords" in page.get("/support/").text
    assert page.get("/support/bundle.zip").status_code == 404
    assert page.post("/support/bundle", incidents="yes").status_code == 303
    assert page.post("/support/bundle").status_code == 303
    assert page.orders() == [
        {"verb": "support-bundle", "incidents": True},
        {"verb": "support-bundle", "incidents": False},
    ]
    left(page, "bundle-request.json", {"began": time.time_ns() // 1000, "incidents": False})
    assert "is being made" in page.get("/support/").text
    (page.config.runtime_dir / "support-bundle.zip").write_bytes(b"PK")
    assert "Download the file" in page.get("/support/").text
    taken = page.get("/support/bundle.zip")
    assert taken.data == b"PK"
    assert "attachment" in taken.headers["Content-Disposition"]


@pytest.mark.parametrize("path", ["/support/access", "/support/bundle"])
def test_the_password_is_asked_for_again(page: Desk, path: str) -> None:
    page.clock.now += page.config.confirmed_s
    assert page.post(path, key=KEY, hours="1").status_code == 403
    assert page.get("/support/bundle.zip").status_code == 403
    assert page.orders() == []


def test_a_refusal_keeps_what_was_typed(page: Desk) -> None:
    page.controller.refusals["steward"] = "support-on: it is on already; switch it off first"
    answer = page.post("/support/access", key=KEY, hours="8")
    assert answer.status_code == 409 and "it is on already" in answer.text
    assert KEY in answer.text and 'value="8" checked' in answer.text


def test_elsewhere_it_says_so(state_dir: Path, office: Office, tmp_path: Path) -> None:
    with desk(state_dir, office, image=False, runtime_dir=tmp_path) as page:
        text = page.get("/support/").text
        assert "ratwall support bundle" in text
        assert "for boxes that were started from Ratwall's own image" in text


def test_the_key_of_these_tests_is_one() -> None:
    done = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=KEY, text=True, capture_output=True, check=False
    )
    assert "ED25519" in done.stdout, done.stderr
