"""Ratwall as a process in the lab's box: started, listened to, asked, ended.

It uses the commands a user has (`ratwall run`, `ratwall incidents --json`) and nothing of Ratwall's
inside. The admin page's socket is opened on the machine and handed over, so that a browser here
reaches a page that runs in a namespace without any way out.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ratwall_lab.namespaces import LabError
from ratwall_lab.topology import Lab

ROOT = Path(__file__).resolve().parents[2]
SOURCES = tuple(str(ROOT / name) for name in ("firmware", "web", "scripts"))
READY_LINE = "ratwall: ready"
READY_SECONDS = 60.0  # the first start makes a certificate and a ledger; a Pi takes its time
END_SECONDS = 20.0  # `ratwall run` gives each of its three processes up to 5 s; and a busy machine
SETUP_CODE = re.compile(r"set-up code (\S+)")
FINGERPRINT = re.compile(r"fingerprint (\S+)")


def listen(host: str, port: int) -> socket.socket:
    """Open the admin page's socket on this machine; LabError where that is impossible."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise LabError(
            f"the admin page cannot listen on {host}:{port}: {error.strerror}; stop what uses "
            "that port, or choose another one with --web HOST:PORT"
        ) from error


class Running:
    """`ratwall run` in the box from its start on; what it says is kept line by line."""

    def __init__(
        self,
        lab: Lab,
        state: Path,
        arguments: Sequence[str],
        *,
        page: socket.socket | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`page` is handed over as the admin page's socket; `say` gets every line as it comes."""
        self.lab, self.state = lab, state
        self.output: list[str] = []
        self._say = say
        self._changed = threading.Condition()
        handed = [] if page is None else [page.fileno()]
        activation = [sys.executable, "-m", "ratwall_lab.activation"]
        self.process: subprocess.Popen[str] = lab.box.popen(
            [
                *([*activation, str(handed[0])] if handed else []),
                *(sys.executable, "-m", "ratwall", "run", "--lan", "lan", "--wan", "wan"),
                *("--mode", lab.mode, "--state-dir", str(state), *arguments),
            ],
            env=_environment(),
            pass_fds=handed,
            # A session of its own: Ctrl-C is for whoever runs the lab, and takes it down in order.
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, name="lab ratwall output")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            text = line.rstrip()
            self._say(text)
            with self._changed:
                self.output.append(text)
                self._changed.notify_all()
        self.process.wait()
        with self._changed:
            self._changed.notify_all()

    def wait_line(self, part: str, timeout: float = READY_SECONDS) -> str:
        """Wait for a line of output that holds `part`; LabError with what came instead."""

        def found() -> str | None:
            return next((line for line in self.output if part in line), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self.process.poll() is not None, timeout)
            line = found()
        if line is None:
            raise LabError(f"no line with {part!r} in:\n" + "\n".join(self.output))
        return line

    def wait_end(self, timeout: float = END_SECONDS) -> int:
        """Wait until it has ended and all it said is here; return its exit code."""
        code = self.process.wait(timeout)
        self._reader.join()
        return code

    def stop(self) -> int:
        """End it as a service manager would and return its exit code."""
        self.process.terminate()
        try:
            return self.wait_end()
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.wait_end()

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a `ratwall` command against it, as a technician would."""
        argv = self.argv(*words)
        return subprocess.run(argv, env=_environment(), capture_output=True, text=True, check=False)

    def argv(self, *words: str) -> list[str]:
        """Return the command line of a `ratwall` command against it."""
        return [sys.executable, "-m", "ratwall", *words, "--state-dir", str(self.state)]


class Ratwall:
    """`ratwall run` in the box, its page on this machine; a context manager, inline on entry."""

    def __init__(
        self,
        lab: Lab,
        state: Path,
        page: socket.socket,
        *,
        arguments: Sequence[str] = (),
        say: Callable[[str], None] = print,
    ) -> None:
        """`say` gets every line that Ratwall prints."""
        self.lab, self.state = lab, state
        self.setup_code: str | None = None
        self.fingerprint: str | None = None
        self._page, self._arguments, self._say = page, arguments, say
        self._running: Running | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the admin page."""
        host, port = self._page.getsockname()[:2]
        return f"https://{host}:{port}"

    @property
    def running(self) -> Running:
        """The process; LabError before it has begun."""
        if self._running is None:
            raise LabError("ratwall does not run")
        return self._running

    @property
    def pid(self) -> int:
        """The process id of `ratwall run`."""
        return self.running.process.pid

    def __enter__(self) -> Self:
        host, port = self._page.getsockname()[:2]
        arguments = ["--web", f"{host}:{port}", *self._arguments]
        running = Running(self.lab, self.state, arguments, page=self._page, say=self._hear)
        self._running = running
        try:
            running.wait_line(READY_LINE)
        except LabError as error:
            running.stop()
            raise LabError(
                f"`ratwall run` did not say '{READY_LINE}'; its own words are above"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> int:
        """End it as a service manager would and return its exit code."""
        return self.running.stop()

    def ask(self, *command: str) -> Any:
        """Return what `ratwall COMMAND --json` prints; LabError with its complaint."""
        done = self.running.command(*command, "--json")
        if done.returncode != 0:
            raise LabError(f"ratwall {' '.join(command)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _hear(self, line: str) -> None:
        if found := SETUP_CODE.search(line):
            self.setup_code = found[1]
        if found := FINGERPRINT.search(line):
            self.fingerprint = found[1]
        self._say(line)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCES)}
