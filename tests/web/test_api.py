"""The API of a running page: read in pages, act by the controller, refused in RFC 9457's words."""

import io
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ratwall_web.api.answers import LIMIT_HIGH, instant
from ratwall_web.api.body import BODY_LIMIT
from ratwall_web.api.shapes import status
from ratwall_web.config import Config
from ratwall_web.guard import SESSION_COOKIE
from ratwall_web.records import now_us
from ratwall_web.tokens import Tokens
from web.conftest import Site, Visitor, serve
from web.peer import STATUS, ControllerPeer
from web.programs import Program, Reply, new_token
from web.story import Office

HOSTILE = ("<script>alert(1)</script>", "\u202egnp.exe\x00\x1b[2J", "' OR 1=1 --", "x" * 10_000)
DEADLINE_S = 20


# One page for all: what a test needs of the office it adds, and it takes no number for granted.
@pytest.fixture(scope="module")
def state_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ratwall-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def office(state_dir: Path) -> Iterator[Office]:
    office = Office(state_dir / "ledger.sqlite3")
    office.fill_day()
    yield office
    office.close()


@pytest.fixture(scope="module")
def peer(state_dir: Path, office: Office) -> Iterator[ControllerPeer]:
    peer = ControllerPeer(state_dir, office)
    yield peer
    peer.close()


@pytest.fixture(scope="module")
def running(state_dir: Path, peer: ControllerPeer) -> Iterator[Site]:
    with serve(state_dir) as site:
        assert Visitor(site).set_up().status == 303
        yield site


@pytest.fixture(scope="module")
def reader(running: Site) -> Program:
    return Program(running.url, new_token(running.state_dir, "reader", "read"))


@pytest.fixture(scope="module")
def actor(running: Site) -> Program:
    return Program(running.url, new_token(running.state_dir, "actor", "act"))


@pytest.fixture
def controller(peer: ControllerPeer) -> Iterator[ControllerPeer]:
    peer.asked.clear()
    yield peer
    peer.refusals.clear()
    peer.status = dict(STATUS)


def refused(reply: Reply, status: int, code: str) -> str:
    """Check a refusal's form and return its words."""
    assert reply.headers["Content-Type"] == "application/problem+json"
    problem = reply.json()
    assert problem.keys() == {"type", "title", "status", "code", "detail"}
    assert (reply.status, problem["status"], problem["code"]) == (status, status, code)
    assert "Traceback" not in problem["detail"]
    return str(problem["detail"])


def patiently(program: Program, path: str) -> Any:
    """Ask until the controller answers in time: on a busy machine it may not at once."""
    deadline = time.monotonic() + DEADLINE_S
    while (reply := program.get(path)).status == 503:
        assert time.monotonic() < deadline
    return reply.json()


# Who may ask.


def test_without_a_token_nothing_is_told(running: Site) -> None:
    nobody = Program(running.url)
    for path in ("/api/v1/status", "/api/v1/nothing", "/api/v1/openapi.json", "/metrics"):
        reply = nobody.get(path)
        refused(reply, 401, "no-token")
        assert reply.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("given", ["Basic YWRtaW46eA==", "Bearer", "Bearer ", "ratwall_1_x", "é"])
def test_only_a_bearer_token_counts(running: Site, given: str) -> None:
    reply = Program(running.url, headers={"Authorization": given}).get("/api/v1/status")
    refused(reply, 401, "no-token")


def test_a_token_in_the_address_counts_for_nothing(running: Site, reader: Program) -> None:
    reply = Program(running.url).get(f"/api/v1/status?access_token={reader.token}")
    refused(reply, 401, "no-token")


def test_a_signed_in_browser_is_nobody_here(running: Site, office: Office) -> None:
    """What another web site makes the owner's browser send carries its cookies, and no token."""
    visitor = Visitor(running)
    assert visitor.log_in().status == 303
    assert any(cookie.name == SESSION_COOKIE for cookie in visitor.jar)
    assert visitor.get("/").status == 200
    assert visitor.get("/api/v1/status").status == 401
    assert visitor.post("/api/v1/resume", {"csrf": visitor.csrf("/tokens/")}).status == 401


def test_wrong_tokens_wait_and_right_ones_do_not(
    running: Site, reader: Program, controller: ControllerPeer
) -> None:
    wrong = Program(running.url, "ratwall_00000000_" + "x" * 43)
    codes = [wrong.get("/api/v1/incidents").status for _ in range(12)]
    assert codes == [401] * 9 + [429] * 3
    reply = wrong.get("/api/v1/incidents")
    refused(reply, 429, "too-many-wrong-tokens")
    assert 1 <= int(reply.headers["Retry-After"]) <= 301
    assert reader.get("/api/v1/incidents").status == 200, "a monitor must not be shut out"
    said = [each for each in controller.asked if each.get("event") == "token refused"]
    assert len(said) <= 10 and not any("xxx" in str(each) for each in said)


def test_a_revoked_token_is_refused_at_once(running: Site) -> None:
    text = new_token(running.state_dir, "short-lived", "act")
    program = Program(running.url, text)
    assert program.get("/api/v1/incidents").status == 200
    tokens = Tokens(Config(running.state_dir), now_us)
    (number,) = [token.id for token in tokens.all() if token.name == "short-lived"]
    tokens.revoke(number)
    # The address has guessed wrong before: that is told from the wait, and refused either way.
    assert program.get("/api/v1/incidents").status in (401, 429)


def test_a_token_to_read_does_not_act(reader: Program, controller: ControllerPeer) -> None:
    for method, path in (
        ("POST", "/api/v1/pause"),
        ("POST", "/api/v1/blocks"),
        ("DELETE", "/api/v1/actions/1"),
        ("PUT", "/api/v1/status"),
        ("POST", "/api/v1/nothing"),
    ):
        reply = reader.ask(method, path, {"seconds": 300})
        assert "nothing was changed" in refused(reply, 403, "read-only")
    assert controller.changes() == []


def test_a_token_is_in_no_answer_and_no_log(
    running: Site, actor: Program, reader: Program, state_dir: Path
) -> None:
    for program in (actor, reader):
        assert program.token is not None
        secret = program.token.split("_", 2)[2].encode()
        for path in ("/api/v1/audit", "/api/v1/status", "/api/v1/nothing", "/metrics"):
            assert secret not in program.get(path).body
        # Not the ledger's: opened and closed here, this process would lose its locks on it.
        for file in (state_dir / "web").iterdir():
            assert secret not in file.read_bytes(), file


def test_the_last_use_is_listed(running: Site, reader: Program) -> None:
    assert reader.get("/api/v1/incidents").status == 200
    visitor = Visitor(running)
    visitor.log_in()
    row = visitor.get("/tokens/").text.split(">reader<")[1].split("</tr>")[0]
    assert "never" not in row


# Reading.


def test_the_state_of_the_box(reader: Program, controller: ControllerPeer) -> None:
    told = patiently(reader, "/api/v1/status")
    assert told["state"] == "protecting"
    assert told["since"] == "2026-01-01T00:00:00.000000Z"
    assert [each["worker"] for each in told["inspectors"]] == [0]
    assert "path" not in told["ledger"]
    today = reader.get("/api/v1/today").json()
    assert len(today["hours"]) == 24 and today["today"].keys() >= {"blocked", "inspected"}
    assert patiently(reader, "/api/v1/feeds")["items"][1]["error"] == "lists.example: answers 503"
    packs = patiently(reader, "/api/v1/signatures")
    assert (packs["items"][0]["key"], packs["items"][1]["key"]) == (None, "own")


def test_an_incident_and_all_that_belongs_to_it(reader: Program, office: Office) -> None:
    number = office.attack(server="203.0.113.21")
    listed = reader.get("/api/v1/incidents?limit=1").json()["items"][0]
    whole = reader.get(f"/api/v1/incidents/{number}").json()
    assert (listed["id"], listed["server"]) == (number, "203.0.113.21")
    assert whole.items() >= listed.items()
    assert len(whole["flows"]) == 3 and whole["actions"][0]["kind"] == "block"
    assert whole["certificate"]["subject"] == "CN=AsyncRAT Server"
    only = reader.get(f"/api/v1/flows?incident={number}").json()["items"]
    assert {flow["id"] for flow in only} == {flow["id"] for flow in whole["flows"]}
    assert reader.get(f"/api/v1/flows/{only[0]['id']}").json() == only[0]
    action = whole["actions"][0]
    assert reader.get(f"/api/v1/actions/{action['id']}").json() == action
    device = whole["device"]
    known = reader.get(f"/api/v1/devices/{device['id']}").json()
    assert known.items() >= device.items() and known["incidents"] >= 1
    assert reader.get("/api/v1/incidents?state=released").json() == {"items": [], "next": None}


def test_the_evidence_can_be_taken_and_that_is_written_down(
    reader: Program, office: Office, controller: ControllerPeer
) -> None:
    number = office.attack(server="203.0.113.22")
    reply = reader.get(f"/api/v1/incidents/{number}/evidence.zip")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(reply.body)) as package:
        assert package.testzip() is None
    deadline = time.monotonic() + DEADLINE_S
    while not any(each.get("event") == "evidence" for each in controller.asked):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (said,) = [each for each in controller.asked if each.get("event") == "evidence"]
    assert said["author"] == "api:reader"
    refused(reader.get("/api/v1/incidents/999999/evidence.zip"), 404, "not-found")


def test_connections_are_searched_and_paged(reader: Program, office: Office) -> None:
    for number in range(7):
        office.browse(f"paged{number}.example.com", server="198.51.100.77")
    seen: list[str] = []
    path = "/api/v1/flows?server=198.51.100.77&limit=3"
    pages = 0
    while path:
        reply = reader.get(path)
        answer = reply.json()
        seen += [flow["sni"] for flow in answer["items"]]
        pages += 1
        path = reply.headers.get("Link", "").partition("<")[2].partition(">")[0]
        assert (answer["next"] is not None) is bool(path)
    assert seen == [f"paged{number}.example.com" for number in reversed(range(7))]
    assert pages == 3
    found = reader.get("/api/v1/flows?q=paged3+443&verdict=clean").json()["items"]
    assert [flow["sni"] for flow in found] == ["paged3.example.com"]
    assert reader.get("/api/v1/flows?q=paged3&verdict=block").json()["items"] == []
    device = found[0]["device"]["id"]
    of_device = reader.get(f"/api/v1/flows?device={device}&limit=1").json()["items"]
    assert of_device[0]["sni"] == "paged6.example.com"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        f"limit={LIMIT_HIGH + 1}",
        "limit=1e2",
        "limit=" + "9" * 5000,
        "cursor=-1",
        "cursor=%00",
        "cursor=" + "9" * 19,
        "cursor=1&cursor=2",
        "verdict=guilty",
        "q=" + "+".join("a" * 17),
        "q=" + "a" * 254,
        "server=" + "a" * 46,
        "device=1%20OR%201",
        "unknown=1",
    ],
)
def test_a_query_that_makes_no_sense_is_refused(reader: Program, query: str) -> None:
    detail = refused(reader.get(f"/api/v1/flows?{query}"), 400, "bad-request")
    assert len(detail) < 200


@pytest.mark.parametrize("query", ["limit=1", f"limit={LIMIT_HIGH}", "q=" + "+".join("a" * 16)])
def test_the_limits_themselves_are_taken(reader: Program, query: str) -> None:
    assert reader.get(f"/api/v1/flows?{query}").status == 200


def test_who_polls_pays_only_for_what_is_new(reader: Program, office: Office) -> None:
    office.browse("first.example.com")
    reply = reader.get("/api/v1/flows?limit=5")
    tag = reply.headers["ETag"]
    same = reader.get("/api/v1/flows?limit=5", If_None_Match=tag)
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
    assert reply.headers["Cache-Control"] == "private, no-cache"
    office.browse("second.example.com")
    assert reader.get("/api/v1/flows?limit=5", If_None_Match=tag).status == 200


@pytest.mark.parametrize("path", ["incidents", "devices", "flows", "actions"])
@pytest.mark.parametrize(
    "number", ["0", "999999", str(2**63 - 1), str(2**63), "9" * 5000, "x", "-1"]
)
def test_what_is_not_there_is_said(reader: Program, path: str, number: str) -> None:
    refused(reader.get(f"/api/v1/{path}/{number}"), 404, "not-found")


@pytest.mark.parametrize("text", HOSTILE, ids=["script", "direction", "sql", "long"])
def test_strings_from_the_wire_come_back_as_they_were(
    reader: Program, office: Office, text: str
) -> None:
    number = office.attack(words=text, family=text, note=text, server="203.0.113.23")
    office.browse(text, ja3=text)
    reply = reader.get(f"/api/v1/incidents/{number}")
    assert reply.json()["headline"] == text
    assert reply.body.isascii(), "nothing that turns a terminal around"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Content-Type"] == "application/json"
    assert reader.get("/api/v1/flows?limit=1").json()["items"][0]["sni"] == text


def test_a_method_that_is_not_there_says_which_are(actor: Program) -> None:
    reply = actor.ask("PUT", "/api/v1/actions/1", {})
    refused(reply, 405, "method-not-allowed")
    assert {"GET", "DELETE"} <= set(reply.headers["Allow"].split(", "))


def test_without_a_controller_history_is_still_told(
    reader: Program, actor: Program, controller: ControllerPeer
) -> None:
    controller.refusals["status"] = "not now"
    deadline = time.monotonic() + DEADLINE_S  # the page keeps a status for a second
    while reader.get("/api/v1/status").status == 200:
        assert time.monotonic() < deadline
    refused(reader.get("/api/v1/feeds"), 503, "controller-unavailable")
    assert reader.get("/api/v1/incidents").status == 200


# Acting.


def test_a_server_is_blocked_and_let_back_in_the_tokens_name(
    actor: Program, office: Office, controller: ControllerPeer
) -> None:
    number = office.attack(server="203.0.113.24")
    body = {
        "server": "203.0.113.24",
        "server_port": 6606,
        "device": "192.168.1.10",
        "seconds": 3600,
        "reason": "ticket\n 4711",
        "incident": number,
    }
    reply = actor.post("/api/v1/blocks", body)
    assert reply.status == 201
    made = reply.json()
    assert reply.headers["Location"] == f"/api/v1/actions/{made['action']}"
    assert controller.changes() == [
        {"command": "block", "author": "api:actor", **body, "reason": "ticket 4711"}
    ]
    action = actor.get(reply.headers["Location"]).json()
    assert (action["author"], action["undone"]) == ("api:actor", None)
    assert made["expires"] is not None and action["expires"] is not None
    in_force = actor.get("/api/v1/actions?limit=1").json()["items"]
    assert [each["id"] for each in in_force] == [made["action"]]

    assert actor.ask("DELETE", f"/api/v1/actions/{made['action']}").json() == {
        "action": made["action"]
    }
    assert controller.changes()[-1] == {
        "command": "undo",
        "author": "api:actor",
        "action": made["action"],
    }
    assert actor.get(reply.headers["Location"]).json()["undone"] is not None
    controller.refusals["undo"] = f"undo: action {made['action']} is not in force"
    reply = actor.ask("DELETE", f"/api/v1/actions/{made['action']}")
    assert "is not in force" in refused(reply, 409, "refused")
    refused(actor.ask("DELETE", "/api/v1/actions/999999"), 404, "not-found")


def test_every_route_that_acts_sends_the_pages_command(
    actor: Program, office: Office, controller: ControllerPeer
) -> None:
    number = office.attack(server="203.0.113.25")
    device = actor.get(f"/api/v1/incidents/{number}").json()["device"]
    why = {"reason": "because"}
    asked: list[tuple[str, Any, str, dict[str, Any]]] = [
        ("allows", {"server": "203.0.113.25", "server_port": 443}, "allow", {"seconds": None}),
        ("allows", {"certificate_sha256": "AB" * 32}, "allow", {"certificate_sha256": "ab" * 32}),
        ("blocks", {"server": "2001:DB8::1"}, "block", {"server": "2001:db8::1"}),
        (f"incidents/{number}/keep", {"seconds": 86400}, "keep", {"incident": number}),
        (f"incidents/{number}/release", {}, "release", {"incident": number}),
        (f"devices/{device['id']}/quarantine", {}, "quarantine", {"device": device["address"]}),
        (f"devices/{device['id']}/watch", {"seconds": 60}, "watch", {"seconds": 60}),
        (f"devices/{device['id']}/pause", {"seconds": 60}, "pause", {"device": device["address"]}),
        ("pause", {"seconds": 60}, "pause", {"seconds": 60}),
    ]
    for path, body, command, sent in asked:
        reply = actor.post(f"/api/v1/{path}", body | why)
        assert reply.status in (200, 201), (path, reply.body)
        got = controller.changes()[-1]
        assert got.items() >= {"command": command, "author": "api:actor", **sent, **why}.items()
    assert actor.post("/api/v1/resume").status == 200
    assert controller.changes()[-1] == {"command": "resume", "author": "api:actor"}


def test_what_the_controller_refuses_changed_nothing(
    actor: Program, controller: ControllerPeer
) -> None:
    controller.refusals["block"] = "block: 203.0.113.1 is on the never-block list"
    reply = actor.post("/api/v1/blocks", {"server": "203.0.113.1"})
    assert "never-block list" in refused(reply, 409, "refused")


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("blocks", {}, "server"),
        ("blocks", {"server": "example.com"}, "address"),
        ("blocks", {"server": "203.0.113.1", "server_port": 0}, "server_port"),
        ("blocks", {"server": "203.0.113.1", "server_port": 65536}, "server_port"),
        ("blocks", {"server": "203.0.113.1", "server_port": True}, "server_port"),
        ("blocks", {"server": "203.0.113.1", "seconds": 59}, "seconds"),
        ("blocks", {"server": "203.0.113.1", "seconds": 2592001}, "seconds"),
        ("blocks", {"server": "203.0.113.1", "reason": "x" * 501}, "reason"),
        ("blocks", {"server": "203.0.113.1", "incident": 2**63}, "incident"),
        ("blocks", {"server": "203.0.113.1", "author": "root"}, "no such key"),
        ("blocks", [], "object"),
        ("allows", {"server": "203.0.113.1"}, "server_port"),
        ("allows", {"certificate_sha256": "xy" * 32}, "hexadecimal"),
        (
            "allows",
            {"server": "203.0.113.1", "server_port": 1, "certificate_sha256": "ab" * 32},
            "",
        ),
        ("pause", {}, "seconds"),
        ("pause", {"seconds": 36 * 3600 + 1}, "seconds"),
        ("resume", {"reason": "x"}, "no such key"),
    ],
)
def test_a_body_is_checked_to_the_last_key(
    actor: Program, controller: ControllerPeer, path: str, body: Any, word: str
) -> None:
    assert word in refused(actor.post(f"/api/v1/{path}", body), 422, "invalid")
    assert controller.changes() == []


def test_only_small_json_is_taken(actor: Program, controller: ControllerPeer) -> None:
    refused(actor.post("/api/v1/pause", b"{"), 400, "bad-request")
    refused(actor.post("/api/v1/pause", b"\xff"), 400, "bad-request")
    refused(actor.post("/api/v1/pause", b"[" * 8000), 400, "bad-request")
    form = "application/x-www-form-urlencoded"
    refused(actor.post("/api/v1/pause", b"seconds=60", Content_Type=form), 415, "not-json")
    start = b'{"seconds": 60, "reason": "'
    for size, code in ((BODY_LIMIT - 1, 422), (BODY_LIMIT, 422), (BODY_LIMIT + 1, 413)):
        body = start + b"x" * (size - len(start) - 2) + b'"}'
        assert actor.post("/api/v1/pause", body).status == code
    assert actor.post("/api/v1/pause", b" " * (60 * 1024)).status == 413
    assert controller.changes() == []


@pytest.mark.parametrize("text", HOSTILE[:3], ids=["script", "direction", "sql"])
def test_a_hostile_reason_is_only_words(
    running: Site, actor: Program, controller: ControllerPeer, text: str
) -> None:
    body = {"server": "203.0.113.9", "reason": text}
    assert actor.post("/api/v1/blocks", body).status == 201
    visitor = Visitor(running)
    visitor.log_in()
    assert "<script>" not in visitor.get("/allowed/").text


# Pure.


def test_how_receivers_fare_is_told_without_their_address() -> None:
    """A webhook's address may hold a secret of its own."""
    told = {"to": "https://hooks.example/s3cret", "error": "https://hooks.example/s3cret: 500"}
    numbers = {"sent": 1, "last_sent": 0, "backlog": 2, "error_since": None}
    (receiver,) = status({"export": {"webhook": told | numbers}})["export"]
    assert "s3cret" not in str(receiver)
    assert (receiver["receiver"], receiver["backlog"]) == ("webhook", 2)
    assert status({"export": None})["export"] is None
    assert status({"export": {}})["export"] == []


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000000Z"),
        (1_767_225_600_000_001, "2026-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (2**63 - 1, None),
    ],
)
def test_times_are_rfc_3339(moment: int | None, text: str | None) -> None:
    assert instant(moment) == text
