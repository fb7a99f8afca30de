"""Makers by hardware address: every line of the listing is found, nothing else is."""

from ratwall_web.makers import PATH, maker


def test_every_prefix_of_the_listing_is_found_with_its_maker() -> None:
    lines = PATH.read_text().splitlines()
    assert lines == sorted(lines)
    assert len(lines) > 30_000
    of_ieee = [line for line in lines if not int(line[:2], 16) & 2]
    for line in (*of_ieee[:3], *of_ieee[-3:], *of_ieee[:: len(of_ieee) // 200]):
        prefix, name = line.split(" ", 1)
        mac = ":".join((prefix[:2], prefix[2:4], prefix[4:], "12", "34", "56"))
        assert maker(mac) == name
        assert maker(mac.upper()) == name


def test_what_is_not_listed_has_no_maker() -> None:
    for mac in (None, "", "x", "b8:27", "zz:zz:zz:00:00:00", "fc:ff:ff:00:00:00", "00:00:00"[:5]):
        assert maker(mac) is None
    assert maker("b8:27:eb:00:00:01") == "Raspberry Pi Foundation"


def test_an_address_that_a_phone_made_up_is_said_to_be_one() -> None:
    assert maker("da:a1:19:00:00:01") == "made-up address, as phones use"
