"""The doctor on links: what the kernel counted becomes a line, and only then."""

import pytest

from ratwall.doctor.links import links
from ratwall.kernel.sets import Sets


def test_frames_with_two_tags_are_a_problem_and_one_tag_is_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counters = {"passed_stacked_packets": 3, "tagged_packets": 9}
    monkeypatch.setattr(Sets, "counters", lambda self: counters)
    assert [(found.topic, found.problem) for found in links()] == [
        ("links.stacked", True),
        ("links.tagged", False),
    ]
    monkeypatch.setattr(Sets, "counters", lambda self: {})
    assert list(links()) == []
