"""The state directory: who may do what in it, who else uses it, and what the processes are told.

Each process has a user of its own. The controller owns the directory and the ledger in it; the
page's group may read the ledger; the inspector may only reach the socket for its reports.
"""

import fcntl
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ratwall.errors import UsageError
from ratwall.settings.schema import Settings
from ratwall.supervisor.children import Child
from ratwall.supervisor.confine import ACTIVATION_DESCRIPTOR, account, confined

JOURNAL_NAME = "undo.jsonl"  # in run/; see ratwall.kernel.undo
BACKLOG = 64  # connections waiting for the page


class StateDirectory:
    """Paths, owners and command lines, all derived from one directory."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.run = self.path / "run"
        self.settings = self.run / "settings.toml"
        self.journal = self.run / JOURNAL_NAME
        self._controller = account("ratwall")
        self._inspector = account("ratwall-inspector")
        self._web = account("ratwall-web")

    def prepare(self) -> None:
        """Make the directories; UsageError where that is impossible."""
        owner = self._controller.uid
        try:
            # 2751: new files take the page's group; the inspector may pass through, not look.
            self._directory(self.path, owner, self._web.gid, 0o2751)
            self._directory(self.run, owner, self._web.gid, 0o2751)
            self._directory(self.path / "web", self._web.uid, self._web.gid, 0o700)
        except OSError as error:
            raise UsageError(
                f"--state-dir {self.path}: cannot be prepared: {error.strerror}"
            ) from error

    @staticmethod
    def _directory(path: Path, uid: int, gid: int, mode: int) -> None:
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, uid, gid)
        path.chmod(mode)

    def write_settings(self, text: bytes) -> None:
        """Lay the checked settings where every process may read them, whole at every moment."""
        staged = self.settings.with_suffix(".new")
        staged.write_bytes(text)
        staged.chmod(0o644)
        staged.replace(self.settings)

    def inspectors(
        self, settings: Settings, environment: Mapping[str, str], *, monitor_only: bool
    ) -> list[Child]:
        """Return the inspectors, with CAP_NET_ADMIN for their queues and nothing else.

        `environment` tells them of the watchdog that they feed.
        """
        workers = settings.kernel.workers
        return [
            Child(
                "the inspector" if workers == 1 else f"inspector {worker}",
                confined(
                    [
                        *self._module("ratwall.inspector"),
                        *("--config", str(self.settings), "--worker", str(worker)),
                        *(["--monitor-only"] if monitor_only else []),
                    ],
                    self._inspector,
                    capabilities=("net_admin",),
                    state_dir=self.path,
                ),
                environment=environment,
                watchdog=True,
                rereads=True,
            )
            for worker in range(workers)
        ]

    def controller(self, settings: Settings, *, monitor_only: bool) -> Child:
        """Return the controller, with CAP_NET_ADMIN for sets and conntrack events."""
        network = settings.network
        argv = [
            *self._module("ratwall.controller"),
            *("--config", str(self.settings)),
            *("--lan", str(network.lan), "--wan", str(network.wan), "--mode", network.mode),
            *("--web-group", str(self._web.gid), "--inspector-group", str(self._inspector.gid)),
            *(["--monitor-only"] if monitor_only else []),
        ]
        return Child(
            "the controller",
            confined(
                argv,
                self._controller,
                groups=(self._web.gid, self._inspector.gid),
                capabilities=("net_admin",),
                state_dir=self.path,
                orphan_signal="TERM",  # it writes down what it knows
            ),
            rereads=True,
        )

    def web(self, settings: Settings, page: socket.socket) -> Child:
        """Return the admin page, without any capability, with its listening socket."""
        argv = [*self._module("ratwall_web"), "--listen", settings.web.listen]
        return Child(
            "the admin page",
            confined(argv, self._web, state_dir=self.path, listening=page.fileno()),
            inherited=(page.fileno(),),
        )

    def _module(self, name: str) -> list[str]:
        return [sys.executable, "-m", name, "--state-dir", str(self.path)]


@contextmanager
def sole_instance(state: StateDirectory) -> Iterator[None]:
    """Hold the state directory for this process; UsageError if another one holds it."""
    with (state.run / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise UsageError(
                f"--state-dir {state.path}: another ratwall (process {lock.read().strip()}) "
                "uses it; stop that one first, or give this one a directory of its own"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def listening_socket(address: tuple[str, int]) -> Iterator[socket.socket]:
    """Give the page's listening socket: our own or one handed to us.

    A service manager, or the lab, may pass one (LISTEN_FDS, sd_listen_fds(3)); then `address` only
    says what it is called. UsageError if the port is taken.
    """
    if os.environ.get("LISTEN_FDS"):
        page = socket.socket(fileno=ACTIVATION_DESCRIPTOR)
    else:
        host, port = address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        page = socket.socket(family, socket.SOCK_STREAM)
        page.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            page.bind((host, port))
            page.listen(BACKLOG)
        except OSError as error:
            page.close()
            raise UsageError(
                f"--web {host}:{port}: cannot listen there: {error.strerror}; "
                "choose another port or stop what uses it"
            ) from error
    with page:
        yield page
