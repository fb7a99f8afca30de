"""Labs that stand after the command that made them has ended: written down, found again, removed.

A standing lab has a note in /run/ratwall-lab with its mode and the process that plays its internet.
Nothing is ended or removed but what such a note, or a name of ours with a dead owner, points at: a
process by its id *and* its start time, a namespace by its name.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ratwall_lab.namespaces import (
    TERMINATE_SECONDS,
    LabError,
    namespace_names,
    remove_namespace,
    run_tool,
)
from ratwall_lab.topology import Lab, Mode

NOTES = Path("/run/ratwall-lab")
DEFAULT_NAME = "rwlab"
NAME = re.compile(r"[a-z][a-z0-9]{0,14}")  # short enough for any tool that prints it
OWNED = re.compile(r"rw(\d+)n\d+-\w+")  # the names that a Lab makes up for its own process
START_TIME_FIELD = 19  # of /proc/PID/stat, counted behind the command's closing bracket


@dataclass(frozen=True, slots=True)
class Note:
    """One standing lab."""

    name: str
    mode: Mode
    masquerade: bool
    server_pid: int
    server_start: int  # clock ticks since boot: tells a process from a later one with its id

    def lab(self) -> Lab:
        """Return the lab, standing, to speak with its machines."""
        return Lab(self.mode, masquerade=self.masquerade, prefix=self.name)


def start_time(pid: int) -> int | None:
    """Return when a process started (clock ticks since boot), None if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[START_TIME_FIELD])


def log_file(name: str) -> Path:
    """Return where the servers of a standing lab may complain."""
    NOTES.mkdir(parents=True, exist_ok=True)
    return NOTES / f"{name}.log"


def write(note: Note) -> None:
    """Write a lab down."""
    (NOTES / f"{note.name}.json").write_text(json.dumps(asdict(note)))


def standing() -> list[Note]:
    """Return the labs that were written down, by name."""
    if not NOTES.is_dir():
        return []
    return [Note(**json.loads(path.read_text())) for path in sorted(NOTES.glob("*.json"))]


def find(name: str) -> Note:
    """Return a standing lab; LabError says how to make one."""
    for note in standing():
        if note.name == name:
            return note
    raise LabError(f"no lab called {name!r} is up; make one with: scripts/lab up")


def take_down(note: Note) -> None:
    """End the internet's process and whatever runs in the namespaces, and remove those."""
    if start_time(note.server_pid) == note.server_start:
        _end(note.server_pid)
    for host in note.lab().hosts:
        _remove(host.namespace)
    (NOTES / f"{note.name}.json").unlink(missing_ok=True)
    log_file(note.name).unlink(missing_ok=True)


def take_down_abandoned() -> list[str]:
    """Remove the namespaces whose lab died without cleaning up; return their names."""
    abandoned = []
    for name in sorted(namespace_names()):
        owner = OWNED.fullmatch(name)
        if owner and start_time(int(owner[1])) is None:
            _remove(name)
            abandoned.append(name)
    return abandoned


def _remove(namespace: str) -> None:
    if namespace not in namespace_names():
        return
    for pid in run_tool(["ip", "netns", "pids", namespace]).split():
        _end(int(pid))
    remove_namespace(namespace)


def _end(pid: int) -> None:
    """Terminate one process, kill it if it will not go."""
    deadline, born = time.monotonic() + TERMINATE_SECONDS, start_time(pid)
    try:
        os.kill(pid, signal.SIGTERM)
        while start_time(pid) == born and time.monotonic() < deadline:
            time.sleep(0.02)
        if born is not None and start_time(pid) == born:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it went by itself
