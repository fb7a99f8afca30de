"""A page of a box with its own image: a steward's socket beside a small controller, no browser."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ratwall_web import create_app
from ratwall_web.config import Config
from ratwall_web.services import EXTENSION
from web.conftest import FAST
from web.peer import ControllerPeer
from web.story import Office

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"


class Clock:
    """Seconds that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    """Somebody who is signed in at such a page, and what the controller was asked."""

    app: Flask
    client: FlaskClient
    clock: Clock
    config: Config
    controller: ControllerPeer

    def get(self, path: str) -> TestResponse:
        return self.client.get(path, base_url=BASE)

    def post(self, path: str, **fields: str) -> TestResponse:
        form = {"csrf": self.csrf(), **fields}
        return self.client.post(path, data=form, base_url=BASE)

    def csrf(self) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', self.get("/tokens/").text)
        assert found is not None
        return found[1]

    def orders(self) -> list[dict[str, Any]]:
        """What was asked of the steward, without who asked."""
        return [
            {key: value for key, value in each.items() if key not in ("command", "author")}
            for each in self.controller.asked
            if each["command"] == "steward"
        ]


@contextmanager
def desk(state_dir: Path, office: Office, *, image: bool = True, **more: Any) -> Iterator[Desk]:
    """Sign in at a page whose box was started from the image, or was not."""
    (state_dir / "web").mkdir(mode=0o700)
    config = Config(state_dir, **FAST)
    config = replace(config, steward_socket=state_dir / "steward.sock", **more)
    controller, clock = ControllerPeer(state_dir, office), Clock()
    with socket.socket(socket.AF_UNIX) as steward:
        if image:
            steward.bind(str(config.steward_socket))
        app = create_app(config, clock)
        app.extensions[EXTENSION].credentials.set(PASSWORD)
        client = app.test_client()
        client.environ_base["HTTP_HOST"] = "192.168.1.1:8443"
        page = client.get("/login", base_url=BASE).text
        token = re.search(r'name="csrf" value="([^"]+)"', page)
        assert token is not None
        form = {"password": PASSWORD, "csrf": token[1]}
        assert client.post("/login", data=form, base_url=BASE).status_code == 303
        try:
            yield Desk(app, client, clock, config, controller)
        finally:
            controller.close()
