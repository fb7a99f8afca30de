"""The controller's listening sockets: made with the right rights, and who is at the other end.

Never reads a message. A socket file left behind by a process that died is replaced; one that still
answers belongs to another controller and is left alone.
"""

import os
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from ratwall.errors import RatwallError, UsageError

REPORTS_NAME = "reports.sock"
CONTROL_NAME = "control.sock"
# Where the controller knocks to have a self-test run (ratwall.supervisor.testing). They stand here
# because the supervisor needs nothing else of the controller.
SELFTEST_SOCKET = "selftest.sock"
SELFTEST_BEGUN = b"begun\n"
SOCKET_MODE = 0o660  # the owner and one group
BACKLOG = 128  # a burst of page requests while the kernel is being asked; unix(7) refuses beyond it
PEER = struct.Struct("=iII")  # struct ucred of unix(7): pid, uid, gid
PATH_LIMIT = 107  # bytes of sun_path in unix(7), without the closing zero


@dataclass(frozen=True, slots=True)
class Doors:
    """Both listening sockets; whoever has them is the one controller of a state directory."""

    reports: socket.socket
    control: socket.socket


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end when it connected."""

    pid: int
    uid: int
    gid: int

    @property
    def is_owner(self) -> bool:
        """Say whether it is root or our own user."""
        return self.uid in (0, os.geteuid())

    def may_enter(self, group: int | None) -> bool:
        """Say whether it is root, our own user, or of the group that may use the socket."""
        return self.is_owner or (group is not None and self.gid == group)


def peer_of(connection: socket.socket) -> Peer:
    """Return who connected, by the kernel's word (SO_PEERCRED)."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    return Peer(*PEER.unpack(raw))


def open_doors(directory: Path, inspector_group: int | None, web_group: int | None) -> Doors:
    """Return both sockets of `<state>/run`; UsageError if another controller has them."""
    reports = listen(directory / REPORTS_NAME, socket.SOCK_SEQPACKET, inspector_group)
    try:
        control = listen(directory / CONTROL_NAME, socket.SOCK_STREAM, web_group)
    except RatwallError:
        close_door(reports)
        raise
    return Doors(reports, control)


def close_door(server: socket.socket) -> None:
    """Close a listening socket and remove its file."""
    path = Path(server.getsockname())
    server.close()
    path.unlink(missing_ok=True)


def listen(path: Path, kind: socket.SocketKind, group: int | None) -> socket.socket:
    """Return a non-blocking listening socket at `path`, open to its owner and to `group`.

    UsageError if another process answers there or the path cannot be used.
    """
    if len(os.fsencode(path)) > PATH_LIMIT:
        raise UsageError(
            f"{path}: a socket's path has at most {PATH_LIMIT} bytes, found "
            f"{len(os.fsencode(path))}; use a shorter --state-dir"
        )
    try:
        _clear(path, kind)
        server = socket.socket(socket.AF_UNIX, kind)
        try:
            server.setblocking(False)
            # By the mask and not afterwards: root listens in a directory of the controller's, who
            # could lay a link here in between.
            mask = os.umask(0o777 & ~SOCKET_MODE)
            try:
                server.bind(str(path))
            finally:
                os.umask(mask)
            if group is not None:
                os.chown(path, -1, group, follow_symlinks=False)
            server.listen(BACKLOG)
        except OSError:
            server.close()
            raise
    except OSError as error:
        raise RatwallError(f"{path}: cannot listen there: {error.strerror}") from error
    return server


def _clear(path: Path, kind: socket.SocketKind) -> None:
    """Remove a socket that nobody answers; UsageError if somebody does."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # its backlog is full: it lives
    raise UsageError(f"{path}: another controller answers there; stop it first")
