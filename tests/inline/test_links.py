"""Links that are not plain Ethernet of 1,500 bytes: tagged frames and jumbo frames, cut as well."""

import itertools
from collections.abc import Iterator

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from inline.conftest import Box, running_box, wait_for
from inline.datagrams import ask_by_udp, send_frames
from ratwall.kernel.sets import Sets
from ratwall_lab.bulk import BulkClient, bulk_handler
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient, say_and_listen
from ratwall_lab.contexts import rat_client_context, rat_server_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.flight import Recording, in_order, record
from ratwall_lab.segments import FlightServer
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.tags import Tagging, add_tag
from ratwall_lab.topology import GATEWAY, OFFICE_IPV4, Lab, Mode
from ratwall_lab.watch import SegmentWatch

CUT_SECONDS = 1.0  # for the client to know
ROUNDS = 3  # a busy machine may be late once; a box that is slow is late each time
PAGE_BYTES = 1_000_000
EXTENSION = b"\xff\x77"  # of a number that nobody has registered
SETTINGS = ["sh", "-c", "cat /proc/sys/net/bridge/bridge-nf-filter-*-tagged"]
BROADCAST = b"\xff" * 6
STAMPED_TCP = 32  # the header of a segment with a time stamp
ports = itertools.count(12_000)


class LinkedBox:
    """A lab with links out of the ordinary, and the box in it."""

    def __init__(self, lab: Lab, box: Box) -> None:
        self.lab, self.box = lab, box


@pytest.fixture(scope="module", params=["vlan", "pppoe"])
def tagged(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LinkedBox]:
    tagging: Tagging = request.param
    with Lab("bridge", tagging=tagging) as lab:
        before = lab.box.run(SETTINGS).stdout
        with running_box(lab, tmp_path_factory.mktemp(tagging)) as box:
            assert lab.box.run(SETTINGS).stdout != before
            yield LinkedBox(lab, box)
        assert lab.box.run(SETTINGS).stdout == before, "the kernel's settings are put back"


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_a_rat_in_tagged_frames_is_cut(tagged: LinkedBox, rat: Identity, family: int) -> None:
    """The client learns it at once. The server is told nothing: what it sends is dropped, for
    `reject` would answer without the tag."""
    taken: list[float] = []
    while not taken or taken[-1] >= CUT_SECONDS:
        assert len(taken) < ROUNDS, f"the client knew after {taken} seconds"
        taken.append(cut_in_tagged_frames(tagged, rat, family))
    assert [cable.strays() for cable in tagged.lab.tagged_cables] == [0, 0, 0], "none untagged"


def cut_in_tagged_frames(tagged: LinkedBox, rat: Identity, family: int) -> float:
    """Let a look-alike be cut; after how many seconds its client knew."""
    lab, address, port = tagged.lab, tagged.lab.internet.address(3, family), next(ports)
    context, shape = rat_client_context("1.2"), rat_shape("1.2")
    attempts = 2 if family == 4 else 1  # a second one takes long to give up: seen once is enough
    server_side = rat_server_context(rat, "1.2")
    with (
        Server(lab.internet, address, port, server_side, idle_handler(shape)) as server,
        SegmentWatch(lab.internet, port) as watch,
        IdleClient(
            lab.anna, [address], [port], context, shape, attempts=attempts, reconnect_seconds=0.2
        ) as client,
    ):
        first, *second = client.wait_attempts(attempts)
        assert first.wait_end(PATIENCE_SECONDS) is End.RESET
        for attempt in second:
            assert attempt.wait_end(PATIENCE_SECONDS) is End.TIMEOUT
        assert watch.syns(port) == 1, "the second connection did not reach the server"
        (visit,) = server.wait_visits(1)
        assert not visit.over.is_set(), "the server waits in vain"
        assert (visit.application_bytes, visit.application_records) == (0, 0)
    tagged.box.wait_blocked(address, port)
    assert first.ended is not None
    return first.ended - first.started


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_a_page_in_tagged_frames_is_whole(tagged: LinkedBox, notary: Notary, family: int) -> None:
    lab, address, port = tagged.lab, tagged.lab.internet.address(4, family), next(ports)
    context = server_context(notary.web_site("shop.example"), "1.2", "1.2")
    with (
        Server(lab.internet, address, port, context, bulk_handler(PAGE_BYTES)),
        BulkClient(lab.ben, address, port, rat_client_context("1.2")) as client,
    ):
        assert client.result().whole(PAGE_BYTES)
    assert tagged.box.wait_flow(address, port)["verdict"] == "clean"


@pytest.fixture(scope="module", params=[9000, 65_535])
def jumbo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LinkedBox]:
    """One lab for each mode; both boxes refuse UDP 443."""
    modes: dict[int, Mode] = {9000: "bridge", 65_535: "router"}
    folder = tmp_path_factory.mktemp("jumbo")
    config = folder / "settings.toml"
    config.write_text("[detection]\nrefuse_udp_443 = true\n")
    with (
        Lab(modes[request.param], mtu=request.param) as lab,
        running_box(lab, folder, "--config", str(config)) as box,
    ):
        yield LinkedBox(lab, box)


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_a_flight_in_one_jumbo_segment_is_cut(jumbo: LinkedBox, rat: Identity, family: int) -> None:
    lab, address, port = jumbo.lab, jumbo.lab.internet.address(2, family), next(ports)
    headers = {4: 20, 6: 40}[family] + STAMPED_TCP
    flight = stretched(record(rat, "1.2"), jumbo.lab.mtu - headers)
    with FlightServer(lab.internet, address, port, in_order(flight, len(flight))) as server:
        hello = record(rat, "1.2").client_hello
        exchange = say_and_listen(lab.anna, address, port, hello, expected=len(flight))
        visit = server.wait_visit()
    assert (exchange.end, exchange.received) == (End.RESET, b"")
    assert visit.bytes_after_hello == 0
    jumbo.box.wait_blocked(address, port)


def test_a_transfer_in_jumbo_segments_is_whole(jumbo: LinkedBox, notary: Notary) -> None:
    lab, address, port = jumbo.lab, jumbo.lab.internet.address(4), next(ports)
    context = server_context(notary.web_site("shop.example"), "1.2", "1.2")
    with (
        Server(lab.internet, address, port, context, bulk_handler(PAGE_BYTES)),
        BulkClient(lab.anna, address, port, rat_client_context("1.2")) as client,
    ):
        assert client.result().whole(PAGE_BYTES)
    assert jumbo.box.wait_flow(address, port)["verdict"] == "clean"


def test_udp_443_is_refused_on_request(jumbo: LinkedBox) -> None:
    """A bridge has no address to answer from: there the device hears nothing."""
    lab, address = jumbo.lab, jumbo.lab.internet.address(1)
    refused = ConnectionRefusedError if lab.mode == "router" else TimeoutError
    with pytest.raises(refused):
        ask_by_udp(lab.anna, lab.internet, address, 443)
    assert ask_by_udp(lab.anna, lab.internet, address, 444)
    assert jumbo.box.ask("status")["passed"]["quic"] == 0


@pytest.mark.parametrize("jumbo", [9000], indirect=True)  # its bridge has no address
def test_the_offices_router_is_cut_off_and_never_blocked(jumbo: LinkedBox, rat: Identity) -> None:
    """A box that has no address cannot know which one the router has; it is none to refuse."""
    lab, box, port = jumbo.lab, jumbo.box, next(ports)
    router = f"{OFFICE_IPV4}{GATEWAY}"
    server_side, shape = rat_server_context(rat, "1.2"), rat_shape("1.2")
    with (
        Server(lab.internet, router, port, server_side, idle_handler(shape)),
        IdleClient(
            lab.anna,
            [router],
            [port],
            rat_client_context("1.2"),
            shape,
            attempts=2,
            reconnect_seconds=0.2,
        ) as client,
    ):
        both = client.wait_attempts(2)
        assert [attempt.wait_end(PATIENCE_SECONDS) for attempt in both] == [End.RESET] * 2, (
            "cut, not refused"
        )
    wait_for(
        lambda: len(box.flows(router, port)) == 2,
        PATIENCE_SECONDS,
        lambda: str(box.flows(router, port)),
    )
    assert [one for one in box.ask("actions") if one["server"] == router] == []
    (incident,) = (one for one in box.ask("incidents") if one["server"] == router)
    assert "never-block list" in box.ask("incidents", str(incident["id"]))["note"]
    with lab.box.enter():
        assert router not in {str(one.server) for one in Sets().blocks()}


@pytest.mark.parametrize("jumbo", [9000], indirect=True)
def test_frames_with_two_tags_pass_and_are_counted(jumbo: LinkedBox) -> None:
    lab, number = jumbo.lab, 3
    plain = BROADCAST + bytes.fromhex("02000000aaaa 0800") + bytes(range(64))
    assert send_frames(lab.anna, lab.internet, add_tag(plain, "stacked"), number) == number
    assert jumbo.box.wait_passed("stacked", number) == number


@pytest.mark.parametrize("jumbo", [9000], indirect=True)  # the bridge: a router forwards no tags
@pytest.mark.parametrize("tagging", ["service", "stacked"])
def test_the_rules_see_through_one_tag_of_802_1ad_and_not_through_two(
    jumbo: LinkedBox, tagging: Tagging
) -> None:
    """A rule that refuses UDP 443 shows what the rules see."""
    lab = jumbo.lab
    ends = {"src": lab.anna.address(), "dst": lab.internet.address(1)}
    for port, number in ((444, 2), (443, 0 if tagging == "service" else 2)):
        datagram = bytes(IP(**ends) / UDP(sport=1025, dport=port) / Raw(bytes(range(64))))
        frame = add_tag(BROADCAST + bytes.fromhex("02000000aaaa 0800") + datagram, tagging)
        assert send_frames(lab.anna, lab.internet, frame, 2) == number, port


def stretched(recording: Recording, size: int) -> bytes:
    """Return the flight with an extension in the ServerHello that makes it `size` bytes long.

    In records of at most 16 KiB, as TLS has it.
    """
    hello, *others = recording.messages
    body = hello[4:]
    extensions = 2 + 32 + 1 + body[34] + 2 + 1  # version, random, session id, cipher, compression
    known = body[extensions + 2 :]
    for length in range(size, 0, -1):
        added = EXTENSION + length.to_bytes(2) + bytes(length)
        total = known + added
        if len(total) > 0xFFFF:
            continue
        longer = body[:extensions] + len(total).to_bytes(2) + total
        message = hello[:1] + len(longer).to_bytes(3) + longer
        flight = Recording(
            recording.client_hello, recording.record_version, (message, *others)
        ).flight([16_384])
        if len(flight) <= size:
            return flight
    raise AssertionError(f"no flight of {size} bytes")
