"""The book of names: who asked for what, what a server is called, and its bounds."""

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from ratwall.names import book as module
from ratwall.names.book import NAMES_LIMIT, NAMES_OF_ADDRESS, RARE_AGE_US, KnownName, NameBook
from ratwall.names.facts import Answer

ANNA, BEN, SERVER = "192.168.77.11", "192.168.77.12", "203.0.113.7"
MINUTE = 60_000_000


def said(name: str, *addresses: str) -> Answer:
    return Answer(name, (), addresses, 0)


def test_a_server_is_called_by_what_the_device_itself_asked_for() -> None:
    book = NameBook()
    book.take(said("anna.example", SERVER), ANNA, 1)
    book.take(said("ben.example", SERVER), BEN, 2)
    assert book.of(SERVER) == ("ben.example", "anna.example")
    assert book.asked_by(ANNA, SERVER) == "anna.example"
    assert book.asked_by("192.168.77.13", SERVER) == "ben.example", "nobody else to go by"
    assert book.asked_by(ANNA, "203.0.113.8") is None
    assert book.looked_up(ANNA, SERVER) == "anna.example"
    assert book.looked_up("192.168.77.13", SERVER) is None


def test_asked_again_is_newest_again() -> None:
    book = NameBook()
    for now, name in enumerate(("a.example", "b.example", "a.example")):
        book.take(said(name, SERVER), ANNA, now)
    assert book.of(SERVER) == ("a.example", "b.example")


def test_a_name_is_rare_while_it_is_new_and_one_device_asks() -> None:
    book = NameBook()
    assert book.rarity("a.example", 0) is None
    assert book.take(said("a.example", SERVER), ANNA, 1000).new
    rarity = book.rarity("a.example", 1000 + MINUTE)
    assert rarity is not None
    assert (rarity.first_seen, rarity.age_us, rarity.devices, rarity.rare) == (
        1000,
        MINUTE,
        1,
        True,
    )
    old = book.rarity("a.example", 1000 + RARE_AGE_US)
    assert old is not None
    assert not old.rare
    assert not book.take(said("a.example", SERVER), BEN, 2000).new
    shared = book.rarity("a.example", 3000)
    assert shared is not None
    assert (shared.devices, shared.rare) == (2, False)


def test_a_shared_host_keeps_its_newest_names() -> None:
    book = NameBook()
    for number in range(NAMES_OF_ADDRESS + 5):
        book.take(said(f"n{number}.example", SERVER), ANNA, number)
    names = book.of(SERVER)
    assert len(names) == NAMES_OF_ADDRESS
    assert names[0] == f"n{NAMES_OF_ADDRESS + 4}.example"


def test_the_book_is_bounded_and_what_left_has_no_server_any_more() -> None:
    book = NameBook()
    for number in range(NAMES_LIMIT + 1):
        address = f"10.0.{number >> 8}.{number & 255}"
        book.take(said(f"n{number}.example", address), ANNA, number)
    assert len(book) == NAMES_LIMIT
    assert book.get("n0.example") is None
    assert book.of("10.0.0.0") == ()
    assert book.of("10.0.0.1") == ("n1.example",)


def test_what_was_known_before_is_known_again() -> None:
    book = NameBook()
    known = KnownName("a.example", 1, 5, {ANNA: 5}, {SERVER: 5})
    book.load([known])
    assert book.asked_by(ANNA, SERVER) == "a.example"
    assert not book.take(said("a.example"), ANNA, 9).new


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=60
    )
)
def test_names_and_servers_always_agree(steps: list[tuple[int, int, int]]) -> None:
    """Whatever comes in whatever order, within bounds so low that all of them are met."""
    kept = module.NAMES_LIMIT, module.ADDRESSES_LIMIT, module.NAMES_OF_ADDRESS
    module.NAMES_LIMIT, module.ADDRESSES_LIMIT, module.NAMES_OF_ADDRESS = 4, 3, 2
    try:
        book, clock = NameBook(), count()
        for name, address, device in steps:
            book.take(said(f"n{name}", f"10.0.0.{address}"), f"d{device}", next(clock))
            servers = [f"10.0.0.{number}" for number in range(10)]
            assert len(book) <= 4
            assert sum(bool(book.of(server)) for server in servers) <= 3
            for server in servers:
                assert len(book.of(server)) <= 2
                assert all(book.get(each) for each in book.of(server))
                assert (book.asked_by("d0", server) is None) == (not book.of(server))
    finally:
        module.NAMES_LIMIT, module.ADDRESSES_LIMIT, module.NAMES_OF_ADDRESS = kept
