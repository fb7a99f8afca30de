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
END_SECONDS = 15.0  # `ratwall run` gives each of its three processes up to 5 s
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


class Ratwall:
    """`ratwall run` in the box; a context manager, inline on entry."""

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
        self._ready = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._reader = threading.Thread(target=self._listen_to, name="lab ratwall output")

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the admin page."""
        host, port = self._page.getsockname()[:2]
        return f"https://{host}:{port}"

    @property
    def pid(self) -> int:
        """The process id of `ratwall run`."""
        if self._process is None:
            raise LabError("ratwall does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        host, port = self._page.getsockname()[:2]
        argv = [
            *(sys.executable, "-m", "ratwall_lab.activation", str(self._page.fileno())),
            *(sys.executable, "-m", "ratwall", "run", "--lan", "lan", "--wan", "wan"),
            *("--mode", self.lab.mode, "--state-dir", str(self.state)),
            *("--web", f"{host}:{port}", *self._arguments),
        ]
        # A session of its own: Ctrl-C is for the demo, which takes things down in order.
        self._process = self.lab.box.popen(
            argv,
            env=_environment(),
            pass_fds=(self._page.fileno(),),
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader.start()
        if not self._ready.wait(READY_SECONDS) or self._process.poll() is not None:
            self.end()
            raise LabError(f"`ratwall run` did not say '{READY_LINE}'; its own words are above")
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
        if self._process is None:
            raise LabError("ratwall does not run")
        self._process.terminate()
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join()
        return code

    def ask(self, *command: str) -> Any:
        """Return what `ratwall COMMAND --json` prints; LabError with its complaint."""
        argv = [sys.executable, "-m", "ratwall", *command, "--json", "--state-dir", str(self.state)]
        done = subprocess.run(argv, env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"ratwall {' '.join(command)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def _listen_to(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            text = line.rstrip()
            if found := SETUP_CODE.search(text):
                self.setup_code = found[1]
            if found := FINGERPRINT.search(text):
                self.fingerprint = found[1]
            self._say(text)
            if text == READY_LINE:
                self._ready.set()
        self._ready.set()  # it has ended: nobody need wait for it


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(SOURCES)}
