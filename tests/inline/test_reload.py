"""Changed settings are taken in place: nothing passes uninspected and nobody notices."""

import itertools
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from inline.conftest import Box, running_box, wait_for
from inline.counts import uninspected
from ratwall_lab.bulk import BulkClient, LongDownload
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.endpoint import PATIENCE_SECONDS, TlsEndpoint
from ratwall_lab.servers import Server, idle_handler, web_handler
from ratwall_lab.shapes import rat_shape
from ratwall_lab.topology import Lab, Mode

BLOCK_SECONDS, NEW_BLOCK_SECONDS = 5000, 600
WAIT_SECONDS = 30.0
STREAM_LIMIT = 2000  # handshakes
ports = itertools.count(6800)


@pytest.fixture(scope="module")
def mode() -> Mode:
    """What is reloaded knows nothing of the mode."""
    return "router"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reload")


@pytest.fixture(scope="module")
def box(lab: Lab, folder: Path) -> Iterator[Box]:
    with running_box(lab, folder, workers=2, settings=f"[block]\nseconds = {BLOCK_SECONDS}") as box:
        yield box


@pytest.fixture
def settings(box: Box, folder: Path) -> Iterator[Path]:
    """The settings file of the running box; put back, and reloaded, at the end."""
    file = folder / "ratwall.toml"
    before = file.read_text()
    yield file
    file.write_text(before)
    assert reload(box) == (0, "")


def reload(box: Box) -> tuple[int, str]:
    """`ratwall reload`: exit code and complaint."""
    argv = box.argv("reload")
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    return done.returncode, done.stderr


class Visitors(threading.Thread):
    """Anna fetches a small page again and again, each time with a new handshake."""

    def __init__(self, lab: Lab, address: str, port: int) -> None:
        super().__init__(name="visitors")
        self.lab, self.address, self.port = lab, address, port
        self.begun: dict[int, float] = {}  # client port → monotonic seconds
        self.ended: dict[int, float] = {}
        self.failures: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        context = client_context("1.2", "1.2")
        while not self.enough.is_set() and len(self.begun) < STREAM_LIMIT:
            begun = time.monotonic()
            try:
                with (
                    self.lab.anna.enter(),
                    socket.create_connection(
                        (self.address, self.port), PATIENCE_SECONDS
                    ) as connection,
                ):
                    own_port = connection.getsockname()[1]
                    self.begun[own_port] = begun
                    endpoint = TlsEndpoint(connection, context, server_side=False)
                    endpoint.handshake()
                    endpoint.send(b"GET / HTTP/1.1\r\nHost: nas\r\nConnection: close\r\n\r\n")
                    assert endpoint.receive()
                    self.ended[own_port] = time.monotonic()
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))

    def wait_more(self, number: int) -> None:
        """Wait for some more visits to have begun."""
        wanted = len(self.begun) + number
        wait_for(lambda: len(self.begun) >= wanted, WAIT_SECONDS, lambda: f"{self.failures}")


def seconds_left(lab: Lab, address: str, port: int) -> int:
    """What the kernel gives a block still to live."""
    listing = lab.box.run(["nft", "--json", "list", "set", "inet", "ratwall", "blocked4"]).stdout
    (left,) = re.findall(rf'"{address}", {port}\]}}, [^}}]*"expires": (\d+)', listing)
    return int(left)


def cut(lab: Lab, rat: Identity, address: str, port: int) -> None:
    """Let a look-alike be cut, and its server be blocked."""
    server = rat_server_context(rat, "1.2")
    with (
        Server(lab.internet, address, port, server, idle_handler(rat_shape("1.2"))),
        lab.anna.enter(),
        socket.create_connection((address, port), PATIENCE_SECONDS) as connection,
        pytest.raises(ConnectionResetError),
    ):
        TlsEndpoint(connection, rat_client_context("1.2"), server_side=False).handshake()


def test_new_thresholds_are_in_force_and_no_packet_was_lost(
    lab: Lab, box: Box, settings: Path, notary: Notary, rat: Identity
) -> None:
    nas, port = lab.internet.address(6), next(ports)
    bulk, bulk_port = lab.internet.address(7), next(ports)
    server, old_port, new_port = lab.internet.address(3), next(ports), next(ports)
    cut(lab, rat, server, old_port)
    box.wait_blocked(server, old_port)
    left, noted = seconds_left(lab, server, old_port), time.monotonic()
    appliance = server_context(notary.appliance(), "1.2", "1.2")
    shop = server_context(notary.web_site("shop.example"))
    visitors, download = Visitors(lab, nas, port), LongDownload()
    with (
        Server(lab.internet, nas, port, appliance, web_handler(b"hello")),
        Server(lab.internet, bulk, bulk_port, shop, download.serve),
        BulkClient(lab.ben, bulk, bulk_port, client_context()) as transfer,
        ExitStack() as stack,
    ):
        stack.callback(visitors.enough.set)
        transfer.wait_received(1_000_000)
        visitors.start()
        visitors.wait_more(20)
        settings.write_text(
            settings.read_text().replace(f"{BLOCK_SECONDS}", f"{NEW_BLOCK_SECONDS}")
            + "\n[detection]\nwatch = 1\nalert = 2\n"
        )
        asked = time.monotonic()
        assert reload(box) == (0, "")
        done = time.monotonic()
        visitors.wait_more(20)
        visitors.enough.set()
        visitors.join()
        assert download.comes_whole(transfer)
    assert visitors.failures == []
    assert uninspected(lab) == 0

    def verdicts() -> Any:
        found = {one["client_port"]: one["verdict"] for one in box.ask("flows", nas, *MANY)}
        return found if len(found) == len(visitors.begun) else None

    seen = wait_for(verdicts, WAIT_SECONDS, lambda: "not every handshake is in the ledger")
    early = {seen[client] for client, ended in visitors.ended.items() if ended < asked}
    late = {seen[client] for client, begun in visitors.begun.items() if begun > done}
    assert late == {"alert"}
    assert early and early <= {"clean", "watch"}

    now_left, passed = seconds_left(lab, server, old_port), time.monotonic() - noted
    assert left - passed - 2 <= now_left <= left, "the old block keeps its time"
    cut(lab, rat, server, new_port)
    assert NEW_BLOCK_SECONDS - 10 < seconds_left(lab, server, new_port) <= NEW_BLOCK_SECONDS


MANY = ("--limit", str(STREAM_LIMIT))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[detection]\nwatch = 90\n", "[detection]: expected watch < alert < block"),
        ("[detection\n", "not valid TOML"),
        ("[kernel]\nmark_mask = 0x00ff0000\nqueue = 8\n", "[kernel] mark_mask, [kernel] queue"),
        ('[web]\nlisten = "127.0.0.1:1"\n[network]\nlan = "other"\n', None),
    ],
)
def test_a_bad_file_changes_nothing_and_says_why(
    lab: Lab, box: Box, settings: Path, text: str, complaint: str | None
) -> None:
    in_force = (box.state / "run" / "settings.toml").read_bytes()
    workers = "[kernel]\nworkers = 2\n"
    settings.write_text(
        text.replace("[kernel]\n", workers) if "[kernel]" in text else workers + text
    )
    code, line = reload(box)
    if complaint is None:  # the command line says otherwise, and goes first
        assert (code, line) == (0, "")
        return
    assert code != 0
    assert line.count("\n") == 1
    assert complaint in line
    assert (box.state / "run" / "settings.toml").read_bytes() == in_force
    assert box.ask("status")["state"] == "protecting"


def test_a_hangup_signal_does_the_same(lab: Lab, box: Box, settings: Path) -> None:
    settings.write_text(settings.read_text() + "\n[detection]\nenforce = false\n")
    box.process.send_signal(signal.SIGHUP)
    wait_for(
        lambda: box.ask("status")["state"] == "monitor",
        WAIT_SECONDS,
        lambda: "\n".join(box.output),
    )
    settings.write_text("[detection")
    box.process.send_signal(signal.SIGHUP)
    box.wait_line(f"settings not taken: {settings}: not valid TOML")


def exporters(box: Box) -> list[dict[str, str]]:
    """The status, by the kernel's word, of each exporter of this box."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "ratwall.export" in words and str(box.state) in words:
                lines = (process / "status").read_text().splitlines()
                found.append(dict(line.split(":\t", 1) for line in lines if ":\t" in line))
    return found


def test_telling_others_is_switched_on_and_off_in_place(
    lab: Lab, box: Box, settings: Path, rat: Identity
) -> None:
    """One that is cut is told, by a process that may do nothing, which is there only for that."""
    assert exporters(box) == [] and box.ask("status")["export"] is None
    before, server = settings.read_text(), lab.internet.address(4)
    with lab.box.enter():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(WAIT_SECONDS)
        place = f"127.0.0.1:{receiver.getsockname()[1]}"
        settings.write_text(f'{before}\n[export.syslog]\nserver = "{place}"\ntransport = "udp"\n')
        assert reload(box) == (0, "")
        cut(lab, rat, server, port := next(ports))
        told = ""
        while f' server="{server}" server_port="{port}" ' not in told:
            told = receiver.recv(4096).decode()
        assert " ratwall - incident_opened [" in told and f" dst={server}" not in told
        (exporter,) = exporters(box)
        assert int(exporter["CapEff"], 16) == int(exporter["CapBnd"], 16) == 0
        assert exporter["Uid"].split()[0] != "0" and exporter["NoNewPrivs"] == "1"
        fares = wait_for(
            lambda: (box.ask("status")["export"] or {}).get("syslog"),
            WAIT_SECONDS,
            lambda: "\n".join(box.output),
        )
        assert fares["to"] == f"{place} over UDP" and fares["error"] is None
    settings.write_text(before)
    assert reload(box) == (0, "")
    wait_for(lambda: not exporters(box), WAIT_SECONDS, lambda: f"{exporters(box)}")
    assert box.ask("status")["export"] is None


def test_without_a_box_there_is_nobody_to_ask(tmp_path: Path, box: Box) -> None:
    argv = [word.replace(str(box.state), str(tmp_path)) for word in box.argv("reload")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 4
    assert "Ratwall is not running" in done.stderr


def command(box: Box, *words: str) -> str:
    """A command of the box, what it said; it must not fail."""
    done = subprocess.run(box.argv(*words), check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_setting_changed_by_command_is_kept_by_root_and_in_force(
    box: Box, settings: Path
) -> None:
    """The controller may not write the file; who laid the rules does, and all take it."""
    before = settings.read_text()
    said = command(box, "settings", "set", "block.seconds", str(NEW_BLOCK_SECONDS))
    assert "kept, and in force" in said
    assert f"seconds = {NEW_BLOCK_SECONDS}" in settings.read_text()
    assert settings.with_name("ratwall.toml.before").read_text() == before
    in_force = box.state / "run" / "settings.toml"
    assert in_force.read_text() == settings.read_text()
    waits = command(box, "settings", "set", "kernel.queue_length", "2048")
    assert "after the next start" in waits
    assert "2048" in settings.read_text() and "2048" not in in_force.read_text()
    # Put back by the way a person would: what waited is gone again.
    command(box, "settings", "unset", "kernel.queue_length")
