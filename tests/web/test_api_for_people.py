"""What docs/api.md shows works as it is written, and what is done by a token is done and signed.

The controller is the real one here, only the kernel is a plain memory.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.kernel.response import Quarantined
from ratwall.ledger import queries
from unit.controller.box import Box, FakeInspector, Running, proof, report
from web.conftest import serve
from web.programs import Program, new_token

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()
ENDPOINT = ("203.0.113.7", 6606)
CLIENT = "192.168.1.10"
DEADLINE_S = 30


@pytest.fixture
def attacked(box: Box) -> Iterator[Box]:
    """A box that has cut a connection, and the kernel has shown it."""
    controller = Running(box)
    inspector = FakeInspector(box.state)
    start = time.strftime("%Y-%m-%dT%H:%M:%S.000001Z", time.gmtime())
    inspector.send(report(start=start))
    box.watch.show(proof())
    yield box
    inspector.close()
    controller.stop()


@pytest.fixture
def program(attacked: Box) -> Iterator[Program]:
    with serve(attacked.state) as site:
        program = Program(site.url, new_token(attacked.state, "helpdesk", "act"))
        deadline = time.monotonic() + DEADLINE_S
        while not program.get("/api/v1/incidents?state=blocked").json()["items"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield program


def test_by_a_token_as_by_the_page(program: Program, attacked: Box) -> None:
    (incident,) = program.get("/api/v1/incidents").json()["items"]
    path = f"/api/v1/incidents/{incident['id']}"
    assert ENDPOINT in attacked.sets.blocked
    kept = program.post(f"{path}/keep", {"seconds": 30 * 86400, "reason": "ours to look at"})
    assert kept.status == 201
    assert attacked.sets.blocked[ENDPOINT] == 30 * 86400
    assert program.get(path).json()["blocked_until"] == kept.json()["expires"]

    allow = {"server": ENDPOINT[0], "server_port": ENDPOINT[1], "device": CLIENT, "seconds": 3600}
    numbers = [program.post("/api/v1/allows", allow).json()["action"] for _ in range(2)]
    in_force = program.get("/api/v1/actions").json()["items"]
    assert [each["id"] for each in in_force if each["kind"] == "allow"] == [numbers[1]]
    assert attacked.sets.allowed == {(CLIENT, *ENDPOINT): 3600}
    assert program.ask("DELETE", f"/api/v1/actions/{numbers[1]}").status == 200
    again = program.ask("DELETE", f"/api/v1/actions/{numbers[1]}")
    assert (again.status, again.json()["code"]) == (409, "refused")
    assert attacked.sets.allowed == {}

    released = [program.post(f"{path}/release", {}).json()["released"] for _ in range(2)]
    assert released[0] >= 1 and released[1] == 0
    assert attacked.sets.blocked == {}
    assert program.get(path).json()["state"] == "released"

    quarantine = f"/api/v1/devices/{incident['device']['id']}/quarantine"
    ends = [program.post(quarantine, {"seconds": seconds}).json() for seconds in (600, 60)]
    (held,) = attacked.sets.held
    assert isinstance(held, Quarantined) and held.seconds <= 60
    assert ends[0]["expires"] > ends[1]["expires"]
    with attacked.reading() as ledger:
        written = queries.audit(ledger)
    assert {row["event"] for row in written if row["author"] == "api:helpdesk"} == {
        *("keep", "allow", "undo", "release", "quarantine")
    }


def test_what_the_kernel_refuses_is_said_and_not_written(program: Program, attacked: Box) -> None:
    attacked.sets.broken = True
    reply = program.post("/api/v1/blocks", {"server": "203.0.113.99", "server_port": 443})
    attacked.sets.broken = False
    assert (reply.status, reply.json()["code"]) == (409, "refused")
    assert reply.json()["detail"].startswith("Nothing was changed: ")
    in_force = program.get("/api/v1/actions").json()["items"]
    assert all(each["server"] != "203.0.113.99" for each in in_force)


def test_the_examples_of_the_documentation_work(
    program: Program, attacked: Box, tmp_path: Path
) -> None:
    script = "\n".join(re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
    assert script.count("curl") == 6
    box = program.url.removeprefix("https://")
    done = subprocess.run(
        ["bash", "-e"],
        # `-f`: a refusal is a failure.
        input=script.replace("curl -s", "curl -sf").encode(),
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "BOX": box, "TOKEN": str(program.token)},
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert b'"state":' in done.stdout and b'"resumed":1' in done.stdout
    assert ("203.0.113.7", 6606) in attacked.sets.blocked


def test_every_address_that_is_documented_is_described() -> None:
    rows = re.findall(r"^\| `(?:POST |DELETE )?/\w.*", PAGE, re.MULTILINE)
    assert len(rows) > 20
    described = (ROOT / "web" / "ratwall_web" / "api" / "openapi.json").read_text()
    for row in rows:
        for path in re.findall(r"`(?:POST |DELETE )?(/[\w/.]+)`", row.split("|")[1]):
            named = path.replace("/N", "/{number}").replace("/WAY/", "/mail/")
            assert named.rstrip("/") in described, row
