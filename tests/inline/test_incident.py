"""A published intrusion, its days compressed to seconds: cut at each stage, and told as one story.

In December 2024 a device spoke TLS with an AsyncRAT server for days; blocked there, it went on to a
second server on four ports, and a day later to a ScreenConnect relay, which is told of at once and
refused when it is listed. Documentation addresses stand in for the ones that were published.
"""

import socket
from collections.abc import Iterator

import pytest

from inline.conftest import Box, running_box, wait_for
from ratwall.controller.responses import BLOCK_DEVICE, WATCH
from ratwall_lab.certificates import Identity, Notary, asyncrat_family
from ratwall_lab.clients import Attempt, IdleClient
from ratwall_lab.contexts import rat_client_context, rat_server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.servers import Server, Visit, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab

PORTS = 3  # of one server, cut for one device: then the server is meant
LIST = "listed.txt"  # in the state directory
FIRST_PORT = 6606
SECOND_PORTS = (2106, 6606, 7707, 8808)
RELAY_PORT = 8041
RETRY_SECONDS = 0.3  # in place of five, and of days between the stages
RELAY_WORDS = bytes(range(1, 60))  # no TLS, no HTTP: the relay's protocol is its own


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box that takes a list of its own, which names nobody yet."""
    folder = tmp_path_factory.mktemp("incident")
    source = folder / "state" / LIST
    settings = f"""
[response]
ports = {PORTS}
[[feeds.sources]]
name = "own"
kind = "plain"
source = "{source}"
"""
    with running_box(lab, folder, settings=settings) as box:
        source.write_text("# nobody\n")
        yield box


@pytest.fixture(scope="module")
def published(notary: Notary) -> Identity:
    """The certificate of both servers."""
    return notary.rat(asyncrat_family("AsyncRAT Server"))


def attack(
    lab: Lab, identity: Identity, address: str, port: int, attempts: int
) -> tuple[list[Attempt], list[Visit]]:
    """Let the device try a server as the trojan does; how both ends saw it."""
    context, shape = rat_server_context(identity, "1.0"), rat_shape("1.0")
    with (
        Server(lab.internet, address, port, context, idle_handler(shape)) as server,
        IdleClient(
            lab.anna,
            [address],
            [port],
            rat_client_context("1.0"),
            shape,
            attempts=attempts,
            reconnect_seconds=RETRY_SECONDS,
        ) as client,
    ):
        tried = client.wait_attempts(attempts)
        for attempt in tried:
            attempt.wait_end(PATIENCE_SECONDS)
        visits = server.wait_visits(1)
        for visit in visits:
            visit.wait_end(PATIENCE_SECONDS)
    return tried, visits


def try_in_vain(lab: Lab, address: str, port: int) -> list[Attempt]:
    """Let the device try a server that it is held off from."""
    with IdleClient(
        lab.anna, [address], [port], rat_client_context("1.0"), rat_shape("1.0"), attempts=1
    ) as client:
        tried = client.wait_attempts(1)
        for attempt in tried:
            attempt.wait_end(PATIENCE_SECONDS)
    return tried


@pytest.fixture
def relay(lab: Lab) -> Iterator[str]:
    """A relay that listens; its address."""
    address = lab.internet.address(6, 4)
    with lab.internet.enter():
        listening = socket.create_server((address, RELAY_PORT))
    with listening:
        yield address


def call(lab: Lab, address: str) -> socket.socket:
    """Connect the device with a relay."""
    with lab.anna.enter():
        return socket.create_connection((address, RELAY_PORT), timeout=PATIENCE_SECONDS)


def test_each_stage_is_cut_at_its_first_handshake_and_all_are_one_story(
    lab: Lab, box: Box, published: Identity, relay: str
) -> None:
    first, second = lab.internet.address(4, 4), lab.internet.address(5, 4)

    # Stage 1: the device beacons. It gets one handshake, and not to its end.
    tried, visits = attack(lab, published, first, FIRST_PORT, attempts=3)
    assert [attempt.end for attempt in tried] == [End.RESET, End.REFUSED, End.REFUSED]
    assert [visit.application_bytes for visit in visits] == [0]
    box.wait_blocked(first, FIRST_PORT)

    # Stage 2, days later: another server, a list of ports, the same certificate.
    for port in SECOND_PORTS[:PORTS]:
        tried, visits = attack(lab, published, second, port, attempts=2)
        assert [attempt.end for attempt in tried] == [End.RESET, End.REFUSED], port
        assert [visit.application_bytes for visit in visits] == [0], port
    box.wait_blocked(second, SECOND_PORTS[PORTS - 1])
    # By then it is the server that is meant: what is left of the list does not get so far.
    (attempt,) = try_in_vain(lab, second, SECOND_PORTS[PORTS])
    assert attempt.end is End.REFUSED

    # Stage 3: a remote-support relay. Told, and not taken for malware.
    with call(lab, relay) as connection:
        connection.sendall(RELAY_WORDS)
        alert = wait_for(
            lambda: next((one for one in box.ask("incidents") if one["server"] == relay), None),
            PATIENCE_SECONDS,
            lambda: box.cli("incidents"),
        )
        assert (alert["state"], alert["family"]) == ("alert", None)
        assert [fact["id"] for fact in alert["evidence"]] == ["policy.screenconnect"]
        connection.sendall(RELAY_WORDS)  # an alert cuts nothing
    # The list of the day names it: the next attempt does not get a packet out.
    (box.state / LIST).write_text(f"{relay}:{RELAY_PORT}\n")
    box.cli("feeds", "update")
    with pytest.raises(ConnectionRefusedError):
        call(lab, relay)

    def refused() -> bool:
        case = box.ask("incidents", str(alert["id"]))
        found = {one["rule"] for one in case["detections"]}
        return case["state"] == "blocked" and found == {"feed.address", "policy.screenconnect"}

    wait_for(refused, PATIENCE_SECONDS, lambda: box.cli("incidents", str(alert["id"])))

    # One incident a server, one story: the same whichever part is opened.
    listed = sorted(box.ask("incidents"), key=lambda one: one["id"])
    assert [(one["server"], one["state"]) for one in listed] == [
        (first, "blocked"), (second, "blocked"), (relay, "blocked"),
    ]  # fmt: skip
    for incident in listed:
        story = box.ask("incidents", str(incident["id"]))["story"]
        assert [stage["server"] for stage in story] == [first, second, relay]
    again = next(one for one in listed if one["server"] == second)
    assert again["count"] == PORTS
    found = box.ask("incidents", str(again["id"]))
    done = {(action["kind"], action["server_port"]) for action in found["actions"]}
    ports = {("block", port) for port in SECOND_PORTS[:PORTS]}
    assert done >= {*ports, (BLOCK_DEVICE, None)}, "each port, and then the server"
    assert all(action["expires"] for action in found["actions"]), "none of it for ever"
    watched = box.ask("incidents", str(listed[0]["id"]))["actions"]
    assert WATCH in {action["kind"] for action in watched}
    text = box.cli("incidents", str(again["id"]))
    told = text.partition("The whole story of this device:")[2].partition("Certificate:")[0]
    assert 0 < told.index(first) < told.index(second) < told.index(relay)
