"""Become a command that is handed a listening socket, by the protocol of sd_listen_fds(3).

    python -m ratwall_lab.activation DESCRIPTOR COMMAND [ARGUMENT...]

The socket keeps the network namespace in which it was opened: the demo opens it on the machine and
hands it to Ratwall inside the box's namespace. It never forks, so LISTEN_PID is the command's own.
"""

from __future__ import annotations

import os
import sys

LISTEN_DESCRIPTOR = 3  # where the protocol wants the first socket


def main(argv: list[str]) -> None:
    """Move the descriptor to its place, say so in the environment, become the command."""
    descriptor, command = int(argv[0]), argv[1:]
    if descriptor != LISTEN_DESCRIPTOR:
        os.dup2(descriptor, LISTEN_DESCRIPTOR)
        os.close(descriptor)
    os.set_inheritable(LISTEN_DESCRIPTOR, True)
    os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
