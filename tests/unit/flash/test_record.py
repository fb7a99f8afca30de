"""The record of finished cards: resumed after anything, never with a seed in it."""

from dataclasses import replace
from pathlib import Path

import pytest

from ratwall.errors import RatwallError, UsageError
from ratwall_flash.record import HEADER, RECORD_SIZE_LIMIT, Entry, Record, read_record

FIRST = Entry(
    "shop-1", "2026-11-24T18:05:05Z", "SD, Reader", "20120629", "31.9 GB", "a" * 64, "b" * 64
)
SECOND = replace(FIRST, box='shop "2"', bootsel_sha256="c" * 64)


def test_a_record_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "boxes.record.csv"
    record = Record(path)
    assert record.done() == []
    record.add(FIRST)
    record.add(SECOND)
    again = Record(path)
    assert again.entries == [FIRST, SECOND]
    assert again.cards() == {"shop-1": "b" * 64, 'shop "2"': "c" * 64}
    assert path.read_text().splitlines()[0] == ",".join(HEADER)


def test_a_line_that_a_power_cut_tore_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "boxes.record.csv"
    Record(path).add(FIRST)
    whole = path.read_bytes()
    record = Record(path)
    record.add(SECOND)
    both = path.read_bytes()
    # Every seventh byte, and where a line ends: each costs two writes to the disk.
    for length in [*range(0, len(both), 7), len(whole) - 1, len(whole), len(both) - 1]:
        path.write_bytes(both[:length])
        record = Record(path)
        expected = [FIRST] if len(whole) <= length else []
        assert record.entries == expected, f"torn after {length} bytes"
        record.add(SECOND)
        assert Record(path).entries == [*expected, SECOND], f"torn after {length} bytes"


def test_another_image_is_refused(tmp_path: Path) -> None:
    record = Record(tmp_path / "r.csv")
    record.check_image("d" * 64)
    record.add(FIRST)
    record.check_image(FIRST.image_sha256)
    with pytest.raises(UsageError, match="box 'shop-1' and 0 more were made from another image"):
        record.check_image("d" * 64)


@pytest.mark.parametrize("raw", [b"box,seed\n", b"\xff\n", b'"\n', b"x" * (RECORD_SIZE_LIMIT + 1)])
def test_another_file_is_no_record_and_stays(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    path.write_bytes(raw)
    with pytest.raises(UsageError, match="not a record of cards"):
        Record(path)
    assert path.read_bytes() == raw
    with pytest.raises(UsageError):
        read_record(",".join(HEADER).encode() + b"\na,b\n", "r.csv")


def test_a_record_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    record = Record(tmp_path / "gone" / "r.csv")
    with pytest.raises(RatwallError, match="the card for 'shop-1' is good, but cannot be put down"):
        record.add(FIRST)
