"""Pack files: read whole or not at all, with errors that say where and what."""

from pathlib import Path

import pytest

from ratwall.errors import UsageError
from ratwall.signatures.pack import (
    PACK_BYTES_LIMIT,
    POINTS_LIMIT,
    WEAK_POINTS_LIMIT,
    load_files,
    load_pack,
    load_packs,
)

GOOD = """
name = "shop"
version = 3
family = "ShopRAT"
about = "For tests"

[[rule]]
id = "shop.name"
group = "name"
decisive = true
points = 90
reason = "because"
text = "It is called {common_name}."
technique = "T1587.003"
[rule.when]
name_words = ["shoprat"]
lacks_extensions = ["2.5.29.17"]

[[rule]]
id = "shop.port"
group = "port"
points = 10
family = "ShopRAT by port"
reason = "because"
text = "Port {port}."
[rule.when]
port = [9999]
"""


@pytest.fixture
def pack_file(tmp_path: Path) -> Path:
    return tmp_path / "shop.toml"


def test_reads_a_pack(pack_file: Path) -> None:
    pack_file.write_text(GOOD)
    pack = load_pack(pack_file)
    assert (pack.name, pack.version, pack.family) == ("shop", 3, "ShopRAT")
    name, port = pack.rules
    assert (name.id, name.points, name.decisive, name.group) == ("shop.name", 90, True, "name")
    assert (name.family, port.family) == ("ShopRAT", "ShopRAT by port")
    assert (name.technique, port.technique) == ("T1587.003", None)
    assert (name.of_certificate, port.of_certificate) == (True, False)
    assert (port.decisive, len(name.tests)) == (False, 2)


FAULTS = {
    "not TOML": (GOOD, "name =", "not a TOML file: Invalid value (at end of document)"),
    "unknown key": (
        "version",
        "vresion",
        "vresion: unknown key; allowed are about, family, made, name",
    ),
    "missing key": ('about = "For tests"', "", "about: missing; allowed is a text"),
    "version": (
        "= 3",
        '= "3"',
        "version: allowed is a whole number from 1 to 2147483647, found '3'",
    ),
    "version true": (
        "= 3",
        "= true",
        "version: allowed is a whole number from 1 to 2147483647, found True",
    ),
    "version zero": (
        "= 3",
        "= 0",
        "version: allowed is a whole number from 1 to 2147483647, found 0",
    ),
    "name": (
        'name = "shop"',
        'name = "Shop"',
        "name: allowed is lower-case letters, digits and single hyphens, at most 64, found 'Shop'",
    ),
    "family": ('= "ShopRAT"', '= " "', "family: allowed is a text, found ' '"),
    "about": ('"For tests"', "7", "about: allowed is a text, found 7"),
    "unknown key of a rule": (
        "decisive",
        "decisve",
        'rule 1 "shop.name": decisve: unknown key; allowed are decisive, family, group, id',
    ),
    "decisive": (
        "decisive = true",
        "decisive = 1",
        'rule 1 "shop.name": decisive: allowed is true or false, found 1',
    ),
    "identifier": (
        '"shop.name"',
        '"store.name"',
        'rule 1 "store.name": id: allowed is "shop." and lower-case letters, digits',
    ),
    "identifier twice": (
        '"shop.port"',
        '"shop.name"',
        'rule 2 "shop.name": id: another rule has it already',
    ),
    "points": (
        "points = 90",
        'points = "high"',
        "points: allowed is a whole number from 1 to 100 for a rule that is decisive, found 'high'",
    ),
    "group": (
        'group = "port"',
        'group = "ports"',
        'group: allowed is one of "name", "certificate", "hello", "port", found \'ports\'',
    ),
    "reason": ('reason = "because"', 'reason = ""', "reason: allowed is a text, found ''"),
    "technique": (
        '"T1587.003"',
        '"T1587.3"',
        "technique: allowed is a MITRE ATT&CK technique such as \"T1573.002\", found 'T1587.3'",
    ),
    "placeholder": (
        "{port}",
        "{prot}",
        'rule 2 "shop.port": text: allowed placeholders are {port}, {common_name}, found {prot}',
    ),
    "unknown condition": (
        "port = [9999]",
        "prot = [9999]",
        'rule 2 "shop.port": when.prot: unknown key; allowed are anomaly, chain_length',
    ),
    "condition": (
        "port = [9999]",
        "port = [99999]",
        "when.port: allowed is a list of TCP ports from 1 to 65535, found [99999]",
    ),
    "empty condition": ("port = [9999]", "port = []", "found []"),
    "no condition": ("port = [9999]", "", "when: allowed is a table of conditions, found {}"),
    "long value": ("[9999]", "[" + "0, " * 99 + "0]", "..."),
    "decisive without a certificate": (
        'name_words = ["shoprat"]\n',
        "",
        'rule 1 "shop.name": decisive: allowed only together with one of the conditions '
        "name_words, common_name_suffix, serial_prime_bits, found lacks_extensions",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_in_one_line(fault: str, pack_file: Path) -> None:
    old, new, message = FAULTS[fault]
    pack_file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        load_pack(pack_file)
    text = str(caught.value)
    assert text.startswith(f"{pack_file}: ")
    assert message in text
    assert "\n" not in text


@pytest.mark.parametrize("points", [0, 1, POINTS_LIMIT - 1, POINTS_LIMIT, POINTS_LIMIT + 1])
def test_points_of_a_decisive_rule(points: int, pack_file: Path) -> None:
    check_points(pack_file, "points = 90", points, 1 <= points <= POINTS_LIMIT)


@pytest.mark.parametrize("points", [0, 1] + [WEAK_POINTS_LIMIT + n for n in (-1, 0, 1)])
def test_points_of_any_other_rule(points: int, pack_file: Path) -> None:
    check_points(pack_file, "points = 10", points, 1 <= points <= WEAK_POINTS_LIMIT)


def check_points(pack_file: Path, old: str, points: int, allowed: bool) -> None:
    pack_file.write_text(GOOD.replace(old, f"points = {points}"))
    if allowed:
        load_pack(pack_file)
    else:
        with pytest.raises(UsageError, match="points: allowed is a whole number from 1 to"):
            load_pack(pack_file)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_pack_has_a_largest_size(extra: int, pack_file: Path) -> None:
    filler = PACK_BYTES_LIMIT + extra - len(GOOD)
    pack_file.write_text(GOOD + "#" * filler)
    if extra <= 0:
        load_pack(pack_file)
    else:
        with pytest.raises(UsageError, match="a pack may have 1048576 bytes, found more"):
            load_pack(pack_file)


def test_a_file_that_is_not_text_is_a_fault(pack_file: Path) -> None:
    pack_file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not a TOML file: 'utf-8' codec can't decode"):
        load_pack(pack_file)


def test_a_number_that_python_refuses_to_read_is_a_fault(pack_file: Path) -> None:
    pack_file.write_text(f"version = {'9' * 5000}\n")
    with pytest.raises(UsageError, match="not a TOML file: Exceeds the limit"):
        load_pack(pack_file)


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        load_pack(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_pack(tmp_path)


def test_one_faulty_pack_loads_none(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD.replace("version = 3", "version = -3"))
    with pytest.raises(UsageError, match=r"b\.toml: version: "):
        load_packs(tmp_path)


def test_two_packs_of_one_name_are_a_fault(tmp_path: Path) -> None:
    paths = [tmp_path / "a.toml", tmp_path / "b.toml"]
    for path in paths:
        path.write_text(GOOD)
    with pytest.raises(UsageError, match=r'b\.toml: name: another pack is called "shop" already'):
        load_files(paths)


def test_a_directory_without_packs_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no signature packs \(\*\.toml\) in it"):
        load_packs(tmp_path)
    with pytest.raises(UsageError, match="no such directory of signature packs"):
        load_packs(tmp_path / "absent")
