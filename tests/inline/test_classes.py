"""Which class a connection gets, by its facts.

TLS behind cleartext is found, plain text is let go, and what is let go unjudged stays under
observation: bounded, and without ever being queued.
"""

import itertools
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from typing import Any

import pytest

from inline.conftest import Box, running_box, wait_for
from inline.counts import packets_by_queue
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient, fetch
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.dialogues import DIALOGUES, MYSQL_GREETING, Dialogue
from ratwall_lab.endpoint import PATIENCE_SECONDS, TlsEndpoint
from ratwall_lab.servers import Server, idle_handler, page, web_handler
from ratwall_lab.shapes import AGENT, hurried, rat_shape
from ratwall_lab.topology import Lab, Mode

PAGE = page(300_000)
QUEUED_OF_PLAIN_HTTP = 1  # the request
ROUNDS = 5
OBSERVED_LIMIT = 16  # the least that can be set
ports = itertools.count(3100)


@pytest.fixture(scope="module", params=["router"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """How a packet came here makes no difference to what is read in it."""
    mode: Mode = request.param
    return mode


@pytest.fixture(params=DIALOGUES, ids=lambda each: each.name)
def dialogue(request: pytest.FixtureRequest) -> Dialogue:
    dialogue: Dialogue = request.param
    return dialogue


def preamble_of(flow: dict[str, object]) -> str:
    evidence = flow["evidence"]
    assert isinstance(evidence, list)
    return next(str(each["text"]) for each in evidence if each["id"] == "flow.preamble")


def test_a_rat_behind_a_dialogue_is_cut(
    lab: Lab, box: Box, rat: Identity, dialogue: Dialogue
) -> None:
    address, port = lab.internet.address(3), next(ports)
    context = rat_server_context(rat, "1.2")
    handler = idle_handler(rat_shape("1.2"))
    with Server(lab.internet, address, port, context, handler, greet=dialogue.server) as server:
        for _ in range(2 if dialogue.proxied else 1):
            with (
                lab.anna.enter(),
                socket.create_connection((address, port), PATIENCE_SECONDS) as connection,
            ):
                dialogue.client(connection)
                endpoint = TlsEndpoint(connection, rat_client_context("1.2"), server_side=False)
                with pytest.raises(ConnectionResetError):
                    endpoint.handshake()
        for visit in server.wait_visits(1):
            visit.wait_end(PATIENCE_SECONDS)
            assert visit.application_bytes == 0
        flow = box.wait_flow(address, port)
        assert (flow["verdict"], dialogue.name in preamble_of(flow)) == ("block", True)
        if dialogue.proxied:
            return  # others use the proxy too: each connection is cut, and nothing else
        box.wait_blocked(address, port)
        with lab.anna.enter(), pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), PATIENCE_SECONDS)


def test_an_honest_server_behind_a_dialogue_passes(
    lab: Lab, box: Box, notary: Notary, dialogue: Dialogue
) -> None:
    address, port = lab.internet.address(4), next(ports)
    context = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, address, port, context, web_handler(PAGE), greet=dialogue.server):
        got = fetch(
            lab.ben,
            address,
            port,
            client_context("1.2", "1.2"),
            server_name="shop.example",
            greet=dialogue.client,
        )
    assert got.sha256 == sha256(PAGE).hexdigest()
    flow = box.wait_flow(address, port)
    assert flow["verdict"] == "clean"
    assert flow["flow_class"] == "observed", "the address judged is that of the dialogue"
    assert dialogue.name in preamble_of(flow)


@pytest.mark.parametrize("said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", MYSQL_GREETING])
def test_a_server_that_speaks_first_and_goes_on_never_stalls(
    lab: Lab, box: Box, said: bytes
) -> None:
    """Its client only listens, or answers once: far more is said than is held of any connection."""
    address, port = lab.internet.address(5), next(ports)
    content = said + PAGE

    def pour(connection: socket.socket) -> None:
        connection.sendall(content[: len(said) + 5])
        if said:
            assert connection.recv(100) == b"hello?"
        connection.sendall(content[len(said) + 5 :])

    with (
        Server(lab.internet, address, port, None, lambda _: None, greet=pour),
        lab.anna.enter(),
        socket.create_connection((address, port), PATIENCE_SECONDS) as connection,
    ):
        got = connection.recv(65536)
        if said:
            connection.sendall(b"hello?")
        got += b"".join(iter(lambda: connection.recv(65536), b""))
    assert got == content


def queued(lab: Lab) -> int:
    """Packets handed to the inspector so far, by the kernel's own count."""
    return sum(packets_by_queue(lab).values())


def test_plain_http_costs_one_packet(lab: Lab, box: Box) -> None:
    """The least of several: a busy machine sends twice, and late."""
    address, port = lab.internet.address(5), next(ports)
    counts = []
    with Server(lab.internet, address, port, None, web_handler(PAGE)):
        while not counts or (min(counts) != QUEUED_OF_PLAIN_HTTP and len(counts) < ROUNDS):
            before = queued(lab)
            with (
                lab.anna.enter(),
                socket.create_connection((address, port), PATIENCE_SECONDS) as connection,
            ):
                connection.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                got = b"".join(iter(lambda: connection.recv(65536), b""))
            assert got.endswith(PAGE)
            counts.append(queued(lab) - before)
    assert min(counts) == QUEUED_OF_PLAIN_HTTP, counts


@pytest.fixture(scope="module")
def small_box(mode: Mode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box in a lab of its own that observes as few connections as can be set."""
    folder = tmp_path_factory.mktemp("small")
    limit = f"observed_flows = {OBSERVED_LIMIT}\n"
    with Lab(mode) as lab, running_box(lab, folder, settings=limit) as box:
        yield box


def test_what_is_observed_is_copied_never_queued_and_bounded(
    small_box: Box, notary: Notary
) -> None:
    lab, box = small_box.lab, small_box
    address, port = lab.internet.address(6), next(ports)
    context = server_context(notary.web_site("mqtt.example"), "1.3", "1.3")
    heartbeat = hurried(AGENT, 0.5)
    with ExitStack() as stack:
        stack.enter_context(Server(lab.internet, address, port, context, idle_handler(heartbeat)))

        def connect(server_name: str | None) -> IdleClient:
            client = IdleClient(
                lab.anna,
                [address],
                [port],
                client_context(),
                heartbeat,
                server_name=server_name,
                attempts=1,
            )
            stack.enter_context(client)
            (attempt,) = client.wait_attempts(1)
            wait_for(lambda: attempt.handshaken, PATIENCE_SECONDS, lambda: f"not passed: {attempt}")
            return client

        def observed() -> list[dict[str, Any]]:
            listing: list[dict[str, Any]] = box.ask("flows", "--observed")
            return listing

        ordinary = connect("mqtt.example")
        # A copy may come before the report that says why it was made.
        why = [["certificate hidden", "server never seen before"]]
        wait_for(
            lambda: [flow["reasons"] for flow in observed()] == why,
            PATIENCE_SECONDS,
            lambda: str(observed()),
        )
        wait_for(lambda: observed()[0]["copies"] > 2, PATIENCE_SECONDS, lambda: str(observed()))
        before = queued(lab)
        pings = ordinary.attempts[0].pings
        wait_for(
            lambda: ordinary.attempts[0].pings > pings + 2, PATIENCE_SECONDS, lambda: "no heartbeat"
        )
        assert queued(lab) == before, "nothing of it is queued any more"

        connect("mqtt.example")
        nameless = [connect(None) for _ in range(OBSERVED_LIMIT)]
        facts = wait_for(
            lambda: (told := box.ask("status")["observed"])["evicted"] >= 2 and told,
            PATIENCE_SECONDS,
            lambda: str(box.ask("status")["observed"]),
        )
        assert (facts["flows"], facts["evicted"]) == (OBSERVED_LIMIT, 2)
        listed = {one["client_port"]: one for one in observed()}
        assert all("no server name" in one["reasons"] for one in listed.values())
        # They are copied as before; the two that left are not, and do not come back.
        wait_for(
            lambda: all(one["copies"] > listed[one["client_port"]]["copies"] for one in observed()),
            PATIENCE_SECONDS,
            lambda: str(observed()),
        )
        assert box.ask("status")["observed"]["evicted"] == 2
        assert all(client.attempts[0].end is None for client in [ordinary, *nameless])
