"""What a hostile browser, wire or office tries on the page that no other file here tries.

The whole list, with the tests that were there before, is the table in docs/security.md.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask import Flask

from ratwall.ledger import names
from ratwall_web import create_app
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.guard import HEADERS
from ratwall_web.services import EXTENSION
from web.story import ANNA, Office
from web.visitor import BASE, PASSWORD, Person

SCRIPT = "<script>window.pwned = 1</script>"
IMAGE = '"><img src=x onerror="window.pwned = 1">'
TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table'"


@pytest.fixture
def office(config: Config) -> Iterator[Office]:
    office = Office(config.ledger_path)
    yield office
    office.close()


@pytest.fixture
def app(config: Config, office: Office, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(Control, "record", lambda *_: None)  # there is no controller here
    app = create_app(config)
    app.extensions[EXTENSION].credentials.set(PASSWORD)
    return app


@pytest.fixture
def admin(app: Flask) -> Person:
    person = Person(app)
    assert person.log_in().status_code == 303
    return person


def pages(app: Flask) -> list[str]:
    """Every page that is there without a number in its address, or with the number 1."""
    with app.test_request_context(base_url=BASE):
        rules = [rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    paths = {rule.rule.replace("<int:number>", "1") for rule in rules}
    return sorted(path for path in paths if "<" not in path and not path.startswith("/api"))


@pytest.mark.parametrize(
    "text",
    [
        SCRIPT,
        '"><img src=x onerror="window.pwned = 1">',
        "' onload='alert(1)",
        SCRIPT + "x" * 10_000,
    ],
    ids=["script", "image", "attribute", "long"],
)
def test_names_from_the_wire_are_inert_on_every_page(
    app: Flask, config: Config, admin: Person, office: Office, text: str
) -> None:
    """Certificate, SNI, DNS name and host name of a device, on whatever pages there are."""
    certificate = {
        **dict.fromkeys(("subject", "issuer", "serial", "not_before", "not_after"), text),
        **dict.fromkeys(("key_type", "signature_algorithm", "sha1"), text),
        "sha256": "ab" * 32,
        "self_issued": True,
        "key_bits": 2048,
    }
    office.attack(certificate=certificate, words=text, family=text)
    office.browse(text, server="203.0.113.7")
    names.write(office.writer, text, ("203.0.113.7",), ANNA[1], 1)
    office.writer.flush(durable=True)
    with closing(sqlite3.connect(config.ledger_path)) as ledger, ledger:
        ledger.execute("UPDATE device SET name = ?", (text,))
    shown = 0
    for path in pages(app):
        answer = admin.get(path)
        assert answer.status_code < 500, path
        if answer.mimetype != "text/html":
            continue
        for raw in ("<script>window", "<img src=x", "' onload='"):
            assert raw not in answer.text, path
        assert "x" * 2_000 not in answer.text, path
        shown += "pwned" in answer.text or "alert(1)" in answer.text
    assert shown > 4, "the names are on these pages, escaped"


QUERIES = (
    "' OR '1'='1",
    "'; DROP TABLE flow; --",
    '" UNION SELECT password FROM users --',
    "%' ESCAPE '\\",
    "a\x00' OR 1=1",
    "*) OR sqlite_version() --",
)
PARAMETERS = ("q", "verdict", "device", "server", "name", "sni", "state", "before", "cursor")


def test_a_query_is_never_sql(app: Flask, config: Config, admin: Person, office: Office) -> None:
    office.attack()
    office.browse("www.example.com")

    def tables() -> int:
        with closing(sqlite3.connect(config.ledger_path)) as ledger:
            return int(ledger.execute(TABLES).fetchone()[0])

    before = tables()
    for path in pages(app):
        asked = dict.fromkeys(PARAMETERS, QUERIES[0])
        answer = admin.client.get(path, query_string=asked, base_url=BASE)
        assert answer.status_code < 500, path
    for text in QUERIES:
        found = admin.client.get("/connections/", query_string={"q": text}, base_url=BASE).text
        assert "www.example.com" not in found and "198.51.100.80" not in found, text
    assert tables() == before
    assert "www.example.com" in admin.get("/connections/").text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../credentials.json",
        "/static/..%2f..%2fcredentials.json",
        "/static/%2e%2e/%2e%2e/web/credentials.json",
        "/static/....//....//credentials.json",
        "/static//etc/passwd",
        "/static/vendor/../../guard.py",
        "/static/..\\..\\guard.py",
        "/static/app.css%00.png",
        "/static/",
    ],
)
def test_no_path_leads_out_of_the_assets(admin: Person, path: str) -> None:
    answer = admin.get(path)
    assert answer.status_code in (400, 404, 308), answer.text
    for secret in ("argon2id", "root:", "import hmac"):
        assert secret not in answer.text


def test_every_answer_carries_the_policy_and_no_page_can_be_framed(
    app: Flask, admin: Person
) -> None:
    for person, paths in ((admin, pages(app)), (Person(app), ["/login", "/", "/nothing"])):
        for path in paths:
            answer = person.get(path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, (path, name)
            if answer.mimetype == "text/html":
                assert answer.headers["Cache-Control"] == "no-store", path
    assert "frame-ancestors 'none'" in HEADERS["Content-Security-Policy"]
    assert HEADERS["X-Frame-Options"] == "DENY"


def test_nothing_of_a_session_is_on_the_disk(config: Config, admin: Person) -> None:
    """A session is worth nothing to whoever reads the disk, and fixation finds none to fix."""
    cookie = admin.client.get_cookie("__Host-ratwall", domain="192.168.1.1")
    assert cookie is not None
    for path in config.state_dir.rglob("*"):
        if path.is_file():
            assert cookie.value.encode() not in path.read_bytes(), path
