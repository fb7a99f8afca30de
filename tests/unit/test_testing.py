"""docs/testing.md and docs/security.md name tests that are there."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
DOCUMENTS = tuple(TESTS.parent / "docs" / name for name in ("testing.md", "security.md"))
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_is_named_is_there(document: Path) -> None:
    named = NAMED.findall(document.read_text())
    assert len(named) > 30
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (TESTS / file).is_file() or f"def {test}(" not in (TESTS / file).read_text()
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_nothing_that_looks_like_one_escapes_the_pattern(document: Path) -> None:
    text = document.read_text()
    assert text.count("::") == len(NAMED.findall(text))
