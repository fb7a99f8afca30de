"""What goes through the box: a look-alike's handshake, an honest page, a scan of its address."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from hil.conftest import Box
from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.clients import Attempt, IdleClient, fetch
from ratwall_lab.contexts import (
    client_context,
    rat_client_context,
    rat_server_context,
    server_context,
)
from ratwall_lab.namespaces import Host
from ratwall_lab.servers import Server, Visit, idle_handler, page, web_handler
from ratwall_lab.shapes import rat_shape

END_SECONDS = 120.0  # an emulated box forwards slowly when the machine under it is busy
PORT = 6606


@contextmanager
def under_attack(
    box: Box, rat: Identity, index: int = 0, port: int = PORT
) -> Iterator[tuple[IdleClient, Server]]:
    """Have anna's device connect once to a look-alike's server, whatever becomes of the box."""
    lab = box.lab
    address = lab.internet.address(index)
    handler, context = idle_handler(rat_shape("1.0")), rat_server_context(rat, "1.0")
    with (
        Server(lab.internet, address, port, context, handler) as server,
        IdleClient(
            lab.anna, [address], [port], rat_client_context("1.0"), rat_shape("1.0"), attempts=1
        ) as client,
    ):
        yield client, server


def attack(
    box: Box, rat: Identity, index: int = 0, port: int = PORT
) -> tuple[Attempt, list[Visit]]:
    """Let anna's device connect once to a look-alike's server; how both ends saw it."""
    with under_attack(box, rat, index, port) as (client, server):
        attempt = client.wait_attempts(1)[0]
        attempt.wait_end(END_SECONDS)
        for visit in list(server.visits):
            visit.wait_end(END_SECONDS)
        return attempt, list(server.visits)


def read_page(box: Box, notary: Notary, index: int = 8, size: int = 200_000) -> int:
    """Fetch a page from an honest server on port 443; its size as it arrived."""
    lab, identity = box.lab, notary.web_site("www.example.com")
    address = lab.internet.address(index)
    trusting = client_context("1.2", "1.2", trust=notary.trust_root())
    with Server(
        lab.internet, address, 443, server_context(identity, "1.2", "1.2"), web_handler(page(size))
    ):
        got = fetch(
            lab.anna, address, 443, trusting, server_name=identity.name, timeout=END_SECONDS
        )
        return got.size


def is_answered(host: Host, address: str, port: int, seconds: float = 2.0) -> bool:
    """Whether anything at all comes back to a SYN: even a reset is an answer."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with host.enter():
        connection = socket.socket(family, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(seconds)
        try:
            connection.connect((address, port))
        except TimeoutError:
            return False
        except OSError:
            return True
        return True
