"""Look-alikes and honest servers talk real TLS through the lab, and measure it at the server.

Record sizes are those of one genuine capture; nothing of Ratwall runs here.
"""

import hashlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from ratwall_lab.certificates import ASYNCRAT, DCRAT, QUASAR, Notary
from ratwall_lab.clients import IdleClient, fetch
from ratwall_lab.contexts import (
    Version,
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import End
from ratwall_lab.servers import Server, idle_handler, page, web_handler
from ratwall_lab.shapes import AGENT, ASYNCRAT_TLS10, MQTT, Shape, hurried, rat_shape
from ratwall_lab.topology import Lab

pytestmark = pytest.mark.root

VERSION_NAMES = {"1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def notary() -> Notary:
    return Notary()


@pytest.mark.parametrize("version", VERSION_NAMES)
@pytest.mark.parametrize("family", [4, 6])
def test_a_rat_shaped_client_connects_and_pings(
    lab: Lab, notary: Notary, version: Version, family: int
) -> None:
    address, shape = lab.internet.address(0, family), hurried(rat_shape(version), 0.05)
    context, identity = rat_client_context(version), notary.rat(ASYNCRAT)
    server_side = rat_server_context(identity, version)
    with (
        Server(lab.internet, address, 6606, server_side, idle_handler(shape)) as server,
        IdleClient(lab.anna, [address], [6606], context, shape, pinned=identity.der) as client,
    ):
        visit = server.wait_visits(1)[0]
        while len(client.attempts) < 2 and client.attempts[0].pings < 3:
            time.sleep(0.01)
    assert visit.peer == lab.anna.address(0, family)
    assert visit.version == VERSION_NAMES[version]
    assert visit.application_bytes >= 4 + shape.hello + 2 * (4 + shape.ping)


def test_tls10_records_have_the_measured_sizes(lab: Lab, notary: Notary) -> None:
    address, shape = lab.internet.address(1), hurried(ASYNCRAT_TLS10, 0.05)
    context = rat_server_context(notary.rat(ASYNCRAT), "1.0")
    with (
        Server(lab.internet, address, 7707, context, idle_handler(shape)) as server,
        IdleClient(lab.ben, [address], [7707], rat_client_context("1.0"), shape) as client,
    ):
        server.wait_visits(1)
        while client.attempts[0].pings < 2:
            time.sleep(0.01)
    sizes = server.visits[0].received.lengths()
    assert sizes[:4] == [32, 32, 32, 304], "the hello"
    assert sizes[4:12] == [32, 32, 32, 80, 32, 32, 32, 80], "a ping, and the answer to its pong"


@pytest.mark.parametrize(("version", "header"), [("1.2", 28), ("1.3", 21)])
def test_the_length_prefix_is_a_record_of_its_own(
    lab: Lab, notary: Notary, version: Version, header: int
) -> None:
    address, shape = lab.internet.address(2), hurried(rat_shape(version), 0.05)
    context = rat_server_context(notary.rat(QUASAR), version)
    with (
        Server(lab.internet, address, 4782, context, idle_handler(shape)) as server,
        IdleClient(lab.ben, [address], [4782], rat_client_context(version), shape) as client,
    ):
        server.wait_visits(1)
        while client.attempts[0].pings < 2:
            time.sleep(0.01)
    data = server.visits[0].received.lengths()[1 if version == "1.3" else 0 :]
    assert data[0] == data[2] == header


def test_the_server_tells_a_reset_from_a_goodbye(lab: Lab, notary: Notary) -> None:
    address, context = lab.internet.address(3), rat_server_context(notary.rat(DCRAT), "1.0")
    with Server(lab.internet, address, 8848, context, idle_handler(ASYNCRAT_TLS10)) as server:
        for number, linger in enumerate((1, 0), start=1):  # SO_LINGER with no time: a RST
            with lab.anna.enter():
                client = socket.create_connection((address, 8848), timeout=3)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
            before = time.monotonic()
            client.close()
            visit = server.wait_visits(number)[-1]
            visit.wait_end(3)
            assert visit.ended is not None and visit.ended - before < 1
        reset, goodbye = server.wait_visits(2)
    assert (reset.end, goodbye.end) == (End.RESET, End.CLOSED)
    assert reset.application_bytes == reset.application_records == 0
    assert reset.handshaken is None


def test_a_refused_client_comes_back_at_its_own_pace(lab: Lab) -> None:
    client = IdleClient(
        lab.anna,
        [lab.internet.address(4)],
        [6606, 7707, 8808],
        rat_client_context("1.0"),
        ASYNCRAT_TLS10,
        reconnect_seconds=0.05,
        attempts=12,
    )
    client.run()
    assert [attempt.end for attempt in client.attempts] == [End.REFUSED] * 12
    assert len({attempt.port for attempt in client.attempts}) > 1, "ports are drawn anew"


def test_a_quasar_client_resumes_and_hides_the_certificate(lab: Lab, notary: Notary) -> None:
    address, shape = lab.internet.address(5), hurried(rat_shape("1.2"), 0.02)
    context = rat_server_context(notary.rat(QUASAR), "1.2")
    with Server(lab.internet, address, 1337, context, idle_handler(shape)) as server:
        client = IdleClient(
            lab.anna,
            [address],
            [1337],
            rat_client_context("1.2"),
            shape,
            resume=True,
            reconnect_seconds=0.01,
            attempts=2,
            seconds=5,
        )
        with client:
            first = server.wait_visits(1)[0]
            while client.attempts[0].pings < 1:
                time.sleep(0.01)
            server.end_visits()
            second = server.wait_visits(2)[1]
            while second.application_records < 2:
                time.sleep(0.01)
    assert not first.resumed
    assert second.resumed


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_web_page_arrives_whole_and_verified(lab: Lab, notary: Notary, version: Version) -> None:
    site, body = notary.web_site("www.example.com"), page()
    address = lab.internet.address(8)
    context = server_context(site, version, version)
    trusting = client_context(version, version, trust=notary.trust_root())
    with Server(lab.internet, address, 443, context, web_handler(body)):
        got = fetch(lab.anna, address, 443, trusting, server_name="www.example.com")
    assert got.sha256 == hashlib.sha256(body).hexdigest()
    assert got.size == 1_000_000
    assert got.version == VERSION_NAMES[version]


def test_curl_fetches_the_page_too(lab: Lab, notary: Notary) -> None:
    site, address = notary.web_site("www.example.com", kind="rsa2048"), lab.internet.address(9)
    with Server(lab.internet, address, 443, server_context(site), web_handler(page())):
        resolve = f"www.example.com:443:{address}"
        root = str(notary.trust_root())
        argv = ["curl", "-sS", "--cacert", root, "--resolve", resolve, "https://www.example.com/"]
        got = lab.anna.run(argv, text=False).stdout
    assert hashlib.sha256(got).digest() == hashlib.sha256(page()).digest()


def test_an_old_printer_speaks_tls_10_without_a_name(lab: Lab, notary: Notary) -> None:
    address = lab.internet.address(10)
    context = server_context(notary.printer(), "1.0", "1.0")
    with Server(lab.internet, address, 443, context, web_handler(b"toner low")):
        got = fetch(lab.ben, address, 443, client_context("1.0", "1.0"))
    assert (got.size, got.version) == (9, "TLSv1")


@pytest.mark.parametrize("shape", [MQTT, AGENT], ids=lambda shape: shape.name)
def test_honest_heartbeats_are_conversations_like_the_others(
    lab: Lab, notary: Notary, shape: Shape
) -> None:
    quick, address = hurried(shape, 0.02), lab.internet.address(11)
    context = server_context(notary.appliance("broker.local"), "1.2", "1.3")
    with (
        Server(lab.internet, address, 8883, context, idle_handler(quick)) as server,
        IdleClient(lab.anna, [address], [8883], client_context(), quick) as client,
    ):
        server.wait_visits(1)
        while client.attempts[0].pings < 5:
            time.sleep(0.01)
    assert server.visits[0].application_bytes >= shape.hello + 4 * shape.ping
    assert len(client.attempts) == 1
