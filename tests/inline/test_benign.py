"""The office's ordinary traffic passes unharmed, whatever program sends it.

Each program fetches one page of a megabyte through the box, over TLS 1.2 and 1.3; the page's hash
says that every byte came. Nothing of it is more than watched.
"""

import hashlib
import itertools
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from inline.conftest import Box, wait_for
from ratwall_lab.certificates import Notary
from ratwall_lab.clients import IdleClient, fetch
from ratwall_lab.contexts import Version, client_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.servers import Server, idle_handler, page, web_handler
from ratwall_lab.shapes import AGENT, MQTT, hurried
from ratwall_lab.topology import Lab

PAGE = b"<!doctype html><title>shop</title><p>" + page(500_000).hex().encode() + b"</p>"
NAME = "shop.example"
FETCH_SECONDS = 60.0
HARMLESS = {"clean", "watch"}
VERSIONS: list[Version] = ["1.2", "1.3"]
ports = itertools.count(4430)


@dataclass(frozen=True)
class Shop:
    """An honest web server of the lab's internet."""

    lab: Lab
    address: str
    port: int
    version: Version
    trust: str

    def run(self, argv: list[str], request: str = "") -> bytes:
        """Run a program at anna's desk; what it printed.

        Its input stays open until the server has hung up: gnutls-cli drops what it has not yet
        read when its input ends, with or without a box on the way.
        """
        with subprocess.Popen(
            self.lab.anna.argv(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as program:
            assert program.stdin is not None
            assert program.stdout is not None
            deadline = threading.Timer(FETCH_SECONDS, program.kill)
            deadline.start()
            program.stdin.write(request.encode())
            program.stdin.flush()
            answer = program.stdout.read()
            deadline.cancel()
        return answer

    @property
    def request(self) -> str:
        return f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=[(4, "1.2"), (4, "1.3"), (6, "1.2"), (6, "1.3")], ids=str)
def shop(request: pytest.FixtureRequest, lab: Lab, box: Box, notary: Notary) -> Iterator[Shop]:
    family, version = request.param
    address, port = lab.internet.address(1, family), next(ports)
    context = server_context(notary.web_site(NAME), version, version)
    handler = web_handler(PAGE, content_type="text/html")
    with Server(lab.internet, address, port, context, handler) as server:
        yield Shop(lab, address, port, version, str(notary.trust_root()))
    connections = [visit for visit in server.visits if visit.handshaken is not None]
    assert connections
    flows = wait_for(  # a browser opens several
        lambda: len(found := box.flows(address, port)) >= len(connections) and found,
        PATIENCE_SECONDS,
        lambda: f"fewer flows than {len(connections)}: {box.flows(address, port)}",
    )
    for flow in flows:
        assert flow["verdict"] in HARMLESS
        assert flow["tls_version"] == f"TLS {version}"
    assert box.ask("incidents") == []


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def body_of(answer: bytes) -> bytes:
    return answer[answer.index(b"<!doctype") :]


def test_curl(shop: Shop) -> None:
    place = f"{NAME}:{shop.port}"
    got = shop.run(
        ["curl", "--silent", "--show-error", "--cacert", shop.trust]
        + ["--resolve", f"{place}:{bracketed(shop.address)}", f"https://{place}/"]
    )
    assert got == PAGE


def test_openssl(shop: Shop) -> None:
    version = "-tls" + shop.version.replace(".", "_")
    got = shop.run(
        ["openssl", "s_client", "-connect", f"{bracketed(shop.address)}:{shop.port}", version]
        + ["-servername", NAME, "-CAfile", shop.trust, "-verify_return_error", "-quiet"],
        shop.request,
    )
    assert body_of(got) == PAGE


def test_gnutls(shop: Shop) -> None:
    got = shop.run(
        ["gnutls-cli", "--x509cafile", shop.trust, "--verify-hostname", NAME, "--sni-hostname"]
        + [
            NAME,
            "--logfile",
            "/dev/null",
            "--priority",
            f"NORMAL:-VERS-ALL:+VERS-TLS{shop.version}",
        ]
        + ["--port", str(shop.port), shop.address],
        shop.request,
    )
    assert body_of(got)[: len(PAGE)] == PAGE


def test_python(shop: Shop) -> None:
    context = client_context(shop.version, shop.version)
    got = fetch(shop.lab.anna, shop.address, shop.port, context, server_name=NAME)
    assert got.sha256 == hashlib.sha256(PAGE).hexdigest()


def test_chromium(shop: Shop, tmp_path: object) -> None:
    got = shop.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
        + ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
        + ["--disable-sync", f"--user-data-dir={tmp_path}", "--ignore-certificate-errors"]
        + [f"--host-resolver-rules=MAP {NAME} {bracketed(shop.address)}", "--dump-dom"]
        + [f"https://{NAME}:{shop.port}/"]
    )
    match = re.search(rb"<p>([0-9a-f]+)</p>", got)
    assert match is not None, got[:200]
    assert match[1] == page(500_000).hex().encode()


@pytest.mark.parametrize("kind", ["appliance", "printer", "mqtt", "agent"])
def test_honest_look_alikes_pass(lab: Lab, box: Box, notary: Notary, kind: str) -> None:
    """Self-issued, TLS 1.0, no server name, a heartbeat, an odd port: suspicious, not guilty."""
    port, family = next(ports), 4
    address = lab.internet.address(7, family)
    lowest: Version = "1.0" if kind == "printer" else "1.2"
    identity = notary.printer() if kind == "printer" else notary.appliance(address=address)
    server_side = server_context(identity, lowest, lowest)
    client_side = client_context(lowest, lowest)
    shape = hurried(AGENT if kind == "agent" else MQTT, 0.2)
    with (
        Server(lab.internet, address, port, server_side, idle_handler(shape)) as server,
        IdleClient(lab.ben, [address], [port], client_side, shape, attempts=1) as client,
    ):
        (attempt,) = client.wait_attempts(1)
        (visit,) = server.wait_visits(1)
        box.wait_flow(address, port)
        wait_for(lambda: attempt.pings >= 3, PATIENCE_SECONDS, lambda: f"no heartbeat: {attempt}")
        assert not visit.over.is_set(), "its heartbeat goes on"
    assert attempt.end is End.STOPPED
    assert {flow["verdict"] for flow in box.flows(address, port)} <= HARMLESS
    assert box.ask("incidents") == []
