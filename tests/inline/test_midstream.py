"""Connections older than the box, or made while nobody inspected: cut if memory knows the server.

All others are left alone: a transfer that was running lives through it.
"""

import itertools
import os
import signal
import sqlite3
import threading
from contextlib import ExitStack, closing
from pathlib import Path

from inline.conftest import Box, running_box, wait_for
from inline.test_cut import expire_block
from inline.traffic import held, shaken_or_over
from ratwall.ledger.store import FILE_NAME
from ratwall_lab.bulk import GO, BulkClient, blocks
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import PATIENCE_SECONDS, End, Endpoint
from ratwall_lab.servers import Handler, Server, idle_handler
from ratwall_lab.shapes import AGENT, hurried, rat_shape
from ratwall_lab.topology import Lab

# Enough to run for a minute while a box comes up, and then in no time.
BULK_BYTES, BULK_RATE = 120_000_000, 2_000_000
HEARTBEAT_SECONDS = 0.3
# From "ready" on: the inspector finds the controller, says that it lives, is told of the memory,
# and what it let go is read again; some three seconds on a machine that does nothing else.
CUT_SECONDS = PATIENCE_SECONDS
ports = itertools.count(5200)


def dawdling_handler(hurry: threading.Event) -> Handler:
    """Return a server's side that sends slowly until it is told to hurry."""

    def serve(endpoint: Endpoint) -> None:
        endpoint.receive_exactly(len(GO))
        for block in blocks(BULK_BYTES):
            endpoint.send(block)
            hurry.wait(len(block) / BULK_RATE)

    return serve


def rat_server(lab: Lab, rat: Identity, address: str, port: int) -> Server:
    shape = hurried(rat_shape("1.0"), HEARTBEAT_SECONDS)
    return Server(lab.internet, address, port, rat_server_context(rat, "1.0"), idle_handler(shape))


def rat_client(lab: Lab, address: str, port: int) -> IdleClient:
    shape = hurried(rat_shape("1.0"), HEARTBEAT_SECONDS)
    return IdleClient(lab.anna, [address], [port], rat_client_context("1.0"), shape, attempts=1)


def teach(lab: Lab, box: Box, address: str, port: int) -> None:
    """Have a server's certificate seen, and its connection cut."""
    with rat_client(lab, address, port) as client:
        (attempt,) = client.wait_attempts(1)
        assert attempt.wait_end(PATIENCE_SECONDS) is End.RESET
    box.wait_blocked(address, port)


def a_day_later(state: Path) -> None:
    """Let every block in the ledger of a box that is switched off have run out."""
    with closing(sqlite3.connect(state / FILE_NAME)) as ledger, ledger:
        ledger.execute("UPDATE action SET expires = created WHERE kind = 'block'")


def evidence(flow: dict[str, object]) -> set[str]:
    facts = flow["evidence"]
    assert isinstance(facts, list)
    return {fact["id"] for fact in facts}


def test_what_is_older_than_the_box_is_met_by_its_memory(
    lab: Lab, notary: Notary, rat: Identity, tmp_path: Path
) -> None:
    known, stranger, shop = (lab.internet.address(each) for each in (3, 4, 5))
    port = next(ports)
    honest = server_context(notary.web_site("shop.example"))
    hurry = threading.Event()
    agent = hurried(AGENT, HEARTBEAT_SECONDS)
    tmp_path.chmod(0o755)
    with (
        rat_server(lab, rat, known, port) as server,
        Server(lab.internet, shop, port, honest, dawdling_handler(hurry)),
        Server(lab.internet, stranger, port, honest, idle_handler(agent)),
    ):
        first = Box(lab, tmp_path / "state")
        try:
            first.wait_line("ratwall: ready")
            teach(lab, first, known, port)
        finally:
            assert first.stop() == 0
        a_day_later(tmp_path / "state")
        with (
            rat_client(lab, known, port) as old,
            IdleClient(
                lab.ben, [stranger], [port], client_context("1.2", "1.2"), agent, attempts=1
            ) as unknown,
            BulkClient(lab.ben, shop, port, client_context("1.2", "1.2")) as transfer,
        ):
            (visit,) = server.wait_visits(2)[1:]
            (attempt,) = old.wait_attempts(1)
            (other,) = unknown.wait_attempts(1)
            wait_for(
                lambda: attempt.pings > 1 and other.pings > 1,
                PATIENCE_SECONDS,
                lambda: "no heartbeat",
            )
            transfer.wait_received(1_000_000)
            with running_box(lab, tmp_path) as box:
                assert transfer.received < BULK_BYTES, "it must run while the box comes up"
                assert attempt.wait_end(CUT_SECONDS) is End.RESET
                assert visit.wait_end(CUT_SECONDS) is End.RESET
                flow = box.wait_flow(known, port)
                assert (flow["verdict"], flow["certificate"]) == ("block", None)
                assert evidence(flow) >= {"memory.server", "flow.picked-up"}
                for server_address in (stranger, shop):
                    flow = box.wait_flow(server_address, port)
                    assert evidence(flow) == {"flow.picked-up"}
                    assert (flow["verdict"], flow["flow_class"]) == ("clean", "observed")
                pings = other.pings
                wait_for(
                    lambda: other.pings > pings + 2,
                    PATIENCE_SECONDS,
                    lambda: "the agent is held up",
                )
                hurry.set()
                assert transfer.result(60.0).whole(BULK_BYTES)


def test_what_began_while_nobody_inspected_is_read_as_soon_as_somebody_does(
    lab: Lab, box: Box, rat: Identity
) -> None:
    address, port = lab.internet.address(6), next(ports)
    with rat_server(lab, rat, address, port) as server:
        teach(lab, box, address, port)
        expire_block(lab, address, port)
        with ExitStack() as stack:
            with held(box.process.pid):  # or there might be an inspector again before the hello
                os.kill(box.worker("ratwall.inspector"), signal.SIGKILL)
                client = stack.enter_context(rat_client(lab, address, port))
                (attempt,) = client.wait_attempts(1)
                shaken_or_over(attempt)
                assert attempt.handshaken, f"not passed: {attempt}"
            assert attempt.wait_end(CUT_SECONDS) is End.RESET
            assert server.wait_visits(2)[1].wait_end(PATIENCE_SECONDS) is End.RESET
    flow = box.wait_flow(address, port)
    assert evidence(flow) >= {"memory.server", "flow.picked-up"}
