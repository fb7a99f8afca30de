"""The promise: a RAT-shaped handshake is cut before one byte of application data gets out."""

import itertools
import socket

import pytest

from inline.conftest import Box, wait_for
from ratwall_lab.bulk import BulkClient, bulk_handler
from ratwall_lab.certificates import FAMILIES, Identity, Notary
from ratwall_lab.clients import Attempt, IdleClient
from ratwall_lab.contexts import Version, rat_client_context, rat_server_context, server_context
from ratwall_lab.endpoint import End, TlsEndpoint
from ratwall_lab.servers import Server, Visit, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab
from ratwall_lab.watch import SegmentWatch

CLIENT_SECONDS, SERVER_SECONDS = 1.0, 3.0  # for both ends to know
BULK_BYTES = 30_000_000
BULK_RATE = 12_000_000  # bytes per second: it runs before, through and after the cut
WORKERS = 2  # as on a machine of two cores: every promise holds with the load spread
ports = itertools.count(7000)


def attack(
    lab: Lab, identity: Identity, address: str, port: int, version: Version, attempts: int = 1
) -> tuple[list[Attempt], list[Visit]]:
    """Let a look-alike client connect to its look-alike server; how both saw it."""
    with (
        Server(
            lab.internet,
            address,
            port,
            rat_server_context(identity, version),
            idle_handler(rat_shape(version)),
        ) as server,
        IdleClient(
            lab.anna,
            [address],
            [port],
            rat_client_context(version),
            rat_shape(version),
            attempts=attempts,
            reconnect_seconds=0.2,
        ) as client,
    ):
        tried = client.wait_attempts(attempts)
        for attempt in tried:
            attempt.wait_end(10.0)
        visits = server.wait_visits(1)
        for visit in visits:
            visit.wait_end(10.0)
    return tried, visits


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_a_rat_is_cut_and_nobody_else_notices(
    lab: Lab, box: Box, rat: Identity, version: Version, family: int, notary: Notary
) -> None:
    server, other = lab.internet.address(3, family), lab.internet.address(4, family)
    port, bulk_port = next(ports), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    with (
        Server(lab.internet, server, bulk_port, plain, bulk_handler(BULK_BYTES, BULK_RATE)),
        Server(lab.internet, other, bulk_port, plain, bulk_handler(BULK_BYTES, BULK_RATE)),
        BulkClient(lab.anna, server, bulk_port, rat_client_context("1.3")) as same_server,
        BulkClient(lab.ben, other, bulk_port, rat_client_context("1.2")) as other_server,
        SegmentWatch(lab.internet, port) as watch,
    ):
        same_server.wait_received(1_000_000)
        other_server.wait_received(1_000_000)
        (first, second), visits = attack(lab, rat, server, port, version, attempts=2)
        assert same_server.received < BULK_BYTES, "the transfer must run through the cut"

        assert first.end is End.RESET
        assert first.ended is not None
        assert first.ended - first.started < CLIENT_SECONDS
        (visit,) = visits
        assert visit.end is End.RESET
        assert visit.ended is not None
        assert visit.ended - visit.opened < SERVER_SECONDS
        assert (visit.application_bytes, visit.application_records) == (0, 0)

        assert second.end is End.REFUSED
        assert watch.syns(port) == 1, "the second SYN did not reach the server"

        assert same_server.result().whole(BULK_BYTES)
        assert other_server.result().whole(BULK_BYTES)
    incident = box.wait_blocked(server, port)
    assert incident["device"]["mac"] is not None


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_is_cut(lab: Lab, box: Box, notary: Notary, name: str) -> None:
    address, port = lab.internet.address(5), next(ports)
    (attempt,), (visit,) = attack(lab, notary.rat(FAMILIES[name]), address, port, "1.0")
    assert (attempt.end, visit.application_bytes) == (End.RESET, 0)
    box.wait_blocked(address, port)


def test_a_resumed_session_is_cut_by_memory(lab: Lab, box: Box, rat: Identity) -> None:
    """The certificate was seen once; the reconnect shows none and is known all the same."""
    address, port = lab.internet.address(6), next(ports)
    context = rat_client_context("1.2")
    with Server(
        lab.internet,
        address,
        port,
        rat_server_context(rat, "1.2", "ticket"),
        idle_handler(rat_shape("1.2")),
    ) as server:
        # A session from before the box was there: made where no packet crosses it.
        with lab.internet.enter(), socket.create_connection((address, port)) as connection:
            endpoint = TlsEndpoint(connection, context, server_side=False)
            endpoint.handshake()
            session = endpoint.session
        with lab.anna.enter(), socket.create_connection((address, port), 5.0) as connection:
            taught = TlsEndpoint(connection, context, server_side=False)
            with pytest.raises(ConnectionResetError):
                taught.handshake()
        box.wait_blocked(address, port)
        expire_block(lab, address, port)

        with lab.ben.enter(), socket.create_connection((address, port), 5.0) as connection:
            resumed = TlsEndpoint(connection, context, server_side=False, session=session)
            with pytest.raises(ConnectionResetError):
                resumed.handshake()
        assert server.wait_visits(3)[2].application_bytes == 0
    flow = wait_for(
        lambda: (newest := box.flow(address, port))["resumed"] and newest,
        5.0,
        lambda: f"not resumed: {box.flow(address, port)}",
    )
    assert (flow["certificate"], flow["verdict"]) == (None, "block")
    assert flow["evidence"][0]["id"] == "memory.server"


@pytest.mark.parametrize("version", ["1.2", "1.3"], ids=["judged clean", "observed"])
def test_a_running_connection_meets_a_later_block_and_an_allow_goes_first(
    lab: Lab, box: Box, notary: Notary, version: Version
) -> None:
    """What has left the queue for good is still refused, both ways, when its server is blocked."""
    address, allowed_port, blocked_port = lab.internet.address(7), next(ports), next(ports)
    plain, client = server_context(notary.web_site("shop.example")), rat_client_context(version)
    slow = bulk_handler(BULK_BYTES, BULK_RATE)
    with (
        Server(lab.internet, address, allowed_port, plain, slow),
        Server(lab.internet, address, blocked_port, plain, slow) as server,
        BulkClient(lab.anna, address, allowed_port, client) as goes_on,
        BulkClient(lab.ben, address, blocked_port, client) as ends,
    ):
        goes_on.wait_received(1_000_000)
        ends.wait_received(1_000_000)
        box.cli("allow", f"{address}:{allowed_port}")
        for port in (allowed_port, blocked_port):
            element = f"{{ {address} . {port} timeout 60s }}"
            lab.box.run(["nft", "add", "element", "inet", "ratwall", "blocked4", element])
        # Each end is told when it next says something; the client may have said its last.
        (visit,) = server.wait_visits(1)
        assert visit.wait_end(10.0) is End.RESET
        ends.nudge()
        assert ends.result(10.0).end is End.RESET
        assert goes_on.result().whole(BULK_BYTES)


def expire_block(lab: Lab, address: str, port: int) -> None:
    """Take a block out of the kernel as its time-out does, which nobody is told of."""
    element = f"{{ {address} . {port} }}"
    lab.box.run(["nft", "delete", "element", "inet", "ratwall", "blocked4", element])
