"""Users, sessions and certificate as programs read them: no secret, nothing to change."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from ratwall_web import api, create_app
from ratwall_web.certificate import provide_certificate
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.services import EXTENSION, Services
from ratwall_web.users import VIEWER
from web.visitor import BASE, PASSWORD, Person

DOCUMENT = json.loads((Path(api.__file__).parent / "openapi.json").read_text())


@pytest.fixture
def app(config: Config, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(Control, "record", lambda *_: None)  # there is no controller here
    app = create_app(config)
    parts: Services = app.extensions[EXTENSION]
    parts.credentials.set(PASSWORD)
    parts.credentials.add("anna", VIEWER, "another password, for Anna")
    parts.certificates.start(provide_certificate(config, "127.0.0.1"))
    return app


def keys(value: object) -> object:
    """The keys of an answer, of the first entry where it is a list of them."""
    if isinstance(value, list):
        return keys(value[0])
    if isinstance(value, Mapping):
        return {key: keys(each) for key, each in value.items()}
    return None


def keys_of(schema: Mapping[str, Any]) -> object:
    """The keys that a schema describes."""
    if "items" in schema:
        return keys_of(schema["items"])
    if "properties" in schema:
        return {key: keys_of(each) for key, each in schema["properties"].items()}
    return None


def test_they_are_read_as_described_and_changed_by_nobody(app: Flask) -> None:
    parts: Services = app.extensions[EXTENSION]
    assert Person(app).log_in().status_code == 303
    token = {"Authorization": f"Bearer {parts.tokens.make('msp', 'act')}"}
    client = app.test_client()
    given = {}
    for name in ("users", "sessions", "page/certificate"):
        path = f"/api/v1/{name}"
        assert client.get(path, base_url=BASE).status_code == 401
        answer = client.get(path, base_url=BASE, headers=token)
        assert answer.status_code == 200, answer.text
        schema = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        described = DOCUMENT["components"]["schemas"][schema["schema"]["$ref"].rpartition("/")[2]]
        assert keys(answer.json) == keys_of(described)
        given[name] = answer.json
        assert client.post(path, base_url=BASE, headers=token).status_code == 405
        assert client.delete(path, base_url=BASE, headers=token).status_code == 405
        assert "argon2id" not in answer.text and "PRIVATE" not in answer.text
    assert [(row["name"], row["role"]) for row in given["users"]["items"]] == [
        ("admin", "admin"),
        ("anna", "viewer"),
    ]
    (session,) = given["sessions"]["items"]
    assert (session["user"], session["address"]) == ("admin", "192.0.2.10")
    assert given["page/certificate"]["own"] is False
    assert "ratwall.local" in given["page/certificate"]["names"]
