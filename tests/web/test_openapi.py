"""The API's description and the running API are the same thing.

Schemathesis makes requests from the description, sensible ones and others, sends them to the page's
real process, and holds each answer against what the description promises.
"""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from ratwall_web import create_app
from ratwall_web.api.body import ALLOW_SPAN, BLOCK_SPAN, BODY_LIMIT, PAUSE_SPAN, REASON_LIMIT
from ratwall_web.api.description import PATH
from ratwall_web.api.gate import is_for_programs
from ratwall_web.config import Config
from web.conftest import Site
from web.programs import Program, new_token
from web.story import Office

DOCUMENT = json.loads(PATH.read_text())
EXAMPLES = 3  # for each of 24 operations, sensible and not; together some ten seconds
UNAVAILABLE = 503
CHANGED_MEANWHILE = 412
DEADLINE_S = 20
SEED = 20_261_124
LIMITED = settings(
    max_examples=EXAMPLES,
    database=None,  # the same requests each time, here and in CI
    deadline=None,  # a busy machine is no failure
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
METHODS = ("get", "post", "put", "patch", "delete")


def operations() -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method in METHODS
    ]


def test_every_route_is_described_and_every_description_is_a_route(tmp_path: Path) -> None:
    app: Flask = create_app(Config(tmp_path))
    routes = set()
    for rule in app.url_map.iter_rules():
        if not is_for_programs(rule.rule):
            continue
        path = re.sub(r"<int:(\w+)>", r"{\1}", rule.rule)
        words = re.search(r"<any\(([\w, ]+)\):\w+>", path)
        choices = words.group(1).split(", ") if words else [""]
        assert rule.methods is not None
        for choice in choices:
            for method in rule.methods - {"HEAD", "OPTIONS"}:
                routes.add((method.lower(), re.sub(r"<any[^>]*>", choice, path)))
    assert routes == set(operations())


def test_the_limits_that_are_described_are_those_that_hold() -> None:
    schemas = DOCUMENT["components"]["schemas"]

    def span(name: str) -> tuple[int, int]:
        seconds = schemas[name]["properties"]["seconds"]
        return seconds["minimum"], seconds["maximum"]

    for name in ("Block", "Keep", "Respond"):
        assert span(name) == BLOCK_SPAN
    assert span("AllowServer") == span("AllowCertificate") == ALLOW_SPAN
    assert span("Pause") == PAUSE_SPAN
    assert schemas["Block"]["properties"]["reason"]["maxLength"] == REASON_LIMIT
    large = DOCUMENT["components"]["responses"]["TooLarge"]["description"]
    assert f"{BODY_LIMIT // 1024} KiB" in large


@pytest.fixture
def program(site: Site, office: Office) -> Program:
    office.fill_day()
    for number in range(3):
        office.beat(office.attack(server=f"203.0.113.{number + 1}"))
        office.browse(f"www{number}.example.com")
    return Program(site.url, new_token(site.state_dir, "schemathesis", "act"))


def test_the_description_is_served_as_it_is(program: Program) -> None:
    reply = program.get("/api/v1/openapi.json")
    assert reply.body == PATH.read_bytes()
    assert program.get("/api/v1/openapi.json", If_None_Match=reply.headers["ETag"]).status == 304


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def test_whatever_is_asked_the_answer_is_as_described(
    program: Program, site: Site, session: requests.Session
) -> None:
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.config.update(base_url=program.url)
    sent = {
        "session": session,
        "headers": {"Authorization": f"Bearer {program.token}"},
        "verify": str(site.state_dir / "web" / "tls.crt"),
    }
    asked = 0

    def check(case: schemathesis.Case) -> None:
        nonlocal asked
        asked += 1
        answer = case.call(**sent)
        deadline = time.monotonic() + DEADLINE_S  # a controller that is busy for once
        while answer.status_code == UNAVAILABLE and time.monotonic() < deadline:
            answer = case.call(**sent)
        # Who gets in is told by `test_api`; here wrong tokens would only have to wait.
        excluded = [ignored_auth]
        if answer.status_code == CHANGED_MEANWHILE:
            excluded.append(positive_data_acceptance)  # the tag was refused, not the data
        case.validate_response(answer, excluded_checks=excluded)

    for result in schema.get_all_operations():
        for mode in schemathesis.GenerationMode:
            cases = result.ok().as_strategy(generation_mode=mode)
            LIMITED(seed(SEED)(given(case=cases)(check)))()
    assert asked > len(operations())
