"""The base rules of the image, in the kernel, with real sockets: closed outside, open inside."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from image.conftest import OVERLAY
from ratwall.kernel.ruleset import SELFTEST_LAN, SELFTEST_WAN
from ratwall_lab.namespaces import Host
from ratwall_lab.topology import BOX_WAN_IPV4, OFFICE_IPV4, Lab, Mode

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces: run as root")

RULES = OVERLAY / "usr/lib/ratwall"
PATIENCE = 0.7  # seconds: a dropped SYN is sent again after one
BOX = f"{OFFICE_IPV4}9"  # the box's own address in a bridge
PAGE, OTHER = 443, 8080


def lay(lab: Lab, folder: Path, *, router: bool) -> None:
    """Load the rules as `ratwall-firewall.service` does."""
    text = f'define lan = "lan"\ndefine wan = "wan"\ninclude "{RULES}/base.nft"\n'
    if router:
        text += f'include "{RULES}/router.nft"\n'
    file = folder / "base.nft"
    file.write_text(text)
    for _ in range(2):  # once more changes nothing
        lab.box.run(["nft", "-f", str(file)])


@contextmanager
def listening(host: Host, address: str, port: int) -> Iterator[None]:
    """Something that answers, at an address of a host."""
    with host.enter():
        server = socket.create_server((address, port))
    stop = threading.Event()

    def serve() -> None:
        server.settimeout(0.1)
        while not stop.is_set():
            try:
                server.accept()[0].close()
            except TimeoutError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        server.close()


def reaches(host: Host, address: str, port: int) -> bool:
    """Whether a connection comes about."""
    with host.enter():
        client = socket.socket()
    with client:
        client.settimeout(PATIENCE)
        try:
            client.connect((address, port))
        except TimeoutError:
            return False
        return True


@pytest.fixture(scope="module", params=["bridge", "router"])
def ruled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    mode: Mode = request.param
    with Lab(mode) as lab:
        if mode == "bridge":
            lab.box.run(["ip", "address", "add", f"{BOX}/24", "dev", "br0"])
        lay(lab, tmp_path_factory.mktemp("rules"), router=mode == "router")
        yield lab


def test_the_self_tests_cables_are_let_through() -> None:
    """By name: else `ratwall selftest` would find a box that forwards nothing."""
    rule = f'iifname "{SELFTEST_LAN}" oifname "{SELFTEST_WAN}" accept'
    assert rule in (RULES / "base.nft").read_text()


def own(lab: Lab) -> str:
    return BOX if lab.mode == "bridge" else lab.box.address()


def test_the_office_reaches_the_page_and_nothing_else(ruled: Lab) -> None:
    with listening(ruled.box, "0.0.0.0", PAGE), listening(ruled.box, "0.0.0.0", OTHER):
        assert reaches(ruled.anna, own(ruled), PAGE)
        assert not reaches(ruled.anna, own(ruled), OTHER)


def test_the_internets_side_reaches_nothing_at_all(ruled: Lab) -> None:
    towards = BOX if ruled.mode == "bridge" else BOX_WAN_IPV4
    with listening(ruled.box, "0.0.0.0", PAGE):
        assert reaches(ruled.anna, own(ruled), PAGE), "it is there"
        assert not reaches(ruled.internet, towards, PAGE)


def test_what_the_box_asks_is_answered(ruled: Lab) -> None:
    with listening(ruled.internet, "0.0.0.0", OTHER):
        server = f"{OFFICE_IPV4}1" if ruled.mode == "bridge" else ruled.internet.address(2)
        assert reaches(ruled.box, server, OTHER)


def test_the_offices_own_traffic_passes(ruled: Lab) -> None:
    address = ruled.internet.address(2)
    with listening(ruled.internet, address, OTHER):
        assert reaches(ruled.anna, address, OTHER)


def test_from_outside_into_the_office(ruled: Lab) -> None:
    """A router lets nobody in; a bridge is a cable, and who may come in is the router's matter."""
    with listening(ruled.anna, ruled.anna.address(), OTHER):
        assert reaches(ruled.internet, ruled.anna.address(), OTHER) is (ruled.mode == "bridge")


def test_bridged_traffic_passes_when_the_bridge_is_handed_to_the_rules(ruled: Lab) -> None:
    """Ratwall switches that on; the base rules must not stop what they then see."""
    if ruled.mode == "bridge":
        option = ["nf_call_iptables", "1", "nf_call_ip6tables", "1"]
        ruled.box.run(["ip", "link", "set", "br0", "type", "bridge", *option])
    test_the_offices_own_traffic_passes(ruled)
    test_from_outside_into_the_office(ruled)
