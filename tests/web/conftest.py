"""A box's admin page for tests: the real process over HTTPS, a real ledger, a small controller.

`site` runs `python -m ratwall_web` for one test, `page` is a browser window on it. What a person
does there is a function of `web.browser`, so that tests of the whole box can do the same.
"""

import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import IO, Any

import pytest
from playwright.sync_api import Browser, Page

from ratwall_web.config import Config
from unit.controller.box import Box, FakeSets, FakeWatch
from web.browser import PATIENCE_MS, Console, chromium, keep_picture, log_in, visit
from web.peer import ControllerPeer
from web.story import Office

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"
# A password is hashed in a tenth of the time.
FAST = {
    "argon2_memory": 8 * 1024 * 1024,
    "argon2_passes": 1,
    "backup_memory_kib": 8 * 1024,
    "backup_passes": 1,
}
START_TIMEOUT_S = 30


@dataclass(slots=True)
class Site:
    """A running admin page."""

    url: str
    port: int
    fingerprint: str
    code: str | None
    process: subprocess.Popen[str]
    state_dir: Path

    def memory(self) -> int:
        """Return the process's resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def web_command(state_dir: Path, listen: str = "127.0.0.1:0") -> list[str]:
    """Return the command line of the page's process."""
    where = ["--state-dir", str(state_dir), "--listen", listen]
    return [sys.executable, "-W", "error", "-m", "ratwall_web", *where]


def web_environment() -> dict[str, str]:
    """Return an environment in which the two packages are found in this working tree."""
    path = f"{ROOT / 'firmware'}{os.pathsep}{ROOT / 'web'}"
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


@contextmanager
def serve(state_dir: Path, **options: Any) -> Iterator[Site]:
    """Run the page's process until the block ends, and check that it leaves without a murmur."""
    command = options.pop("command", web_command(state_dir))
    environment = web_environment() | options.pop("environment", {})
    options |= {"stdout": subprocess.PIPE, "text": True, "env": environment}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stderr=errors, **options) as process,
    ):
        try:
            yield _wait_until_ready(process, state_dir, errors)
        finally:
            process.terminate()
            process.wait(timeout=START_TIMEOUT_S)
        errors.seek(0)
        complaints = errors.read()
        assert "Traceback" not in complaints, complaints
        assert process.returncode == 0, complaints


def _wait_until_ready(process: subprocess.Popen[str], state_dir: Path, errors: IO[str]) -> Site:
    code = None
    assert process.stdout is not None
    for line in process.stdout:
        words = line.split()
        if "set-up code" in line:
            code = words[-1]
        if "ready" in words:
            url = words[2]
            port = urllib.parse.urlsplit(url).port
            assert port is not None
            return Site(url, port, words[-1], code, process, state_dir)
    errors.seek(0)
    raise AssertionError(f"the page did not start: {errors.read()}")


class Visitor:
    """A client without a browser: keeps cookies, sends forms, follows no redirect."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.jar = CookieJar()
        context = ssl._create_unverified_context()  # the box's own certificate
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPCookieProcessor(self.jar),
            _NoRedirect(),
        )

    def get(self, path: str, **headers: str) -> "Answer":
        """Ask for a page."""
        return self._send(urllib.request.Request(self.site.url + path, headers=headers))

    def post(self, path: str, fields: dict[str, str], **headers: str) -> "Answer":
        """Send a form."""
        body = urllib.parse.urlencode(fields).encode()
        return self._send(urllib.request.Request(self.site.url + path, body, headers))

    def send(self, path: str, body: bytes, **headers: str) -> "Answer":
        """Send any body."""
        return self._send(urllib.request.Request(self.site.url + path, body, headers))

    def csrf(self, path: str) -> str:
        """Return the token of the first form on a page."""
        return self.get(path).text.split('name="csrf" value="')[1].split('"')[0]

    def set_up(self, password: str = PASSWORD) -> "Answer":
        """Set the first password."""
        assert self.site.code is not None
        fields = {"code": self.site.code, "password": password, "again": password}
        return self.post("/setup", fields | {"csrf": self.csrf("/setup")})

    def log_in(self, password: str = PASSWORD) -> "Answer":
        """Sign in."""
        return self.post("/login", {"password": password, "csrf": self.csrf("/login")})

    def _send(self, request: urllib.request.Request) -> "Answer":
        try:
            with self._opener.open(request, timeout=30) as response:
                return Answer(response.status, dict(response.headers), response.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read().decode())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@pytest.fixture
def box(state_dir: Path) -> Iterator[Box]:
    """A real controller; only the kernel is a plain memory."""
    (state_dir / "run").mkdir()
    made = Box(state_dir, FakeSets(), FakeWatch(), now=time.time_ns() // 1000)
    yield made
    made.watch.close()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A page without a process of its own, whose password is hashed quickly."""
    (tmp_path / "web").mkdir(mode=0o700)
    return Config(tmp_path, **FAST)


@pytest.fixture
def state_dir() -> Iterator[Path]:
    # Not tmp_path: a unix socket's path may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="ratwall-") as directory:
        yield Path(directory)


@pytest.fixture
def office(state_dir: Path) -> Iterator[Office]:
    office = Office(state_dir / "ledger.sqlite3")
    yield office
    office.close()


@pytest.fixture
def controller(state_dir: Path, office: Office) -> Iterator[ControllerPeer]:
    peer = ControllerPeer(state_dir, office)
    yield peer
    peer.close()


@pytest.fixture
def site(state_dir: Path, controller: ControllerPeer) -> Iterator[Site]:
    with serve(state_dir) as site:
        yield site


@pytest.fixture
def owned_site(site: Site) -> Site:
    """A page whose password is PASSWORD."""
    assert Visitor(site).set_up().status == 303
    return site


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A browser window; at the end it must have had nothing to complain about."""
    context = visit(browser, site.url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    console = Console(page)
    yield page
    keep_picture(page, request.node.name)
    context.close()
    assert console.complaints == []


@pytest.fixture
def admin(page: Page, owned_site: Site) -> Page:
    """A browser window of somebody who is signed in."""
    page.goto("/")
    log_in(page, PASSWORD)
    return page
