"""Network namespaces and the processes in them: made by name, removed by name.

It never kills by pattern and never touches a namespace whose name it did not make up itself.
Design note: a namespace switch (`setns`) belongs to one thread, so a test may open a socket inside
a namespace from a thread while the rest of the program stays where it was; a socket keeps the
namespace in which it was opened.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMESPACE_DIRECTORY = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # linux/sched.h; os.setns exists only from Python 3.12 on
TERMINATE_SECONDS = 3.0  # ratwall removes its rules within 2 s of SIGTERM; one more to be fair

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The lab cannot be laid out here; the text says what is missing."""


def run_tool(argv: Sequence[str], text: str | None = None) -> str:
    """Run a system tool to its end and return its output; LabError with its complaint."""
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def _set_namespace(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "setns")


@contextmanager
def in_namespace(name: str) -> Iterator[None]:
    """Move the current thread into the network namespace `name`, and back afterwards."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(NAMESPACE_DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set_namespace(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _set_namespace(before)
    finally:
        os.close(before)


@dataclass(slots=True)
class Host:
    """One machine of the lab: a namespace, its addresses, the processes started in it."""

    name: str
    namespace: str
    ipv4: tuple[str, ...] = ()
    ipv6: tuple[str, ...] = ()
    processes: list[subprocess.Popen[Any]] = field(default_factory=list)

    def address(self, index: int = 0, family: int = 4) -> str:
        """Return this host's address number `index` of the IP family 4 or 6."""
        return (self.ipv4 if family == 4 else self.ipv6)[index]

    def argv(self, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
        """Return the command line that runs `argv` in this host (`ip netns exec` replaces itself,
        so a process keeps the pid of its Popen)."""
        return ["ip", "netns", "exec", self.namespace, *(os.fspath(part) for part in argv)]

    def popen(
        self, argv: Sequence[str | os.PathLike[str]], **options: Any
    ) -> subprocess.Popen[Any]:
        """Start a process in this host; the lab ends it when it is taken down."""
        process = subprocess.Popen(self.argv(argv), **options)
        self.processes.append(process)
        return process

    def run(
        self, argv: Sequence[str | os.PathLike[str]], *, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in this host to its end, its output captured as text."""
        options.setdefault("capture_output", True)
        options.setdefault("text", True)
        return subprocess.run(self.argv(argv), check=check, **options)

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Move the current thread into this host, and back afterwards."""
        with in_namespace(self.namespace):
            yield

    def write_sysctl(self, name: str, value: str | int) -> None:
        """Set `net.…` (dots or slashes) inside this host only."""
        path = Path("/proc/sys") / name.replace(".", "/")
        with self.enter():
            path.write_text(str(value))

    def end_processes(self) -> None:
        """Terminate what was started here and is still alive; kill what will not go."""
        alive = [process for process in self.processes if process.poll() is None]
        for process in alive:
            process.terminate()
        for process in alive:
            try:
                process.wait(TERMINATE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for process in self.processes:
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
        self.processes.clear()


def namespace_names() -> set[str]:
    """Return the names of all named network namespaces of this machine."""
    if not NAMESPACE_DIRECTORY.is_dir():
        return set()
    return {entry.name for entry in NAMESPACE_DIRECTORY.iterdir()}


def remove_namespace(name: str) -> None:
    """Remove one namespace by its name; one that is gone already is fine."""
    if name in namespace_names():
        run_tool(["ip", "netns", "delete", name])
