"""The update that the page asked for: done as at the console, told as it goes, cleaned up after.

Bundles and signatures are real, the server is a real one; RAUC's writing and the restart are stood
in for, since they would be this machine's own.
"""

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ratwall.errors import RatwallError
from ratwall.update import overview, rauc
from ratwall.update.attempt import Attempt, State
from ratwall.update.job import Job
from ratwall.update.place import Place, keep_attempt, last_attempt
from ratwall.update.progress import Progress, load
from ratwall.update.slots import Slot
from unit.update.conftest import Bundles

NOW = 1_750_000_000_000_000


class Rauc:
    """What RAUC was asked for, and what the page could see meanwhile."""

    def __init__(self) -> None:
        self.seen: list[Progress | None] = []
        self.look: Callable[[], Progress | None] = lambda: None
        self.complaint = ""

    def install(self, path: object, tell: Callable[[str], None]) -> None:
        for line in (" 20% Checking bundle", "100% Installing done."):
            tell(line)
            self.seen.append(self.look())
        if self.complaint:
            raise RatwallError(self.complaint)

    def mark(self, what: str, slot: str) -> None:
        self.seen.append(self.look())

    def slots(self) -> dict[str, Slot]:
        return {"A": Slot("A", True, None), "B": Slot("B", True, "0.0.9")}


@pytest.fixture
def restarts() -> list[str]:
    return []


@pytest.fixture
def job(place: Place, tmp_path: Path, restarts: list[str]) -> Job:
    for name in ("state/web", "run"):
        (tmp_path / name).mkdir(parents=True)
    return Job(
        place, tmp_path / "state", tmp_path / "run", lambda: restarts.append("now"), lambda: NOW
    )


@pytest.fixture
def fake(job: Job, monkeypatch: pytest.MonkeyPatch) -> Rauc:
    stand_in = Rauc()
    stand_in.look = lambda: state(job)
    for name in ("install", "mark", "slots"):
        monkeypatch.setattr(rauc, name, getattr(stand_in, name))
    return stand_in


def state(job: Job) -> Progress | None:
    return load((job.runtime_dir / "update-state.json").read_bytes())


def ask(job: Job, what: str = "install", url: str | None = None) -> None:
    text = json.dumps({"what": what, "url": url})
    (job.runtime_dir / "update-request.json").write_text(text)


def test_an_uploaded_update_is_installed_and_the_file_goes(
    job: Job, fake: Rauc, place: Place, make_bundle: Bundles, restarts: list[str]
) -> None:
    job.upload.write_bytes(make_bundle().read_bytes())
    ask(job)
    assert job.run()
    steps = [(step.step, step.percent) for step in fake.seen if step]
    assert steps == [("write", 20), ("write", 100)]
    last, progress = last_attempt(place), state(job)
    assert last is not None and (last.version, last.state) == ("0.2.0", State.INSTALLED)
    assert progress is not None and progress.state == "done"
    assert restarts == ["now"]
    assert not job.upload.exists()
    assert not (job.runtime_dir / "update-request.json").exists()
    found = overview.read(place)
    assert found is not None and (found.version, found.other_version) == ("0.1.0", "0.2.0")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda raw: b"MZ" + raw, "the uploaded file: is no update"),
        (lambda raw: raw[: len(raw) // 2], "the uploaded file: is cut off"),
        (lambda raw: raw[:-400] + bytes([raw[-400] ^ 1]) + raw[-399:], "not signed by anybody"),
    ],
)
def test_what_is_no_update_for_this_box_changes_nothing(
    job: Job,
    fake: Rauc,
    place: Place,
    make_bundle: Bundles,
    restarts: list[str],
    spoil: Callable[[bytes], bytes],
    words: str,
) -> None:
    job.upload.write_bytes(spoil(make_bundle().read_bytes()))
    ask(job)
    assert not job.run()
    progress = state(job)
    assert progress is not None and progress.state == "failed" and words in progress.reason
    assert str(job.state_dir) not in progress.reason
    assert fake.seen == restarts == [] and last_attempt(place) is None
    assert not job.upload.exists()


def test_back_to_the_version_before(
    job: Job, fake: Rauc, place: Place, restarts: list[str]
) -> None:
    keep_attempt(place, Attempt("0.1.0", "A", "0.0.8", 1, "b", State.GOOD, ended=2))
    ask(job, "rollback")
    assert job.run()
    last = last_attempt(place)
    assert last is not None and (last.version, last.slot) == ("0.0.8", "B")
    assert restarts == ["now"]


def test_what_was_not_asked_for_is_not_done(job: Job, fake: Rauc, restarts: list[str]) -> None:
    for text in ("", "[]", '{"what":"format","url":null}', '{"what":"install","url":7}'):
        (job.runtime_dir / "update-request.json").write_text(text)
        assert not job.run()
    assert fake.seen == restarts == []


def test_a_job_that_was_killed_is_told_of(job: Job) -> None:
    job.ended()  # there was none: nothing to tell
    running = Progress("install", "running", "write", 40, NOW, None, "")
    (job.runtime_dir / "update-state.json").write_text(
        json.dumps({name: getattr(running, name) for name in running.__slots__})
    )
    job.ended()
    found = state(job)
    assert found is not None and (found.state, found.percent) == ("failed", 40)
    assert "broke off" in found.reason


@pytest.fixture
def served(make_bundle: Bundles) -> Iterator[str]:
    """The address of a bundle on this machine."""
    bundle = make_bundle()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(bundle.parent))

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{bundle.name}"
        server.shutdown()
        thread.join()


def test_an_address_is_fetched_by_another_user(
    job: Job,
    fake: Rauc,
    place: Place,
    served: str,
    monkeypatch: pytest.MonkeyPatch,
    restarts: list[str],
) -> None:
    """As another user where that can read this interpreter; as nobody else where it cannot."""
    from ratwall.supervisor.confine import Account
    from ratwall.update import obtain

    monkeypatch.setattr(obtain, "account", lambda _: Account(os.geteuid(), os.getegid()))
    seen: list[tuple[object, object]] = []
    popen = obtain.subprocess.Popen

    def spy(*arguments: Any, **more: Any) -> Any:
        if "ratwall.update.get" in arguments[0]:
            seen.append((more.get("user"), more.get("extra_groups")))
            if os.geteuid() != 0:
                for key in ("user", "group", "extra_groups"):
                    more.pop(key)
        return popen(*arguments, **more)

    monkeypatch.setattr(obtain.subprocess, "Popen", spy)
    ask(job, url=served)
    assert job.run()
    assert seen == [(os.geteuid(), [])]
    assert restarts == ["now"] and not place.download.exists()
