"""A backup opens with its passphrase, whole and unchanged, or says in one line why not."""

import os
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.backup import envelope
from ratwall.backup.contents import Contents, read_contents
from ratwall.backup.envelope import FILE_LIMIT, HEAD, TEXT_LIMIT, Cost, seal, unseal
from ratwall.errors import UsageError

WORDS = "correct horse battery"
QUICK = Cost(1, 8 * 1024)
FILE = seal(b"the office", WORDS, os.urandom, QUICK)


def test_it_opens_and_no_two_are_the_same() -> None:
    assert unseal(FILE, WORDS) == b"the office"
    assert seal(b"the office", WORDS, os.urandom, QUICK) != FILE
    assert b"office" not in FILE


def test_what_is_made_can_be_read_at_the_cost_of_a_box() -> None:
    assert unseal(seal(b"x", WORDS, os.urandom), WORDS) == b"x"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (FILE[:10], "this is no backup"),
        (FILE[: HEAD.size - 1], "not whole: its end is missing"),
        (FILE[:-1], "not whole: 1 of "),
        (b"PK\x03\x04" + FILE, "this is no backup"),
        (FILE[:15] + b"\x02" + FILE[16:], "has version 2, and this box reads version 1; update"),
        (FILE + b"x", "changed or damaged"),
        (FILE[:-1] + bytes([FILE[-1] ^ 1]), "changed or damaged"),
        (bytes(FILE_LIMIT + 1), "more than 200 KB"),
    ],
)
def test_what_is_wrong_is_one_line(file: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as error:
        unseal(file, WORDS)
    assert "\n" not in str(error.value)


def test_a_wrong_passphrase_is_told_from_a_changed_file() -> None:
    with pytest.raises(UsageError, match="the passphrase is not the one"):
        unseal(FILE, WORDS + "!")
    for short in ("eleven char", "x" * 257):
        with pytest.raises(UsageError, match=f"12 to 256 characters; this one has {len(short)}"):
            seal(b"", short, os.urandom, QUICK)


@pytest.mark.parametrize("cost", [Cost(11, 8192), Cost(0, 8192), Cost(1, 2**31), Cost(1, 1)])
def test_a_file_cannot_make_the_box_work_for_minutes(
    cost: Cost, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = list(HEAD.unpack(FILE[: HEAD.size]))
    head[2:4] = cost.passes, cost.memory_kib
    monkeypatch.setattr(envelope, "_keys", None)  # it is not even tried
    with pytest.raises(UsageError, match="changed or damaged"):
        unseal(HEAD.pack(*head) + FILE[HEAD.size :], WORDS)


def test_a_body_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zlib.compress(bytes(TEXT_LIMIT + 1))
    monkeypatch.setattr(zlib, "compress", lambda *_: packed)
    bomb = seal(b"", WORDS, os.urandom, QUICK)
    monkeypatch.undo()
    with pytest.raises(UsageError, match="changed or damaged"):
        unseal(bomb, WORDS)
    with pytest.raises(UsageError, match="more to keep than a backup holds"):
        seal(os.urandom(FILE_LIMIT), WORDS, os.urandom, QUICK)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(at: int, flip: int) -> None:
    changed = bytearray(FILE)
    changed[at] ^= flip
    if 16 <= at < 24:  # the cost: what stays within bounds gives other keys, slowly
        return
    with pytest.raises(UsageError):
        unseal(bytes(changed), WORDS)


def test_contents_go_in_and_out() -> None:
    contents = Contents(7, "box", "0.1.0", {"settings": ""}, {"tls.key": b"k", "tls.crt": b"c"})
    assert read_contents(contents.as_bytes()) == contents


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"made": "x", "box": "b", "version": "1", "part": {}, "files": {}}',
        b'{"made": 1, "box": "b", "version": "1", "part": [], "files": {}}',
        b'{"made": 1, "box": "b", "version": "1", "part": {}, "files": {"../x": "eA=="}}',
        b'{"made": 1, "box": "b", "version": "1", "part": {}, "files": {"tls.key": "eA=="}}',
        b'{"made": 1, "box": "b", "version": "1", "part": {}, "files": {"tokens.json": 7}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_backup_inside_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError, match="holds nothing that this box knows"):
        read_contents(text)
