"""`scripts/flash` against real block devices: loop devices, written past the page cache.

Each is a file of the test's own; no disk of this machine is opened for writing.
"""

import contextlib
import hashlib
import os
import pty
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall_flash.card import CardError, Content, write_card
from ratwall_flash.image import read_image
from ratwall_flash.target import open_disk
from unit.flash.images import MEGABYTE, TOOLS, make_image, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="sets up loop devices: run as root")

SCRIPT = Path(__file__).parents[2] / "scripts" / "flash"
CARD_SIZE = 16 * MEGABYTE
TOKEN = "token-that-nobody-may-see"
SEED = f'[site]\nname = "Huber"\n[enrolment]\ntoken = "{TOKEN}"\n'
PATIENCE = 120.0  # on a busy machine; every wait ends with what it waits for


@contextlib.contextmanager
def loop(file: Path, *options: str) -> Iterator[str]:
    """A loop device over a file."""
    device = run(["losetup", "--find", "--show", *options, str(file)]).decode().strip()
    try:
        yield device
    finally:
        run(["losetup", "--detach", device])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_image(tmp_path_factory.mktemp("image") / "ratwall.img")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name("ratwall.img.sha256").write_text(f"{digest}  ratwall.img\n")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """What is behind the loop device: a used card."""
    path = tmp_path / "card"
    path.write_bytes(b"\xa5" * CARD_SIZE)
    return path


@pytest.fixture
def device(file: Path) -> Iterator[str]:
    with loop(file) as name:
        yield name


def flash(*arguments: object, **said: object) -> "subprocess.CompletedProcess[str]":
    given = str(said.pop("given", ""))
    environment = {**TOOLS, **{key: str(value) for key, value in said.items()}}
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        input=given,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def seed_in(file: Path) -> str:
    return run(["mcopy", "-i", f"{file}@@1M", "::ratwall.toml", "-"]).decode()


def labels(file: Path) -> list[str]:
    """The partitions as sfdisk finds them, an independent judge; none without a table."""
    done = subprocess.run(
        ["sfdisk", "--dump", str(file)], env=TOOLS, capture_output=True, text=True
    )
    return [
        line.split('name="')[1].split('"')[0]
        for line in done.stdout.splitlines()
        if "name=" in line
    ]


def test_an_image_is_written_with_its_seed(image: Path, file: Path, device: str) -> None:
    seed = file.with_name("ratwall.toml")
    seed.write_text(SEED)
    done = flash(image, device, "--seed", seed, "--yes")
    assert done.returncode == 0, done.stderr
    assert f"flash: {device} holds the image, with its seed, read back; take it out" in done.stdout
    assert "as ratwall.img.sha256 says" in done.stdout
    assert TOKEN not in done.stdout + done.stderr
    assert seed_in(file) == SEED
    assert labels(file) == ["bootsel", "boot-a", "boot-b", "root-a", "root-b", "data"]
    # bootsel differs by the seed, all behind it is the image byte for byte.
    written, wanted = file.read_bytes(), image.read_bytes()
    assert written[5 * MEGABYTE : len(wanted)] == wanted[5 * MEGABYTE :]
    assert written[:MEGABYTE] == wanted[:MEGABYTE]
    run(["fsck.vfat", "-n", str(cut_out(file))])


def cut_out(file: Path) -> Path:
    path = file.with_name("bootsel")
    path.write_bytes(file.read_bytes()[MEGABYTE : 5 * MEGABYTE])
    return path


def test_a_bad_seed_is_refused_before_anything_is_written(
    image: Path, file: Path, device: str
) -> None:
    seed = file.with_name("ratwall.toml")
    seed.write_text(f'[enrolment]\ntoken = "{TOKEN}"\n[admin]\npassword_hash = "hunter2"\n')
    done = flash(image, device, "--seed", seed, "--yes")
    assert done.returncode == 2
    assert "password_hash: expected an Argon2id hash" in done.stderr
    assert TOKEN not in done.stderr and "hunter2" not in done.stderr
    assert file.read_bytes() == b"\xa5" * CARD_SIZE


def test_a_mounted_card_is_refused(image: Path, file: Path, device: str, tmp_path: Path) -> None:
    """Also where it is mounted out of sight: the kernel is asked as well."""
    run(["mkfs.ext4", "-q", device])
    place = tmp_path / "mounted"
    place.mkdir()
    run(["mount", device, str(place)])
    try:
        done = flash(image, device, "--yes")
        assert done.returncode == 2
        assert f"{device} is mounted at '{place}'" in done.stderr
        assert f"umount {device}" in done.stderr
    finally:
        run(["umount", str(place)])
    run(["e2fsck", "-f", "-n", device])

    words = 'mount "$1" "$2" && echo mounted && read -r word'
    hidden = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", words, "sh", device, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=TOOLS,
    )
    try:
        assert hidden.stdout is not None and hidden.stdout.readline() == b"mounted\n"
        done = flash(image, device, "--yes")
        assert done.returncode == 2
        assert f"{device}: in use: a file system on it is mounted" in done.stderr
    finally:
        hidden.communicate(b"\n", timeout=PATIENCE)


def test_the_disk_of_this_machine_is_refused(image: Path) -> None:
    """Of whatever kind it is; a container may not see any."""
    shown = run(["findmnt", "--noheadings", "--output", "SOURCE", "--target", "/"]).decode().strip()
    if not shown.startswith("/dev/"):
        shown = "/dev/null"
    done = flash(image, shown, "--yes")
    assert done.returncode == 2
    assert "this machine runs from it" in done.stderr or "expected a" in done.stderr


@pytest.mark.parametrize(
    ("size", "options", "words"),
    [
        (14 * MEGABYTE - 512, [], "too small: 15 MB, the image needs 15 MB"),
        (CARD_SIZE, ["--read-only"], "read-only; is the little lock at the card's side shut?"),
        (CARD_SIZE, ["--sector-size", "4096"], "sectors of 4096 bytes, expected 512"),
    ],
)
def test_an_unfit_card_is_refused(
    image: Path, tmp_path: Path, size: int, options: list[str], words: str
) -> None:
    file = tmp_path / "card"
    file.write_bytes(b"\xa5" * size)
    with loop(file, *options) as device:
        done = flash(image, device, "--yes")
    assert done.returncode == 2
    assert f"flash: {device}: {words}" in done.stderr
    assert file.read_bytes() == b"\xa5" * size


def test_what_is_no_disk_is_refused(image: Path, file: Path, tmp_path: Path) -> None:
    for place, words in (
        (file, "a file, expected a disk"),
        (tmp_path, "a folder, expected a disk"),
        ("/dev/none", "No such file or directory"),
        ("/dev/null", "a file, expected a disk"),
    ):
        done = flash(image, place, "--yes")
        assert done.returncode == 2 and words in done.stderr, done.stderr
    assert file.read_bytes() == b"\xa5" * CARD_SIZE


def test_without_a_person_and_without_yes_nothing_is_written(
    image: Path, file: Path, device: str
) -> None:
    done = flash(image, device)
    assert done.returncode == 2
    assert "run it in a terminal, or add --yes" in done.stderr
    assert file.read_bytes() == b"\xa5" * CARD_SIZE


def test_a_card_that_fails_in_the_middle_does_not_start(image: Path, tmp_path: Path) -> None:
    """The file behind it is on a file system with room for half of it: the device says EIO."""
    place = tmp_path / "half"
    place.mkdir()
    run(["mount", "-t", "tmpfs", "-o", "size=8M", "none", str(place)])
    try:
        file = place / "card"
        with file.open("wb") as card:
            card.truncate(CARD_SIZE)
        with loop(file) as device:
            done = flash(image, device, "--yes")
        assert done.returncode == 1
        assert f"flash: {device}: " in done.stderr
        assert "it does not start as it is: try once more, then take another" in done.stderr
        assert labels(file) == []
    finally:
        run(["umount", str(place)])


def test_what_reads_back_otherwise_is_found_out(image: Path, file: Path, device: str) -> None:
    """Behind the device's back, one byte of root-b turns: only a true read can see it."""

    def corrupt(step: str, done: int, total: int) -> None:
        if step == "reading back" and done == 0:
            with file.open("r+b") as card:
                card.seek(9 * MEGABYTE)
                card.write(b"?")
                card.flush()
                os.fsync(card.fileno())

    found = read_image(image, lambda done, total: None)
    target = open_disk(device)
    try:
        with pytest.raises(CardError, match=r"at 9\.4 MB it does not hold what was written"):
            write_card(target, Content(found, found.bootsel), corrupt)
    finally:
        target.close()
    assert labels(file) == []


def test_a_killed_flash_leaves_nothing_that_starts(
    image: Path, file: Path, device: str, tmp_path: Path
) -> None:
    seed = tmp_path / "ratwall.toml"
    seed.write_text(SEED)
    argv = [sys.executable, SCRIPT, image, device, "--seed", seed, "--yes"]
    flashing = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=TOOLS)
    try:
        ends = time.monotonic() + PATIENCE
        with file.open("rb", buffering=0) as card:
            while True:  # until the first bytes behind the table are on the card
                card.seek(MEGABYTE)
                if card.read(1) != b"\xa5" or flashing.poll() is not None:
                    break
                assert time.monotonic() < ends
    finally:
        flashing.send_signal(signal.SIGKILL)
        flashing.wait(PATIENCE)
    # It may have been quicker than we: then all of it is there.
    assert not labels(file) or seed_in(file) == SEED
    done = flash(image, device, "--seed", seed, "--yes")
    assert done.returncode == 0, done.stderr
    assert seed_in(file) == SEED


def test_many_boxes_a_card_each(image: Path, file: Path, device: str, tmp_path: Path) -> None:
    """The second box is asked for with the first card still in; then the list is taken up again."""
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        f"box,site.name,enrolment.token\nshop-1,Huber 1,{TOKEN}-1\nshop-2,Huber 2,{TOKEN}-2\n"
    )
    common = tmp_path / "common.toml"
    common.write_text('[network]\nmode = "router"\n')
    # mcopy as it is called: neither its words nor its environment hold a secret.
    tools = tmp_path / "tools"
    tools.mkdir()
    log = tmp_path / "words"
    (tools / "mcopy").write_text(
        f'#!/bin/sh\necho "$*" >> {log}\nenv >> {log}\nexec {shutil.which("mcopy")} "$@"\n'
    )
    (tools / "mcopy").chmod(0o755)
    options = [image, device, "--csv", boxes, "--seed", common, "--yes"]
    path = f"{tools}:{TOOLS['PATH']}"

    done = flash(*options, given="\n\nq\n", PATH=path)
    assert done.returncode == 1, "a box is left"
    assert "this is the finished card of box 'shop-1'; take it out" in done.stdout
    assert "still without a card: 1 (shop-2); run it again to go on" in done.stdout
    assert 'name = "Huber 1"' in seed_in(file) and 'mode = "router"' in seed_in(file)

    file_of_first = file.read_bytes()
    file.write_bytes(b"\xa5" * CARD_SIZE)  # the next card
    again = flash(*options, given="\n", PATH=path)
    assert again.returncode == 0, again.stderr
    assert "box 1 of 1, 'shop-2'" in again.stdout
    assert 'name = "Huber 2"' in seed_in(file)
    assert file.read_bytes() != file_of_first

    record = (tmp_path / "boxes.record.csv").read_text()
    assert [line.split(",")[0] for line in record.splitlines()] == ["box", "shop-1", "shop-2"]
    words = log.read_text()
    assert "::ratwall.toml" in words
    for text in (done.stdout, done.stderr, again.stdout, again.stderr, record, words):
        assert TOKEN not in text

    other = make_image(tmp_path / "other.img")
    with other.open("r+b") as changed:
        changed.seek(10 * MEGABYTE)
        changed.write(b"another version")
    refused = flash(other, device, "--csv", boxes, "--seed", common, "--yes", given="\n")
    assert refused.returncode == 2
    assert "were made from another image" in refused.stderr


def test_a_file_in_place_of_a_card(image: Path, tmp_path: Path) -> None:
    seed, made = tmp_path / "ratwall.toml", tmp_path / "card.img"
    seed.write_text(SEED)
    done = flash(image, "--to-file", made, "--seed", seed)
    assert done.returncode == 0, done.stderr
    assert seed_in(made) == SEED
    assert made.stat().st_size == image.stat().st_size
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    before = made.read_bytes()
    refused = flash(image, "--to-file", made)
    assert refused.returncode == 2 and "there already" in refused.stderr
    assert made.read_bytes() == before


def test_a_person_at_a_terminal_is_asked_and_sees_a_bar(
    image: Path, file: Path, device: str
) -> None:
    """A wrong answer first; then the disk's name."""
    name = Path(device).name
    code, shown = at_a_terminal([image, device], "sda\n")
    assert code == 2
    assert f"not confirmed (expected {name}); nothing was written" in shown
    assert file.read_bytes() == b"\xa5" * CARD_SIZE

    code, shown = at_a_terminal([image, device], f"{name}\n")
    assert code == 0, shown
    assert f"flash: {device}: no model name, 17 MB, no serial" in shown
    assert f"all that is on it will be lost; type {name} to go on: " in shown
    assert "\r\x1b[Kwriting       [########################] 100 %  13.6 of 13.6 MB" in shown
    assert "\r\x1b[Kreading back  [########################] 100 %" in shown
    assert len(labels(file)) == 6


def at_a_terminal(arguments: list[object], answer: str) -> tuple[int, str]:
    """Run it on a terminal of 100 columns, answer its first question; its exit code and output."""
    ours, theirs = pty.openpty()
    try:
        flashing = subprocess.Popen(
            [sys.executable, SCRIPT, *map(str, arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**TOOLS, "COLUMNS": "100"},
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    shown, answered = b"", False
    ends = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < ends:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            shown += piece
            if not answered and b"to go on: " in shown:
                os.write(ours, answer.encode())
                answered = True
        code = flashing.wait(PATIENCE)
    finally:
        flashing.kill()
        flashing.wait()
        os.close(ours)
    return code, shown.decode()
