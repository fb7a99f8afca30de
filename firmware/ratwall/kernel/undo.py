"""What was changed in the kernel, and the way back, kept in a file before each change.

A step back is a kind and its words, never code, so that another process can take it: the guard
after the supervisor was killed, the next `ratwall run` or `ratwall doctor --clean` after both were.
Every kind may be taken when the change was never made, or is gone already.

The journal never outlives what it tells of: one from before a reboot, or of another network
namespace, changes nothing. It is obeyed only if root owns it, since the controller's user owns the
directory around it, and it can only say what the kinds below allow. For the same reason no link is
followed there, nothing that has another name is written, and no pipe waited for.
"""

import errno
import fcntl
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ratwall.errors import RatwallError
from ratwall.kernel.command import ToolError, ip_json, nft, nft_json, run
from ratwall.kernel.ruleset import remove_text

SYSCTL = Path("/proc/sys")
SYSCTLS_OURS = ("net/netfilter/nf_conntrack_", "net/bridge/bridge-nf-")  # all that we ever change
CREATED_BRIDGE = "br-ratwall"
LAST_RESORT_METRIC = "4294967295"  # the highest: any other default route wins
JOURNAL_LIMIT = 1_000_000  # bytes; a real one has some 2,000


class JournalError(RatwallError):
    """A journal that cannot be obeyed; the text says why."""


def _remove_tables() -> None:
    nft(remove_text())


def _write_sysctl(name: str, value: str) -> None:
    if not name.startswith(SYSCTLS_OURS) or ".." in name:
        raise JournalError(f"setting {name} is not one of Ratwall's")
    (SYSCTL / name).write_text(value)


def _links() -> set[str]:
    return {link["ifname"] for link in ip_json("link", "show")}


def _set_bridge(bridge: str, option: str, value: str) -> None:
    if bridge in _links():
        run("ip", "link", "set", bridge, "type", "bridge", option, value)


def _delete_bridge() -> None:
    if CREATED_BRIDGE in _links():
        run("ip", "link", "delete", CREATED_BRIDGE)


def _delete_route(family: str) -> None:
    route = ("default", "dev", "lo", "metric", LAST_RESORT_METRIC)
    if ip_json(family, "route", "show", *route):
        run("ip", family, "route", "delete", *route)


def delete_queue_rule(tool: str, *rule: str) -> None:
    """Delete every copy of the xtables rule that queues."""
    if tool not in ("iptables", "ip6tables") or "NFQUEUE" not in rule:
        raise JournalError(f"{tool} {' '.join(rule)} is not a rule of Ratwall's")
    while succeeds(tool, "-w", "-t", "mangle", "-C", *rule):
        run(tool, "-w", "-t", "mangle", "-D", *rule)


def _delete_if_empty(family: str, table: str) -> None:
    """Delete a table that iptables made for our rule, unless somebody has put a rule into it."""
    if not has_table(family, table):
        return
    if not any("rule" in entry for entry in nft_json("list", "table", family, table)):
        nft(f"delete table {family} {table}\n")


STEPS: dict[str, Callable[..., None]] = {
    "tables": _remove_tables,
    "sysctl": _write_sysctl,
    "bridge option": _set_bridge,
    "bridge": _delete_bridge,
    "route": _delete_route,
    "queue rule": delete_queue_rule,
    "empty table": _delete_if_empty,
}


class Undo:
    """Steps back, run in reverse by `restore`; with a journal each is written down first."""

    def __init__(self, journal: "Journal | None" = None) -> None:
        self._steps: list[tuple[str, list[str]]] = []
        self._journal = journal
        self.problem: str | None = None  # why the journal is not complete

    def add(self, kind: str, *words: str) -> None:
        """Remember a step back; to be called before the change that it undoes."""
        step = (kind, list(words))
        self._steps.append(step)
        if self._journal is not None:
            try:
                self._journal.append(*step)
            except OSError as error:
                # Better inline without a journal than not inline: the disk may be full for long.
                self.problem = f"{self._journal.path}: {error.strerror}"

    def restore(self) -> list[str]:
        """Undo everything; return a line for each step that could not be undone."""
        failures = _take_back(self._steps)
        self._steps.clear()
        if self._journal is not None:
            self._journal.remove()
        return failures


class Journal:
    """The file of one run's steps, one JSON array a line behind a line that says whose it is."""

    def __init__(self, path: Path, token: str) -> None:
        """`token` tells this run's journal from another's at the same place."""
        self.path = path
        self._header = {"token": token, **_place()}

    def append(self, kind: str, words: list[str]) -> None:
        """Write a step down; OSError where that is impossible."""
        lines = [] if self.path.exists() else [json.dumps(self._header)]
        lines.append(json.dumps([kind, *words]))
        with os.fdopen(_open_own(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    def remove(self) -> None:
        """Everything is undone: there is nothing to tell."""
        self.path.unlink(missing_ok=True)


def leftovers(path: Path) -> list[str]:
    """Return what a killed run has left, in words; JournalError for one that is not obeyed."""
    return [" ".join(step[:2]) for step in _read(path, None)]


def take_back(path: Path, token: str | None = None) -> list[str] | None:
    """Undo what the journal tells of and remove it; None if there is nothing of that kind.

    With `token` only that run's. Returns a line for each step that could not be undone.
    """
    if not path.exists():
        return None
    with _one_at_a_time(path):
        steps = _read(path, token)
        if not steps:
            return None
        failures = _take_back([(kind, words) for kind, *words in steps])
        path.unlink(missing_ok=True)
        return failures


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Keep the guard of a killed run and the next run from undoing the same at once."""
    try:
        descriptor = _open_own(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise JournalError(f"{error.filename}: {error.strerror}; remove it") from error
    with os.fdopen(descriptor) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_own(path: Path, flags: int) -> int:
    """Open a plain file that is root's alone; OSError for a link, a pipe, or one of two names."""
    safe = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags | safe, 0o600)
    status = os.fstat(descriptor)
    own = status.st_uid == os.geteuid() and status.st_nlink == 1
    if not (own and stat.S_ISREG(status.st_mode)):
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "is not a file of root's alone", str(path))
    return descriptor


def _read(path: Path, token: str | None) -> list[list[str]]:
    try:
        descriptor = _open_own(path, os.O_RDONLY)
    except FileNotFoundError:
        return []
    except PermissionError as error:
        raise JournalError(f"{path}: not written by root; look at it and remove it") from error
    with os.fdopen(descriptor) as file:
        first, *lines = file.read(JOURNAL_LIMIT).splitlines() or [""]
    try:
        header: dict[str, Any] = json.loads(first)
        # A line cut short was written for a change that was not made.
        steps = [json.loads(line) for line in lines if line.endswith("]")]
    except ValueError as error:
        raise JournalError(f"{path}: unreadable ({error}); look at it and remove it") from error
    here = _place()
    if header.get("boot") != here["boot"]:
        path.unlink(missing_ok=True)  # the kernel that it tells of is gone
        return []
    if header.get("namespace") != here["namespace"]:
        raise JournalError(f"{path}: tells of another network namespace; run this one there")
    if token is not None and header.get("token") != token:
        return []
    return steps


def _place() -> dict[str, Any]:
    """Return what the changes are bound to: this boot, this network namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return {"boot": boot, "namespace": Path("/proc/self/ns/net").stat().st_ino}


def _take_back(steps: list[tuple[str, list[str]]]) -> list[str]:
    failures = []
    for kind, words in reversed(steps):
        try:
            STEPS[kind](*words)
        except (RatwallError, OSError, KeyError, TypeError) as error:
            failures.append(f"could not undo {' '.join([kind, *words[:2]])}: {error}")
    return failures


def has_table(family: str, name: str) -> bool:
    """Say whether nftables has this table."""
    return any(
        entry["table"]["family"] == family and entry["table"]["name"] == name
        for entry in nft_json("list", "tables")
    )


def succeeds(*argv: str) -> bool:
    """Say whether a tool does what it is asked; for questions, not for changes."""
    try:
        run(*argv)
    except ToolError:
        return False
    return True
