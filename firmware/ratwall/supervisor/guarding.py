"""The supervisor's side of the guard: its command line, and handing processes over to it.

A process is handed over as a descriptor (pidfd), so that a signal can never meet another one that
got the same number later.
"""

import array
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from ratwall.kernel.undo import Journal
from ratwall.supervisor.children import Child
from ratwall.supervisor.guard import WATCHDOG_SECONDS

MICROSECONDS = 1_000_000


class Guarding:
    """The sockets and the journal that supervisor and guard share."""

    def __init__(self, journal: Path) -> None:
        self._token = os.urandom(8).hex()  # `secrets` would bring in OpenSSL: 5 MB resident
        self.journal = Journal(journal, self._token)
        self._line, self._guards_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # Abstract: no file that another user would have to be allowed to reach.
        self._name = f"ratwall-notify-{self._token}"
        self._notices.bind(f"\0{self._name}")
        self._notices.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)

    def guard(self) -> Child:
        """Return the guard, to be started before all others."""
        return Child(
            "the guard",
            [
                *(sys.executable, "-m", "ratwall.supervisor.guard"),
                *("--line", str(self._guards_end.fileno())),
                *("--notices", str(self._notices.fileno())),
                *("--journal", str(self.journal.path), "--token", self._token),
            ],
            inherited=(self._guards_end.fileno(), self._notices.fileno()),
            own_session=True,
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to know to feed its watchdog, as systemd would tell it."""
        return {
            "NOTIFY_SOCKET": f"@{self._name}",
            "WATCHDOG_USEC": str(int(WATCHDOG_SECONDS * MICROSECONDS)),
        }

    def hand_over(self, child: Child) -> None:
        """Put a running process under guard."""
        if child.pid is None:
            return
        order = {"name": child.name, "pid": child.pid, "watchdog": child.watchdog}
        descriptor = os.pidfd_open(child.pid)
        try:
            self._line.sendmsg(
                [json.dumps(order).encode()],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))],
            )
        finally:
            os.close(descriptor)

    def leave(self) -> None:
        """Say farewell: everything is undone, the guard may end."""
        for each in (self._line, self._guards_end, self._notices):
            each.close()
