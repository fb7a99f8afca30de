"""A test message on request: sent at once, to one receiver, and what came of it in words.

Asked for by a datagram at a socket in the exporter's own directory, which the page's group may
reach; it says which receiver, and nothing else. The answer is written down where the controller
reads how the receivers fare. One at a time: whoever asks again meanwhile is not heard.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ratwall.errors import RatwallError
from ratwall.export.courier import Receiver
from ratwall.export.notices import Message
from ratwall.export.notifier import Post
from ratwall.export.records import NOTICE, Record, clean

SOCKET_NAME: Final = "ask.sock"
SOCKET_MODE: Final = 0o660
QUESTION_LIMIT: Final = 200  # bytes
SETTLE_SECONDS: Final = 5.0  # for a receiver that has no answer: until its kernel has all of it
LOOK_SECONDS: Final = 0.1
ANSWER_LIMIT: Final = 300  # characters
WORDS: Final = "This is a test. Ratwall can reach you here."
TAKEN: Final = "taken; the server says nothing of its own"

Try = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one test; `at` is UTC microseconds."""

    at: int
    ok: bool
    answer: str

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-ready."""
        return {"at": self.at, "ok": self.ok, "answer": self.answer}


def of_people(post: Post, box: str, page: str) -> Try:
    """Return what sends people a test message."""
    message = Message(f"{box}: test", f"{WORDS}\n\n{page}/", f"{page}/", NOTICE, ())
    return lambda: post.send(message)


def of_programs(make: Callable[[], Receiver], wall: Callable[[], int]) -> Try:
    """Return what sends a program a test record, by a receiver made for it."""

    def send() -> str:
        receiver = make()
        try:
            receiver.deliver([Record("test", 0, wall(), "test", NOTICE, WORDS, {})])
            deadline = time.monotonic() + SETTLE_SECONDS
            while not receiver.check() and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
            return getattr(receiver, "answer", "") or TAKEN
        finally:
            receiver.close()

    return send


class Trials:
    """The socket, the tests that can be made, and what came of them."""

    def __init__(self, directory: Path, wall: Callable[[], int], told: Callable[[], None]) -> None:
        """`told` is called when there is something new to write down."""
        self.tries: Mapping[str, Try] = {}
        self._results: dict[str, Trial] = {}
        self._wall = wall
        self._told = told
        path = directory / SOCKET_NAME
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        mask = os.umask(0o777 & ~SOCKET_MODE)
        try:
            self._socket.bind(str(path))
        finally:
            os.umask(mask)
        self._thread = threading.Thread(target=self._serve, name="trials", daemon=True)

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def results(self) -> dict[str, dict[str, Any]]:
        """Return what came of each test."""
        return {name: trial.as_dict() for name, trial in self._results.items()}

    def _serve(self) -> None:
        while True:
            name = _name(self._socket.recv(QUESTION_LIMIT))
            attempt = self.tries.get(name)
            if attempt is None:
                continue
            try:
                trial = Trial(self._wall(), True, clean(attempt(), ANSWER_LIMIT))
            except (RatwallError, OSError) as error:
                words = " ".join(str(error).split())
                trial = Trial(self._wall(), False, clean(words, ANSWER_LIMIT))
            self._results[name] = trial
            self._told()
            self._socket.setblocking(False)
            with suppress(BlockingIOError):  # who asked meanwhile was answered by this
                while True:
                    self._socket.recv(QUESTION_LIMIT)
            self._socket.setblocking(True)


def ask(directory: Path, receiver: str) -> None:
    """Ask the exporter for a test; OSError if it does not run."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as question:
        question.setblocking(False)
        question.connect(str(directory / SOCKET_NAME))
        question.send(json.dumps({"test": receiver}).encode())


def _name(question: bytes) -> str:
    try:
        return str(json.loads(question)["test"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
