"""The upper steps of the response ladder with real traffic, and the pause."""

import itertools
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP

from inline.conftest import Box, wait_for
from inline.traffic import RAT_HOST, meets
from ratwall_lab.bulk import BulkClient, LongDownload
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import fetch
from ratwall_lab.contexts import client_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server, web_handler
from ratwall_lab.topology import Lab

CONNECT_SECONDS = 10.0  # whoever is refused is told at once: only a busy machine takes so long
ports = itertools.count(7600)


@pytest.fixture(autouse=True)
def _nothing_of_a_person_stays(box: Box) -> Iterator[None]:
    """What a test asked for and did not take back, because it failed, is not felt by the next."""
    yield
    for action in box.ask("actions"):
        if action["author"] == "root":
            box.cli("undo", str(action["id"]))


def reaches(host: Host, address: str, port: int) -> bool:
    """Whether a host can open a connection; a refusal is told at once."""
    with host.enter():
        try:
            socket.create_connection((address, port), CONNECT_SECONDS).close()
        except OSError:
            return False
    return True


def quarantined_by_mac(lab: Lab, box: Box, address: str, port: int) -> Any:
    """Let Anna be known by her MAC, from a visit, and quarantine her; what the box answered."""
    assert fetch(lab.anna, address, port, client_context()).size == 5
    box.wait_flow(address, port)
    answer = box.ask("quarantine", lab.anna.address(), "--yes", "--for", "1h")
    assert answer["mac"] is not None
    return answer


def datagram_comes_back(lab: Lab, host: Host, address: str, port: int) -> bool:
    """Whether a datagram gets to a server and its answer back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with lab.internet.enter():
        server = socket.socket(family, socket.SOCK_DGRAM)
        server.bind((address, port))
        server.settimeout(2.0)
    with host.enter():
        client = socket.socket(family, socket.SOCK_DGRAM)
        client.settimeout(2.0)
    with server, client:
        client.sendto(b"anybody?", (address, port))
        try:
            _, sender = server.recvfrom(100)
            server.sendto(b"yes", sender)
            return client.recv(100) == b"yes"
        except TimeoutError:
            return False


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("whole", [False, True], ids=["one port", "every port"])
def test_a_server_is_held_off_one_device(
    lab: Lab, box: Box, notary: Notary, family: int, whole: bool
) -> None:
    """Of the device what runs ends, and nothing begins; nobody else notices."""
    address, port, other = lab.internet.address(12, family), next(ports), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    slow = LongDownload()
    device = lab.anna.address(0, family)
    with (
        Server(lab.internet, address, port, plain, slow.serve) as server,
        Server(lab.internet, address, other, plain, slow.serve),
        BulkClient(lab.anna, address, port, client_context()) as ends,
        BulkClient(lab.ben, address, port, client_context()) as goes_on,
    ):
        ends.wait_received(1_000_000)
        goes_on.wait_received(1_000_000)
        what = (f"[{address}]" if family == 6 else address) + ("" if whole else f":{port}")
        answer = box.ask("block", what, "--device", device, "--for", "1h", "--reason", "odd")
        ends.nudge()
        assert ends.result().end is End.RESET
        assert server.wait_visits(2)
        assert not reaches(lab.anna, address, port)
        assert reaches(lab.anna, address, other) is not whole
        assert reaches(lab.ben, address, port)
        (action,) = [one for one in box.ask("actions") if one["id"] == answer["action"]]
        assert (action["kind"], action["device"], action["reason"]) == (
            "block_device",
            device,
            "odd",
        )
        box.cli("undo", str(answer["action"]))
        assert reaches(lab.anna, address, port)
        assert slow.comes_whole(goes_on)


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_a_quarantined_device_reaches_nothing_but_names(
    lab: Lab, box: Box, notary: Notary, family: int
) -> None:
    """What runs ends, judged clean or not; UDP too; DNS passes; a release puts it all back."""
    address, port = lab.internet.address(13, family), next(ports)
    udp = next(ports)
    device = lab.anna.address(0, family)
    plain = server_context(notary.web_site("shop.example"))
    slow = LongDownload()
    with (
        Server(lab.internet, address, port, plain, slow.serve),
        BulkClient(lab.anna, address, port, client_context()) as ends,
        BulkClient(lab.ben, address, port, client_context()) as goes_on,
    ):
        ends.wait_received(1_000_000)
        goes_on.wait_received(1_000_000)
        assert datagram_comes_back(lab, lab.anna, address, udp)
        answer = box.ask("quarantine", device, "--yes", "--for", "1h")
        assert device in answer["addresses"]
        ends.nudge()
        assert ends.result().end is End.RESET
        assert not reaches(lab.anna, address, port)
        assert not datagram_comes_back(lab, lab.anna, address, udp)
        assert datagram_comes_back(lab, lab.anna, address, 53)
        assert reaches(lab.ben, address, port)
        box.cli("release", f"[{device}]" if family == 6 else device)
        assert reaches(lab.anna, address, port)
        assert datagram_comes_back(lab, lab.anna, address, udp)
        assert slow.comes_whole(goes_on)


def test_another_address_is_no_way_out_of_a_quarantine(lab: Lab, box: Box, notary: Notary) -> None:
    address, port = lab.internet.address(14), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, address, port, plain, web_handler(b"hello")):
        answer = quarantined_by_mac(lab, box, address, port)
        other = lab.anna.address().rpartition(".")[0] + ".99"
        lab.anna.run(["ip", "address", "add", f"{other}/24", "dev", "eth0"])
        try:
            with lab.anna.enter(), pytest.raises(OSError, match=r"refused|timed out|reset"):
                socket.create_connection((address, port), 2.0, source_address=(other, 0))
        finally:
            lab.anna.run(["ip", "address", "del", f"{other}/24", "dev", "eth0"])
            box.cli("undo", str(answer["action"]))


def test_a_quarantined_device_takes_nobody_along(lab: Lab, box: Box, notary: Notary) -> None:
    """It is refused by its MAC; what it sends with Ben's address does not make it his."""
    address, port = lab.internet.address(14), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, address, port, plain, web_handler(b"hello")):
        answer = quarantined_by_mac(lab, box, address, port)
        forged = bytes(IP(src=lab.ben.address(), dst=address) / UDP(sport=9, dport=9) / b"from Ben")
        with lab.anna.enter():
            mouth = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with mouth:
            mouth.sendto(forged, (address, 0))
        wait_for(
            lambda: not reaches(lab.anna, address, port), PATIENCE_SECONDS, lambda: "not held back"
        )
        assert reaches(lab.ben, address, port)
        box.cli("undo", str(answer["action"]))


def test_an_allow_goes_before_a_quarantine(lab: Lab, box: Box, notary: Notary) -> None:
    address, allowed, other = lab.internet.address(15), next(ports), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    slow = LongDownload()
    with (
        Server(lab.internet, address, allowed, plain, slow.serve),
        Server(lab.internet, address, other, plain, slow.serve),
    ):
        box.cli("allow", f"{address}:{allowed}", "--device", lab.anna.address())
        answer = box.ask("quarantine", lab.anna.address(), "--yes")
        assert reaches(lab.anna, address, allowed)
        assert not reaches(lab.anna, address, other)
        box.cli("undo", str(answer["action"]))


def test_a_watched_devices_connections_are_followed_to_their_end(
    lab: Lab, box: Box, notary: Notary
) -> None:
    """What is freed for everybody else is copied for as long as the watch holds, and not after."""
    address, port = lab.internet.address(11), next(ports)
    seen: set[int] = set()

    def visit(host: Host) -> str:
        """Fetch a page from a named site; the class that the connection was given."""
        assert fetch(host, address, port, context, server_name="shop.example").size == 5

        def flow() -> dict[str, Any] | None:
            flows = (one for one in box.flows(address, port) if one["id"] not in seen)
            return next((one for one in flows if one["client"] == host.address()), None)

        found = wait_for(flow, PATIENCE_SECONDS, lambda: f"no new flow of {host.address()}")
        seen.add(found["id"])
        return str(found["flow_class"])

    def visits_become(wanted: str) -> None:
        wait_for(
            lambda: visit(lab.anna) == wanted, PATIENCE_SECONDS, lambda: box.cli("flows", address)
        )

    context = client_context("1.2", "1.2")
    site = server_context(notary.web_site("shop.example"), "1.2", "1.2")
    with Server(lab.internet, address, port, site, web_handler(b"hello")):
        visits_become("clean")  # once the server is not new to the box any more
        answer = box.ask("watch", lab.anna.address(), "--for", "1h", "--reason", "odd")
        visits_become("observed")
        assert visit(lab.ben) == "clean"
        (action,) = [one for one in box.ask("actions") if one["id"] == answer["action"]]
        assert (action["kind"], action["device"]) == ("watch", lab.anna.address())
        box.cli("undo", str(answer["action"]))
        visits_become("clean")


@pytest.mark.parametrize("everybody", [True, False], ids=["all", "one device"])
def test_a_pause_lets_pass_and_ends_by_itself(
    lab: Lab, box: Box, rat: Identity, everybody: bool
) -> None:
    port = next(ports)
    device = [] if everybody else [lab.anna.address()]
    answer = box.ask("pause", *device, "--for", "1m")
    if everybody:
        wait_for(
            lambda: "Paused until" in box.cli("status"), PATIENCE_SECONDS, lambda: box.cli("status")
        )
    else:
        assert f"{lab.anna.address()} until" in box.cli("status")
    assert meets(lab, rat, port) is End.STOPPED
    assert box.ask("resume")["resumed"] == 1
    assert not [one for one in box.ask("actions") if one["id"] == answer["action"]]
    assert meets(lab, rat, next(ports)) is End.RESET


def test_what_a_pause_let_in_is_read_afterwards(lab: Lab, box: Box, notary: Notary) -> None:
    """A connection that began in the pause is picked up from its middle, and told."""
    address, port = lab.internet.address(12), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    slow = LongDownload()
    with Server(lab.internet, address, port, plain, slow.serve):
        box.cli("pause", "--for", "1m")
        with BulkClient(lab.anna, address, port, client_context()) as client:
            client.wait_received(1_000_000)
            assert box.flow(address, port) is None
            box.cli("resume")
            flow = box.wait_flow(address, port)
            assert slow.comes_whole(client)
    assert "flow.picked-up" in {fact["id"] for fact in flow["evidence"]}


def test_a_rule_that_only_tells_cuts_nothing(lab: Lab, box: Box, rat: Identity) -> None:
    """Set and undone while the box runs: told as what would have been blocked, then cut."""
    answer = box.ask("rules", "set", "*", "monitor", "--reason", "first look")
    port = next(ports)
    assert meets(lab, rat, port) is End.STOPPED
    flow = box.wait_flow(lab.internet.address(RAT_HOST), port)
    assert (flow["verdict"], flow["enforced"]) == ("block", False)
    assert "rule.monitored" in {fact["id"] for fact in flow["evidence"]}
    box.cli("undo", str(answer["action"]))
    assert meets(lab, rat, next(ports)) is End.RESET
