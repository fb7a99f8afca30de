"""A list of boxes is good as a whole or refused; nothing secret is repeated."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.errors import UsageError
from ratwall.seed.document import parse_seed
from ratwall_flash.boxes import BOX_COUNT_LIMIT, CSV_SIZE_LIMIT, Box, check_seed, left, read_boxes

SALT = "c29tZXNhbHRzb21lc2FsdA"
HASH = f"$argon2id$v=19$m=32768,t=3,p=1${SALT}$WDyus6py50bVFIPkjA28lQRt0XcmyLzQ2Pb3vB7iHcY"
TOKEN = "token-that-nobody-may-see"
HEAD = "box,site.name,admin.password_hash,enrolment.token\n"


def boxes(text: str, common: str = "") -> list[Box]:
    return read_boxes(text.encode(), "boxes.csv", common.encode())


def refused(text: str, common: str = "") -> str:
    with pytest.raises(UsageError) as caught:
        boxes(text, common)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith("boxes.csv")
    assert TOKEN not in message and SALT not in message
    return message


def test_every_line_is_a_box_with_a_seed_of_its_own() -> None:
    first, second = boxes(
        f'{HEAD}shop-1,"Huber, shop 1","{HASH}",{TOKEN}-1\n\nshop-2,,,{TOKEN}-2\n',
        '[network]\nmode = "router"\n[site]\nname = "Huber"\n',
    )
    seed = parse_seed(first.seed, "seed")
    assert (first.name, seed.name, seed.password_hash) == ("shop-1", "Huber, shop 1", HASH)
    assert (seed.token, seed.network) == (f"{TOKEN}-1", "MODE=router\n")
    assert tomllib.loads(second.seed.decode()) == {
        "network": {"mode": "router"},
        "site": {"name": "Huber"},
        "enrolment": {"token": f"{TOKEN}-2"},
    }
    assert left([first, second], ["shop-1"]) == [second]


def test_what_a_spreadsheet_saves_is_read() -> None:
    """With a byte order mark, semicolons, carriage returns."""
    raw = f"\ufeffbox;site.name;admin.password_hash\r\nshop-1;Bäckerei;{HASH}\r\n".encode()
    (box,) = read_boxes(raw, "boxes.csv", b"")
    assert parse_seed(box.seed, "seed").password_hash == HASH


def test_a_box_does_not_show_its_seed() -> None:
    (box,) = boxes(f"{HEAD}shop-1,Huber,,{TOKEN}\n")
    assert TOKEN not in repr(box) and TOKEN not in f"{box}"


@pytest.mark.parametrize("common", [f"a = {'9' * 5000}", '["\\u001b[2J"]', "x" * 300_000])
def test_a_hostile_common_seed_is_one_short_line(common: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_seed(common.encode(), "common.toml")
    assert str(caught.value).isprintable() and len(str(caught.value)) <= 300


REFUSED = {
    "": "empty",
    "name,site.name\na,b\n": "expected the columns box and any of",
    "box,password\na,secret\n": "expected the columns box and any of",
    "box,box\na,b\n": "each once",
    HEAD: "no box in it",
    f"{HEAD}a,b\n": "line 2: 2 cells, expected 4",
    f"{HEAD}a,b,{HASH},\n": "line 2: 6 cells, expected 4 .* stands in quotes",
    f"{HEAD},b,,\n": "line 2: box: expected 1 to 64 printable characters",
    f"{HEAD}{'a' * 65},b,,\n": "line 2: box: expected 1 to 64 printable characters",
    f"{HEAD}a,,,\n": "line 2: it says nothing but the name",
    f"{HEAD}a,b,,\n\na,c,,\n": "line 4: box 'a' is in line 2 as well",
    f"{HEAD}a,b,,{TOKEN}\nc,d,,{TOKEN}\n": "line 3: the enrolment token is in line 2 as well",
    f"{HEAD}a,b,hunter2,\n": r"line 2: \[admin\] password_hash: expected an Argon2id hash",
    f"{HEAD}a,b,,short\n": r"line 2: \[enrolment\] token: expected 16 to 256",
    f'{HEAD}a,"b,,\n': "line 2: not CSV",
    "box,network.mode\na,briddge\n": r"line 2: \[network\]",
}


@pytest.mark.parametrize("text", REFUSED, ids=REFUSED.values())
def test_a_bad_list_is_refused_as_a_whole(text: str) -> None:
    assert pytest.RaisesExc(ValueError, match=REFUSED[text]).matches(ValueError(refused(text)))


def test_a_list_is_bounded() -> None:
    lines = [f"box-{number},name,,\n" for number in range(BOX_COUNT_LIMIT)]
    assert len(boxes(HEAD + "".join(lines))) == BOX_COUNT_LIMIT
    assert "make two lists" in refused(HEAD + "".join(lines) + "one-more,name,,\n")
    assert "not a list of boxes" in refused("x" * (CSV_SIZE_LIMIT + 1))
    with pytest.raises(UsageError, match="not UTF-8"):
        read_boxes(b"box\n\xe4\n", "boxes.csv", b"")


@settings(max_examples=40)
@given(st.text(max_size=100))
def test_any_text_is_a_list_or_one_line_of_error(text: str) -> None:
    try:
        boxes(HEAD + text)
    except UsageError as error:
        assert "\n" not in str(error)
