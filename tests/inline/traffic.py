"""The office's traffic in these tests: a download that must come whole, a RAT that tries once."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from ratwall_lab.bulk import BulkClient, bulk_handler
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import End
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab
from ratwall_lab.watch import SegmentWatch

BULK_BYTES, BULK_RATE = 40_000_000, 10_000_000
RAT_HOST = 3  # the internet's address that the look-alike's server has


@contextmanager
def transfer(lab: Lab, notary: Notary, port: int) -> Iterator[BulkClient]:
    """A download of four seconds that must come whole."""
    address = lab.internet.address(2)
    context = server_context(notary.web_site("shop.example"))
    with (
        Server(lab.internet, address, port, context, bulk_handler(BULK_BYTES, BULK_RATE)),
        BulkClient(lab.anna, address, port, client_context()) as client,
    ):
        client.wait_received(1_000_000)
        yield client
        assert client.result().whole(BULK_BYTES)


@contextmanager
def held(process: int) -> Iterator[None]:
    """Stop a process for a while."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def meets(lab: Lab, rat: Identity, port: int) -> End:
    """Let a look-alike connect once; how it ended (a second without an end counts as passed)."""
    address = lab.internet.address(RAT_HOST)
    server_side, shape = rat_server_context(rat, "1.0"), rat_shape("1.0")
    with (
        Server(lab.internet, address, port, server_side, idle_handler(shape)),
        IdleClient(
            lab.anna, [address], [port], rat_client_context("1.0"), shape, attempts=1
        ) as client,
    ):
        (attempt,) = client.wait_attempts(1)
        attempt.over.wait(1.0)
    end = attempt.end
    assert end is not None
    return end


def meets_far_from_the_server(lab: Lab, rat: Identity, port: int) -> bool:
    """Let a look-alike connect once; whether it is refused before one SYN reaches the server."""
    with SegmentWatch(lab.internet, port) as watch:
        return meets(lab, rat, port) is End.REFUSED and watch.syns(port) == 0
