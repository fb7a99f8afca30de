"""A signature pack is brought to a running box: a new family is cut, and nobody else notices."""

import itertools
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from inline.conftest import ALONE, Box, started_box, wait_for
from inline.counts import uninspected
from inline.test_reload import MANY, Visitors
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.contexts import client_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, TlsEndpoint
from ratwall_lab.servers import Server, web_handler
from ratwall_lab.topology import Lab, Mode
from unit.signatures.packs import OTHER_SEED, TRUST, signed

NAME = "TestRAT server"  # what the new pack looks for; to the packs shipped an honest appliance
PAGE = b"hello"
WAIT_SECONDS = 30.0
ports = itertools.count(9100)


@pytest.fixture(scope="module")
def mode() -> Mode:
    """What is brought knows nothing of the mode."""
    return "router"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signatures")


@pytest.fixture
def files(folder: Path) -> Iterator[Path]:
    """A box's settings and state; what was brought there is gone at the end."""
    (folder / "ratwall.toml").write_text(
        f'[kernel]\nworkers = 2\n[signatures]\ntrust = ["{TRUST[0]}"]\n{ALONE}'
    )
    yield folder


def start(lab: Lab, folder: Path) -> Any:
    return started_box(lab, folder / "state", "--config", str(folder / "ratwall.toml"))


@pytest.fixture(scope="module")
def stranger(notary: Notary) -> Identity:
    return notary.appliance(NAME)


def passes(lab: Lab, address: str, port: int, stranger: Identity) -> bool:
    """Whether Anna gets the page of a server with the stranger's certificate on a new port."""
    server = server_context(stranger, "1.2", "1.2")
    with (
        Server(lab.internet, address, port, server, web_handler(PAGE)),
        lab.anna.enter(),
        socket.create_connection((address, port), PATIENCE_SECONDS) as connection,
    ):
        endpoint = TlsEndpoint(connection, client_context("1.2", "1.2"), server_side=False)
        try:
            endpoint.handshake()
        except ConnectionResetError:
            return False
        endpoint.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return bool(endpoint.receive())


def update(box: Box, path: Path, content: bytes, *options: str) -> tuple[int, str]:
    """`ratwall signatures update`: exit code and complaint."""
    path.write_bytes(content)
    argv = [*box.argv("signatures"), "update", str(path), *options]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    return done.returncode, done.stderr


def in_force(box: Box) -> dict[str, int]:
    """The packs that the controller goes by."""
    found = box.ask("status")["signatures"]
    assert found["problems"] == []
    return {each["name"]: each["version"] for each in found["packs"]}


def test_a_new_family_is_cut_from_then_on_and_after_a_restart(
    lab: Lab, files: Path, notary: Notary, stranger: Identity
) -> None:
    nas, nas_port = lab.internet.address(6), next(ports)
    server, pack = lab.internet.address(3), files / "testrat.toml"
    appliance = server_context(notary.appliance(), "1.2", "1.2")
    visitors = Visitors(lab, nas, nas_port)
    with start(lab, files) as box, ExitStack() as stack:
        stack.enter_context(Server(lab.internet, nas, nas_port, appliance, web_handler(PAGE)))
        assert passes(lab, server, next(ports), stranger), "nobody knows it yet"
        stack.callback(visitors.enough.set)
        visitors.start()
        visitors.wait_more(20)
        assert update(box, pack, signed()) == (0, "")
        done = time.monotonic()
        visitors.wait_more(20)
        visitors.enough.set()
        visitors.join()
        assert visitors.failures == []
        assert max(visitors.begun.values()) > done
        assert uninspected(lab) == 0
        wait_for(
            lambda: len(box.ask("flows", nas, *MANY)) == len(visitors.begun),
            WAIT_SECONDS,
            lambda: "not every handshake is in the ledger",
        )

        assert in_force(box)["testrat"] == 1
        port = next(ports)
        assert not passes(lab, server, port, stranger)
        incident = box.wait_blocked(server, port)
        assert incident["family"] == "TestRAT"
        assert next(each["id"] for each in incident["evidence"]) == "testrat.name"

        # What is refused changes nothing.
        good = signed(version=2)
        for content, complaint in (
            (good[:-1], "the signature does not hold"),
            (signed(version=2, seed=OTHER_SEED), "is not trusted here"),
            (signed(version=2, words="ratwall"), "the certificate of this box's own page"),
        ):
            code, line = update(box, pack, content)
            assert code == 2
            assert complaint in line
            assert line.count("\n") == 1
        assert in_force(box)["testrat"] == 1
        assert not passes(lab, lab.internet.address(4), next(ports), stranger)

    with start(lab, files) as box:
        assert in_force(box)["testrat"] == 1
        assert not passes(lab, lab.internet.address(5), next(ports), stranger)
        # And gone again: the server is a stranger's like any other.
        box.cli("signatures", "remove", "testrat")
        assert "testrat" not in in_force(box)
        assert passes(lab, lab.internet.address(7), next(ports), stranger)
