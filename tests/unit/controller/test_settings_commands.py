"""Settings changed by command: checked whole, kept by root, and nobody's secret is told again."""

import tomllib
from collections.abc import Iterator

import pytest

from ratwall.errors import RatwallError, UsageError
from ratwall.ledger.queries import audit
from unit.controller.box import Box, Running
from unit.controller.keeper import FileKeeper

FILE = """\
[detection]
alert = 60   # as it came
[web]
listen = "127.0.0.1:8443"
"""


@pytest.fixture
def keeper(box: Box) -> Iterator[FileKeeper]:
    keeper = FileKeeper(box.state, FILE)
    yield keeper
    keeper.stop()


@pytest.fixture
def running(box: Box, keeper: FileKeeper) -> Iterator[Running]:
    running = Running(box)
    yield running
    running.stop()


def change(running: Running, changes: dict[str, object], **more: object) -> dict[str, object]:
    arguments = {"changes": changes, "dry": False, **more}
    return running.client.call("settings_set", author="admin", **arguments)


def test_a_change_is_kept_put_in_force_and_written_down(
    running: Running, keeper: FileKeeper
) -> None:
    shown = running.call("settings")
    assert shown["document"]["detection"] == {"alert": 60}
    answer = change(running, {"detection.enforce": False}, digest=shown["digest"])
    assert answer["changed"] == ["detection.enforce"]
    assert answer["waiting"] == []
    assert tomllib.loads(keeper.path.read_text())["detection"] == {"alert": 60, "enforce": False}
    assert "# as it came" in keeper.path.read_text()
    assert keeper.path.with_name("settings.toml.before").read_text() == FILE
    assert keeper.applied[-1].detection.enforce is False
    running.call("status")  # what was written is on the disk
    (entry,) = [each for each in audit(running.service.ledger) if each["event"] == "settings"]
    assert (entry["author"], entry["detail"]) == ("admin", "detection.enforce")


def test_what_needs_a_restart_is_kept_and_not_in_force(
    running: Running, keeper: FileKeeper
) -> None:
    answer = change(running, {"web.listen": "192.0.2.1:443", "block.seconds": 61})
    assert answer["waiting"] == ["web.listen"]
    assert tomllib.loads(keeper.path.read_text())["web"] == {"listen": "192.0.2.1:443"}
    in_force = tomllib.loads(keeper.in_force.decode())
    assert in_force["web"] == {"listen": "127.0.0.1:8443"}
    assert in_force["block"] == {"seconds": 61}
    assert running.call("settings")["waiting"] == ["web.listen"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detection.alert": 0}, "detection.alert: expected an integer from 1 to 100"),
        ({"detection.alert": 95}, "expected watch < alert < block, found 30, 95, 80"),
        ({"detection.color": 1}, "there is no such setting"),
        ({"export.webhook.url": "https://h.example/x"}, "expected secret_file beside it"),
    ],
)
def test_what_is_wrong_changes_nothing(
    running: Running, keeper: FileKeeper, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        change(running, changes)
    assert keeper.path.read_text() == FILE
    assert keeper.applied == []


def test_a_kernel_that_refuses_leaves_the_file_and_the_secrets(
    running: Running, keeper: FileKeeper
) -> None:
    secret = "export.webhook.secret_file"
    url = {"export.webhook.url": "https://h.example/x"}
    change(running, url, secrets={secret: "first"})
    before = keeper.path.read_text()
    keeper.broken = True
    with pytest.raises(RatwallError, match="nft: no"):
        change(running, {"block.seconds": 62}, secrets={secret: "second"})
    assert keeper.path.read_text() == before
    assert (keeper.path.parent / "secrets" / "webhook").read_text() == "first\n"


def test_a_change_of_a_file_that_somebody_else_changed_is_refused(
    running: Running, keeper: FileKeeper
) -> None:
    known = running.call("settings")["digest"]
    change(running, {"block.seconds": 61})
    with pytest.raises(RatwallError, match="changed by somebody else"):
        change(running, {"block.seconds": 62}, digest=known)
    assert keeper.applied[-1].block.seconds == 61


def test_a_secret_goes_in_and_never_comes_out(running: Running, keeper: FileKeeper) -> None:
    name = "export.mqtt.password_file"
    server = {"export.mqtt.server": "b.example:8883", "export.mqtt.user": "box"}
    change(running, server, secrets={name: "open sesame"})
    kept = keeper.path.parent / "secrets" / "mqtt"
    assert kept.read_text() == "open sesame\n"
    assert kept.stat().st_mode & 0o777 == 0o640
    shown = running.call("settings")
    assert shown["secrets"] == [name]
    assert "open sesame" not in str(shown)
    assert "open sesame" not in str(audit(running.service.ledger))
    with pytest.raises(UsageError) as refused:
        change(running, {}, secrets={name: "two\nlines of open sesame"})
    assert "sesame" not in str(refused.value)
    change(running, {}, secrets={name: None})
    assert not kept.exists()
    assert running.call("settings")["secrets"] == []


def test_a_dry_run_says_what_would_be_and_keeps_nothing(
    running: Running, keeper: FileKeeper
) -> None:
    answer = change(running, {"block.seconds": 61}, dry=True)
    assert answer["changed"] == ["block.seconds"]
    assert keeper.path.read_text() == FILE


def test_without_a_keeper_it_says_so(box: Box) -> None:
    running = Running(box)
    try:
        with pytest.raises(RatwallError, match="does not answer"):
            running.call("settings")
    finally:
        running.stop()
