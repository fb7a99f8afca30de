"""A seed is taken whole or not at all, and what is wrong with it is one line."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.errors import RatwallError, UsageError
from ratwall.seed.document import parse_seed
from ratwall.settings.edit import write

HASH = "$argon2id$v=19$m=32768,t=3,p=1$MDEyMzQ1Njc4OWFiY2RlZg$" + "A" * 43
FULL = f"""
[site]
name = "Bäckerei Huber"
[admin]
password_hash = "{HASH}"
[enrolment]
token = "abcdefghijklmnop-1"
[network]
mode = "router"
wan = "eth1"
[detection]
enforce = false
[[feeds.sources]]
name = "ours"
kind = "plain"
source = "https://feeds.example/list.txt"
"""


def test_a_full_seed_becomes_settings_ports_and_the_rest() -> None:
    seed = parse_seed(FULL.encode(), "ratwall.toml")
    assert seed.name == "Bäckerei Huber"
    assert seed.password_hash == HASH
    assert seed.token == "abcdefghijklmnop-1"
    assert seed.network == "MODE=router\nWAN=eth1\n"
    document = tomllib.loads(seed.settings)
    assert document["detection"] == {"enforce": False}
    assert document["feeds"]["sources"][0]["name"] == "ours"
    assert not {"site", "admin", "enrolment"} & document.keys()


def test_an_empty_seed_and_one_from_notepad_are_fine() -> None:
    assert parse_seed(b"", "f").settings == ""
    assert parse_seed(b'\xef\xbb\xbf[site]\r\nname = "x"\r\n', "f").name == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[site]\nname = ''", "1 to 64"),
        ("[site]\nname = '" + "x" * 65 + "'", "1 to 64"),
        ("[site]\nname = '   '", "1 to 64"),
        ("[site]\nname = 7", "expected text"),
        ("[site]\nname = " + "9" * 5000, "not valid TOML"),
        ('[site]\n"\\u001b[2J" = 1', "?[2J"),
        (f"[site]\n{'k' * 9000} = 1", "kkk"),
        (f"[{'k' * 9000}]", "kkk"),
        ("[site]\nnames = 'x'", "unknown key; known are name"),
        ("[admin]\npassword_hash = 'hunter2hunter2'", "never the password itself"),
        (f"[admin]\npassword_hash = '{HASH.replace('32768', '1024')}'", "19456"),
        (f"[admin]\npassword_hash = '{HASH.replace('32768', '999999')}'", "131072"),
        (f"[admin]\npassword_hash = '{HASH.replace('t=3', 't=11')}'", "1 to 10"),
        (f"[admin]\npassword_hash = '{HASH.replace('t=3', 't=0')}'", "1 to 10"),
        (f"[admin]\npassword_hash = '{HASH[:-1]}'", "of 32 bytes"),
        ("[enrolment]\ntoken = 'short'", "16 to 256"),
        ("[detection]\nwatch = 900", "[detection] watch"),
        ("[detecton]\nwatch = 1", "unknown section"),
        ("[network]\nlan = 'a$b'", "no name of a port"),
        ("site = 1", "expected a section"),
        ("[", "not valid TOML"),
    ],
)
def test_every_mistake_is_one_line_that_names_the_place(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_seed(text.encode(), "ratwall.toml")
    assert said in str(caught.value) and str(caught.value).isprintable()
    assert len(str(caught.value)) <= 300
    assert "hunter2" not in str(caught.value), "a secret is not repeated"


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_an_error(raw: bytes) -> None:
    try:
        parse_seed(raw, "f")
    except RatwallError as error:
        assert "\n" not in str(error)


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**62), 2**62),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
TABLES = st.dictionaries(st.sampled_from("abcdef"), st.one_of(VALUES, st.lists(VALUES, max_size=3)))


@given(st.dictionaries(st.sampled_from(["one", "two", "three"]), TABLES))
def test_what_is_written_is_read_back_the_same(document: dict[str, Any]) -> None:
    assert tomllib.loads(write(document)) == document


def test_a_section_within_a_section_is_kept() -> None:
    raw = b'[export.syslog]\nserver = "logs.example:6514"\n[[feeds.sources]]\nname = "own"\n'
    raw += b'kind = "plain"\nsource = "/etc/ratwall/own.txt"\n'
    assert tomllib.loads(parse_seed(raw, "f").settings) == tomllib.loads(raw.decode())
