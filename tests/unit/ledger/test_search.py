"""Searching flows: by every column, a bounded step at a time, and nothing is ever passed over."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratwall.ledger import search as searching
from ratwall.ledger.models import Flow, Resolution
from ratwall.ledger.search import SearchError, Wanted, search
from ratwall.ledger.store import Ledger, open_in_memory
from ratwall.ledger.writer import LedgerWriter

ANNA, BERT = "192.168.1.10", "192.168.1.11"
MINUTE = 60_000_000
ROWS = 60


@pytest.fixture
def office(
    ledger: Ledger,
    writer: LedgerWriter,
    flow: dict[str, Any],
    certificate: dict[str, Any],
    now: int,
) -> Ledger:
    """One suspicious flow of Anna's, then a plain one of Bert's."""
    anna = writer.device("02:00:00:00:00:01", ANNA, now)
    bert = writer.device(None, BERT, now)
    shown = writer.certificate(certificate, None, now)
    bad = {"device": anna, "certificate": shown, "server": "203.0.113.9", "server_port": 6606}
    bad |= {"verdict": "block", "score": 95, "family": "AsyncRAT", "tls_version": "TLS 1.2"}
    bad |= {"sni": None, "ja3": "a" * 32, "ja4": "t13d_b", "start": now - MINUTE}
    writer.insert(Flow, {**flow, **bad, "client": ANNA})
    writer.insert(Flow, {**flow, "device": bert, "client": BERT})
    seen = {"first_seen": now, "last_seen": now}
    writer.run(Resolution.insert(name="control.example", address="203.0.113.9", **seen))
    writer.flush()
    return ledger


def ids(ledger: Ledger, **wanted: Any) -> list[int]:
    return [row["id"] for row in search(ledger, Wanted(**wanted), 50).rows]


@pytest.mark.parametrize(
    "wanted",
    [
        {"words": "6606"},
        {"words": "asyncrat 203.0.113.9"},
        {"words": "02:00:00:00:00:01"},
        {"words": "CN=AsyncRAT"},
        {"device": 1},
        {"server": "203.0.113.9"},
        {"port": 6606},
        {"name": "Control"},
        {"verdict": "block"},
        {"score": 95},
        {"tls": "TLS 1.2"},
        {"fingerprint": "A" * 32},
        {"fingerprint": "t13d_b"},
        {"family": "AsyncRAT"},
        {"certificate": 1},
        {"device": 1, "port": 6606, "score": 60},
    ],
)
def test_a_flow_is_found_by_each_of_its_columns(office: Ledger, wanted: dict[str, Any]) -> None:
    assert ids(office, **wanted) == [1]


def test_a_flow_is_found_by_its_time(office: Ledger, now: int) -> None:
    assert ids(office) == [2, 1]
    assert ids(office, since=now) == [2]
    assert ids(office, until=now - 1) == [1]
    assert ids(office, since=now - MINUTE, until=now) == [2, 1]
    assert ids(office, since=now - MINUTE, until=now, device=1) == [1]
    assert ids(office, since=now + 1) == []


def test_what_looks_like_a_pattern_is_a_plain_text(office: Ledger) -> None:
    assert ids(office, words="203_0") == ids(office, words="%") == ids(office, name="' OR 1") == []


def test_too_many_words_are_refused(office: Ledger) -> None:
    with pytest.raises(SearchError, match="at most 16 words, found 17"):
        search(office, Wanted(words="x " * 17), 50)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Ledger]:
    """Sixty flows of two devices with four servers, whose times are not in their order."""
    with open_in_memory() as ledger:
        writer = LedgerWriter(ledger)
        for address in (ANNA, BERT):
            writer.device(None, address, 0)
        for number in range(ROWS):
            writer.insert(
                Flow,
                {
                    "start": (number * 37 % ROWS) * MINUTE,
                    "device": 1 + number % 2,
                    "client": (ANNA, BERT)[number % 2],
                    "client_port": 50_000 + number,
                    "server": f"203.0.113.{number % 4}",
                    "server_port": 443 if number % 3 else 8443,
                    "resumed": False,
                    "score": number,
                    "verdict": "watch" if number % 5 == 0 else "clean",
                    "flow_class": "clean",
                    "evidence": "[]",
                    "enforced": True,
                    "proven": False,
                },
            )
        writer.flush()
        yield ledger


WANTED = st.builds(
    Wanted,
    words=st.sampled_from(["", "8443", ANNA, "nowhere"]),
    device=st.sampled_from([None, 1, 2]),
    server=st.sampled_from([None, "203.0.113.1"]),
    port=st.sampled_from([None, 443]),
    verdict=st.sampled_from([None, "watch"]),
    score=st.none() | st.integers(0, ROWS),
    until=st.none() | st.integers(0, ROWS * MINUTE),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=WANTED, looked=st.integers(1, ROWS + 5), limit=st.integers(1, 9))
def test_steps_of_any_size_together_find_what_there_is(
    crowd: Ledger, monkeypatch: pytest.MonkeyPatch, wanted: Wanted, looked: int, limit: int
) -> None:
    """However short a step is: all of it is found, each once, in the same order."""
    whole = search(crowd, wanted, ROWS)
    assert whole.further is None
    with monkeypatch.context() as patch:
        patch.setattr(searching, "LOOKED", looked)
        found: list[int] = []
        before, steps = None, 0
        while True:
            step = search(crowd, wanted, limit, before)
            assert len(step.rows) <= limit
            found += [row["id"] for row in step.rows]
            before, steps = step.further, steps + 1
            if before is None:
                break
            assert steps <= 2 * ROWS
    assert found == [row["id"] for row in whole.rows]
    plain = search(crowd, replace(wanted, until=None, score=None), ROWS)
    assert set(found) <= {row["id"] for row in plain.rows}


def test_a_step_says_how_far_back_it_looked(crowd: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LOOKED", 10)
    step = search(crowd, Wanted(words="nowhere"), 5)
    assert step.rows == []
    assert step.further == ROWS - 9
    assert step.back_to == ((ROWS - 10) * 37 % ROWS) * MINUTE
