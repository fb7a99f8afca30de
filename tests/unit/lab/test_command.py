"""`scripts/lab` by hand: up, status, shell, down; and what a killed lab leaves is swept away."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ratwall_lab import standing, tools
from ratwall_lab.command import parse
from ratwall_lab.namespaces import LabError, namespace_names, run_tool

LAB = Path(__file__).parents[3] / "scripts" / "lab"
NAME = f"rwt{os.getpid()}"


def lab(*arguments: str, name: str = NAME) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(LAB), "--name", name, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.root
def test_up_status_shell_down() -> None:
    try:
        up = lab("up", "--mode", "bridge")
        assert up.returncode == 0, up.stderr
        again = lab("up")
        assert (again.returncode, again.stderr.count("\n")) == (1, 1)
        assert f"a lab called {NAME} is up already" in again.stderr
        assert "AsyncRAT look-alike" in lab("status").stdout
        fetched = lab(
            "shell", "anna", "--", "curl", "-sko", "/dev/null", "https://[2001:db8:99::20]:5001/"
        )
        assert fetched.returncode == 0
        assert lab("shell", "carl").stderr.startswith("lab: no machine called 'carl'")
    finally:
        down = lab("down")
    assert down.stdout == f"{NAME} is down\n"
    assert not [name for name in namespace_names() if name.startswith(NAME)]
    assert (
        lab("down").stderr == f"lab: no lab called '{NAME}' is up; make one with: scripts/lab up\n"
    )


@pytest.mark.root
def test_what_a_killed_lab_left_is_swept_with_its_processes() -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    left = f"rw{gone.pid}n1-anna"
    alive = f"rw{os.getpid()}n999-anna"
    for name in (left, alive):
        run_tool(["ip", "netns", "add", name])
    sleeper = subprocess.Popen(["ip", "netns", "exec", left, "sleep", "60"])
    try:
        assert left in standing.take_down_abandoned()
        assert left not in namespace_names()
        assert alive in namespace_names(), "its owner, this test, lives"
        assert sleeper.wait(5) != 0
    finally:
        sleeper.kill()
        sleeper.wait()
        run_tool(["ip", "netns", "delete", alive])


def test_a_name_must_be_short_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    for good in ("a", "a" * 15):
        assert parse(["--name", good, "status"]).name == good
    for bad in ("", "a" * 16, "A", "../x"):
        with pytest.raises(SystemExit):
            parse(["--name", bad, "status"])
    assert "up to 15 lower-case letters and digits" in capsys.readouterr().err


def test_missing_tools_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.shutil, "which", lambda tool: None if tool in ("nft", "ip") else "/x")
    with pytest.raises(LabError, match="missing system tools: ip, nft; install with: apt-get"):
        tools.check_tools()


def test_without_root_it_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"run it as root \(try: sudo make run\)"):
        tools.check_root("make run")


def test_a_process_is_known_by_its_start_time() -> None:
    own = standing.start_time(os.getpid())
    assert own is not None and own > 0
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    assert standing.start_time(gone.pid) is None


def test_activation_hands_the_socket_over_as_descriptor_three() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        show = "import os, socket; print(os.environ['LISTEN_FDS'], os.getpid() == "
        show += "int(os.environ['LISTEN_PID']), socket.socket(fileno=3).getsockname()[1])"
        argv = [sys.executable, "-m", "ratwall_lab.activation", str(listener.fileno())]
        done = subprocess.run(
            [*argv, sys.executable, "-c", show],
            pass_fds=(listener.fileno(),),
            env={**os.environ, "PYTHONPATH": str(LAB.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["1", "True", str(listener.getsockname()[1])]
