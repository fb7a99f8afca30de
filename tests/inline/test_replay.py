"""What the box judged inline, `ratwall replay` judges alike from the same packets."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from inline.conftest import Box, wait_for
from ratwall.cli.main import main
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import PATIENCE_SECONDS
from ratwall_lab.recorder import Recorder
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab

# What an inspector reports of a connection and a capture tells as well.
FIELDS = (
    "client",
    "client_port",
    "server",
    "server_port",
    "sni",
    "tls_version",
    "ja3",
    "ja4",
    "ja3s",
) + ("resumed", "score", "verdict", "family", "evidence")
NAME = "shop.example"
ports = itertools.count(9100)

Played = tuple[str, int]  # server, port


def play(lab: Lab, address: str, contexts: tuple[Any, Any], name: str | None) -> Played:
    """Let a device and a server speak, whatever becomes of it."""
    port, (offered, wanted), shape = next(ports), contexts, rat_shape("1.2")
    with (
        Server(lab.internet, address, port, offered, idle_handler(shape)),
        IdleClient(
            lab.anna, [address], [port], wanted, shape, attempts=1, server_name=name, seconds=1.0
        ) as client,
    ):
        (attempt,) = client.wait_attempts(1)
        attempt.wait_end(PATIENCE_SECONDS)
    return address, port


@pytest.fixture
def played(lab: Lab, box: Box, rat: Identity, notary: Notary, tmp_path: Path) -> Any:
    """Connections of every kind of outcome; their servers, and the capture of the outer port."""
    site, printer = notary.web_site(NAME), notary.printer()
    appliance = notary.appliance(address=lab.internet.address(12, 4))
    file = tmp_path / "wan.pcap"
    with Recorder(lab.box, file, "wan"):
        found = [
            play(lab, lab.internet.address(9, 4), contexts, name)
            for contexts, name in (
                ((rat_server_context(rat, "1.0"), rat_client_context("1.0")), None),
                ((rat_server_context(rat, "1.2"), rat_client_context("1.2")), None),
                ((server_context(site, "1.2", "1.2"), client_context("1.2", "1.2")), NAME),
                ((server_context(site), client_context("1.3", "1.3")), NAME),
                ((server_context(printer, "1.0", "1.0"), client_context("1.0", "1.0")), None),
                ((server_context(appliance, "1.2", "1.2"), client_context("1.2", "1.2")), None),
            )
        ]
        for server, port in found:
            box.wait_flow(server, port)
    return found, file


def test_a_capture_of_the_outer_port_gets_the_verdicts_that_its_packets_got(
    box: Box, played: tuple[list[Played], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    servers, file = played
    main(["replay", "--json", str(file)])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()][:-1]
    told = {(one["server"], one["server_port"]): one for one in records}
    verdicts = set()
    for place in servers:
        inline = box.flow(*place)
        verdicts.add(inline["verdict"])
        replayed = told.pop(place)
        assert {key: replayed[key] for key in FIELDS} == {key: inline[key] for key in FIELDS}
        seen, known = replayed["certificate"], inline["certificate"]
        assert (seen is None) == (known is None)
        if seen is not None:
            common = seen.keys() & known.keys()
            assert "sha256" in common
            assert {key: seen[key] for key in common} == {key: known[key] for key in common}
    assert told == {}, "no connection more"
    assert {"clean", "block"} < verdicts, "an ordinary one, a RAT's, and one between"


def test_each_is_explained_by_its_number_as_by_its_packets(
    box: Box, played: tuple[list[Played], Path]
) -> None:
    servers, file = played
    by_packets = {(one["server"], one["server_port"]): one for one in box.ask("explain", str(file))}
    for place in servers:
        (inline,) = box.ask("explain", str(box.flow(*place)["id"]))
        replayed = by_packets[place]
        for key in ("evidence", "sum", "score", "verdict", "family", "thresholds"):
            assert inline[key] == replayed[key]
    first = wait_for(lambda: box.flow(*servers[0]), PATIENCE_SECONDS, lambda: "gone")
    assert first["proven"]
    assert "the kernel has shown it" in box.cli("explain", str(first["id"]))
