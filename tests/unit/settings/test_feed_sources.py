"""The entries of [feeds] sources: each says what is wrong with it, by its number and name."""

from typing import Any

import pytest

from ratwall.feeds.formats import READERS
from ratwall.settings.feed_sources import KINDS, FeedSource, FeedSources

GOOD: dict[str, Any] = {
    "name": "sslbl",
    "kind": "sslbl",
    "source": "https://sslbl.example/list.csv",
}


def test_every_kind_that_can_be_read_can_be_set() -> None:
    assert sorted(KINDS) == sorted(READERS)


def test_an_entry_is_taken_as_it_is() -> None:
    own = {"name": "own-list", "kind": "plain", "source": "/etc/ratwall/own.txt", "hours": 1}
    assert FeedSources(2).accept([GOOD, own]) == (
        FeedSource("sslbl", "sslbl", "https://sslbl.example/list.csv", 24),
        FeedSource("own-list", "plain", "/etc/ratwall/own.txt", 1),
    )
    assert not FeedSource(**own).is_remote
    assert FeedSource(**GOOD).is_remote


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "SSLBL"}, "a name of at most 32 lower-case letters"),
        ({"name": "a" * 33}, "a name of at most 32 lower-case letters"),
        ({"name": "../x"}, "a name of at most 32 lower-case letters"),
        ({"name": "shipped"}, 'other than "shipped", for feed 1'),
        ({"name": None}, "a name of at most 32 lower-case letters"),
        ({"kind": "csv"}, 'a kind for feed 1 "sslbl" out of sslbl, sslbl-ja3,'),
        ({"kind": ["sslbl"]}, "a kind for feed 1"),
        ({"source": "http://sslbl.example/list.csv"}, "a file from / on, or an https:// address"),
        ({"source": "list.csv"}, "a file from / on"),
        ({"source": "https://"}, "a file from / on"),
        ({"source": "https://user:word@sslbl.example/"}, "a file from / on"),
        ({"source": "https://sslbl.example:99999/"}, "a file from / on"),
        ({"source": "https://sslbl.example/a b"}, "a file from / on"),
        ({"source": "https://sslbl.example/\n"}, "a file from / on"),
        ({"source": "/" + "a" * 1024}, "a file from / on"),
        ({"source": 7}, "a file from / on"),
        ({"hours": 0}, 'hours for feed 1 "sslbl" from 1 to 720'),
        ({"hours": 721}, "from 1 to 720"),
        ({"hours": True}, "from 1 to 720"),
        ({"hour": 1}, 'only name, kind, source, hours in feed 1; "hour" is none'),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        FeedSources(2).accept([{**GOOD, **change}])


def test_limits() -> None:
    entries = [{**GOOD, "name": f"feed{n}"} for n in range(3)]
    assert len(FeedSources(3).accept(entries)) == 3
    with pytest.raises(ValueError, match="a list of at most 2 feeds"):
        FeedSources(2).accept(entries)
    with pytest.raises(ValueError, match="feed 2 repeats a name"):
        FeedSources(2).accept([GOOD, GOOD])
    with pytest.raises(ValueError, match="a table for feed 1"):
        FeedSources(2).accept(["https://sslbl.example/list.csv"])
    with pytest.raises(ValueError, match="a list of at most 2 feeds"):
        FeedSources(2).accept(GOOD)
