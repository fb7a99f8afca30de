"""How the box fares: two looks compared, and a look at the real machine."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.controller.health import BUSY_PERCENT, FULL_PERCENT, HOT, LOOK_US, Health, facts
from ratwall.controller.machine import Port, Reading, look

MEGABYTE = 1_000_000
LAN = Port(up=True, speed_mbit=1000, received=5 * MEGABYTE, sent=MEGABYTE)
WAN = Port(up=True, speed_mbit=None, received=MEGABYTE, sent=5 * MEGABYTE)
FIRST = Reading(
    at=100.0,
    uptime_s=3600,
    processor_busy=50.0,
    processor_all=200.0,
    cores=4,
    memory_bytes=1000 * MEGABYTE,
    memory_free=750 * MEGABYTE,
    temperature=51.26,
    disk_bytes=100,
    disk_free=90,
    ports={"lan0": LAN, "wan0": WAN},
)


def later(**changes: Any) -> Reading:
    """Return a look five seconds after the first."""
    return replace(FIRST, at=105.0, processor_busy=52.0, processor_all=220.0, **changes)


def test_one_look_has_no_rates_and_two_have() -> None:
    first = facts(None, FIRST)
    assert (first["processor_percent"], first["memory_percent"], first["disk_percent"]) == (
        None,
        25,
        10,
    )
    assert (first["temperature"], first["tight"]) == (51.3, [])
    lan = first["ports"][0]
    assert (lan["name"], lan["up"], lan["speed_mbit"], lan["sent_bps"]) == (
        "lan0",
        True,
        1000,
        None,
    )

    busy = Port(up=True, speed_mbit=1000, received=LAN.received + 5 * MEGABYTE, sent=LAN.sent + 5)
    second = facts(FIRST, later(ports={"lan0": busy, "wan0": WAN}))
    assert second["processor_percent"] == 10, "two of the twenty seconds of all cores"
    assert second["ports"][0]["received_bps"] == 8 * MEGABYTE
    assert second["ports"][0]["sent_bps"] == 8
    assert second["ports"][1]["received_bps"] == 0


def test_a_port_that_was_put_back_counts_anew_and_one_that_is_gone_is_told() -> None:
    back = replace(LAN, received=0, sent=0)
    found = facts(FIRST, later(ports={"lan0": back, "wan0": None}))
    assert found["ports"][0]["received_bps"] is None
    assert found["ports"][1] == {
        "name": "wan0",
        "there": False,
        "up": False,
        "speed_mbit": None,
        "received_bps": None,
        "sent_bps": None,
    }
    assert found["tight"] == ["link"]


@pytest.mark.parametrize(
    ("what", "below", "at"),
    [
        ("temperature", {"temperature": HOT - 0.1}, {"temperature": HOT}),
        ("disk", {"disk_free": 101 - FULL_PERCENT}, {"disk_free": 100 - FULL_PERCENT}),
        (
            "memory",
            {"memory_bytes": 100, "memory_free": 101 - FULL_PERCENT},
            {"memory_bytes": 100, "memory_free": 100 - FULL_PERCENT},
        ),
    ],
)
def test_what_is_tight_is_named(what: str, below: dict[str, Any], at: dict[str, Any]) -> None:
    assert facts(FIRST, later(**below))["tight"] == []
    assert facts(FIRST, later(**at))["tight"] == [what]


def test_a_busy_processor_is_named() -> None:
    busy = replace(FIRST, at=105.0, processor_busy=50.0 + BUSY_PERCENT, processor_all=300.0)
    assert facts(FIRST, busy)["tight"] == ["processor"]
    assert facts(FIRST, replace(busy, processor_busy=49.0 + BUSY_PERCENT))["tight"] == []


@given(
    st.floats(0, 1e9), st.floats(0, 1e9), st.integers(0, 2**63), st.integers(0, 2**63), st.floats()
)
def test_whatever_the_machine_says_there_are_figures(
    busy: float, whole: float, free: int, received: int, at: float
) -> None:
    odd = replace(
        FIRST,
        at=at,
        processor_busy=busy,
        processor_all=whole,
        memory_free=free,
        disk_bytes=0,
        ports={"lan0": replace(LAN, received=received)},
    )
    found = facts(FIRST, odd)
    assert found["processor_percent"] is None or 0 <= found["processor_percent"] <= 100
    assert 0 <= found["memory_percent"] <= 100
    assert found["disk_percent"] is None


def test_the_machine_is_looked_at_every_five_seconds_whatever_the_clock_does() -> None:
    looks = [FIRST, later(), later(temperature=60.0)]
    health = Health(lambda: looks.pop(0))
    assert health.facts() is None
    health.tick(1)
    health.tick(LOOK_US)
    assert len(looks) == 2, "not due yet"
    health.tick(LOOK_US + 1)
    found = health.facts()
    assert found is not None and found["processor_percent"] == 10
    health.clock_set(-1_000_000_000)  # the network has told the time
    health.tick(2 * LOOK_US + 1 - 1_000_000_000)
    assert looks == [], "it does not wait for the time before to come back"


def test_this_machine_can_be_looked_at() -> None:
    found = look(("lo", "nowhere0"), Path("/"))
    assert found.ports["nowhere0"] is None
    assert found.ports["lo"] is not None and found.ports["lo"].speed_mbit is None
    assert 0 < found.processor_busy < found.processor_all
    assert 0 < found.memory_free < found.memory_bytes
    assert found.disk_bytes is not None and found.disk_free is not None
    assert look((), Path("/nowhere")).disk_bytes is None
    assert look((), Path("/")).processor_all >= found.processor_all
