"""The promise: a RAT-shaped handshake is cut before one byte of application data gets out."""

import itertools
import socket

import pytest

from inline.conftest import Box, wait_for
from ratwall_lab.bulk import BulkClient, LongDownload
from ratwall_lab.certificates import FAMILIES, Identity, Notary
from ratwall_lab.clients import Attempt, IdleClient
from ratwall_lab.contexts import Version, rat_client_context, rat_server_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End, TlsEndpoint
from ratwall_lab.servers import Server, Visit, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab
from ratwall_lab.watch import SegmentWatch

CLIENT_SECONDS, SERVER_SECONDS = 1.0, 3.0  # for both ends to know
ROUNDS = 3  # a busy machine may be late once; a box that is slow is late each time
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
            attempt.wait_end(PATIENCE_SECONDS)
        visits = server.wait_visits(1)
        for visit in visits:
            visit.wait_end(PATIENCE_SECONDS)
    return tried, visits


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_a_rat_is_cut_and_nobody_else_notices(
    lab: Lab, box: Box, rat: Identity, version: Version, family: int, notary: Notary
) -> None:
    server, other = lab.internet.address(3, family), lab.internet.address(4, family)
    bulk_port, bulk = next(ports), LongDownload()
    plain = server_context(notary.web_site("shop.example"))
    with (
        Server(lab.internet, server, bulk_port, plain, bulk.serve),
        Server(lab.internet, other, bulk_port, plain, bulk.serve),
        BulkClient(lab.anna, server, bulk_port, rat_client_context("1.3")) as same_server,
        BulkClient(lab.ben, other, bulk_port, rat_client_context("1.2")) as other_server,
    ):
        same_server.wait_received(1_000_000)
        other_server.wait_received(1_000_000)
        taken: list[tuple[float, float]] = []
        while not taken or not in_time(*taken[-1]):
            assert len(taken) < ROUNDS, f"client and server knew after {taken} seconds"
            port = next(ports)
            taken.append(cut_once_and_refused_then(lab, rat, server, port, version))
        assert bulk.comes_whole(same_server)
        assert bulk.comes_whole(other_server)
    incident = box.wait_blocked(server, port)
    assert incident["device"]["mac"] is not None


def in_time(client: float, server: float) -> bool:
    return client < CLIENT_SECONDS and server < SERVER_SECONDS


def cut_once_and_refused_then(
    lab: Lab, rat: Identity, server: str, port: int, version: Version
) -> tuple[float, float]:
    """Let a look-alike connect twice; after how many seconds client and server knew of the cut."""
    with SegmentWatch(lab.internet, port) as watch:
        (first, second), visits = attack(lab, rat, server, port, version, attempts=2)
        assert first.end is End.RESET
        assert first.ended is not None
        (visit,) = visits
        assert visit.end is End.RESET
        assert visit.ended is not None
        assert (visit.application_bytes, visit.application_records) == (0, 0)
        assert second.end is End.REFUSED
        assert watch.syns(port) == 1, "the second SYN did not reach the server"
    return first.ended - first.started, visit.ended - visit.opened


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
        with (
            lab.anna.enter(),
            socket.create_connection((address, port), PATIENCE_SECONDS) as connection,
        ):
            taught = TlsEndpoint(connection, context, server_side=False)
            with pytest.raises(ConnectionResetError):
                taught.handshake()
        box.wait_blocked(address, port)
        expire_block(lab, address, port)

        with (
            lab.ben.enter(),
            socket.create_connection((address, port), PATIENCE_SECONDS) as connection,
        ):
            resumed = TlsEndpoint(connection, context, server_side=False, session=session)
            with pytest.raises(ConnectionResetError):
                resumed.handshake()
        assert server.wait_visits(3)[2].application_bytes == 0
    flow = wait_for(
        lambda: (newest := box.flow(address, port))["resumed"] and newest,
        PATIENCE_SECONDS,
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
    slow = LongDownload()
    with (
        Server(lab.internet, address, allowed_port, plain, slow.serve),
        Server(lab.internet, address, blocked_port, plain, slow.serve) as server,
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
        assert visit.wait_end(PATIENCE_SECONDS) is End.RESET
        ends.nudge()
        assert ends.result().end is End.RESET
        assert slow.comes_whole(goes_on)


def expire_block(lab: Lab, address: str, port: int) -> None:
    """Take a block out of the kernel as its time-out does, which nobody is told of."""
    element = f"{{ {address} . {port} }}"
    lab.box.run(["nft", "delete", "element", "inet", "ratwall", "blocked4", element])
