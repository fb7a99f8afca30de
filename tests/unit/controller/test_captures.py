"""Captures: who is captured, for how long, and what never fills the disk."""

import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from ratwall.controller.books import open_books
from ratwall.controller.captures import FORGET_US, SECOND, Captures
from ratwall.errors import RatwallError, UsageError
from ratwall.evidence import capture as module
from ratwall.evidence.capture import OPEN_LIMIT, TAKEN_LIMIT, CaptureDirectory, between
from ratwall.kernel.nflog import Copy
from ratwall.ledger import queries
from ratwall.ledger.store import open_ledger
from ratwall.settings.schema import Capture
from unit.controller.box import CLIENT, NOON, SERVER, FakeSets
from unit.controller.test_naming import FakeCopies

MEGABYTE = 1_000_000


def packet(source: str, destination: str, size: int = 100) -> bytes:
    ends = ip_address(source).packed + ip_address(destination).packed
    return struct.pack(">BBHHHBBH", 0x45, 0, size, 0, 0, 64, 17, 0) + ends + bytes(size - 20)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.texts: list[str] = []
        self.refuses = False
        self.settings = Capture()
        self.copies = FakeCopies()
        self.folder = folder / "captures"
        self.directory = CaptureDirectory(self.folder, 4 * MEGABYTE)
        self.books = open_books(
            open_ledger(folder / "ledger.sqlite3"), FakeSets(), frozenset(), "here", NOON
        )
        self.captures = Captures(
            self.copies, self.directory, self.nft, 9, lambda: self.settings, lambda: self.now
        )
        self.captures.start(self.books)

    def nft(self, text: str) -> None:
        if self.refuses:
            raise RatwallError("nft: refused")
        self.texts.append(text)

    def pass_by(self, source: str, destination: str, size: int = 100) -> None:
        self.now += 1
        self.copies.waiting.append(Copy(self.now, packet(source, destination, size)))
        self.captures.take_copies()

    def audit(self) -> list[str]:
        assert self.books.writer.flush(durable=False)
        return [row["detail"] for row in queries.audit(self.books.ledger)]

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


def one_capture(folder: Path) -> dict[str, object]:
    """What is listed of a capture."""
    folder.mkdir(exist_ok=True)
    desk = Desk(folder)
    desk.captures.switch_on(CLIENT, 60, "root", "")
    (listed,) = desk.captures.listing()
    desk.books.ledger.close()
    return listed


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.captures.stop()
    desk.books.ledger.close()


def test_what_an_earlier_controller_began_is_taken_away(desk: Desk) -> None:
    (text,) = desk.texts
    assert "delete chain inet ratwall captures" in text


def test_one_device_for_a_time_and_both_ends_in_the_audit(desk: Desk) -> None:
    until = desk.captures.switch_on(CLIENT, 60, "root", "looks odd")
    assert f"{CLIENT} timeout 60s" in desk.texts[-1]
    assert "log group 9 snaplen 65535" in desk.texts[-1]
    desk.pass_by(CLIENT, SERVER)
    desk.pass_by(SERVER, CLIENT)
    desk.pass_by("192.168.1.99", SERVER)
    assert desk.captures.listing()[0]["packets"] == 2
    desk.now = until
    desk.captures.tick(desk.now)
    assert desk.captures.listing() == []
    assert "delete chain" in desk.texts[-1]
    desk.pass_by(CLIENT, SERVER)
    taken = between(desk.folder, CLIENT, SERVER)
    assert taken is not None
    assert len(taken) == 24 + 2 * (16 + 100)
    assert desk.audit() == [
        f"{CLIENT} ended, 2 packets: its time is over",
        f"{CLIENT} for 60 s: looks odd",
    ]


def test_rules_that_somebody_flushed_are_laid_again(desk: Desk) -> None:
    desk.captures.tick(desk.now)
    assert len(desk.texts) == 1, "nothing runs, nothing is laid"
    desk.captures.switch_on(CLIENT, 60, "root", "")
    desk.captures.tick(desk.now + 10 * SECOND)
    assert f"{CLIENT} timeout 50s" in desk.texts[-1]


def test_a_refusal_changes_nothing(desk: Desk) -> None:
    desk.refuses = True
    with pytest.raises(RatwallError, match="refused"):
        desk.captures.switch_on(CLIENT, 60, "root", "")
    assert desk.captures.listing() == []
    with pytest.raises(UsageError, match="is not being captured"):
        desk.captures.switch_off(CLIENT, "root", "")
    assert desk.audit() == []


def test_so_many_and_no_more(desk: Desk) -> None:
    for number in range(OPEN_LIMIT):
        desk.captures.switch_on(f"192.168.1.{number}", 60, "root", "")
    with pytest.raises(UsageError, match=f"at most {OPEN_LIMIT}"):
        desk.captures.switch_on("192.168.2.1", 60, "root", "")
    desk.captures.switch_on("192.168.1.0", 60, "root", "again")


def test_the_disk_does_not_fill(desk: Desk) -> None:
    """As many devices as there may be, each with far more than fits."""
    for number in range(OPEN_LIMIT):
        desk.captures.switch_on(f"192.168.1.{number}", 3600, "root", "")
    worst = 0
    for _ in range(30):
        for number in range(OPEN_LIMIT):
            for _ in range(5):
                desk.pass_by(f"192.168.1.{number}", SERVER, 10_000)
        desk.directory.flush()
        worst = max(worst, desk.size())
    assert 3 * MEGABYTE < worst <= 4 * MEGABYTE + OPEN_LIMIT * 10_100


def test_a_disk_nearly_full_ends_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.captures.switch_on(CLIENT, 60, "root", "")
    monkeypatch.setattr(module, "SPARE_BYTES", 2**62)
    desk.now += 2 * SECOND
    desk.captures.tick(desk.now)
    assert desk.captures.listing() == []
    assert "the disk is nearly full" in desk.audit()[0]
    with pytest.raises(UsageError, match="256 MB"):
        desk.captures.switch_on(CLIENT, 60, "root", "")


def test_old_captures_go(desk: Desk) -> None:
    desk.captures.switch_on(CLIENT, 60, "root", "")
    desk.pass_by(CLIENT, SERVER)
    desk.captures.switch_off(CLIENT, "root", "")
    (path,) = desk.folder.iterdir()
    written = int(path.stat().st_mtime) * SECOND
    for now, left in ((written + 6 * 24 * FORGET_US, 1), (written + 8 * 24 * FORGET_US, 0)):
        desk.captures.tick(now)
        assert len(list(desk.folder.iterdir())) == left


def test_a_package_takes_no_more_than_a_mail(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TAKEN_LIMIT == 8_000_000
    monkeypatch.setattr(module, "TAKEN_LIMIT", 24 + 3 * 116)
    desk.captures.switch_on(CLIENT, 60, "root", "")
    for _ in range(10):
        desk.pass_by(CLIENT, SERVER)
    desk.directory.flush()
    taken = between(desk.folder, CLIENT, SERVER)
    assert taken is not None
    assert len(taken) == 24 + 3 * 116


def test_a_file_cut_off_is_read_up_to_there(desk: Desk) -> None:
    desk.captures.switch_on(CLIENT, 60, "root", "")
    desk.pass_by(CLIENT, SERVER)
    desk.pass_by(CLIENT, SERVER)
    desk.captures.switch_off(CLIENT, "root", "")
    (path,) = desk.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    (desk.folder / f"1-{CLIENT}.pcap").write_bytes(b"something else")
    taken = between(desk.folder, CLIENT, SERVER)
    assert taken is not None
    assert len(taken) == 24 + 116
