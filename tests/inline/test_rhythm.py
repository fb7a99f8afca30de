"""A RAT that hides its certificate behind TLS 1.3 is found by its heartbeat, live, in real time.

Its period is ten seconds, the shortest that the families draw: the detector asks for one of ten to
fifteen, so nothing is compressed. A message broker's client that pings as often is left alone.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inline.conftest import Box, running_box, wait_for
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import IdleClient
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.recorder import Recorder
from ratwall_lab.servers import Server, idle_handler
from ratwall_lab.shapes import MQTT, hurried, rat_shape
from ratwall_lab.topology import Lab, Mode

PERIOD = 10.1  # seconds
FOURTH_BEAT = 3 * PERIOD  # after the first message, which comes a period before the first ping
SPARE_SECONDS = 30.0  # two beats more, should the machine be too busy to keep time, and itself
RAT_PORT, BROKER_PORT = 4471, 8883
ENFORCED = '[rules]\nenforce = ["rhythm.*"]\n'
FACTS = {"rhythm.stock", "rhythm.shape", "rhythm.answered", "rhythm.no-name", "rhythm.rare"}


@pytest.fixture(scope="module", params=["router"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """How a packet came here makes no difference to what is heard in it."""
    mode: Mode = request.param
    return mode


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with running_box(lab, tmp_path_factory.mktemp("box"), settings=ENFORCED) as box:
        yield box


def incident_with(box: Box, server: str) -> Any:
    return next((one for one in box.ask("incidents") if one["server"] == server), None)


def facts_of(found: Any) -> set[str]:
    return {fact["id"] for fact in found["evidence"]}


def test_a_hidden_rat_is_cut_at_its_fourth_beat_and_a_broker_is_not(
    lab: Lab, box: Box, rat: Identity, notary: Notary, tmp_path: Path
) -> None:
    there, broker = lab.internet.address(3), lab.internet.address(4)
    shape, pings = hurried(rat_shape("1.3"), PERIOD), hurried(MQTT, PERIOD)
    web = notary.web_site("broker.example", intermediates=0)
    capture = tmp_path / "anna.pcap"
    with (
        Recorder(lab.anna, capture),
        Server(
            lab.internet, there, RAT_PORT, rat_server_context(rat, "1.3"), idle_handler(shape)
        ) as server,
        Server(lab.internet, broker, BROKER_PORT, server_context(web), idle_handler(pings)),
        IdleClient(
            lab.anna, [there], [RAT_PORT], rat_client_context("1.3"), shape, attempts=1
        ) as client,
        IdleClient(
            lab.ben,
            [broker],
            [BROKER_PORT],
            client_context(),
            pings,
            server_name="broker.example",
            attempts=1,
        ) as other,
    ):
        started = time.monotonic()
        flow = box.wait_flow(there, RAT_PORT)
        assert (flow["flow_class"], flow["certificate"]) == ("observed", None)
        attempt = client.wait_attempts(1)[0]
        end = attempt.wait_end(FOURTH_BEAT + SPARE_SECONDS)
        took = time.monotonic() - started
        assert end in (End.RESET, End.REFUSED, End.TIMEOUT)
        assert took > FOURTH_BEAT - 1, "not before four beats can be counted"
        incident = box.wait_blocked(there, RAT_PORT)
        assert facts_of(incident) >= FACTS
        story = box.ask("incidents", str(incident["id"]))
        (detection,) = [one for one in story["detections"] if one["rule"] == "rhythm.stock"]
        assert abs(detection["facts"]["period_us"] - PERIOD * 1e6) < 50_000
        assert 4 <= len(detection["facts"]["beats"]) <= 6
        assert len(server.visits) == 1
        assert other.wait_attempts(1)[0].end is None, "the broker's client goes on"
    assert incident_with(box, broker) is None
    assert facts_of(replayed(capture, there)) >= FACTS
    assert replayed(capture, there)["verdict"] == "block", "as inline, so in the capture of it"


def test_what_beats_is_listed_with_its_period_and_only_told_where_nothing_is_enforced(
    lab: Lab, box: Box, rat: Identity
) -> None:
    """A client that names its server: worth an alert, not a cut."""
    there = lab.internet.address(5)
    shape = hurried(rat_shape("1.3"), PERIOD)
    with (
        Server(lab.internet, there, RAT_PORT, rat_server_context(rat, "1.3"), idle_handler(shape)),
        IdleClient(
            lab.anna,
            [there],
            [RAT_PORT],
            client_context("1.3", "1.3"),
            shape,
            server_name="updates.example",
            attempts=1,
        ) as client,
    ):

        def listed() -> Any:
            flows = box.ask("flows", "--observed")
            return next((one for one in flows if one["server"] == there and one["rhythm"]), None)

        rhythm = wait_for(
            listed, FOURTH_BEAT + SPARE_SECONDS, lambda: box.cli("flows", "--observed")
        )["rhythm"]
        assert rhythm["rule"] == "rhythm.stock"
        assert rhythm["beats"] >= 4
        assert abs(rhythm["period_us"] - PERIOD * 1e6) < 50_000
        incident = wait_for(
            lambda: incident_with(box, there), PATIENCE_SECONDS, lambda: box.cli("incidents")
        )
        assert incident["state"] == "alert"
        assert client.wait_attempts(1)[0].end is None, "it was told of, not cut"


def replayed(capture: Path, server: str) -> Any:
    argv = [sys.executable, "-m", "ratwall", "replay", "--json", str(capture)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 10, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return next(row for row in rows if row.get("server") == server)
