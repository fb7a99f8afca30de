"""`ratwall selftest`: run it, tell the controller, say the result in one line.

Exit 0 when the handshake was cut, 1 when it was not. It never fails because the controller is away:
the kernel path is what is tested.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ratwall.controller.client import Client
from ratwall.controller.selftest import SERVER, SERVER_PORT
from ratwall.errors import ExitCode, NotPermittedError, RatwallError
from ratwall.selftest.selftest import SelfTestResult, run_selftest

AUTHOR = "root"
RELEASE_REASON = "self-test: this server exists only while the test runs"
SIGNAL_EXIT = 128  # plus the signal's number: what a shell reports


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ratwall selftest`."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Run the self-test and report it; NotPermittedError without root."""
    if os.geteuid() != 0:
        raise NotPermittedError("selftest: must be root to attach test hosts; try: sudo ratwall …")
    client = Client(options.state_dir / "run" / "control.sock")
    with _ended_properly():
        try:
            result = run_selftest()
        except RatwallError as error:
            # Whoever asked for it on the page must hear that it could not be tried.
            _tell_controller(client, SelfTestResult(False, "not_tried", str(error), 0))
            raise
    if options.json:
        print(json.dumps(result.to_dict()))
    else:
        word = "passed" if result.ok else "FAILED"
        print(f"self-test {word} in {result.duration_ms} ms: {result.reason}")
    _tell_controller(client, result)
    return ExitCode.OK if result.ok else ExitCode.FAILED


def _tell_controller(client: Client, result: SelfTestResult) -> None:
    """Record the result, and let go of the test's server, which nobody needs to be saved from."""
    try:
        client.call("selftest_result", result=result.to_dict(), author=AUTHOR)
        client.call(
            "release", server=SERVER, server_port=SERVER_PORT, reason=RELEASE_REASON, author=AUTHOR
        )
    except RatwallError as error:
        print(f"ratwall: the self-test is not recorded: {error}", file=sys.stderr)


@contextmanager
def _ended_properly() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that cables and block are taken away at once."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(SIGNAL_EXIT + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
