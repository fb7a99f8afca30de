"""How far an update is: kept, read back, and never believed beyond its form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.update.progress import begin, dump, load

NOW = 1_750_000_000_000_000


def test_what_an_installation_tells_becomes_steps() -> None:
    progress = begin("install", NOW)
    for text, step in (
        ("30% fetched", ("fetch", 30)),
        ("version 0.2.0 for rpi5 goes into slot B", ("check", 0)),
        (" 40% Copying image to root.1", ("write", 40)),
        ("999% of nothing", ("write", 100)),
    ):
        progress = progress.told(text)
        assert (progress.step, progress.percent) == step
        assert load(dump(progress).encode()) == progress
    over = progress.over(NOW + 1, "x" * 5_000)
    assert load(dump(over).encode()) == over


@pytest.mark.parametrize("change", [{"state": "x"}, {"step": "x"}, {"percent": "4"}, {"more": 1}])
def test_what_has_another_form_is_nothing(change: dict[str, object]) -> None:
    found = json.loads(dump(begin("install", NOW)))
    assert load(json.dumps(found | change).encode()) is None


@given(st.binary(max_size=100))
def test_no_bytes_trip_it(raw: bytes) -> None:
    assert load(raw) is None
