"""One supervised process: started, waited for, restarted, ended.

It never decides what to run. A child prints a line with the word "ready" on its standard output
when it does its work; every other line is for the person in front of the console and passed on.
"""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FIRST_DELAY = 0.2  # seconds before a restart; protection must be back soon
# Protection is to be back within 5 s however often somebody brings an inspector down; one that dies
# at once, again and again, costs a sixth of a core at this delay.
LONGEST_DELAY = 3.0
STEADY_SECONDS = 5.0  # after a run this long the next failure counts as the first again
END_SECONDS = 5.0  # from SIGTERM to SIGKILL
REAP_SECONDS = 1.0  # its output is closed: it is ending
# What of root's environment the processes need: tools, language, how Python is set up.
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONWARNINGS", "PYTHONUNBUFFERED")
LINE_LIMIT = 65_536  # bytes of a child's output without a line end


@dataclass
class Child:
    """A process that shall run, and what is known of it; times are monotonic seconds."""

    name: str
    argv: Sequence[str]
    inherited: Sequence[int] = ()  # descriptors, kept under their numbers
    environment: Mapping[str, str] = field(default_factory=dict)  # on top of our own
    watchdog: bool = False  # it feeds one, and is killed when it does not
    own_session: bool = False  # what ends the supervisor's terminal does not end it
    rereads: bool = False  # SIGHUP makes it read its settings again, and then say ready
    wanted: bool = True  # False: it has been told to end, and is not started again
    ready: bool = False
    exit_status: int | None = None  # of the run before, negative for a signal
    restart_at: float | None = None
    _delay: float = FIRST_DELAY
    _started: float = 0.0
    _process: subprocess.Popen[bytes] | None = None
    _partial: bytes = b""

    def start(self, now: float) -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            self.argv,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            pass_fds=self.inherited,
            env={**_inherited_environment(), **self.environment},
            start_new_session=self.own_session,
        )
        self._started, self.ready, self.restart_at = now, False, None

    @property
    def pid(self) -> int | None:
        """The process id, None while it does not run."""
        return None if self._process is None else self._process.pid

    def fileno(self) -> int:
        """Return the descriptor of the child's output; at its end the child is gone or going."""
        if self._process is None or self._process.stdout is None:
            raise ValueError(f"{self.name} does not run")
        return self._process.stdout.fileno()

    def read(self) -> list[str] | None:
        """Return new whole lines of output; None when it has ended."""
        data = os.read(self.fileno(), LINE_LIMIT)
        if not data:
            return None
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-LINE_LIMIT:]
        text = [line.decode(errors="replace") for line in lines]
        self.ready = self.ready or any("ready" in line.split() for line in text)
        return text

    def reap(self, now: float) -> str:
        """Collect the ended process, plan its restart, and say in words how it ended."""
        if self._process is None:
            raise ValueError(f"{self.name} does not run")
        status = self.exit_status = self._end(REAP_SECONDS)
        if now - self._started > STEADY_SECONDS:
            self._delay = FIRST_DELAY
        self.restart_at = now + self._delay
        self._delay = min(self._delay * 2, LONGEST_DELAY)
        if status < 0:
            return f"was ended by {signal.Signals(-status).name}"
        return f"ended with code {status}"

    def hang_up(self) -> None:
        """Have it read its settings again; ready when it has. Nothing while it is not ready now."""
        if self._process is not None and self.ready:
            self.ready = False
            self._process.send_signal(signal.SIGHUP)

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process is not None:
            self._process.terminate()

    def finish(self) -> int | None:
        """Wait for it to end after `terminate`, insist when it takes too long; its exit code."""
        return None if self._process is None else self._end(END_SECONDS)

    def _end(self, patience: float) -> int:
        process = self._process
        if process is None:
            raise ValueError(f"{self.name} does not run")
        try:
            status = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if process.stdout is not None:
            process.stdout.close()
        self._process, self._partial, self.ready = None, b"", False
        return status


def _inherited_environment() -> dict[str, str]:
    return {key: os.environ[key] for key in ENVIRONMENT if key in os.environ}
