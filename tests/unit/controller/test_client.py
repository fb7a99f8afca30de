"""The client waits as long as it was told to, and says so."""

import socket
from pathlib import Path

import pytest

from ratwall.controller.client import Client
from ratwall.errors import NotRunningError


def test_a_controller_that_does_not_answer_is_waited_for_as_long_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(path))
        silent.listen()
        with pytest.raises(NotRunningError, match=r"control\.sock: no answer within 0\.05 s"):
            Client(path, timeout=0.05).call("status")
