"""Each model on traffic shaped like the incident, and on honest traffic that looks alike."""

from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.detections.catalog import ANOMALY, MODELS, RESPONSES, examine
from ratwall.detections.history import (
    DAY,
    HOUR,
    HOURS,
    LEARNING_US,
    RARE_AGE_US,
    RARE_DEVICES,
    SECOND,
    Beat,
    History,
    Rarity,
)
from ratwall.verdict.judge import Thresholds, Verdict, weigh

NOON = 1_750_000_000 * SECOND
STRANGER = Rarity(devices=1, age=HOUR)
KNOWN = Rarity(devices=12, age=90 * DAY)
MADE = "The server made its certificate itself."
HELLO = "The program says hello as AsyncRAT on Windows does."
BEAT = Beat(beats=6, period=13_531_000, shape=True)


def history(**changes: object) -> History:
    """Return what an ordinary device has to do with an ordinary server, with some changes."""
    start = History("192.0.2.10", "198.51.100.7", NOON, KNOWN, named=True, ports=(443,))
    return replace(replace(start, handshakes=9, usual_hour=4), **changes)  # type: ignore[arg-type]


def every(seconds: float, count: int) -> tuple[int, ...]:
    """Return the starts of attempts that follow one another like a clock."""
    return tuple(NOON - round((count - number) * seconds * SECOND) for number in range(count))


def uneven(*gaps: float) -> tuple[int, ...]:
    """Return the starts of attempts with these gaps in seconds."""
    return tuple(NOON + round(at * SECOND) for at in accumulate(gaps))


# The incident: by address, a certificate that it made itself, port 6606, a beat of 13.5 s.
RAT = history(
    rarity=STRANGER,
    named=False,
    ports=(6606,),
    handshakes=3,
    self_signed=True,
    odd_certificate=MADE,
    odd_fingerprint=HELLO,
)
DOWN = replace(
    history(rarity=STRANGER, named=False, ports=(), handshakes=0),
    starts=every(5.02, 40),
    attempts=40,
    failures=40,
    failed_ports=(6606, 7707, 8808),
)
# People open pages in bursts, read, and come back.
BROWSING = uneven(0.2, 0.1, 9, 2, 70, 1, 0.3, 31, 240, 3, 15, 1, 2, 600, 4, 1, 80, 3, 5, 1, 30, 2)
WORKDAY = (0,) * 20 + (30, 30, 30, 2)

FIRES = {
    "model.suspicious-ssl": [RAT],
    "model.self-signed-rare": [replace(RAT, ports=(443,), odd_fingerprint=None)],
    "model.sustained-increase": [history(rarity=STRANGER, hours=WORKDAY)],
    "model.beaconing-rare": [
        history(rarity=STRANGER, beat=BEAT),
        history(rarity=STRANGER, starts=every(60, 12)),
    ],
    "model.high-volume-beacon": [replace(DOWN, failures=0, handshakes=40)],
    "model.ssl-beacon-rare": [history(rarity=STRANGER, beat=BEAT)],
    "model.suspicious-beaconing": [
        history(beat=BEAT, rarity=Rarity(1, 90 * DAY), named=False, ports=(4041,))
    ],
    "model.failed-connections": [DOWN, replace(DOWN, rarity=KNOWN)],
    ANOMALY: [replace(RAT, beat=BEAT)],
}

LOOKS_ALIKE = {
    "model.suspicious-ssl": {
        "an appliance at a port of its own, with an ordinary client": replace(
            RAT, odd_fingerprint=None
        ),
        "old office software at the usual port": replace(RAT, ports=(443,)),
        "the same at a server that all devices use": replace(RAT, rarity=KNOWN),
        "somebody who looked once": replace(RAT, handshakes=1),
        "a certificate of an authority": replace(RAT, odd_certificate=None, self_signed=False),
    },
    "model.self-signed-rare": {
        "a router's page, opened by its name": replace(RAT, named=True),
        "the firewall of headquarters, which everybody dials in to": replace(RAT, rarity=KNOWN),
        "a warning in the browser, and back": replace(RAT, handshakes=1),
    },
    "model.sustained-increase": {
        "a new web application on one device": history(rarity=STRANGER, hours=(0,) * 23 + (90,)),
        "a device that is busy everywhere": history(rarity=STRANGER, hours=WORKDAY, usual_hour=20),
        "a long day with the office suite": history(hours=WORKDAY),
        "two hours of a meeting": history(rarity=STRANGER, hours=(0,) * 21 + (30, 30, 0)),
    },
    "model.beaconing-rare": {
        "push to a phone, through a server that all know": history(beat=BEAT),
        "update checks of a known vendor": history(starts=every(60, 12)),
        "a person who reads a new site": history(rarity=STRANGER, starts=BROWSING),
        "a few clicks": history(rarity=STRANGER, starts=every(5, 5)),
    },
    "model.high-volume-beacon": {
        "a page with forty parts": history(
            rarity=STRANGER, starts=BROWSING, attempts=len(BROWSING)
        ),
        "monitoring that everybody's computer does": history(starts=every(5, 40), attempts=40),
        "a loop that has just begun": replace(DOWN, attempts=19),
    },
    "model.ssl-beacon-rare": {
        "an MQTT broker that has been there for years": history(beat=BEAT),
        "a beat in clear text": history(rarity=STRANGER, beat=BEAT, handshakes=0),
        "no beat": history(rarity=STRANGER),
    },
    "model.suspicious-beaconing": {
        "a chat program at its usual port with a name": history(
            beat=BEAT, rarity=Rarity(1, 90 * DAY)
        ),
        "a broker by address that a dozen cameras use": history(
            beat=BEAT, named=False, ports=(8884,)
        ),
    },
    "model.failed-connections": {
        "a known server that is down": replace(DOWN, rarity=KNOWN, failed_ports=(443,)),
        "a bad line: every third attempt fails": replace(DOWN, failures=14),
        "a printer that has lost its server, on a new box": replace(
            DOWN, failed_ports=(9100,), starts=every(60, 40), site_age=0
        ),
        "a few attempts": replace(DOWN, failures=9, attempts=9),
    },
    ANOMALY: {
        "two models that look at the same thing": RAT,
        "a beat and nothing else": history(rarity=STRANGER, beat=BEAT),
    },
}


def fired(seen: History) -> set[str]:
    return {match.model.id for match in examine(seen)}


@pytest.mark.parametrize("model", [model.id for model in MODELS])
def test_it_fires_on_the_incident_and_not_on_what_looks_alike(model: str) -> None:
    assert FIRES[model], "every model has a scenario"
    assert LOOKS_ALIKE[model]
    for seen in FIRES[model]:
        assert model in fired(seen)
    for name, seen in LOOKS_ALIKE[model].items():
        assert model not in fired(seen), name


def test_an_ordinary_device_makes_nothing_fire() -> None:
    assert fired(history()) == set()


@pytest.mark.parametrize("model", [model.id for model in MODELS])
def test_each_says_what_it_may_by_its_severity(model: str) -> None:
    for seen in FIRES[model]:
        (match,) = (match for match in examine(seen) if match.model.id == model)
        verdict = weigh(match.reasons, Thresholds()).verdict
        assert verdict is (Verdict.BLOCK if model == ANOMALY else Verdict.ALERT)
        assert match.reasons[0].id == model
        assert match.reasons[0].technique in match.model.techniques


@pytest.mark.parametrize(
    ("devices", "age", "rare"),
    [
        (RARE_DEVICES, RARE_AGE_US - 1, True),
        (RARE_DEVICES + 1, RARE_AGE_US - 1, False),
        (RARE_DEVICES, RARE_AGE_US, False),
    ],
)
def test_rare_is_known_to_few_and_not_for_long(devices: int, age: int, rare: bool) -> None:
    assert Rarity(devices, age).rare is rare


def test_a_new_box_takes_nobody_for_a_stranger_yet() -> None:
    """All that is told by strangeness alone is kept back until the box knows its site."""
    alone = [
        history(rarity=STRANGER, hours=WORKDAY),
        history(rarity=STRANGER, starts=every(60, 12)),
        history(rarity=STRANGER, beat=replace(BEAT, shape=False)),
        replace(RAT, odd_fingerprint=None),
    ]
    for seen in alone:
        assert verdicts(replace(seen, site_age=LEARNING_US)) == {Verdict.ALERT}
        assert verdicts(replace(seen, site_age=LEARNING_US - 1)) == set()
    for more in (RAT, DOWN, replace(RAT, beat=BEAT), replace(DOWN, failed_ports=(6606,))):
        assert Verdict.ALERT in verdicts(replace(more, site_age=0)), "more than strangeness"


def verdicts(seen: History) -> set[Verdict]:
    return {weigh(match.reasons, Thresholds()).verdict for match in examine(seen)}


@pytest.mark.parametrize(
    ("model", "seen"),
    [
        ("model.suspicious-ssl", replace(RAT, handshakes=2)),
        ("model.failed-connections", replace(DOWN, failures=5, attempts=5)),
        ("model.high-volume-beacon", replace(DOWN, attempts=10)),
        (
            "model.sustained-increase",
            history(rarity=STRANGER, hours=(0,) * (HOURS - 3) + (30, 30, 0)),
        ),
    ],
)
def test_of_a_device_that_is_watched_half_the_proof_is_enough(model: str, seen: History) -> None:
    assert model not in fired(seen)
    assert model in fired(replace(seen, watched=True))


def test_every_model_of_the_seed_list_has_its_counterpart() -> None:
    told = " ".join(one.counterpart for one in (*MODELS, *RESPONSES))
    for name in (
        "Compromise / Suspicious SSL Activity",
        "Compromise / Beaconing Activity To External Rare",
        "Compromise / High Volume of Connections with Beacon Score",
        "Anomalous Connection / Suspicious Self-Signed SSL",
        "Compromise / Sustained SSL or HTTP Increase",
        "Compromise / SSL Beaconing to Rare Destination",
        "Compromise / Suspicious Beaconing Behaviour",
        "Compromise / Large Number of Suspicious Failed Connections",
        "Antigena / Significant Anomaly: Controlled and Model Alert",
        "Antigena / Enhanced Monitoring from Client Block",
    ):
        assert name in told


histories = st.builds(
    History,
    device=st.just("192.0.2.10"),
    server=st.just("198.51.100.7"),
    at=st.just(NOON),
    rarity=st.builds(Rarity, st.integers(0, 50), st.integers(0, 60 * DAY)),
    site_age=st.integers(0, 60 * DAY),
    named=st.booleans(),
    ports=st.lists(st.integers(1, 65_535), max_size=5, unique=True).map(tuple),
    handshakes=st.integers(0, 500),
    hours=st.lists(st.integers(0, 200), min_size=HOURS, max_size=HOURS).map(tuple),
    usual_hour=st.integers(0, 100),
    self_signed=st.booleans(),
    odd_certificate=st.none() | st.just(MADE),
    odd_fingerprint=st.none() | st.just(HELLO),
    starts=st.lists(st.integers(NOON - DAY, NOON), max_size=60).map(lambda one: tuple(sorted(one))),
    failures=st.integers(0, 100),
    attempts=st.integers(0, 200),
    failed_ports=st.lists(st.integers(1, 65_535), max_size=5, unique=True).map(tuple),
    beat=st.none() | st.just(BEAT),
    watched=st.booleans(),
)


@given(histories)
def test_only_two_independent_models_together_can_ask_for_a_block(seen: History) -> None:
    found = examine(seen)
    for match in found:
        asked = weigh(match.reasons, Thresholds()).verdict
        assert (asked is Verdict.BLOCK) == (match.model.id == ANOMALY)
    if any(match.model.id == ANOMALY for match in found):
        assert len(found) >= 3
        assert seen.rarity.rare or seen.self_signed
        assert seen.odd_certificate or seen.self_signed, "a clock alone blocks nothing"


@given(histories)
def test_a_server_that_all_know_is_left_alone(seen: History) -> None:
    known = replace(seen, rarity=KNOWN)
    assert fired(known) <= {"model.failed-connections"}
