"""What passes uninspected by design: whole, never called clean, counted, and listed in words."""

import itertools
from collections.abc import Iterator

import pytest

from inline.conftest import Box, running_box
from inline.datagrams import ask_by_udp
from ratwall_lab.bulk import BulkClient, bulk_handler
from ratwall_lab.certificates import Notary
from ratwall_lab.contexts import rat_client_context, server_context
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server
from ratwall_lab.topology import GATEWAY, OFFICE_IPV4, Lab

PAGE_BYTES = 1_000_000
SIDE_DOOR = f"{OFFICE_IPV4}99"  # a second way between office and internet, past the box
QUIC = 443
ports = itertools.count(13_000)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Lab("router") as lab, running_box(lab, tmp_path_factory.mktemp("router")) as box:
        yield box


def transfer(client: Host, server: Host, address: str, port: int, notary: Notary) -> bool:
    """Fetch a page of TLS 1.2 and say whether it came whole."""
    context = server_context(notary.web_site("shop.example"), "1.2", "1.2")
    with (
        Server(server, address, port, context, bulk_handler(PAGE_BYTES)),
        BulkClient(client, address, port, rat_client_context("1.2")) as download,
    ):
        return download.result().whole(PAGE_BYTES)


def test_quic_passes_and_is_counted_by_connection(router: Box) -> None:
    lab = router.lab
    for device in (lab.anna, lab.ben):
        assert ask_by_udp(device, lab.internet, lab.internet.address(1), QUIC, questions=3)
    assert router.wait_passed("quic", 2) == 2
    assert "2 connections over QUIC (UDP port 443)" in router.cli("status")


def test_a_port_forward_passes_and_is_counted(router: Box, notary: Notary) -> None:
    lab, port = router.lab, next(ports)
    assert transfer(lab.internet, lab.anna, lab.anna.address(), port, notary)
    assert router.wait_passed("inbound", 1) == 1
    assert router.flow(lab.anna.address(), port) is None


def test_office_to_office_passes_and_is_counted(router: Box, notary: Notary) -> None:
    """By way of the box, as between two networks of one office or by hairpin."""
    lab, port = router.lab, next(ports)
    way = ["ip", "route", "add", lab.ben.address(), "via", f"{OFFICE_IPV4}{GATEWAY}"]
    lab.anna.run(way)
    for name in ("all", "default", "eth0"):
        lab.anna.write_sysctl(f"net.ipv4.conf.{name}.accept_redirects", 0)
    assert transfer(lab.anna, lab.ben, lab.ben.address(), port, notary)
    assert router.wait_passed("local", 3) >= 3
    assert router.flow(lab.ben.address(), port) is None


@pytest.fixture(params=["client", "server"])
def one_way(request: pytest.FixtureRequest, router: Box) -> Iterator[str]:
    """Whose words cross the box: the other direction takes a second cable past it."""
    lab = router.lab
    # Always the same hardware address: the office remembers it.
    lab.internet.run(
        ["ip", "link", "add", "side", "address", "02:00:00:00:00:99", "type", "veth"]
        + ["peer", "side", "netns", lab.switch.namespace]
    )
    lab.switch.run(["ip", "link", "set", "side", "master", "br0", "up"])
    lab.internet.run(["ip", "link", "set", "side", "up"])
    lab.internet.run(["ip", "address", "add", f"{SIDE_DOOR}/32", "dev", "side"])
    if request.param == "client":
        # Two halves are nearer than the whole: these routes win over the one through the box.
        for half in ("0/25", "128/25"):
            route = f"{OFFICE_IPV4}{half}"
            lab.internet.run(["ip", "route", "add", route, "dev", "side", "src", SIDE_DOOR])
    else:
        lab.anna.run(["ip", "route", "replace", "default", "via", SIDE_DOOR])
    yield request.param
    lab.anna.run(["ip", "route", "replace", "default", "via", f"{OFFICE_IPV4}{GATEWAY}"])
    lab.internet.run(["ip", "link", "delete", "side"])


def test_half_a_connection_passes_whole_and_is_never_clean(
    router: Box, notary: Notary, one_way: str
) -> None:
    lab, address, port = router.lab, router.lab.internet.address(2), next(ports)
    before = router.ask("status")["passed"]["one_way"]
    assert transfer(lab.anna, lab.internet, address, port, notary)
    router.wait_passed("one_way", before + 1)
    flow = router.flow(address, port)
    # With the client's words alone there is nothing to judge.
    # Nothing is concluded from an answer to a question that was not heard.
    assert flow is None or flow["flow_class"] == "observed"
