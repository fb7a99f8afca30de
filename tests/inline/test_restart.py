"""The box is stopped and started again, as by an update or a power cut: what held still holds."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inline.conftest import ALONE, Box, started_box, wait_for
from inline.test_response import reaches
from inline.traffic import RAT_HOST, meets, meets_far_from_the_server
from ratwall.controller.blocks import REPORT_LOST
from ratwall.kernel.sets import Sets
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.topology import Lab, Mode

BLOCKED, ALLOWED, UNEXPLAINED = 6600, 6601, 6609
SHOP_PORT = 6603
LADDER = ("quarantine", "block_device", "watch")
BLOCK_SECONDS = 3600
# The kernel counts in whole seconds, and is told on a busy machine a moment later; the restart in
# between takes longer.
SLACK_SECONDS = 5


@pytest.fixture(scope="module")
def lab(mode: Mode) -> Iterator[Lab]:
    with Lab(mode) as lab:
        yield lab


def kernel_seconds(box: Box, server: str, port: int) -> int:
    """How long the kernel will go on refusing a server."""
    with box.lab.box.enter():
        (left,) = (
            one.seconds_left
            for one in Sets().blocks()
            if (str(one.server), one.port) == (server, port)
        )
    assert left is not None
    return left


def actions_of(box: Box) -> dict[int, Any]:
    """The actions in force about servers, by the port they are about."""
    return {one["server_port"]: one for one in box.ask("actions") if one["kind"] not in LADDER}


def ladder_of(box: Box) -> dict[str, int]:
    """What is in force about devices, and until when."""
    return {one["kind"]: one["expires"] for one in box.ask("actions") if one["kind"] in LADDER}


@pytest.fixture
def shop(lab: Lab) -> Iterator[str]:
    """A server that anybody may reach; its address."""
    address = lab.internet.address(5)
    with lab.internet.enter():
        listening = socket.create_server((address, SHOP_PORT))
    with listening:
        yield address


def test_what_holds_and_what_is_allowed_outlives_the_box(
    lab: Lab, rat: Identity, shop: str, tmp_path: Path
) -> None:
    """Blocks of servers, the upper steps of the ladder, and an allow, each with its time left."""
    server, state, config = lab.internet.address(RAT_HOST), tmp_path / "state", tmp_path / "r.toml"
    config.write_text(f"[block]\nseconds = {BLOCK_SECONDS}\n{ALONE}")
    with started_box(lab, state, "--config", str(config)) as box:
        assert meets(lab, rat, BLOCKED) is End.RESET
        incident = box.wait_blocked(server, BLOCKED)
        box.cli("allow", f"{server}:{ALLOWED}", "--for", "1h", "--reason", "our own server")
        assert meets(lab, rat, ALLOWED) is End.STOPPED, "allowed: it passes"
        until = incident["blocked_until"]
        box.cli("quarantine", lab.ben.address(), "--yes", "--for", "1h")
        box.cli("block", f"{shop}:{SHOP_PORT}", "--device", lab.anna.address(), "--for", "1h")
        box.cli("watch", lab.anna.address(), "--for", "1h")
        assert not reaches(lab.anna, shop, SHOP_PORT)
        ladder = ladder_of(box)
        assert ladder.keys() == set(LADDER)
        assert box.stop() == 0
    assert meets(lab, rat, 6602) is End.STOPPED, "nothing is inline"
    assert reaches(lab.anna, shop, SHOP_PORT)
    assert reaches(lab.ben, shop, SHOP_PORT)

    with started_box(lab, state, "--config", str(config)) as box:
        assert meets_far_from_the_server(lab, rat, BLOCKED)
        again = box.ask("incidents", str(incident["id"]))
        assert (again["state"], again["blocked_until"]) == ("blocked", until)
        with box.lab.box.enter():  # as the packet path does, of whose reason nothing was heard
            Sets().block(server, UNEXPLAINED, BLOCK_SECONDS)
        left = until / 1e6 - time.time()
        assert 0 < left < BLOCK_SECONDS
        kernel_left = kernel_seconds(box, server, BLOCKED)
        assert until / 1e6 - time.time() - SLACK_SECONDS <= kernel_left <= left + SLACK_SECONDS
        assert meets(lab, rat, ALLOWED) is End.STOPPED, "still allowed"
        assert not reaches(lab.anna, shop, SHOP_PORT)
        assert not reaches(lab.ben, shop, SHOP_PORT)
        assert ladder_of(box) == ladder
        box.cli("release", lab.ben.address())
        assert reaches(lab.ben, shop, SHOP_PORT)
        actions = wait_for(
            lambda: (found := actions_of(box)).get(UNEXPLAINED) and found,
            PATIENCE_SECONDS,
            lambda: box.cli("actions"),
        )
        assert actions.keys() == {BLOCKED, ALLOWED, UNEXPLAINED}
        assert (actions[BLOCKED]["kind"], actions[ALLOWED]["kind"]) == ("block", "allow")
        adopted = actions[UNEXPLAINED]
        assert (adopted["author"], adopted["reason"]) == ("rule", REPORT_LOST)
        assert 0 < adopted["expires"] / 1e6 - time.time() < BLOCK_SECONDS
        box.cli("undo", str(adopted["id"]))
        with box.lab.box.enter():
            assert UNEXPLAINED not in {one.port for one in Sets().blocks()}
