"""Every text of the page has its German: none is missing, doubtful, or has lost its places."""

from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

import translations


@pytest.fixture(scope="module")
def sources() -> Catalog:
    return translations.extracted()


@pytest.mark.parametrize("path", sorted(translations.CATALOGUES.glob("*/LC_MESSAGES/*.po")))
def test_the_catalogue_is_complete_and_compiled(path: Path, sources: Catalog) -> None:
    assert translations.check(path, sources) == []


@pytest.mark.parametrize(
    ("message", "translation", "what"),
    [
        ("to %(server)s", "", "has no translation"),
        ("to %(server)s", "zu %(servers)s", "has other places"),
        ("to %(server)s", "zum Server", "has other places"),
        ("to %(server)s", "zu 100 % von %(server)s", "no place"),
        ("%(num)d days", "%(num)d Tage", "not %(name)s"),
        ("to the box", "zur <b>Box</b>", "has other markup"),
        ("to the box", 'zur "Box"', "straight quote"),
        (("%(num)s day", "%(num)s days"), ("%(num)s Tag", "Tage"), "has other places"),
        (("%(num)s day", "%(num)s days"), ("%(num)s Tag", ""), "has no translation"),
    ],
)
def test_a_mistake_is_found(
    message: str | tuple[str, str], translation: str | tuple[str, str], what: str
) -> None:
    sources, catalogue = Catalog(), Catalog("de")
    sources.add(message)
    catalogue.add(message, translation)
    (problem,) = translations.problems(catalogue, sources)
    assert what in problem


def test_a_guess_and_a_leftover_are_found() -> None:
    sources, catalogue = Catalog(), Catalog("de")
    sources.add("one")
    catalogue.add("one", "eins", flags=["fuzzy"])
    catalogue.add("two", "zwei")
    first, second = translations.problems(catalogue, sources)
    assert "is only guessed" in first
    assert "is used no more" in second
