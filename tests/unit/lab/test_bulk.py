"""A bulk transfer knows what must arrive, and the witness on the wire counts what did."""

import pytest

from ratwall_lab.bulk import (
    BLOCK_BYTES,
    LONG_LEAST,
    BulkClient,
    LongDownload,
    blocks,
    bulk_handler,
    expected_hash,
)
from ratwall_lab.clients import say_and_listen
from ratwall_lab.endpoint import End
from ratwall_lab.servers import Server
from ratwall_lab.topology import Lab
from ratwall_lab.watch import SegmentWatch

MEGABYTE = 1_000_000


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_a_transfer_has_exactly_its_size(size: int) -> None:
    assert sum(map(len, blocks(size))) == size


def test_a_swapped_block_changes_the_hash() -> None:
    first, second = blocks(2 * BLOCK_BYTES)
    assert first != second
    assert expected_hash(2 * BLOCK_BYTES) != expected_hash(2 * BLOCK_BYTES - 1)


@pytest.mark.root
def test_a_transfer_arrives_whole_and_can_be_watched_in_its_middle() -> None:
    with Lab() as lab:
        address, size = lab.internet.address(8), 4 * MEGABYTE
        handler = bulk_handler(size, rate=8 * MEGABYTE)
        with (
            Server(lab.internet, address, 9000, None, handler),
            BulkClient(lab.ben, address, 9000) as client,
        ):
            client.wait_received(MEGABYTE)
            assert client.received < size
            transfer = client.result()
    assert transfer.whole(size)
    assert 0.3 < transfer.seconds < 3, "the rate holds it back"


@pytest.mark.root
def test_a_broken_transfer_is_not_whole() -> None:
    with Lab() as lab:
        address = lab.internet.address(8)
        handler = bulk_handler(40 * MEGABYTE, rate=10 * MEGABYTE)
        with (
            Server(lab.internet, address, 9000, None, handler) as server,
            BulkClient(lab.ben, address, 9000) as client,
        ):
            client.wait_received(MEGABYTE)
            server.end_visits()
            transfer = client.result()
    assert not transfer.whole(40 * MEGABYTE)


@pytest.mark.root
def test_a_long_transfer_runs_until_enough_was_seen_and_comes_whole() -> None:
    with Lab() as lab:
        address, download = lab.internet.address(8), LongDownload()
        with (
            Server(lab.internet, address, 9000, None, download.serve) as server,
            BulkClient(lab.ben, address, 9000) as client,
            BulkClient(lab.anna, address, 9000) as broken,
        ):
            client.wait_received(MEGABYTE)
            assert not server.visits[0].over.is_set()
            broken.wait_received(MEGABYTE)
            server.end_visits()
            assert not download.comes_whole(broken)
        with (
            Server(lab.internet, address, 9000, None, download.serve),
            BulkClient(lab.ben, address, 9000) as again,
        ):
            assert download.comes_whole(again)
            assert again.received >= LONG_LEAST


@pytest.mark.root
@pytest.mark.parametrize("family", [4, 6])
def test_the_witness_counts_syns_and_payload(family: int) -> None:
    with Lab() as lab, SegmentWatch(lab.internet, 9001) as watch:
        address = lab.internet.address(0, family)
        refused = say_and_listen(lab.anna, address, 9001, b"x" * 10, expected=1)
        with Server(lab.internet, address, 9001, None, bulk_handler(100)) as server:
            say_and_listen(lab.anna, address, 9001, b"go\r\n\r\n", expected=100)
            server.visits[0].wait_end(3)
    assert refused.end is End.REFUSED
    assert watch.syns(9001) == 2
    assert watch.payload(9001) == 6
