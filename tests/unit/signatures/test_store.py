"""What is in force: brought packs over those shipped, and those shipped whatever happens."""

import os
from pathlib import Path

import pytest

from ratwall.errors import RatwallError, UsageError
from ratwall.signatures.pack import load_packs
from ratwall.signatures.signed import key_id
from ratwall.signatures.store import NAME, PACKS_LIMIT, PackDirectory, packs_in_force
from unit.signatures.packs import OTHER_SEED, TRUST, pack, signed

SHIPPED = tuple(each.name for each in load_packs())
KEY = key_id(bytes.fromhex(TRUST[0]))


def put(state: Path, name: str, content: bytes) -> Path:
    with PackDirectory(state).opened() as directory:
        directory.put(name, content)
    return state / NAME / f"{name}.toml"


def names(state: Path) -> tuple[str, ...]:
    return tuple(each.pack.name for each in packs_in_force(state, TRUST).held)


def test_without_anything_brought_those_shipped_are_in_force(tmp_path: Path) -> None:
    for state in (None, tmp_path, tmp_path / "absent"):
        found = packs_in_force(state, TRUST)
        assert tuple(each.pack.name for each in found.held) == SHIPPED
        assert found.problems == ()
        assert {each.key for each in found.held} == {None}


def test_a_brought_pack_is_in_force_beside_them(tmp_path: Path) -> None:
    put(tmp_path, "testrat", signed())
    found = packs_in_force(tmp_path, TRUST)
    assert names(tmp_path) == (*SHIPPED, "testrat")
    held = found.of("testrat")
    assert held is not None
    assert held.key == KEY
    assert held.taken is not None


def test_a_newer_one_stands_in_the_place_of_the_one_shipped(tmp_path: Path) -> None:
    put(tmp_path, "dcrat", signed("dcrat", 7, "dcrat nextgen"))
    assert names(tmp_path) == SHIPPED
    held = packs_in_force(tmp_path, TRUST).of("dcrat")
    assert held is not None
    assert held.pack.version == 7


def test_an_update_of_ratwall_goes_before_an_older_brought_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "testrat", signed(version=2))
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "testrat.toml").write_bytes(pack(version=3))
    monkeypatch.setattr("ratwall.signatures.store.load_packs", lambda: load_packs(shipped))
    found = packs_in_force(tmp_path, TRUST)
    assert [(each.pack.version, each.key) for each in found.held] == [(3, None)]
    assert "version 2, older than version 3 that came with Ratwall; left out" in found.problems[0]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not signed"),
        (b"\x00" * 5000, "not signed"),
        (signed()[:-9], "the signature does not hold"),
        (signed(seed=OTHER_SEED), "not trusted here"),
        (signed("other"), 'holds a pack called "other"'),
    ],
)
def test_a_damaged_file_is_named_and_left_out(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    put(tmp_path, "another", signed("another"))
    put(tmp_path, "testrat", content)
    found = packs_in_force(tmp_path, TRUST)
    assert names(tmp_path) == (*SHIPPED, "another")
    (problem,) = found.problems
    assert complaint in problem
    assert "\n" not in problem


def test_a_key_that_is_no_longer_trusted_takes_its_packs_along(tmp_path: Path) -> None:
    put(tmp_path, "testrat", signed())
    found = packs_in_force(tmp_path, ("release",))
    assert found.of("testrat") is None
    assert "not trusted here; trusted are: release" in found.problems[0]


@pytest.mark.parametrize("trap", ["link", "pipe", "directory"])
def test_a_trap_among_the_files_is_left_out(tmp_path: Path, trap: str) -> None:
    put(tmp_path, "testrat", signed())
    place = tmp_path / NAME / "trap.toml"
    match trap:
        case "link":
            place.symlink_to(tmp_path / NAME / "testrat.toml")
        case "pipe":
            os.mkfifo(place)
        case "directory":
            place.mkdir()
    assert names(tmp_path) == (*SHIPPED, "testrat")
    assert "trap.toml" in packs_in_force(tmp_path, TRUST).problems[0]


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_no_more_than_so_many_are_taken(tmp_path: Path, extra: int) -> None:
    for number in range(PACKS_LIMIT + extra):
        put(tmp_path, f"testrat{number:02}", signed(f"testrat{number:02}"))
    found = packs_in_force(tmp_path, TRUST)
    assert len(found.held) - len(SHIPPED) == min(PACKS_LIMIT, PACKS_LIMIT + extra)
    assert bool(found.problems) == (extra > 0)


def test_a_directory_that_was_turned_into_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / NAME).symlink_to(elsewhere)
    with pytest.raises(UsageError, match="cannot be written to"), PackDirectory(tmp_path).opened():
        pass
    assert list(elsewhere.iterdir()) == []


def test_somebody_elses_directory_is_not_written_into(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    (tmp_path / NAME).mkdir()
    os.chown(tmp_path / NAME, 1, 1)
    with pytest.raises(UsageError, match="is not yours"), PackDirectory(tmp_path).opened():
        pass


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, "testrat", signed())

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with PackDirectory(tmp_path).opened() as directory:
        with pytest.raises(RatwallError, match="No space left on device; nothing was changed"):
            directory.put("testrat", signed(version=2))
        assert [each.name for each in directory.path.iterdir()] == [path.name]
    assert path.read_bytes() == signed()
