"""Names: what devices ask a name server for, read in passing, told with every incident.

The name server is a real one in the lab's internet, the questions are a device's own.
"""

import itertools
import time

import dns.exception
import dns.message
import dns.rrset
import pytest

from inline.conftest import Box, wait_for
from inline.traffic import meets
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.resolver import NameServer, ask
from ratwall_lab.topology import Lab

C2 = "kashuub.example"  # not the seed's own name: nothing leaves the lab, and nobody is blamed
MANY = tuple(f"198.51.100.{number}" for number in range(100, 150))  # too many for 512 bytes
ports = itertools.count(5600)


@pytest.fixture(scope="module")
def resolver(lab: Lab) -> str:
    return lab.internet.address(1)


def names_of(box: Box, search: str) -> list[str]:
    return [one["name"] for one in box.ask("names", search)]


def test_an_incident_says_the_name_that_was_asked_for(
    lab: Lab, box: Box, rat: Identity, resolver: str
) -> None:
    server, port = lab.internet.address(3), next(ports)
    table = {f"www.{C2}": (C2,), C2: (server,)}
    with NameServer(lab.internet, resolver, table):
        assert ask(lab.anna, resolver, f"www.{C2}") == [server]
    assert meets(lab, rat, port) is End.RESET
    incident = box.wait_blocked(server, port)
    assert "tried to reach a remote-control server" in incident["headline"]
    assert f"at www.{C2} ({server}) port {port}: blocked" in incident["headline"]
    assert incident["names"] == [f"www.{C2}"]
    assert f"www.{C2} ({server})" in box.cli("incidents", str(incident["id"]))
    flow = box.wait_flow(server, port)
    assert flow["names"] == [f"www.{C2}"]
    assert "www.kashuub" in box.cli("flows", server)
    box.cli("release", str(incident["id"]))


def test_a_long_answer_is_read_over_tcp(lab: Lab, box: Box, resolver: str) -> None:
    with NameServer(lab.internet, resolver, {"cdn.example": MANY}) as server:
        assert sorted(ask(lab.ben, resolver, "cdn.example")) == list(MANY)
        assert server.asked == 2, "UDP first, then TCP"
    wait_for(lambda: names_of(box, MANY[0]), PATIENCE_SECONDS, lambda: box.cli("names"))
    (row,) = box.ask("names", "cdn.example")
    assert row["devices"] == [lab.ben.address()]


def test_ipv6_and_a_name_that_two_devices_ask_for(lab: Lab, box: Box, resolver: str) -> None:
    table = {"both.example": (lab.internet.address(5), lab.internet.address(5, family=6))}
    with NameServer(lab.internet, resolver, table):
        ask(lab.anna, resolver, "both.example")
        ask(lab.ben, resolver, "both.example", "AAAA")

    def row() -> dict[str, object] | None:
        found = box.ask("names", "both.example")
        return found[0] if found and len(found[0]["devices"]) == 2 else None

    found = wait_for(row, PATIENCE_SECONDS, lambda: box.cli("names"))
    assert set(found["addresses"]) == set(table["both.example"])
    assert sorted(found["devices"]) == [lab.anna.address(), lab.ben.address()]


def test_an_answer_that_nobody_asked_for_is_not_believed(lab: Lab, box: Box, resolver: str) -> None:
    """Forged from outside: the right server's address and port, but no question before it."""
    query = dns.message.make_query("forged.example", "A")
    forged = dns.message.make_response(query)
    forged.answer.append(dns.rrset.from_text("forged.example.", 60, "IN", "A", "203.0.113.12"))
    with NameServer(lab.internet, resolver, {"true.example": ("203.0.113.12",)}) as server:
        for port in (40_000, 53):
            server.say(forged.to_wire(), (lab.anna.address(), port))
        time.sleep(0.2)
        ask(lab.anna, resolver, "true.example")
    wait_for(lambda: names_of(box, "true.example"), PATIENCE_SECONDS, lambda: box.cli("names"))
    assert names_of(box, "203.0.113.12") == ["true.example"]


def test_garbage_in_answers_is_counted_and_harms_nothing(lab: Lab, box: Box, resolver: str) -> None:
    """A name that points at itself, in answer to a real question."""

    class Liar(NameServer):
        def reply(self, query: dns.message.Message) -> dns.message.Message:
            reply = super().reply(query)
            reply.to_wire = lambda **_: (  # type: ignore[method-assign]
                query.id.to_bytes(2, "big")
                + bytes.fromhex("8180 0001 0001 0000 0000 c00c 0001 0001")
            )
            return reply

    before = box.ask("status")["names"]["malformed"]
    with Liar(lab.internet, resolver, {}), pytest.raises(dns.exception.DNSException):
        ask(lab.anna, resolver, "loop.example")
    wait_for(
        lambda: box.ask("status")["names"]["malformed"] > before,
        PATIENCE_SECONDS,
        lambda: box.cli("status"),
    )
    with NameServer(lab.internet, resolver, {"after.example": ("203.0.113.13",)}):
        ask(lab.anna, resolver, "after.example")
    wait_for(lambda: names_of(box, "after.example"), PATIENCE_SECONDS, lambda: box.cli("names"))


def test_the_box_may_be_the_resolver_of_the_office(lab: Lab, box: Box) -> None:
    if lab.mode == "bridge":
        assert not lab.box.ipv4, "a cable has no address to answer from"
        return
    with NameServer(lab.box, lab.box.address(), {"own.example": ("203.0.113.14",)}):
        assert ask(lab.anna, lab.box.address(), "own.example") == ["203.0.113.14"]
    wait_for(lambda: names_of(box, "own.example"), PATIENCE_SECONDS, lambda: box.cli("names"))
