"""The certificate look-up: a look-alike that hides behind TLS 1.3 and still speaks TLS 1.2.

Off, nothing but its own client ever reaches the server; on, the box asks once, and the next
connection is refused.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inline.conftest import Box, running_box, wait_for
from inline.traffic import shaken_or_over
from ratwall.ledger import queries
from ratwall.ledger.store import FILE_NAME, open_ledger
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient
from ratwall_lab.contexts import rat_client_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS
from ratwall_lab.servers import Server, Visit, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab, Mode

QUIET_SECONDS = 3.0  # in which nothing comes: a look-up takes a fraction of it
ON = "[detection]\ncertificate_lookup = true\n"
ports = itertools.count(6700)


@pytest.fixture(scope="module", params=["router"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """A bridge has no address to ask from."""
    mode: Mode = request.param
    return mode


@pytest.fixture(scope="module")
def asking(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running_box(lab, tmp_path_factory.mktemp("asking"), settings=ON) as box:
        yield box


def visits_of(
    lab: Lab, identity: Identity, address: str, port: int, between: Callable[[], object]
) -> list[Visit]:
    """Let a client of TLS 1.3 come twice; whoever visited the server until `between` is over."""
    shape = rat_shape("1.3")
    with Server(
        lab.internet, address, port, server_context(identity), idle_handler(shape)
    ) as server:
        for turn in range(2):
            client = IdleClient(
                lab.anna, [address], [port], rat_client_context("1.3"), shape, attempts=1
            )
            with client:
                (attempt,) = client.wait_attempts(1)
                shaken_or_over(attempt)
                if turn == 0:
                    between()
                else:
                    attempt.over.wait(QUIET_SECONDS)
        return list(server.visits)


def looked_up(box: Box) -> list[str]:
    """What the audit trail says of look-ups."""
    with open_ledger(box.state / FILE_NAME, read_only=True) as ledger:
        return [one["detail"] for one in queries.audit(ledger) if one["event"] == "lookup"]


def wait_asked(box: Box, address: str, port: int) -> None:
    """Wait until the audit trail has the answer of a server that was asked."""
    place = f"{address}:{port}"
    wait_for(
        lambda: any(place in line for line in looked_up(box)),
        PATIENCE_SECONDS,
        lambda: f"{place} was not asked: {looked_up(box)}",
    )


def test_off_nothing_is_sent(lab: Lab, rat: Identity, tmp_path: Path) -> None:
    address, port = lab.internet.address(3), next(ports)
    with running_box(lab, tmp_path) as box:
        visits = visits_of(lab, rat, address, port, lambda: time.sleep(QUIET_SECONDS))
        assert len(visits) == 2
        assert {visit.peer for visit in visits} == {lab.anna.address()}
        assert looked_up(box) == []


def test_on_the_box_asks_once_and_the_server_is_blocked(
    lab: Lab, asking: Box, rat: Identity
) -> None:
    address, port = lab.internet.address(4), next(ports)
    visits = visits_of(lab, rat, address, port, lambda: asking.wait_blocked(address, port))
    peers = [visit.peer for visit in visits]
    own = [visit for visit in visits if visit.peer != lab.anna.address()]
    assert len(own) == 1, peers
    assert own[0].peer == lab.box.ipv4[1]
    assert own[0].application_bytes == 0, "the box says hello and leaves"
    assert peers.count(lab.anna.address()) == 1, "the second time its client is refused"
    (incident,) = (one for one in asking.ask("incidents") if one["server"] == address)
    assert incident["family"] == "AsyncRAT lineage"
    assert incident["certificate"]["subject"] == "CN=Acme Printing Ltd"
    assert {"lookup.certificate"} < {fact["id"] for fact in incident["evidence"]}
    (line,) = [line for line in looked_up(asking) if f"{address}:{port}" in line]
    assert "showed CN=Acme Printing Ltd" in line


def test_an_honest_server_is_asked_once_and_nothing_follows(
    lab: Lab, asking: Box, notary: Notary
) -> None:
    address, port = lab.internet.address(5), next(ports)
    site = notary.web_site("appliance.example")
    visits = visits_of(lab, site, address, port, lambda: wait_asked(asking, address, port))
    peers = sorted(visit.peer for visit in visits)
    assert peers == sorted([lab.anna.address()] * 2 + [lab.box.ipv4[1]])
    assert not [one for one in asking.ask("incidents") if one["server"] == address]
