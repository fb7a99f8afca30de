"""`make run` from the first line to Ctrl-C, with the real Ratwall in the box."""

import re
import signal
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from ratwall_lab.demo import parse
from ratwall_lab.namespaces import namespace_names

DEMO = Path(__file__).parents[3] / "scripts" / "demo"
MINUTE = 60.0


def page_status(host: str, port: int) -> str:
    """Return the status line with which the admin page answers on this machine."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), timeout=5) as plain,
        context.wrap_socket(plain) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return tls.recv(4096).split(b"\r\n")[0].decode()


@pytest.mark.root
def test_the_demo_tells_its_story_and_leaves_nothing() -> None:
    argv = [sys.executable, str(DEMO), "--web", "127.0.0.1:0"]
    told: list[str] = []
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            told.append(line)
            if line.startswith("Press Ctrl-C"):
                break
        story = "".join(told)
        try:
            found = re.search(r"admin page: https://(127\.0\.0\.1):(\d+)", story)
            assert found, story
            assert page_status(found[1], int(found[2])).startswith("HTTP/1.1 ")
        finally:
            demo.send_signal(signal.SIGINT)
            rest, _ = demo.communicate(timeout=MINUTE)
    assert demo.returncode == 0, story + rest
    assert "NOT AS IT SHOULD BE" not in story
    assert "set-up code: " in story
    assert "12 conversations passed, 13 were stopped." in story
    assert "tried to reach a remote-control server (AsyncRAT)" in story
    assert rest.endswith("Namespaces, processes and rules are gone.\n")
    prefix = re.search(r"in namespaces (\w+)-", story)
    assert prefix and not [name for name in namespace_names() if name.startswith(prefix[1])]


def test_an_address_without_port_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for bad in ("8443", "localhost:", "127.0.0.1:65536", "127.0.0.1:x"):
        with pytest.raises(SystemExit):
            parse(["--web", bad])
        assert f"expected HOST:PORT (0 to 65535), found '{bad}'" in capsys.readouterr().err
    assert parse(["--web", "127.0.0.1:65535"]).web == ("127.0.0.1", 65535)


@pytest.mark.root
def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, str(DEMO), "--web", f"127.0.0.1:{port}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=MINUTE,
        )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "choose another one with --web HOST:PORT" in done.stderr
