"""What a version must show before it counts: each check says None, or in a line what is wrong.

None of them needs the internet, and none changes anything that lasts. They are asked again until
all are content or the time is up, so each has a bound of its own.
"""

import json
import socket
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ratwall.kernel.command import ToolError
from ratwall.kernel.command import run as run_tool

PAGE = ("127.0.0.1", 443)  # ratwall-web.socket
PAGE_SECONDS = 20.0  # a slow box signs a handshake and fills a page in two
PAGE_BYTES = 64  # enough for the status line
SELFTEST_SECONDS = 90.0  # it gives up by itself after a tenth of that
FAILED_SHOWN = 5  # names of units in a reason
WORDS_LIMIT = 300
IDLE_STATES = ("monitor", "paused")  # nothing is cut then, as the owner wishes

Check = Callable[[], str | None]


@dataclass(frozen=True, slots=True)
class Checks:
    """The four checks of a box; the paths are its own unless a test has others."""

    state_dir: Path
    page: tuple[str, int] = PAGE

    def all(self) -> Mapping[str, Check]:
        """Return the checks in the order in which they are asked: the cheap ones first."""
        return {
            "units": failed_units,
            "page": lambda: page(self.page, self.state_dir / "web" / "tls.crt"),
            "ledger": lambda: ledger(self.state_dir / "ledger.sqlite3"),
            "self-test": lambda: selftest(self.state_dir),
        }


def failed_units() -> str | None:
    """Say which units failed."""
    try:
        listing = run_tool("systemctl", "list-units", "--failed", "--plain", "--no-legend")
    except ToolError as error:
        return f"systemd does not say which units failed: {error}"
    names = [line.split()[0] for line in listing.splitlines() if line.strip()]
    if not names:
        return None
    more = f" and {len(names) - FAILED_SHOWN} more" if len(names) > FAILED_SHOWN else ""
    return f"failed: {', '.join(names[:FAILED_SHOWN])}{more}"


def page(address: tuple[str, int], certificate: Path) -> str | None:
    """Say what keeps the admin page from answering over HTTPS, with its own certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False  # its names are for the office; the certificate itself is known
    try:
        context.load_verify_locations(cafile=certificate)
        with (
            socket.create_connection(address, PAGE_SECONDS) as plain,
            context.wrap_socket(plain) as connection,
        ):
            connection.settimeout(PAGE_SECONDS)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while len(answer) < PAGE_BYTES and (part := connection.recv(PAGE_BYTES)):
                answer += part
    except (OSError, ValueError) as error:
        return f"the admin page does not answer: {str(error)[:WORDS_LIMIT]}"
    words = answer.split(b"\r\n")[0].split(b" ")
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or words[1][:1] not in (b"2", b"3"):
        return (
            f"the admin page answers {answer.splitlines()[0][:80]!r}"
            if answer
            else ("the admin page closes the connection without a word")
        )
    return None


def ledger(path: Path) -> str | None:
    """Say what is wrong with the history's file."""
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return f"the history cannot be read: {error}"
    return None if found == "ok" else f"the history is damaged: {str(found)[:WORDS_LIMIT]}"


def selftest(state_dir: Path) -> str | None:
    """Say why a known handshake was not cut; content where the owner wants nothing cut."""
    if _answer("status", state_dir).get("state") in IDLE_STATES:
        return None
    result = _answer("selftest", state_dir)
    if result.get("ok") is True:
        return None
    return f"the self-test failed: {str(result.get('reason', 'no answer'))[:WORDS_LIMIT]}"


def _answer(command: str, state_dir: Path) -> dict[str, object]:
    """Return what `ratwall COMMAND --json` prints; its complaint as a reason otherwise."""
    argv = [sys.executable, "-P", "-m", "ratwall", command, "--json", "--state-dir", str(state_dir)]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=SELFTEST_SECONDS,
            check=False,
        )
        found = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return {"reason": f"no answer within {SELFTEST_SECONDS:.0f} s"}
    except ValueError:
        return {"reason": " ".join(done.stderr.split())[:WORDS_LIMIT] or "no answer"}
    return found if isinstance(found, dict) else {"reason": "no answer"}
