"""`ratwall signatures`: packs listed, checked, brought in force and taken away again."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from ratwall.cli.main import main
from ratwall.cli.obtaining import obtain
from ratwall.controller.client import Client
from ratwall.errors import RatwallError, UsageError
from ratwall.signatures.pack import SHIPPED, load_packs
from ratwall.signatures.signed import SIGNED_BYTES_LIMIT, key_id, sign
from ratwall.signatures.store import NAME, packs_in_force
from ratwall.supervisor.confine import account
from ratwall.supervisor.reload import Door
from ratwall_lab.certificates import Notary
from ratwall_lab.contexts import client_context, server_context
from ratwall_lab.handshakes import flights
from unit.cli.conftest import Shell
from unit.signatures.packs import MADE, OTHER_SEED, SEED, TRUST, pack, signed
from unit.wire.x509.minting import mint

KEY = key_id(bytes.fromhex(TRUST[0]))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A box that ran here before and trusts the tests' key."""
    run = tmp_path / "state" / "run"
    run.mkdir(parents=True)
    (run / "settings.toml").write_text(f'[signatures]\ntrust = ["release", "{TRUST[0]}"]\n')
    return Shell(tmp_path / "state", capsys)


@pytest.fixture(scope="module")
def notary() -> Notary:
    return Notary()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "testrat.toml"
    path.write_bytes(signed())
    return path


def in_force(shell: Shell) -> dict[str, int]:
    found = packs_in_force(shell.state, TRUST)
    assert found.problems == ()
    return {each.pack.name: each.pack.version for each in found.held}


def test_it_lists_the_packs_with_version_key_and_age(shell: Shell, file: Path) -> None:
    shell.run("signatures", "update", str(file))
    lines = shell.run("signatures").splitlines()
    assert lines[0].split()[:6] == ["PACK", "VERSION", "KEY", "MADE", "TAKEN", "RULES"]
    assert lines[1].split()[:6] == ["asyncrat", "1", "shipped", "2026-11-24", "-", "4"]
    (line,) = (each for each in lines if each.startswith("testrat"))
    assert line.split()[:8] == ["testrat", "1", KEY, str(MADE), "just", "now", "1", "1"]
    assert lines[-1] == f"packs: {len(load_packs()) + 1}, rules: 40"
    shown = shell.json("signatures")
    assert shown["packs"][-1]["key"] == KEY
    assert shown["problems"] == []


def test_a_pack_is_brought_raised_and_taken_away(shell: Shell, file: Path) -> None:
    said = shell.run("signatures", "update", str(file))
    assert said == (f"testrat, version 1, made {MADE}: will be in force when Ratwall is started.\n")
    assert in_force(shell)["testrat"] == 1
    assert "is in force already" in shell.run("signatures", "update", str(file))
    file.write_bytes(signed(version=3))
    shell.run("signatures", "update", str(file))
    assert in_force(shell)["testrat"] == 3
    said = shell.run("signatures", "remove", "testrat")
    assert said == "testrat: is gone, and none was shipped under its name.\n"
    assert "testrat" not in in_force(shell)


def test_the_pack_shipped_is_what_is_gone_back_to(shell: Shell, file: Path) -> None:
    file.write_bytes(signed("dcrat", 2, "dcrat nextgen"))
    shell.run("signatures", "update", str(file))
    assert in_force(shell)["dcrat"] == 2
    said = shell.run("signatures", "remove", "dcrat")
    assert said.startswith("dcrat, version 1, made 2026-11-24: that was shipped will be in force")
    assert in_force(shell)["dcrat"] == 1
    complaint = shell.run("signatures", "remove", "dcrat", code=2)
    assert "no pack 'dcrat' was brought here" in complaint


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (pack(version=9), "not signed"),
        (signed(version=9, seed=OTHER_SEED), "is not trusted here"),
        (signed(version=9)[:-2], "the signature does not hold"),
        (signed(version=9, extra="colour = 1"), "colour: unknown key"),
        (signed(version=9).replace(b"pack 1", b"pack 9", 1), "format 9; this Ratwall reads"),
        (signed(version=9, words="google"), "would cut off an honest certificate"),
        (signed(version=1), "version 1 of testrat is older than version 2 in force since"),
        (signed(version=2, words="other rat"), "a changed pack needs a higher version"),
        (signed("asyncrat", 1, "asyncrat")[:-1], "the signature does not hold"),
    ],
)
def test_what_is_refused_changes_nothing(
    shell: Shell, file: Path, content: bytes, complaint: str
) -> None:
    file.write_bytes(signed(version=2))
    shell.run("signatures", "update", str(file))
    before = {each: each.read_bytes() for each in (shell.state / NAME).iterdir()}
    file.write_bytes(content)
    assert complaint in shell.run("signatures", "update", str(file), code=2)
    assert {each: each.read_bytes() for each in (shell.state / NAME).iterdir()} == before


def test_an_older_one_is_taken_when_asked_for_but_none_below_the_one_shipped(
    shell: Shell, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for version in (5, 4):
        file.write_bytes(signed(version=version))
        shell.run("signatures", "update", str(file), *(["--older"] if version == 4 else []))
        assert in_force(shell)["testrat"] == version
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "testrat.toml").write_bytes(pack(version=3))
    monkeypatch.setattr("ratwall.cli.signatures.load_packs", lambda: load_packs(shipped))
    file.write_bytes(signed(version=2))
    complaint = shell.run("signatures", "update", str(file), "--older", code=2)
    assert "older than version 3 that came with Ratwall" in complaint


def test_a_pack_that_matches_the_boxs_own_page_is_refused(shell: Shell, file: Path) -> None:
    (shell.state / "web").mkdir()
    (shell.state / "web" / "tls.crt").write_text(
        DER_cert_to_PEM_cert(mint("ratwall testrat server"))
    )
    complaint = shell.run("signatures", "update", str(file), code=2)
    assert "would cut off the certificate of this box's own page" in complaint


def test_a_pack_without_a_date_is_refused(shell: Shell, file: Path) -> None:
    file.write_bytes(sign(pack().replace(f"made = {MADE}\n".encode(), b""), SEED))
    assert "made: missing" in shell.run("signatures", "update", str(file), code=2)


def test_where_ratwall_never_ran_no_pack_is_put(tmp_path: Path, shell: Shell, file: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    other = Shell(tmp_path / "elsewhere", shell._capsys)
    assert "Ratwall never ran there" in other.run("signatures", "update", str(file), code=4)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_check_reads_files_signed_or_not_and_changes_nothing(
    shell: Shell, file: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.toml"
    plain.write_bytes(pack("plainrat", words="plain rat"))
    shown = shell.json("signatures", "check", str(file), str(plain), str(SHIPPED / "dcrat.toml"))
    assert [(each["name"], each["key"]) for each in shown["packs"]] == [
        ("testrat", KEY),
        ("plainrat", "not signed"),
        ("dcrat", "not signed"),
    ]
    assert not (shell.state / NAME).exists()
    file.write_bytes(signed(seed=OTHER_SEED))
    assert "is not trusted here" in shell.run("signatures", "check", str(plain), str(file), code=2)
    plain.write_bytes(pack("plainrat", words="google"))
    assert "would cut off" in shell.run("signatures", "check", str(plain), code=2)
    assert shell.run("signatures", "check").splitlines()[1].startswith("asyncrat")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("update",), "expected one FILE or https address, found 0"),
        (("update", "a", "b"), "found 2"),
        (("remove",), "expected the NAME of a pack"),
        (("update", "/absent.toml"), "/absent.toml: cannot be read: No such file"),
        (("update", "/"), "/: cannot be read: Is a directory"),
        (("update", "/dev/zero"), "/dev/zero: is no file"),
        (("update", "http://example.org/x"), "expected a file or an https:// address"),
        (("remove", "../run/settings"), "no pack '../run/settings' was brought here"),
        (("download",), "invalid choice: 'download'"),
    ],
)
def test_what_is_asked_wrongly_is_said(
    shell: Shell, words: tuple[str, ...], complaint: str
) -> None:
    assert complaint in shell.run("signatures", *words, code=2)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_file_has_a_largest_size(tmp_path: Path, extra: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100 + extra))
    if extra <= 0:
        assert len(obtain(str(path), 100)) == 100 + extra
    else:
        with pytest.raises(UsageError, match="has more than 100 bytes"):
            obtain(str(path), 100)


def test_nobody_answers_there_is_one_line(shell: Shell) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        port = closed.getsockname()[1]
    complaint = shell.run("signatures", "update", f"https://127.0.0.1:{port}/x", code=2)
    assert f"https://127.0.0.1:{port}/x: not fetched: 127.0.0.1: " in complaint


def test_it_is_fetched_over_https(
    shell: Shell, notary: Notary, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Publisher(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = signed() if self.path == "/testrat.toml" else bytes(SIGNED_BYTES_LIMIT + 1)
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    # As root another user would fetch, who may not read the lab's authority where it lies.
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("SSL_CERT_FILE", str(notary.trust_root()))
    with HTTPServer(("127.0.0.1", 0), Publisher) as server:
        context = server_context(notary.web_site("localhost"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            place = f"https://localhost:{server.server_address[1]}"
            assert obtain(f"{place}/testrat.toml", SIGNED_BYTES_LIMIT) == signed()
            with pytest.raises(UsageError, match="not fetched: localhost: sends more than"):
                obtain(f"{place}/endless.toml", SIGNED_BYTES_LIMIT)
        finally:
            server.shutdown()
            thread.join()


def test_who_fetches_for_root_is_not_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root hands the fetching to somebody else")
    owners: list[int] = []

    def look() -> None:
        connection, (_, port) = server.accept()
        with connection:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            owners.extend(int(row[7]) for row in rows if int(row[1].split(":")[1], 16) == port)

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=look)
        thread.start()
        with pytest.raises(UsageError, match="not fetched"):
            obtain(f"https://127.0.0.1:{server.getsockname()[1]}/x", 100)
        thread.join()
    assert owners == [account("ratwall-web").uid]


class Keeper(threading.Thread):
    """Stands for the running box: takes packs, or says why not."""

    def __init__(self, path: Path, refusal: RatwallError | None) -> None:
        super().__init__(name="keeper")
        self.asked_for_packs: list[bool] = []
        self._door, self._refusal = Door(path), refusal
        self._end = threading.Event()

    def run(self) -> None:
        self._door._server.settimeout(0.05)
        with closing(self._door):
            while not self._end.is_set():
                self._door.accept()
                if self._door.waiting:
                    waiting = self._door.take()
                    self.asked_for_packs.append(self._door.packs_only)
                    self._door.answer(waiting, self._refusal)

    def finish(self) -> None:
        self._end.set()
        self.join()


@pytest.fixture
def keeper(shell: Shell, request: pytest.FixtureRequest) -> Iterator[Keeper]:
    refusal = getattr(request, "param", None)
    keeper = Keeper(shell.state / "run" / "reload.sock", refusal)
    keeper.start()
    yield keeper
    keeper.finish()


def test_a_running_box_is_asked_to_take_it(shell: Shell, file: Path, keeper: Keeper) -> None:
    said = shell.run("signatures", "update", str(file))
    assert said.endswith("is in force; no connection was touched.\n")
    assert keeper.asked_for_packs == [True]


@pytest.mark.parametrize("keeper", [RatwallError("inspector 1 did not take it")], indirect=True)
def test_when_the_box_does_not_take_it_everything_is_put_back(
    shell: Shell, file: Path, keeper: Keeper
) -> None:
    complaint = shell.run("signatures", "update", str(file), code=1)
    assert complaint == "inspector 1 did not take it; the packs are as they were"
    assert "testrat" not in in_force(shell)
    assert list((shell.state / NAME).iterdir()) == []
    assert keeper.asked_for_packs == [True, True], "and who took it is told to go back"


def test_a_box_that_does_not_answer_is_not_taken_for_one_that_is_off(
    shell: Shell, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ratwall.cli.signatures.Client", lambda path: Client(path, timeout=0.2))
    with closing(socket.socket(socket.AF_UNIX)) as deaf:
        deaf.bind(str(shell.state / "run" / "reload.sock"))
        deaf.listen()
        complaint = shell.run("signatures", "update", str(file), code=1)
    assert "no answer within 0.2 s; the packs are as they were" in complaint
    assert "testrat" not in in_force(shell)


def test_captures_are_judged_by_the_packs_of_a_box_where_that_is_asked_for(
    shell: Shell, file: Path, notary: Notary, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = server_context(notary.appliance("TestRAT server"), "1.2", "1.2")
    frames, said = [], {True: 1000, False: 5000}
    for from_client, data in flights(server, client_context("1.2", "1.2"), None):
        ends = ("192.168.1.10", "203.0.113.7"), (50_000, 443)
        (source, destination), (sport, dport) = ends if from_client else (x[::-1] for x in ends)
        ports = TCP(sport=sport, dport=dport, flags="PA", seq=said[from_client])
        ports.ack = said[not from_client]
        frames.append(Ether() / IP(src=source, dst=destination) / ports / data)
        said[from_client] += len(data)
    capture = tmp_path / "one.pcap"
    wrpcap(str(capture), frames)
    shell.run("signatures", "update", str(file))

    def verdict(*options: str) -> tuple[str, str | None]:
        main(["replay", "--json", *options, str(capture)])
        flow = json.loads(capsys.readouterr().out.splitlines()[0])
        return flow["verdict"], flow["family"]

    assert verdict()[0] != "block"
    config = str(shell.state / "run" / "settings.toml")
    assert verdict("--config", config)[0] != "block"
    assert verdict("--config", config, "--state-dir", str(shell.state)) == ("block", "TestRAT")


def test_a_damaged_pack_is_told_and_the_exit_code_says_so(
    shell: Shell, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run("signatures", "update", str(file))
    path = shell.state / NAME / "testrat.toml"
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["signatures", "--json", "--state-dir", str(shell.state)]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert "the signature does not hold" in shown["problems"][0]
    assert "testrat" not in [each["name"] for each in shown["packs"]]
    # Bringing it again mends it.
    shell.run("signatures", "update", str(file))
    assert in_force(shell)["testrat"] == 1
