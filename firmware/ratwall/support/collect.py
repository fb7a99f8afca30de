"""What goes into the support bundle, and where on this box the secrets lie that must not.

It only reads, and starts tools that only read, each with a time of its own. No file of the page's
directory, no capture and no key is ever a part.
"""

import json
import platform
import shutil
import sqlite3
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from ratwall import __version__
from ratwall.controller.client import Client
from ratwall.errors import RatwallError
from ratwall.ledger import queries
from ratwall.ledger.store import FILE_NAME, open_ledger
from ratwall.support.bundle import PART_LIMIT, Part
from ratwall.support.redact import SECRET_NAME, Redaction, secrets_in, secrets_of_settings
from ratwall.update.place import Place, last_attempt, read_running

TOOL_SECONDS = 15.0
FILE_LIMIT = 65_536  # bytes of a file with secrets
FILES_LIMIT = 200  # files with secrets that are looked at
JOURNAL_LINES = 10_000
INCIDENTS = 50


@dataclass(frozen=True, slots=True)
class Box:
    """Where a box keeps what is asked; a test has others."""

    state_dir: Path
    settings_dir: Path = Path("/etc/ratwall")
    place: Place = field(default_factory=Place)

    @property
    def control(self) -> Client:
        """The running controller."""
        return Client(self.state_dir / "run" / "control.sock", timeout=TOOL_SECONDS)

    @property
    def settings(self) -> Path:
        """The settings in force."""
        return self.state_dir / "run" / "settings.toml"

    def parts(self) -> list[Part]:
        """Return all that can go into a bundle."""
        return [
            Part("versions.txt", "versions of Ratwall, the system and Python", self._versions),
            Part("update.json", "what became of the last update", self._update),
            Part("units.txt", "which parts of the box run, and which failed", _units),
            Part("journal.txt", "the log of the box since its last start", _journal),
            Part("settings.json", "the settings in force, without secrets", self._settings),
            Part("status.json", "state, counters and health", self._status),
            Part("doctor.json", "what Ratwall finds wrong around it", self._doctor),
            Part("links.json", "network ports, their state and counters", _links),
            Part("ledger.json", "how much the history holds, without what it says", self._ledger),
            Part("storage.txt", "how full the disks are", self._storage),
            Part(
                "incidents.json",
                "the newest incidents, with addresses and names",
                self._incidents,
                traffic=True,
            ),
        ]

    def redaction(self) -> Redaction:
        """Return what takes this box's secrets out."""
        found = secrets_of_settings(self._read_settings())
        for path in list(self._secret_files())[:FILES_LIMIT]:
            try:
                # A pipe would be waited for, a link may lead anywhere.
                if not stat.S_ISREG(path.lstat().st_mode):
                    continue
                with path.open("rb") as file:
                    found |= secrets_in(file.read(FILE_LIMIT))
            except OSError:
                continue
        return Redaction(found)

    def _secret_files(self) -> Iterator[Path]:
        yield self.settings_dir / "enrolment-token"
        for directory in (self.settings_dir / "secrets", self.state_dir / "web"):
            if directory.is_dir():
                yield from sorted(directory.iterdir())
        yield from self._named_files(self._read_settings())

    def _named_files(self, value: object, name: str = "") -> Iterator[Path]:
        """Return the files that settings name as holding a secret."""
        if isinstance(value, dict):
            for key, each in value.items():
                yield from self._named_files(each, str(key))
        elif isinstance(value, str) and SECRET_NAME.search(name) and value.startswith("/"):
            yield Path(value)

    def _read_settings(self) -> object:
        try:
            with self.settings.open("rb") as file:
                return tomllib.loads(file.read(1 << 20).decode())
        except (OSError, ValueError):
            return {}

    def _versions(self) -> str:
        running = read_running(self.place)
        return "\n".join(
            [
                f"Ratwall {__version__}",
                f"image {running.version}, board {running.board}, keys {running.keys}",
                f"slot {running.slot}",
                platform.platform(),
                f"Python {sys.version}",
                "",
            ]
        )

    def _update(self) -> str:
        last = last_attempt(self.place)
        if last is None:
            return "null\n"
        facts = {name: getattr(last, name) for name in last.__slots__}
        return json.dumps(facts, indent=1, default=str) + "\n"

    def _settings(self) -> str:
        return json.dumps(self.redaction().settings(self._read_settings()), indent=1) + "\n"

    def _status(self) -> str:
        return json.dumps(self.control.call("status"), indent=1) + "\n"

    def _doctor(self) -> str:
        where = ("--state-dir", str(self.state_dir))
        return run(sys.executable, "-P", "-m", "ratwall", "doctor", "--json", *where)

    def _ledger(self) -> str:
        path = self.state_dir / FILE_NAME
        try:
            connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            try:
                found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                # Not counted: ten million rows would be read through.
                newest = {name: _newest(connection, name) for (name,) in found.fetchall()}
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise RatwallError(f"the history cannot be read: {error}") from error
        return json.dumps({"bytes": path.stat().st_size, "newest_row": newest}, indent=1) + "\n"

    def _storage(self) -> str:
        lines = []
        for path in (self.state_dir, Path("/data"), Path("/run")):
            if path.exists():
                use = shutil.disk_usage(path)
                lines.append(f"{path}: {use.used} of {use.total} bytes used, {use.free} free")
        return "\n".join(lines) + "\n"

    def _incidents(self) -> str:
        if not (self.state_dir / FILE_NAME).exists():
            return "[]\n"
        with open_ledger(self.state_dir / FILE_NAME, read_only=True) as ledger:
            rows = queries.incidents(ledger, limit=INCIDENTS)
        return json.dumps(rows, indent=1, default=str) + "\n"


def _newest(connection: sqlite3.Connection, table: str) -> int | None:
    row = connection.execute(f'SELECT max(rowid) FROM "{table}"').fetchone()  # noqa: S608
    return None if row[0] is None else int(row[0])


def _units() -> str:
    failed = run("systemctl", "list-units", "--failed", "--plain", "--no-pager")
    return failed + "\n" + run("systemctl", "list-units", "ratwall*", "--all", "--no-pager")


def _journal() -> str:
    lines = ("--lines", str(JOURNAL_LINES), "--output", "short-iso", "--no-pager")
    return run("journalctl", "--boot", *lines)


def _links() -> str:
    return run("ip", "-json", "-statistics", "address", "show")


def run(*argv: str) -> str:
    """Return what a tool that only reads prints; RatwallError says why it does not."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=TOOL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RatwallError(f"{argv[0]}: {error}") from error
    text = (done.stdout or done.stderr)[-4 * PART_LIMIT :].decode(errors="replace")
    return text or f"{argv[0]}: nothing (exit code {done.returncode})\n"


def names(parts: Sequence[Part]) -> list[tuple[str, str]]:
    """Return what a bundle holds, for whoever decides whether to make one."""
    return [(part.name, part.about) for part in parts]
