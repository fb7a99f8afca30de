"""What passes uninspected by design: whole, never called clean, counted, and listed in words."""

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from inline.conftest import Box, running_box, wait_for
from ratwall_lab.bulk import BulkClient, bulk_handler
from ratwall_lab.certificates import Notary
from ratwall_lab.contexts import rat_client_context, server_context
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server
from ratwall_lab.topology import GATEWAY, OFFICE_IPV4, Lab, Mode

PAGE_BYTES = 1_000_000
COUNTED_SECONDS = 10.0  # the controller asks the kernel every five
ANSWER_SECONDS = 3.0
SIDE_DOOR = f"{OFFICE_IPV4}99"  # a second way between office and internet, past the box
QUIC = 443
ports = itertools.count(13_000)


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Lab("router") as lab, running_box(lab, tmp_path_factory.mktemp("router")) as box:
        yield box


def counted(box: Box, kind: str, least: int) -> int:
    """Wait until the status lists at least so many, and return how many."""

    def found() -> int | None:
        number: int = box.ask("status")["passed"][kind]
        return number if number >= least else None

    number: int = wait_for(found, COUNTED_SECONDS, lambda: box.cli("status"))
    return number


def ask_by_udp(device: Host, server: Host, address: str, port: int, questions: int = 1) -> bool:
    """Send datagrams from a port of their own and say whether all were answered.

    ConnectionRefusedError if the device is told that nobody listens.
    """
    with server.enter():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener:
        listener.bind((address, port))
        listener.settimeout(ANSWER_SECONDS)
        with device.enter():
            asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with asker:
            asker.settimeout(ANSWER_SECONDS)
            asker.connect((address, port))
            for _ in range(questions):
                asker.send(b"question")
                try:
                    _, peer = listener.recvfrom(100)
                except TimeoutError:
                    asker.recv(100)  # has the device been told?
                    return False
                listener.sendto(b"answer", peer)
                asker.recv(100)
    return True


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
    assert counted(router, "quic", 2) == 2
    assert "2 connections over QUIC (UDP port 443)" in router.cli("status")


def test_a_port_forward_passes_and_is_counted(router: Box, notary: Notary) -> None:
    lab, port = router.lab, next(ports)
    assert transfer(lab.internet, lab.anna, lab.anna.address(), port, notary)
    assert counted(router, "inbound", 1) == 1
    assert router.flow(lab.anna.address(), port) is None


def test_office_to_office_passes_and_is_counted(router: Box, notary: Notary) -> None:
    """By way of the box, as between two networks of one office or by hairpin."""
    lab, port = router.lab, next(ports)
    way = ["ip", "route", "add", lab.ben.address(), "via", f"{OFFICE_IPV4}{GATEWAY}"]
    lab.anna.run(way)
    for name in ("all", "default", "eth0"):
        lab.anna.write_sysctl(f"net.ipv4.conf.{name}.accept_redirects", 0)
    assert transfer(lab.anna, lab.ben, lab.ben.address(), port, notary)
    assert counted(router, "local", 3) >= 3
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
    counted(router, "one_way", before + 1)
    flow = router.flow(address, port)
    # With the client's words alone there is nothing to judge.
    assert flow is None if one_way == "client" else flow["flow_class"] == "observed"


@pytest.mark.parametrize("mode", ["router", "bridge"])
def test_udp_443_is_refused_on_request(mode: Mode, tmp_path: Path) -> None:
    """A bridge has no address to answer from: there the device hears nothing."""
    config = tmp_path / "settings.toml"
    config.write_text("[detection]\nrefuse_udp_443 = true\n")
    with Lab(mode) as lab, running_box(lab, tmp_path, "--config", str(config)) as box:
        address = lab.internet.address(1)
        refused = ConnectionRefusedError if mode == "router" else TimeoutError
        with pytest.raises(refused):
            ask_by_udp(lab.anna, lab.internet, address, QUIC)
        assert ask_by_udp(lab.anna, lab.internet, address, QUIC + 1)
        assert box.ask("status")["passed"]["quic"] == 0


def test_frames_with_two_tags_pass_and_are_counted(tmp_path: Path, notary: Notary) -> None:
    with Lab("bridge", tagging="stacked") as lab, running_box(lab, tmp_path) as box:
        address, port = lab.internet.address(1), next(ports)
        assert transfer(lab.anna, lab.internet, address, port, notary)
        assert counted(box, "stacked", 100) >= 100
        assert box.flow(address, port) is None
