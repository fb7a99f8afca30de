"""A card starts only if it is whole: power cuts, broken and lying cards at every step.

The card is a piece of memory that notes what is done to it, in order. It starts if a firmware would
find a partition table: what a box does then is the matter of the image's own tests.
"""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ratwall.errors import UsageError
from ratwall_flash.bootsel import put_seed, read_seed
from ratwall_flash.card import CardError, Content, holds, write_card
from ratwall_flash.gpt import TABLE_SIZE, read_table
from ratwall_flash.image import Image, read_image
from unit.flash.images import MEGABYTE, make_image

SEED = b'[enrolment]\ntoken = "kept-from-everybody"\n'
OLD = b"\xa5"  # what a used card is full of


class Cut(BaseException):
    """The power is gone: nothing that runs afterwards changes anything."""


class Card:
    """A used card in memory."""

    def __init__(self, size: int, before: Callable[[int], None] = lambda number: None) -> None:
        self.name, self.size = "/dev/card", size
        self.held = bytearray(OLD * size)
        self.steps = 0
        self._before = before

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        self._before(self.steps)
        self.steps += 1
        self.held[offset : offset + len(data)] = data
        assert len(self.held) == self.size, "written behind its end"

    def read(self, offset: int, length: int) -> memoryview:
        return memoryview(bytes(self.held[offset : offset + length]))

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass

    def starts(self) -> bool:
        try:
            read_table(bytes(self.held[:TABLE_SIZE]), "card")
        except UsageError:
            return False
        return True

    def is_whole(self, content: Content) -> bool:
        image = content.image
        raw = bytearray(image.path.read_bytes())
        part = image.table.find("bootsel")
        raw[part.start : part.start + part.size] = content.bootsel
        return bytes(self.held[: len(raw)]) == raw


@pytest.fixture(scope="module")
def content(image: Image) -> Content:
    return Content(image, put_seed(image.bootsel, SEED))


def write(card: Card, content: Content) -> None:
    write_card(card, content, lambda step, done, total: None)


def test_a_card_holds_image_and_seed(image: Image, content: Content) -> None:
    card = Card(16 * MEGABYTE)
    write(card, content)
    assert card.is_whole(content)
    part = image.table.find("bootsel")
    assert read_seed(bytes(card.held[part.start : part.start + part.size])) == SEED
    assert not any(card.held[-TABLE_SIZE:]), "the copy of an older table would be found by firmware"
    assert holds(card, image, {}) is None


def test_a_card_may_be_just_as_large_as_the_image(content: Content) -> None:
    card = Card(content.image.table.size)
    write(card, content)
    assert card.is_whole(content)


def test_without_a_seed_it_is_the_image(image: Image) -> None:
    card = Card(image.table.size)
    write(card, Content(image, image.bootsel))
    assert bytes(card.held) == image.path.read_bytes()


def test_a_power_cut_at_any_write_leaves_no_card_that_starts_half(content: Content) -> None:
    """A whole card is written anew, so that there is something to start from the beginning."""
    whole = Card(16 * MEGABYTE)
    write(whole, content)
    for last in range(whole.steps):

        def cut(number: int, last: int = last) -> None:
            if number == last:
                raise Cut

        card = Card(16 * MEGABYTE, cut)
        card.held[:] = whole.held
        with pytest.raises(Cut):
            write(card, content)
        # Before the first write it is the old card, which is whole.
        assert card.starts() == (last == 0), f"cut before write {last} of {whole.steps}"
    again = Card(card.size)
    again.held[:] = card.held
    write(again, content)
    assert again.is_whole(content)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_card_that_fails_is_told_of_and_does_not_start(number: int, content: Content) -> None:
    whole = Card(16 * MEGABYTE)
    write(whole, content)
    for last in range(whole.steps):

        def fail(step: int, last: int = last) -> None:
            if step == last:
                raise OSError(number, os.strerror(number))

        card = Card(16 * MEGABYTE, fail)
        with pytest.raises(CardError, match=r"/dev/card: .*; it does not start"):
            write(card, content)
        assert not card.starts()


def test_a_card_that_cannot_be_read_is_told_of_and_does_not_start(
    image: Image, content: Content
) -> None:
    class Unreadable(Card):
        def __init__(self, size: int, last: int) -> None:
            super().__init__(size)
            self.reads, self._last = 0, last

        def read(self, offset: int, length: int) -> memoryview:
            self.reads += 1
            if self.reads == self._last:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(offset, length)

    write(whole := Unreadable(16 * MEGABYTE, 0), content)
    assert whole.starts() and whole.reads > 3
    for last in range(1, whole.reads + 1):
        card = Unreadable(16 * MEGABYTE, last)
        with pytest.raises(CardError, match=r"Input/output error; .* does not start"):
            write(card, content)
        assert not card.starts(), f"read {last} of {whole.reads}"
    with pytest.raises(CardError, match=r"cannot be read: .* nothing was written"):
        holds(Unreadable(16 * MEGABYTE, 1), image, {})


class Lying(Card):
    """Says that all is well, and holds one wrong bit at a place, from a moment on."""

    def __init__(self, size: int, place: int) -> None:
        super().__init__(size)
        self._place = place

    def read(self, offset: int, length: int) -> memoryview:
        piece = bytearray(super().read(offset, length))
        if offset <= self._place < offset + length:
            piece[self._place - offset] ^= 1
        return memoryview(bytes(piece))


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (0, "the partition table"),
        (MEGABYTE - 1, "the partition table"),
        (MEGABYTE, "at 1.0 MB"),
        (9 * MEGABYTE, "at 9.4 MB"),
        (14 * MEGABYTE - 1, "MB it does not hold what was written"),
    ],
)
def test_a_card_that_lies_is_found_out(place: int, words: str, content: Content) -> None:
    card = Lying(16 * MEGABYTE, place)
    with pytest.raises(CardError, match=words):
        write(card, content)
    assert not card.starts()


def test_a_seed_that_does_not_stick_is_found_out(image: Image, content: Content) -> None:
    """The card takes the image, and nothing any more: as one that turned read-only inside."""
    part = image.table.find("bootsel")
    clean = Card(16 * MEGABYTE)
    write(clean, Content(image, image.bootsel))
    body_writes = clean.steps - 2  # the table's two writes come last

    class Stuck(Card):
        def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
            if self.steps >= body_writes and part.start <= offset < part.start + part.size:
                self.steps += 1
                return
            super().write(offset, data)

    card = Stuck(16 * MEGABYTE)
    with pytest.raises(CardError, match="the seed does not read back"):
        write(card, content)
    assert not card.starts()


def test_a_card_that_is_smaller_than_it_claims_is_found_out(content: Content) -> None:
    """Counterfeits write the end over the beginning."""
    real = 8 * MEGABYTE

    class Counterfeit(Card):
        def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
            for place in range(0, len(data), 512):
                super().write((offset + place) % real, data[place : place + 512])

        def read(self, offset: int, length: int) -> memoryview:
            begin = offset % real
            return memoryview((bytes(self.held[:real]) * 3)[begin : begin + length])

    card = Counterfeit(16 * MEGABYTE)
    with pytest.raises(CardError, match="smaller than it claims"):
        write(card, content)
    assert not card.starts()


def test_an_image_that_changes_while_it_is_written_is_noticed(tmp_path: Path) -> None:
    path = make_image(tmp_path / "ratwall.img")
    image = read_image(path, lambda done, total: None)
    with path.open("r+b") as file:
        file.seek(10 * MEGABYTE)
        file.write(b"another build")
    card = Card(16 * MEGABYTE)
    with pytest.raises(CardError, match="changed while it was written"):
        write(card, Content(image, image.bootsel))
    assert not card.starts()
    os.truncate(path, 12 * MEGABYTE)
    with pytest.raises(CardError, match="changed while it was written"):
        write(card, Content(image, image.bootsel))
    assert not card.starts()


def test_a_finished_card_is_known_when_it_is_put_in_again(image: Image, content: Content) -> None:
    card = Card(16 * MEGABYTE)
    known = {"shop-1": "0" * 64, "shop-2": hashlib.sha256(content.bootsel).hexdigest()}
    assert holds(card, image, known) is None
    write(card, content)
    assert holds(card, image, known) == "shop-2"
    assert holds(Card(MEGABYTE), image, known) is None
