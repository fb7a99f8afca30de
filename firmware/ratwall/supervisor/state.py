"""The state directory: who may do what in it, who else uses it, and what the processes are told.

Each process has a user of its own. The controller owns the directory and the ledger in it; the
page's group may read the ledger; the inspector may only reach the socket for its reports.
"""

import fcntl
import os
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ratwall.controller.sockets import SELFTEST_SOCKET
from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall.settings.schema import Settings
from ratwall.supervisor.children import Child
from ratwall.supervisor.confine import ACTIVATION_DESCRIPTOR, PYTHON, Account, account, confined
from ratwall.supervisor.testing import SelfTester

JOURNAL_NAME = "undo.jsonl"  # in run/; see ratwall.kernel.undo
LEDGER_NAME = "ledger.sqlite3"
EXPORT_NAME = "export"  # see ratwall.export.facts
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
        self._export = account("ratwall-export")
        self._made: list[Path] = []

    def prepare(self) -> None:
        """Make the directories; UsageError where that is impossible or the place is not ours."""
        try:
            self._refuse_foreign()
            # 2751: new files take the page's group; the inspector may pass through, not look.
            self._directory(self.path, self._controller.uid, self._web.gid, 0o2751)
            self._directory(self.run, self._controller.uid, self._web.gid, 0o2751)
            self._directory(self.path / "web", self._web.uid, self._web.gid, 0o700)
            # The controller is of the page's group: it reads how the receivers fare.
            self._directory(self.path / EXPORT_NAME, self._export.uid, self._web.gid, 0o2750)
        except OSError as error:
            raise UsageError(
                f"--state-dir {self.path}: cannot be prepared: {error.strerror}"
            ) from error

    def discard(self) -> None:
        """Take away the directories that `prepare` made: the start was refused."""
        for path in reversed(self._made):
            shutil.rmtree(path, ignore_errors=True)
        self._made.clear()

    def _refuse_foreign(self) -> None:
        """Leave alone a directory that holds something, but nothing of Ratwall's."""
        if not self.path.is_dir():
            return
        found = sorted(entry.name for entry in self.path.iterdir())
        if found and not {LEDGER_NAME, self.run.name} & set(found):
            raise UsageError(
                f"--state-dir {self.path}: holds {found[0]!r} and no ledger of Ratwall's; "
                "give a new or an empty directory"
            )

    def _directory(self, path: Path, uid: int, gid: int, mode: int) -> None:
        """Make or take over a directory. Its parent may belong to a process of ours that has
        been turned: no link is followed."""
        if not os.path.lexists(path):
            path.mkdir(parents=True)
            self._made.append(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def write_settings(self, text: bytes) -> None:
        """Lay the checked settings where every process may read them, whole at every moment."""
        replace_file(self.settings, text, durable=False)

    def read_settings(self) -> bytes:
        """Return the settings in force, as they were laid there."""
        try:
            return self.settings.read_bytes()
        except OSError as error:
            raise RatwallError(f"{self.settings}: cannot be read: {error.strerror}") from error

    @property
    def controller_account(self) -> Account:
        """Who the controller is: it may ask about the settings file."""
        return self._controller

    @property
    def secrets_group(self) -> int:
        """The group that reads secrets: the exporter's."""
        return self._export.gid

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

    def exporter(self) -> Child:
        """Return the exporter, without any capability; its group reads the ledger and commands
        nothing: the command socket goes by a process's own group."""
        return Child(
            "the exporter",
            confined(
                [*self._module("ratwall.export"), "--config", str(self.settings)],
                self._export,
                groups=(self._web.gid,),
                state_dir=self.path,
            ),
            rereads=True,
        )

    def selftester(self) -> SelfTester:
        """Return where the controller has a self-test run, by root."""
        return SelfTester(
            self.run / SELFTEST_SOCKET,
            self._controller.gid,
            [*PYTHON, "-m", "ratwall", "selftest", "--state-dir", str(self.path)],
        )

    def _module(self, name: str) -> list[str]:
        return [*PYTHON, "-m", name, "--state-dir", str(self.path)]


@contextmanager
def sole_instance(state: StateDirectory) -> Iterator[None]:
    """Hold the state directory for this process; UsageError if another one holds it."""
    with os.fdopen(_open_lock(state.run / "lock"), "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"--state-dir {state.path}: another ratwall (process {lock.read().strip()}) "
                "uses it; stop that one first, or give this one a directory of its own"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _open_lock(path: Path) -> int:
    """Open the lock, made if need be; UsageError for a link, a pipe or somebody else's file.

    The directory belongs to the controller: what lies there may be a trap for root.
    """
    refused = UsageError(f"{path}: is not the lock that ratwall made; look at it and remove it")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        raise refused from error
    status = os.fstat(descriptor)
    own = status.st_uid == os.geteuid() and status.st_nlink == 1
    if not (own and stat.S_ISREG(status.st_mode)):
        os.close(descriptor)
        raise refused
    return descriptor


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
