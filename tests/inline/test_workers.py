"""Several inspectors share the load by address pair, and what one has learned all know."""

import itertools
import os
import signal
import socket
import ssl
import time
from contextlib import ExitStack

import pytest

from inline.conftest import Box, wait_for
from inline.counts import packets_by_queue
from inline.traffic import held, meets_at, wait_cut
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import fetch
from ratwall_lab.contexts import (
    Version,
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import PATIENCE_SECONDS, End, TlsEndpoint
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server, idle_handler, web_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import INTERNET_ADDRESSES, MASQUERADE, Lab, Mode

WORKERS = 2
SHARED_SECONDS = 1.0  # from a cut at one worker until every other knows the server
ROUNDS = 3  # a busy machine may be late once; a box that is slow is late each time


@pytest.fixture(scope="module")
def mode() -> Mode:
    """The queue statement is the same in bridge mode, where test_cut has two inspectors too."""
    return "router"


def say_something(lab: Lab, device: Host, address: str) -> None:
    """Exchange a segment each way that is no TLS."""
    with lab.internet.enter():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, 6900), family=family)
    with listener:
        with device.enter():
            connection = socket.create_connection((address, 6900), PATIENCE_SECONDS)
        with connection, listener.accept()[0] as accepted:
            connection.sendall(b"good morning")
            assert accepted.recv(100) == b"good morning"
            accepted.sendall(b"good morning")
            assert connection.recv(100) == b"good morning"


def queue_of(lab: Lab, device: Host, address: str) -> int:
    """The one queue that a connection between the two went through, both ways.

    The first of a few: a busy machine sends again what belongs to the connection before.
    """
    for _ in range(ROUNDS):
        before = packets_by_queue(lab)
        say_something(lab, device, address)
        after = packets_by_queue(lab)
        queues = [number for number in after if after[number] != before[number]]
        if len(queues) == 1:
            return queues[0]
    raise AssertionError(f"{device.name} and {address} met in several queues: {queues}")


@pytest.fixture(scope="module")
def shares(lab: Lab, box: Box) -> dict[str, tuple[int, int]]:
    """Address → queue of anna's connections to it, queue of ben's."""
    addresses = [lab.internet.address(i, f) for i in range(INTERNET_ADDRESSES) for f in (4, 6)]
    return {
        each: (queue_of(lab, lab.anna, each), queue_of(lab, lab.ben, each)) for each in addresses
    }


def met_by_different_workers(shares: dict[str, tuple[int, int]]) -> list[str]:
    return [address for address, (anna, ben) in shares.items() if anna != ben]


def test_each_worker_has_a_share_and_an_address_pair_one_worker(
    shares: dict[str, tuple[int, int]], lab: Lab
) -> None:
    assert {queue for pair in shares.values() for queue in pair} == {0, 1}
    address = met_by_different_workers(shares)[0]
    for _ in range(3):
        assert (queue_of(lab, lab.anna, address), queue_of(lab, lab.ben, address)) == shares[
            address
        ]


def test_nor_does_masquerading_part_the_two_ways(
    shares: dict[str, tuple[int, int]], lab: Lab
) -> None:
    lab.box.run(["nft", "-f", "-"], input=MASQUERADE)
    try:
        for address in tuple(shares)[:4]:
            assert queue_of(lab, lab.anna, address) == shares[address][0]
    finally:
        lab.box.run(["nft", "delete", "table", "inet", "lab_masquerade"])


@pytest.mark.parametrize(("version", "most"), [("1.2", 6), ("1.3", 3)])
def test_a_handshake_is_few_packets_in_the_queue(
    lab: Lab, box: Box, notary: Notary, version: Version, most: int
) -> None:
    """With a chain of one segment; the least of several, because a busy machine sends twice."""
    address, port = lab.internet.address(4), 6910
    site = notary.web_site("shop.example", intermediates=0)
    counts = []
    with Server(
        lab.internet, address, port, server_context(site, version, version), web_handler(b"")
    ):
        for _ in range(5):
            before = sum(packets_by_queue(lab).values())
            got = fetch(lab.anna, address, port, client_context(), server_name="shop.example")
            assert got.version == f"TLSv{version}"
            counts.append(sum(packets_by_queue(lab).values()) - before)
    assert 0 < min(counts) <= most, counts


def test_what_one_worker_learned_the_other_knows_within_a_second(
    lab: Lab, box: Box, rat: Identity, shares: dict[str, tuple[int, int]]
) -> None:
    """Ben's session hides the certificate, and his worker has never seen it."""
    taken = []
    for address in met_by_different_workers(shares)[-ROUNDS:]:
        taken.append(seconds_to_share(lab, rat, address))
        if taken[-1] < SHARED_SECONDS:
            box.wait_blocked(address, HOPPED_PORT)
            return
    raise AssertionError(f"it took {taken} seconds")


TAUGHT_PORT, HOPPED_PORT = 6901, 6902


def seconds_to_share(lab: Lab, rat: Identity, address: str) -> float:
    """From a cut at anna's worker until one at ben's began, which knows the server by it alone."""
    client, server = rat_client_context("1.2"), rat_server_context(rat, "1.2", "ticket")
    with ExitStack() as stack:
        for port in (TAUGHT_PORT, HOPPED_PORT):
            handler = idle_handler(rat_shape("1.2"))
            stack.enter_context(Server(lab.internet, address, port, server, handler))
        # A session from before the box was there: made where no packet crosses it.
        with lab.internet.enter(), socket.create_connection((address, TAUGHT_PORT)) as connection:
            endpoint = TlsEndpoint(connection, client, server_side=False)
            endpoint.handshake()
            session = endpoint.session
        assert not cut(lab.ben, address, HOPPED_PORT, client, session), "unknown to both"
        assert cut(lab.anna, address, TAUGHT_PORT, client, None)
        learned = time.monotonic()
        while True:
            begun = time.monotonic()
            if cut(lab.ben, address, HOPPED_PORT, client, session):
                return begun - learned
            assert begun - learned < PATIENCE_SECONDS, "it never learned"


def cut(
    device: Host,
    address: str,
    port: int,
    context: ssl.SSLContext,
    session: ssl.SSLSession | None,
) -> bool:
    """Say whether a handshake is reset."""
    with device.enter(), socket.create_connection((address, port), PATIENCE_SECONDS) as connection:
        endpoint = TlsEndpoint(connection, context, server_side=False, session=session)
        try:
            endpoint.handshake()
        except ConnectionResetError:
            return True
        return False


def test_a_dead_worker_costs_its_share_only(
    lab: Lab, box: Box, rat: Identity, shares: dict[str, tuple[int, int]]
) -> None:
    address = met_by_different_workers(shares)[0]
    dead = shares[address][0]
    before = box.ask("status")
    assert before["state"] == "protecting"
    (process,) = (one["pid"] for one in before["inspectors"] if one["worker"] == dead)
    with held(box.process.pid):  # or it would start the worker again at once
        os.kill(process, signal.SIGKILL)
        wait_for(
            lambda: dead not in packets_by_queue(lab),
            PATIENCE_SECONDS,
            lambda: "it still holds the queue",
        )
        assert meets_at(lab, lab.anna, rat, address, 6903) is End.STOPPED, "passed, uninspected"
        assert meets_at(lab, lab.ben, rat, address, 6904) is End.RESET, (
            "the other share is inspected"
        )
        status = wait_for(
            lambda: (
                now
                if (now := box.ask("status"))["uninspected"]["packets"]
                > before["uninspected"]["packets"]
                else None
            ),
            PATIENCE_SECONDS,
            lambda: f"not counted: {box.ask('status')}",
        )
        assert (status["state"], len(status["inspectors"])) == ("partial", 1)
        assert status["reason"].startswith("1 of 2 inspectors at work")
    back, later = time.monotonic(), itertools.count(6905)
    wait_cut(lambda: meets_at(lab, lab.anna, rat, address, next(later)), back)
    box.wait_line(f"inspector {dead} was ended by SIGKILL")
    wait_for(
        lambda: box.ask("status")["state"] == "protecting",
        PATIENCE_SECONDS,
        lambda: f"not back: {box.ask('status')}",
    )
