"""The image is read whole, and judged, before anything is written."""

import hashlib
import lzma
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratwall.errors import UsageError
from ratwall_flash.gpt import LABELS, SECTOR, TABLE_SIZE, read_table
from ratwall_flash.image import Image, read_image
from unit.flash.images import MEGABYTE, PARTS, make_image


def read(path: Path) -> Image:
    return read_image(path, lambda done, total: None)


def refused(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_image_is_what_sfdisk_laid_out(image_file: Path, image: Image) -> None:
    raw = image_file.read_bytes()
    assert [part.label for part in image.table.partitions] == list(LABELS)
    assert [part.size for part in image.table.partitions] == [s * MEGABYTE for _, s in PARTS]
    assert image.table.size == len(raw)
    assert image.head == raw[:MEGABYTE]
    assert image.bootsel == raw[MEGABYTE : 5 * MEGABYTE]
    assert image.sha256 == hashlib.sha256(raw).hexdigest()
    assert image.checked


def test_a_packed_image_is_the_same_image(image_file: Path, image: Image, tmp_path: Path) -> None:
    packed = tmp_path / "ratwall.img.xz"
    packed.write_bytes(lzma.compress(image_file.read_bytes(), preset=0))
    found = read(packed)
    assert (found.sha256, found.bootsel, found.table) == (image.sha256, image.bootsel, image.table)
    assert not found.checked

    packed.write_bytes(packed.read_bytes()[:-100])
    assert "not a whole .xz file: fetch it again" in refused(packed)


def test_a_damaged_image_is_refused_by_its_sum(image_file: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(image_file, tmp_path / "ratwall.img"))
    shutil.copy(f"{image_file}.sha256", tmp_path)
    with copy.open("r+b") as file:
        file.seek(9 * MEGABYTE)
        file.write(b"\xff")
    assert "ratwall.img.sha256 says" in refused(copy)


@pytest.mark.parametrize("text", ["", "no sum\n", f"{'0' * 64}  other.img\n", f"{'0' * 64}\n" * 2])
def test_a_sum_file_without_the_sum_is_no_sum(image_file: Path, tmp_path: Path, text: str) -> None:
    copy = Path(shutil.copy(image_file, tmp_path / "ratwall.img"))
    copy.with_name("ratwall.img.sha256").write_text(text)
    assert "expected one line for ratwall.img" in refused(copy)


def test_a_sum_is_found_among_others(image_file: Path, image: Image, tmp_path: Path) -> None:
    copy = Path(shutil.copy(image_file, tmp_path / "ratwall.img"))
    lines = f"{'0' * 64}  other.img\n{image.sha256.upper()} *build/ratwall.img\n"
    copy.with_name("ratwall.img.sha256").write_text(lines)
    assert read(copy).checked


def test_an_image_that_was_cut_off_is_refused(image_file: Path, tmp_path: Path) -> None:
    raw = image_file.read_bytes()
    copy = tmp_path / "ratwall.img"
    for text in (raw[:-SECTOR], raw[: 3 * MEGABYTE], raw[:TABLE_SIZE]):
        copy.write_bytes(text)
        assert "shorter than its partition table says" in refused(copy)
    copy.write_bytes(raw + bytes(SECTOR))
    assert "longer than its partition table says" in refused(copy)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "holiday.jpg"
    for raw in (b"", b"\xff\xd8\xff", bytes(2 * MEGABYTE)):
        file.write_bytes(raw)
        assert "not a Ratwall image: it has no GPT partition table" in refused(file)
    other = make_image(tmp_path / "other.img", (("EFI", 4), ("system\x1b[31m", 1)))
    message = refused(other)
    assert "its partitions are EFI, system" in message
    assert message.isprintable()
    assert "no such file" in refused(tmp_path / "none.img")
    assert "a folder or device, expected a file" in refused(tmp_path)


@given(data=st.data())
def test_one_wrong_bit_in_the_table_is_noticed(image: Image, data: st.DataObject) -> None:
    """But for what neither checksum covers: the loader's code, the rest of the header's sector."""
    head = bytearray(image.head[:TABLE_SIZE])
    covered = [*range(510, 512), *range(SECTOR, SECTOR + 92), *range(2 * SECTOR, TABLE_SIZE)]
    head[data.draw(st.sampled_from(covered))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(UsageError):
        read_table(bytes(head), "x.img")


@given(st.binary(max_size=TABLE_SIZE))
def test_any_bytes_are_a_table_or_an_error(raw: bytes) -> None:
    with pytest.raises(UsageError):
        read_table(raw, "x.img")
