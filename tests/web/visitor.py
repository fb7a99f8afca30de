"""A person at the admin page without a browser and without a process: Flask's test client.

`person(app)` has a browser of its own and goes through the page's own forms, with the tokens that
are in them.
"""

import re

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

BASE = "https://192.168.1.1:8443"
PASSWORD = "a password for tests"


class Person:
    """One browser."""

    def __init__(self, app: Flask, address: str = "192.0.2.10") -> None:
        self.client: FlaskClient = app.test_client()
        self.client.environ_base["REMOTE_ADDR"] = address

    def get(self, path: str, **headers: str) -> TestResponse:
        """Ask for a page."""
        return self.client.get(path, base_url=BASE, headers=headers)

    def post(self, path: str, page: str = "/account/", **fields: str) -> TestResponse:
        """Send a form with the token of a page."""
        form = {"csrf": field(self.get(page), "csrf"), **fields}
        return self.client.post(path, data=form, base_url=BASE)

    def log_in(self, account: str = "admin", password: str = PASSWORD) -> TestResponse:
        """Give name and password."""
        return self.post("/login", "/login", account=account, password=password)

    def give_code(self, asked: TestResponse, code: str) -> TestResponse:
        """Answer the question for the code of the second step."""
        form = {name: field(asked, name) for name in ("csrf", "ticket", "next")}
        return self.client.post("/login/code", data=form | {"code": code}, base_url=BASE)

    @property
    def is_in(self) -> bool:
        """Tell whether this browser is signed in."""
        return self.get("/account/").status_code == 200


def field(page: TestResponse, name: str) -> str:
    """Return the value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return found[1]


def path_of(rule: str) -> str:
    """Return a path that a route's rule matches."""
    path = re.sub(r"<int:\w+>", "1", rule)
    path = re.sub(r"<string\(length=8\):\w+>", "0" * 8, path)
    path = re.sub(r"<any\('?([\w-]+)[^>]*>", r"\1", path)  # the first of several words
    return re.sub(r"<[^>]+>", "x", path)
