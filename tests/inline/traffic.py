"""The office's traffic in these tests: a download that must come whole, a RAT that tries once."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from ratwall_lab.bulk import BulkClient, LongDownload
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import Attempt, IdleClient
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab
from ratwall_lab.watch import SegmentWatch

RAT_HOST = 3  # the internet's address that the look-alike's server has
BACK_SECONDS = 5.0  # from the end of a cause to the next look-alike's beginning that is cut
PASSED_SECONDS = 1.0  # a handshake that nothing has happened to for so long has passed
TURN_SECONDS = 0.02


@contextmanager
def transfer(lab: Lab, notary: Notary, port: int) -> Iterator[BulkClient]:
    """A download that runs through all of what is done meanwhile, and must come whole."""
    address, download = lab.internet.address(2), LongDownload()
    context = server_context(notary.web_site("shop.example"))
    with (
        Server(lab.internet, address, port, context, download.serve),
        BulkClient(lab.anna, address, port, client_context()) as client,
    ):
        client.wait_received(1_000_000)
        yield client
        assert download.comes_whole(client)


@contextmanager
def held(process: int) -> Iterator[None]:
    """Stop a process for a while."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def kill_for_good(process: int) -> None:
    """Kill a process and wait until it does nothing any more."""
    os.kill(process, signal.SIGKILL)
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
            time.sleep(TURN_SECONDS)


def shaken_or_over(attempt: Attempt) -> None:
    """Wait until a connection is through its handshake, or at its end: one of both comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while attempt.handshaken is None and not attempt.over.wait(TURN_SECONDS):
        assert time.monotonic() < deadline, f"neither passed nor ended: {attempt}"


def meets_at(lab: Lab, device: Host, rat: Identity, address: str, port: int) -> End:
    """Let a look-alike connect once; how it ended, STOPPED (by us) where it passed."""
    server_side, shape = rat_server_context(rat, "1.0"), rat_shape("1.0")
    with (
        Server(lab.internet, address, port, server_side, idle_handler(shape)),
        IdleClient(
            device, [address], [port], rat_client_context("1.0"), shape, attempts=1
        ) as client,
    ):
        (attempt,) = client.wait_attempts(1)
        shaken_or_over(attempt)
        attempt.over.wait(PASSED_SECONDS)
    end = attempt.end
    assert end is not None
    return end


def meets(lab: Lab, rat: Identity, port: int) -> End:
    """The same with Anna's device and the look-alike's usual address."""
    return meets_at(lab, lab.anna, rat, lab.internet.address(RAT_HOST), port)


def wait_cut(
    connect: Callable[[], End], since: float, otherwise: Callable[[], object] = lambda: ""
) -> None:
    """Let look-alikes connect until one is cut, which must have begun in time."""
    ends: list[tuple[float, End]] = []
    while True:
        begun = time.monotonic() - since
        assert begun < BACK_SECONDS, f"none was cut in time: {ends}\n{otherwise()}"
        ends.append((begun, connect()))
        if ends[-1][1] is End.RESET:
            return


def meets_far_from_the_server(lab: Lab, rat: Identity, port: int) -> bool:
    """Let a look-alike connect once; whether it is refused before one SYN reaches the server."""
    with SegmentWatch(lab.internet, port) as watch:
        return meets(lab, rat, port) is End.REFUSED and watch.syns(port) == 0
