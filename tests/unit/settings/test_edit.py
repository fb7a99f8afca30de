"""A settings file that is changed key by key: comments stay, and it says what was meant."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.errors import RatwallError
from ratwall.settings.catalogue import FIXED_SECTIONS, SECRETS, entries, said, values
from ratwall.settings.edit import changed, edit, write
from ratwall.settings.load import parse_settings
from ratwall.settings.schema import Settings

FILE = """\
# The office in the Mill Lane.
[detection]
enforce = false        # watch for a week first
alert = 60

[[feeds.sources]]
name = "own"   # kept by Anna
kind = "plain"
source = "/etc/ratwall/own.txt"

[export.syslog]
server = "logs.example:6514"
"""


def test_a_changed_value_leaves_the_comments() -> None:
    text = edit(FILE, {"detection.enforce": True, "detection.alert": None, "block.seconds": 60})
    assert "# The office in the Mill Lane." in text
    assert "# watch for a week first" in text
    assert "# kept by Anna" in text
    document = tomllib.loads(text)
    assert document["detection"] == {"enforce": True}
    assert document["block"] == {"seconds": 60}


def test_a_list_of_feeds_is_replaced_as_a_whole() -> None:
    feeds = [{"name": "a", "kind": "plain", "source": "/a"}, {"name": "b", "kind": "misp"}]
    document = tomllib.loads(edit(FILE, {"feeds.sources": feeds}))
    assert document["feeds"]["sources"] == feeds
    assert said(tomllib.loads(edit(FILE, {"feeds.sources": None})), "feeds.sources") is None


def test_a_nested_section_is_made_and_emptied() -> None:
    text = edit("", {"export.mqtt.server": "b.example:1883", "export.mqtt.tls": False})
    assert tomllib.loads(text) == {"export": {"mqtt": {"server": "b.example:1883", "tls": False}}}
    text = edit(FILE, {"export.syslog.server": None})
    assert "server" not in tomllib.loads(text).get("export", {}).get("syslog", {})


def test_what_cannot_be_changed_safely_is_left_alone() -> None:
    with pytest.raises(RatwallError, match="change it in the file"):
        edit("detection = 5\n", {"detection.alert": 60})


VALUES: Any = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.text("aß\"\\#\n'=[] ", max_size=8),
    st.lists(st.text("ab.*:", max_size=5), max_size=3),
)
NAMES = st.sampled_from(list(entries()))


@settings(max_examples=50, deadline=None)  # the first time it imports what writes TOML
@given(
    st.dictionaries(NAMES, VALUES, max_size=6),
    st.dictionaries(NAMES, st.none() | VALUES, max_size=6),
)
def test_the_text_says_what_the_document_says(
    before: dict[str, Any], changes: dict[str, Any]
) -> None:
    text = write(changed({}, before))
    document = tomllib.loads(edit(text, changes))
    for name in {*before, *changes}:
        assert said(document, name) == (changes if name in changes else before)[name]


def test_every_setting_has_an_entry_with_its_default() -> None:
    found = {name: entry.default for name, entry in entries().items()}
    assert found == values(Settings())
    assert found["detection.enforce"] is True
    assert found["export.syslog.server"] is None
    assert set(SECRETS) <= set(found)
    fixed = {entry.section for entry in entries().values() if entry.needs_restart}
    assert fixed == {*FIXED_SECTIONS}


def test_values_go_back_through_the_schema() -> None:
    document = changed({}, values(Settings()))
    assert parse_settings(document, "again") == Settings()
