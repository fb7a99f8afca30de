"""There is room: in the connection table for whoever keeps to a share, in the queue for downloads.

One device that opens connection after connection is held to its share of a table that fills, and
nobody else notices. Many downloads that begin at once fit into the shortest queue that can be set.
"""

import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from inline.conftest import Box, running_box, wait_for
from inline.counts import dropped, uninspected
from inline.test_response import reaches
from inline.traffic import meets, transfer
from ratwall.kernel.crowding import CONNECTIONS_LOW, CROWD_SHARE
from ratwall.settings.schema import QUEUE_LENGTH_LOW
from ratwall_lab.bulk import BulkClient, bulk_handler
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import fetch
from ratwall_lab.contexts import client_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.flood import Flood
from ratwall_lab.servers import Server, page, web_handler
from ratwall_lab.topology import Lab, Mode

SHARE = CONNECTIONS_LOW // CROWD_SHARE
MORE = 60  # connections beyond the share that the greedy device asks for
DEVICES, FIRST_FLOOD, NEXT_FLOOD = 200, 2000, 100  # half of the table, then in small steps
DOWNLOADS, PAGE_BYTES = 8, 1_000_000  # of each kind
QUIET_SECONDS = 1.5  # a refused SYN is said again after one
PORT, RAT_PORT, TRANSFER_PORT = 9400, 9401, 9402


@pytest.fixture(scope="module")
def mode() -> Mode:
    """Nobody answers for the addresses that a flood makes up: the half-open connections stay."""
    return "bridge"


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with the smallest table and the shortest queue that can be set."""
    settings = f"connections = {CONNECTIONS_LOW}\nqueue_length = {QUEUE_LENGTH_LOW}\n"
    with running_box(lab, tmp_path_factory.mktemp("room"), settings=settings) as box:
        yield box


def test_downloads_in_good_health_fit_into_the_shortest_queue(
    lab: Lab, box: Box, notary: Notary
) -> None:
    """TLS, and plain text of which the first 36 KB are read; offloads put segments together, and
    the queue takes them apart again: up to 45 entries at once for each."""
    content = page(PAGE_BYTES)
    secure = server_context(notary.web_site("shop.example"))
    spoken, plain = lab.internet.address(4), lab.internet.address(5)
    with (
        Server(lab.internet, spoken, PORT, secure, bulk_handler(PAGE_BYTES)),
        Server(
            lab.internet, plain, PORT, None, lambda _: None, greet=lambda one: one.sendall(content)
        ),
        ExitStack() as stack,
    ):
        downloads, listeners = [], []
        for device in (lab.anna, lab.ben) * (DOWNLOADS // 2):
            download = BulkClient(device, spoken, PORT, client_context())
            downloads.append(stack.enter_context(download))
            with device.enter():
                listener = socket.create_connection((plain, PORT), PATIENCE_SECONDS)
            listeners.append(stack.enter_context(listener))
        for listener in listeners:
            assert b"".join(iter(lambda one=listener: one.recv(65536), b"")) == content
        assert all(download.result().whole(PAGE_BYTES) for download in downloads)
    assert (uninspected(lab), dropped(lab)) == (0, 0)


@contextmanager
def greedy(lab: Lab, address: str, wanted: int) -> Iterator[int]:
    """Have ben open connections and keep them; how many came about before no more do."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(wanted):
            with lab.ben.enter():
                one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((address, PORT))
            selector.register(one, selectors.EVENT_WRITE)
        opened = 0
        while ready := selector.select(QUIET_SECONDS):
            for key, _ in ready:
                selector.unregister(key.fileobj)
            opened += len(ready)
        yield opened


def crowd(lab: Lab, box: Box) -> None:
    """Fill the table with half-open connections of many devices, until each has a share."""
    for number in range(10):
        limit = FIRST_FLOOD if number == 0 else NEXT_FLOOD
        target = lab.internet.address(6 + number)
        with Flood(lab.ben, target, devices=DEVICES, payload=b"", limit=limit):
            pass
        facts = box.ask("status")["conntrack"]
        if facts["stage"] == "crowded":
            return
    raise AssertionError(f"not crowded: {facts}")


def test_one_device_is_held_to_its_share_and_the_others_go_on(
    lab: Lab, box: Box, notary: Notary, rat: Identity
) -> None:
    address = lab.internet.address(1)
    site = server_context(notary.web_site("shop.example"))
    with lab.internet.enter():
        listener = socket.create_server((address, PORT), backlog=SHARE + 2 * MORE)
    with listener, transfer(lab, notary, TRANSFER_PORT):
        crowd(lab, box)
        with greedy(lab, address, SHARE + MORE) as opened:
            assert opened == SHARE
            other = lab.internet.address(2)
            with Server(lab.internet, other, PORT, site, web_handler(b"hello")):
                assert fetch(lab.anna, other, PORT, client_context()).size == 5
            assert meets(lab, rat, RAT_PORT) is End.RESET, "inspected as ever"
        wait_for(
            lambda: box.ask("status")["uninspected"]["crowded_packets"] >= MORE,
            PATIENCE_SECONDS,
            lambda: box.cli("status"),
        )
        assert "beyond a device's share" in box.cli("status")
        assert uninspected(lab) == 0, "nothing went around the table"
        lab.box.run(["conntrack", "-F"])
        wait_for(
            lambda: reaches(lab.ben, address, PORT), PATIENCE_SECONDS, lambda: box.cli("status")
        )
