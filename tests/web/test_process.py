"""The page's process as the supervisor and a hostile network meet it: no browser, real sockets."""

import hashlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ratwall.supervisor.confine import Account, confined
from ratwall_web.__main__ import main
from ratwall_web.serving import (
    CONNECTIONS_PER_ADDRESS,
    HANDSHAKE_DEADLINE_S,
    HEADER_LIMIT,
    REQUEST_DEADLINE_S,
    THREADS,
)
from web.conftest import PASSWORD, Site, Visitor, serve, web_command, web_environment
from web.programs import Program, new_token
from web.story import Office

BODY_LIMIT = 256 * 1024
NOBODY = 65534
# Whoever waits for another's deadline waits for longer than the first, and nobody for longer than
# the second behind it: between them is room for a busy machine.
PROMPT_S = HANDSHAKE_DEADLINE_S - 1
LATE_S = 8


def connect(site: Site) -> socket.socket:
    return socket.create_connection(("127.0.0.1", site.port), timeout=30)


def speak_tls(site: Site) -> ssl.SSLSocket:
    return ssl._create_unverified_context().wrap_socket(connect(site))


def test_ready_line_names_the_certificate_that_is_served(site: Site) -> None:
    with speak_tls(site) as client:
        der = client.getpeercert(binary_form=True)
        assert client.version() == "TLSv1.3"
    assert der is not None
    assert site.fingerprint == "SHA256:" + hashlib.sha256(der).digest().hex(":").upper()
    text = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-text"],
        input=der,
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert "prime256v1" in text
    for name in ("DNS:localhost", "DNS:ratwall.local", "IP Address:127.0.0.1", "CA:FALSE"):
        assert name in text


def test_secrets_are_readable_by_their_owner_only(site: Site) -> None:
    web = site.state_dir / "web"
    assert web.stat().st_mode & 0o777 == 0o700
    Visitor(site).get("/setup")
    assert (web / "setup-code").stat().st_mode & 0o777 == 0o600
    assert (web / "tls.key").stat().st_mode & 0o777 == 0o600
    Visitor(site).set_up()
    assert (web / "credentials.json").stat().st_mode & 0o777 == 0o600
    kept = json.loads((web / "credentials.json").read_text())
    assert kept["password"].startswith("$argon2id$v=19$m=32768,t=3,p=1$")


def test_certificate_code_and_password_survive_a_restart(state_dir: Path) -> None:
    with serve(state_dir) as first:
        assert first.code is not None
    with serve(state_dir) as second:
        assert (second.code, second.fingerprint) == (first.code, first.fingerprint)
        assert Visitor(second).set_up().status == 303
    with serve(state_dir) as third:
        assert third.code is None
        assert Visitor(third).log_in().status == 303


def test_a_forgotten_password_is_set_anew_from_the_console(owned_site: Site) -> None:
    visitor = Visitor(owned_site)
    visitor.log_in()
    assert visitor.get("/devices/").status == 200
    program = Program(owned_site.url, new_token(owned_site.state_dir, "monitoring", "read"))
    assert program.get("/metrics").status == 200
    done = subprocess.run(
        [*web_command(owned_site.state_dir), "--forget-password"],
        capture_output=True,
        text=True,
        check=True,
        env=web_environment(),
    )
    assert re.fullmatch(r"ratwall-web: set-up code \d{4}-\d{4}\n", done.stdout)
    assert visitor.get("/devices/").headers["Location"] == "/setup"
    assert program.get("/metrics").status == 401, "tokens go with the password"
    owned_site.code = done.stdout.split()[-1]
    assert Visitor(owned_site).set_up("another good password").status == 303
    assert visitor.get("/devices/").status == 303, "the old session must be gone"


def test_root_gives_no_file_away_that_a_link_leads_to(state_dir: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to give files away")
    roots = state_dir / "of-root"
    roots.write_text("12345678")
    (state_dir / "web").mkdir(mode=0o700)
    (state_dir / "web" / "setup-code").symlink_to(roots)
    os.chown(state_dir / "web", NOBODY, NOBODY)
    assert main(["--state-dir", str(state_dir), "--forget-password"]) == 0
    assert roots.stat().st_uid == 0
    assert (state_dir / "web" / "setup-code").lstat().st_uid == NOBODY


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_leaves_at_once_when_told(state_dir: Path, end: signal.Signals) -> None:
    with serve(state_dir) as site, speak_tls(site):
        site.process.send_signal(end)
        assert site.process.wait(timeout=30) == 0


def test_runs_unprivileged_on_a_socket_that_it_was_given(state_dir: Path) -> None:
    """As the supervisor does it: root opens the socket, the page's user gets it as descriptor 3."""
    if os.getuid() != 0:
        pytest.skip("needs root, to become somebody else")
    state_dir.chmod(0o755)
    office = Office(state_dir / "ledger.sqlite3", group=NOBODY)
    office.attack()
    (state_dir / "web").mkdir(mode=0o700)
    os.chown(state_dir / "web", NOBODY, NOBODY)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with serve(
            state_dir,
            command=confined(
                web_command(state_dir, "192.0.2.1:9"),
                Account(NOBODY, NOBODY),
                state_dir=state_dir,
                listening=listener.fileno(),
            ),
            pass_fds=(listener.fileno(),),
        ) as site:
            assert site.port == port
            status = Path(f"/proc/{site.process.pid}/status").read_text()
            assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
            assert "CapEff:\t0000000000000000" in status
            assert site.code is not None
            visitor = Visitor(site)
            assert visitor.set_up().status == 303
            # The ledger is the controller's, readable by the page's group and written by root.
            assert "203.0.113.7" in visitor.get("/").text
            assert "203.0.113.7" in visitor.get("/connections/?q=6606").text
            office.close()  # a clean stop removes the write-ahead log
            assert "203.0.113.7" in visitor.get("/").text


def test_a_socket_meant_for_another_process_is_left_alone(state_dir: Path) -> None:
    with serve(state_dir, environment={"LISTEN_FDS": "1", "LISTEN_PID": "1"}) as site:
        assert Visitor(site).get("/healthz").status == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "8443"], "expected ADDRESS:PORT such as"),
        (["--listen", "127.0.0.1:65536"], "the port from 0 to 65535"),
        (["--listen", "::1:8443"], "or [2001:db8::1]:443"),
        (["--listen", "192.0.2.77:8443"], "Cannot assign requested address"),
        (["--listen", "nowhere.invalid:8443"], "nowhere.invalid:8443: expected ADDRESS:PORT"),
        (["--state-dir", "/proc/nowhere"], "cannot make /proc/nowhere/web"),
    ],
)
def test_a_bad_start_is_one_line(state_dir: Path, arguments: list[str], words: str) -> None:
    done = _start(state_dir, *arguments)
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_taken_port_is_one_line(site: Site, state_dir: Path) -> None:
    done = _start(state_dir, "--listen", f"127.0.0.1:{site.port}")
    assert done.returncode == 1
    assert "Address already in use; is another admin page running there" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def _start(state_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ratwall_web", "--state-dir", str(state_dir), *arguments]
    environment = web_environment()
    return subprocess.run(
        command, capture_output=True, text=True, timeout=30, env=environment, check=False
    )


def test_typing_http_leads_to_https(site: Site) -> None:
    with connect(site) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 302 Found\r\n")
    assert f"Location: https://127.0.0.1:{site.port}/\r\n".encode() in answer


def test_clients_that_dawdle_hold_nobody_up(site: Site) -> None:
    """Silent ones, and ones that shook hands and then say nothing: as many as there are threads."""
    visitor = Visitor(site)
    for dawdler in (connect, speak_tls):
        held = [dawdler(site) for _ in range(THREADS)]
        started = time.monotonic()
        assert visitor.get("/healthz").status == 200
        assert time.monotonic() - started < PROMPT_S
        for client in held:
            client.close()


def test_a_hundred_idle_connections_hold_nobody_up(site: Site) -> None:
    """From five addresses, each with less than its share; every other one has shaken hands."""
    held: list[socket.socket] = []
    context = ssl._create_unverified_context()
    try:
        for number in range(100):
            source = (f"127.0.0.{2 + number % 5}", 0)
            client = socket.create_connection(
                ("127.0.0.1", site.port), timeout=30, source_address=source
            )
            held.append(context.wrap_socket(client) if number % 2 else client)
        started = time.monotonic()
        assert Visitor(site).get("/healthz").status == 200
        assert time.monotonic() - started < PROMPT_S
        # They are there all along: none was closed to make room.
        for client in held[1::2]:
            client.settimeout(0.001)
            with pytest.raises((TimeoutError, ssl.SSLWantReadError)):
                client.recv(1)
    finally:
        for client in held:
            client.close()


@pytest.mark.parametrize(
    ("dawdler", "half"),
    [
        (connect, b"\x16\x03\x01\x02\x00\x01"),
        (speak_tls, b"GET / HTTP/1.1\r\nHost:"),
        (speak_tls, b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\ncsrf"),
    ],
    ids=["half a hello", "half a request", "half a form"],
)
def test_one_address_that_dawdles_in_mid_sentence_holds_no_other_up(
    site: Site, dawdler: Callable[[Site], socket.socket], half: bytes
) -> None:
    """All connections that it may have; each would hold a thread until its deadline."""
    held = [dawdler(site) for _ in range(CONNECTIONS_PER_ADDRESS)]
    for client in held:
        client.sendall(half)
    time.sleep(0.3)  # until the page has seen them
    started = time.monotonic()
    other = socket.create_connection(
        ("127.0.0.1", site.port), timeout=30, source_address=("127.0.0.2", 0)
    )
    with ssl._create_unverified_context().wrap_socket(other) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert time.monotonic() - started < PROMPT_S
    for client in held:
        client.close()


def test_half_a_hello_is_dropped_in_time(site: Site) -> None:
    with connect(site) as client:
        client.sendall(b"\x16\x03\x01")
        started = time.monotonic()
        assert client.recv(1) == b""
        assert time.monotonic() - started < HANDSHAKE_DEADLINE_S + LATE_S


def test_a_request_sent_byte_by_byte_is_dropped_in_time(site: Site) -> None:
    """Each byte comes well within a time-out of its own; the request as a whole does not."""
    with speak_tls(site) as client:
        client.settimeout(0.2)
        started = time.monotonic()
        answer = b""
        for byte in b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 1000:
            client.send(bytes([byte]))
            try:
                answer = client.recv(100)
                break
            except TimeoutError:
                continue
        assert b"408" in answer
        assert REQUEST_DEADLINE_S - 1 < time.monotonic() - started < REQUEST_DEADLINE_S + LATE_S


def test_one_address_may_hold_so_many_connections(site: Site) -> None:
    held = [speak_tls(site) for _ in range(CONNECTIONS_PER_ADDRESS)]
    with pytest.raises(OSError), connect(site) as extra:
        ssl._create_unverified_context().wrap_socket(extra)
    held.pop().close()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            held.append(speak_tls(site))
            break
        except OSError:
            time.sleep(0.1)
    assert len(held) == CONNECTIONS_PER_ADDRESS
    for client in held:
        client.close()


def test_headers_and_bodies_have_limits(owned_site: Site) -> None:
    visitor = Visitor(owned_site)
    assert visitor.get("/healthz", Filler="x" * (HEADER_LIMIT - 1000)).status == 200
    assert visitor.get("/healthz", Filler="x" * HEADER_LIMIT).status == 413
    csrf = visitor.csrf("/login")
    room = BODY_LIMIT - len(f"csrf={csrf}&password=")
    assert visitor.post("/login", {"csrf": csrf, "password": "x" * room}).status == 422
    # One byte more is refused before it is sent.
    with speak_tls(owned_site) as client:
        head = (
            f"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY_LIMIT + 1}\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")


def test_a_wrong_method_or_path_is_a_page_not_a_trace(owned_site: Site) -> None:
    visitor = Visitor(owned_site)
    visitor.log_in()
    for path, status in (("/nothing", 404), ("/incidents/99", 404), ("/logout", 405)):
        answer = visitor.get(path)
        assert answer.status == status
        assert "<h1>" in answer.text
        assert "Traceback" not in answer.text


def test_two_hundred_pages_leave_the_process_small(owned_site: Site) -> None:
    for _ in range(3):
        visitor = Visitor(owned_site)
        assert visitor.log_in().status == 303
    for _ in range(200):
        assert visitor.get("/").status == 200
    assert owned_site.memory() < 80 * 1024 * 1024
    assert PASSWORD not in (owned_site.state_dir / "web" / "credentials.json").read_text()


def test_a_start_that_fails_late_leaves_no_process_behind(state_dir: Path) -> None:
    """Its socket is served already when it says so, to a reader that is gone."""
    with serve(state_dir) as site:
        Visitor(site).set_up()  # no set-up code to announce before there are threads
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            web_command(state_dir),
            stdout=writer,
            stderr=subprocess.PIPE,
            env=web_environment(),
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert ended.returncode != 0
    assert b"BrokenPipeError" in ended.stderr
