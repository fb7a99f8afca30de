"""`ratwall settings`: shown, set, unset; a secret from the input only."""

import io
import sys
from collections.abc import Iterator

import pytest

from unit.cli.conftest import Shell
from unit.controller.box import Running
from unit.controller.keeper import FileKeeper


@pytest.fixture
def keeper(shell: Shell) -> Iterator[FileKeeper]:
    keeper = FileKeeper(shell.state, "[block]\nseconds = 60  # short\n")
    yield keeper
    keeper.stop()


def test_a_setting_is_set_and_unset(
    shell: Shell, running: Running, keeper: FileKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell.json("settings", "show", "block.seconds")["settings"] == {
        "block.seconds": {"value": 60, "default": 86_400, "set": True, "restart": False}
    }
    assert shell.json("settings", "set", "block.seconds", "61")["changed"] == ["block.seconds"]
    assert "seconds = 61  # short" in keeper.path.read_text()
    assert shell.json("settings", "set", "network.mode", "router")["waiting"] == ["network.mode"]
    shell.json("settings", "unset", "block.seconds")
    assert "61" not in keeper.path.read_text()
    monkeypatch.setattr(sys, "stdin", io.StringIO("open sesame\n"))
    shell.json("settings", "set", "export.webhook.secret_file")
    assert (keeper.path.parent / "secrets" / "webhook").read_text() == "open sesame\n"
    assert shell.json("settings")["settings"]["export.webhook.secret_file"]["set"] is True
