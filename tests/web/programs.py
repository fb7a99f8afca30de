"""A program with a token, for tests: no browser and no cookies."""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ratwall_web.config import Config
from ratwall_web.records import now_us
from ratwall_web.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as it is meant."""
        return json.loads(self.body)


@dataclass(slots=True)
class Program:
    """Asks the page's process over HTTPS."""

    url: str
    token: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request; `body` becomes JSON unless it is bytes."""
        sent = dict(self.headers)
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        context = ssl._create_unverified_context()  # the box's own certificate
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as response:
                return Reply(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers), error.read())

    def get(self, path: str, **headers: str) -> Reply:
        """Read."""
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Reply:
        """Act."""
        return self.ask("POST", path, body, **headers)


def new_token(state_dir: Path, name: str, scope: str) -> str:
    """Make a token beside the running page, whose file it is."""
    return Tokens(Config(state_dir), now_us).make(name, scope)
