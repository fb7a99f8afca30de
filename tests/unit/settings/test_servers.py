"""A list of servers by address or name."""

import pytest

from ratwall.settings.rules import Servers

LONGEST = f"{'a.' * 125}com"  # 253 characters


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["203.0.113.9", "2001:DB8::1"], ("203.0.113.9", "2001:db8::1")),
        (["Relay.Office.Example.", "relay.office.example"], ("relay.office.example",)),
        (["xn--bcher-kva.example"], ("xn--bcher-kva.example",)),
        ([LONGEST], (LONGEST,)),
        ([], ()),
    ],
)
def test_addresses_and_names_are_kept_in_one_spelling(
    given: list[str], kept: tuple[str, ...]
) -> None:
    assert Servers(9).accept(given) == kept


@pytest.mark.parametrize(
    "given",
    ["relay.example", [7], [""], ["com"], ["-a.example"], ["a..example"], ["a b.example"]]
    + [[f"a{LONGEST}"], ["203.0.113.999"], ["fe80::1%eth0"], ["a.example/x"]],
)
def test_what_is_neither_is_refused_with_what_is_allowed(given: object) -> None:
    with pytest.raises(ValueError, match="a list of at most 9 addresses or host names"):
        Servers(9).accept(given)


@pytest.mark.parametrize(("count", "taken"), [(8, True), (9, True), (10, False)])
def test_the_list_is_bounded(count: int, taken: bool) -> None:
    given = [f"203.0.113.{number}" for number in range(count)]
    if taken:
        assert len(Servers(9).accept(given)) == count
    else:
        with pytest.raises(ValueError, match="at most 9"):
            Servers(9).accept(given)
