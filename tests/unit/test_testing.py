"""docs/testing.md names tests that are there."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DOCUMENT = TESTS.parent / "docs" / "testing.md"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def test_every_test_that_is_named_is_there() -> None:
    named = NAMED.findall(DOCUMENT.read_text())
    assert len(named) > 50
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (TESTS / file).is_file() or f"def {test}(" not in (TESTS / file).read_text()
    ]
    assert missing == []


def test_nothing_that_looks_like_one_escapes_the_pattern() -> None:
    text = DOCUMENT.read_text()
    assert text.count("::") == len(NAMED.findall(text))
