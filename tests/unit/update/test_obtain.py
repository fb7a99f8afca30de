"""A bundle from a file or from an address on loopback: whole and of the right shape, or refused."""

import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ratwall.errors import UsageError
from ratwall.update.bundle import Manifest
from ratwall.update.obtain import obtained
from ratwall.update.place import Place
from ratwall.update.rauc import read_bundle
from unit.update.conftest import BOARD, Bundles


@contextmanager
def serving(content: bytes, announced: int | None, status: int = 200) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if announced is not None:
                self.send_header("Content-Length", str(announced))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/x.raucb"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_update_comes_from_an_address_and_is_gone_afterwards(
    place: Place, make_bundle: Bundles
) -> None:
    told: list[str] = []
    content = make_bundle().read_bytes()
    with (
        serving(content, len(content)) as url,
        obtained(url, place.download, told.append) as path,
    ):
        assert path.read_bytes() == content
        assert read_bundle(path, url, place.keyring) == Manifest("0.2.0", BOARD)
    assert told[-1] == "100% fetched"
    assert list(place.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "announced", "status", "words"),
    [
        (1, 0, 200, "broke off after"),
        (0, None, 200, "does not say how long"),
        (0, 0, 404, "answers 404"),
    ],
)
def test_what_does_not_come_whole_leaves_nothing_behind(
    place: Place,
    make_bundle: Bundles,
    missing: int,
    announced: int | None,
    status: int,
    words: str,
) -> None:
    content = make_bundle().read_bytes()
    length = None if announced is None else len(content)
    with (
        serving(content[: len(content) - missing], length, status) as url,
        pytest.raises(UsageError, match=words),
        obtained(url, place.download, lambda _: None),
    ):
        pass
    assert list(place.directory.iterdir()) == []


def test_a_server_that_announces_too_much_is_not_listened_to(place: Place) -> None:
    with (
        serving(b"hsqs", 2**40) as url,
        pytest.raises(UsageError, match="are allowed here"),
        obtained(url, place.download, lambda _: None),
    ):
        pass


def test_nobody_answers(place: Place) -> None:
    with (
        pytest.raises(UsageError, match=r"not fetched: .*refused"),
        obtained("http://127.0.0.1:1/x.raucb", place.download, lambda _: None),
    ):
        pass


def test_without_a_data_partition_nothing_is_fetched(place: Place) -> None:
    place.directory.rmdir()
    with (
        pytest.raises(UsageError, match="needs the data partition"),
        obtained("http://127.0.0.1:1/x.raucb", place.download, lambda _: None),
    ):
        pass


def test_a_file_that_is_none_a_pipe_or_another_scheme(place: Place, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for source, words in (
        (str(tmp_path / "nothing"), "cannot be read"),
        (str(tmp_path / "pipe"), "is no file"),
        (str(tmp_path), "cannot be read"),
        ("ftp://198.51.100.7/x.raucb", "expected a file, or an https"),
    ):
        with (
            pytest.raises(UsageError, match=words),
            obtained(source, place.download, lambda _: None),
        ):
            pass


def test_a_bundle_that_was_cut_off_is_told_apart_from_one_that_was_changed(
    place: Place, make_bundle: Bundles, tmp_path: Path
) -> None:
    whole = make_bundle().read_bytes()
    cut, changed = tmp_path / "cut.raucb", tmp_path / "changed.raucb"
    cut.write_bytes(whole[: len(whole) // 2])
    with (
        pytest.raises(UsageError, match="cut off or damaged"),
        obtained(str(cut), place.download, lambda _: None),
    ):
        pass
    changed.write_bytes(whole[:-300] + bytes([whole[-300] ^ 1]) + whole[-299:])
    with (
        obtained(str(changed), place.download, lambda _: None) as path,
        pytest.raises(UsageError, match="not signed by anybody whom this box trusts"),
    ):
        read_bundle(path, "changed.raucb", place.keyring)
