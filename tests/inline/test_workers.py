"""Several inspectors share the load by address pair, and what one has learned all know."""

import os
import signal
import socket
import ssl
import time
from contextlib import ExitStack

import pytest

from inline.conftest import Box, wait_for
from inline.traffic import held
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient, fetch
from ratwall_lab.contexts import (
    Version,
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import End, TlsEndpoint
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server, idle_handler, web_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import INTERNET_ADDRESSES, MASQUERADE, Lab, Mode

WORKERS = 2
SHARED_SECONDS = 1.0  # from a cut at one worker until every other knows the server
BACK_SECONDS = 5.0  # from the end of the cause to the next RAT cut
QUEUES = "/proc/net/netfilter/nfnetlink_queue"
NUMBER_COLUMN, PACKETS_COLUMN = 0, 7  # its lines: number, peer, waiting, …, id of the last packet


@pytest.fixture(scope="module")
def mode() -> Mode:
    """The queue statement is the same in bridge mode, where test_cut has two inspectors too."""
    return "router"


def packets_by_queue(lab: Lab) -> dict[int, int]:
    """How many packets the kernel has handed to each queue so far."""
    rows = [line.split() for line in lab.box.run(["cat", QUEUES]).stdout.splitlines()]
    return {int(row[NUMBER_COLUMN]): int(row[PACKETS_COLUMN]) for row in rows}


def say_something(lab: Lab, device: Host, address: str) -> None:
    """Exchange a segment each way that is no TLS."""
    with lab.internet.enter():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = socket.create_server((address, 6900), family=family)
    with listener:
        with device.enter():
            connection = socket.create_connection((address, 6900), 5.0)
        with connection, listener.accept()[0] as accepted:
            connection.sendall(b"good morning")
            assert accepted.recv(100) == b"good morning"
            accepted.sendall(b"good morning")
            assert connection.recv(100) == b"good morning"


def queue_of(lab: Lab, device: Host, address: str) -> int:
    """The one queue that a connection between the two went through, both ways."""
    before = packets_by_queue(lab)
    say_something(lab, device, address)
    after = packets_by_queue(lab)
    (queue,) = (number for number in after if after[number] != before[number])
    return queue


@pytest.fixture(scope="module")
def shares(lab: Lab, box: Box) -> dict[str, tuple[int, int]]:
    """Address → queue of anna's connections to it, queue of ben's."""
    addresses = [lab.internet.address(i, f) for i in range(INTERNET_ADDRESSES) for f in (4, 6)]
    return {
        each: (queue_of(lab, lab.anna, each), queue_of(lab, lab.ben, each)) for each in addresses
    }


def met_by_different_workers(shares: dict[str, tuple[int, int]]) -> str:
    return next(address for address, (anna, ben) in shares.items() if anna != ben)


def test_each_worker_has_a_share_and_an_address_pair_one_worker(
    shares: dict[str, tuple[int, int]], lab: Lab
) -> None:
    assert {queue for pair in shares.values() for queue in pair} == {0, 1}
    address = met_by_different_workers(shares)
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
    address, taught_port, hopped_port = met_by_different_workers(shares), 6901, 6902
    client, server = rat_client_context("1.2"), rat_server_context(rat, "1.2", "ticket")
    with ExitStack() as stack:
        for port in (taught_port, hopped_port):
            handler = idle_handler(rat_shape("1.2"))
            stack.enter_context(Server(lab.internet, address, port, server, handler))
        # A session from before the box was there: made where no packet crosses it.
        with lab.internet.enter(), socket.create_connection((address, taught_port)) as connection:
            endpoint = TlsEndpoint(connection, client, server_side=False)
            endpoint.handshake()
            session = endpoint.session
        assert not cut(lab.ben, address, hopped_port, client, session), "unknown to both"
        assert cut(lab.anna, address, taught_port, client, None)
        learned = time.monotonic()
        while not cut(lab.ben, address, hopped_port, client, session):
            assert time.monotonic() - learned < SHARED_SECONDS
        assert time.monotonic() - learned < SHARED_SECONDS
    box.wait_blocked(address, hopped_port)


def cut(
    device: Host,
    address: str,
    port: int,
    context: ssl.SSLContext,
    session: ssl.SSLSession | None,
) -> bool:
    """Say whether a handshake is reset."""
    with device.enter(), socket.create_connection((address, port), 5.0) as connection:
        endpoint = TlsEndpoint(connection, context, server_side=False, session=session)
        try:
            endpoint.handshake()
        except ConnectionResetError:
            return True
        return False


def meets(lab: Lab, device: Host, rat: Identity, address: str, port: int) -> End:
    """Let a look-alike connect once; how it ended (a second without an end counts as passed)."""
    server_side, shape = rat_server_context(rat, "1.0"), rat_shape("1.0")
    with (
        Server(lab.internet, address, port, server_side, idle_handler(shape)),
        IdleClient(
            device, [address], [port], rat_client_context("1.0"), shape, attempts=1
        ) as client,
    ):
        (attempt,) = client.wait_attempts(1)
        attempt.over.wait(1.0)
    assert attempt.end is not None
    return attempt.end


def test_a_dead_worker_costs_its_share_only(
    lab: Lab, box: Box, rat: Identity, shares: dict[str, tuple[int, int]]
) -> None:
    address = met_by_different_workers(shares)
    dead = shares[address][0]
    before = box.ask("status")
    assert before["state"] == "protecting"
    (process,) = (one["pid"] for one in before["inspectors"] if one["worker"] == dead)
    with held(box.process.pid):  # or it would start the worker again at once
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: dead not in packets_by_queue(lab), 5.0, lambda: "it still holds the queue")
        assert meets(lab, lab.anna, rat, address, 6903) is End.STOPPED, "passed, uninspected"
        assert meets(lab, lab.ben, rat, address, 6904) is End.RESET, "the other share is inspected"
        status = wait_for(
            lambda: (
                now
                if (now := box.ask("status"))["uninspected"]["packets"]
                > before["uninspected"]["packets"]
                else None
            ),
            10.0,
            lambda: f"not counted: {box.ask('status')}",
        )
        assert (status["state"], len(status["inspectors"])) == ("partial", 1)
        assert status["reason"].startswith("1 of 2 inspectors at work")
    back = time.monotonic()
    box.wait_line(f"inspector {dead} was ended by SIGKILL")
    port = 6905
    while meets(lab, lab.anna, rat, address, port) is not End.RESET:
        assert time.monotonic() - back < BACK_SECONDS
        port += 1
    wait_for(
        lambda: box.ask("status")["state"] == "protecting",
        BACK_SECONDS,
        lambda: f"not back: {box.ask('status')}",
    )
