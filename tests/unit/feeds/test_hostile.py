"""Whatever a stranger puts into a list, it is read, or refused in one line, and that is all."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ratwall.feeds.errors import FeedError
from ratwall.feeds.formats import READERS, guess, read_feed
from ratwall.feeds.indicator import KEY_BYTES
from ratwall.feeds.screen import screen
from unit.feeds.lists import SAMPLES, THREATFOX_14

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Event", "Attribute", "Object", "objects", "type", "value", "pattern", "to_ids"]
                + ["timestamp", "last_seen", "confidence", "valid_until", "response", "info"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def take(kind: str, data: bytes) -> None:
    try:
        reading = read_feed(kind, data)
        screen(reading, {})
    except FeedError as error:
        assert "\n" not in str(error)
        assert str(error).isprintable()
        return
    for found in reading.indicators:
        assert len(found.key) == KEY_BYTES
        assert found.acts_until(0) <= found.told_until(0)
    assert reading.rows >= len(reading.unreadable)


@pytest.mark.parametrize("kind", list(READERS))
@settings(max_examples=60)
@given(data=st.binary(max_size=300))
@example(data=b"\xff\xfe" * 8)
@example(data=b'"' * 50)
def test_any_bytes(kind: str, data: bytes) -> None:
    take(kind, data)


@pytest.mark.parametrize("kind", list(SAMPLES))
@settings(max_examples=60)
@given(data=st.data())
def test_a_list_with_a_hole_or_a_graft(kind: str, data: st.DataObject) -> None:
    sample = SAMPLES[kind]
    begin = data.draw(st.integers(0, len(sample)))
    end = data.draw(st.integers(begin, len(sample)))
    graft = data.draw(st.binary(max_size=8) | st.sampled_from([b"\r\n", b'"', b",", b"|", b";"]))
    take(kind, sample[:begin] + graft + sample[end:])


@pytest.mark.parametrize("kind", ["misp", "stix"])
@settings(max_examples=60)
@given(tree=trees)
def test_any_document(kind: str, tree: object) -> None:
    take(kind, json.dumps(tree).encode())


@given(text=st.text(max_size=60))
def test_any_line_of_a_plain_list(text: str) -> None:
    take("plain", text.encode(errors="replace"))


@pytest.mark.parametrize(("kind", "data"), [*SAMPLES.items(), ("threatfox", THREATFOX_14)])
def test_a_kind_is_told_by_its_first_words(kind: str, data: bytes) -> None:
    assert guess(data) == kind
