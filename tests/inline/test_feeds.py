"""What others have listed: servers refused at their first packet, certificates and names cut."""

import hashlib
import itertools
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inline.conftest import ALONE, Box, running_box, wait_for
from inline.test_response import datagram_comes_back, reaches
from ratwall_lab.bulk import BulkClient, LongDownload
from ratwall_lab.certificates import Notary
from ratwall_lab.clients import fetch
from ratwall_lab.contexts import client_context, server_context
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.servers import Server, web_handler
from ratwall_lab.topology import Lab

WAIT_SECONDS = 30.0
LISTS = {"own": "plain", "sslbl": "sslbl", "fox": "threatfox"}
DAY = 86_400
ports = itertools.count(8200)


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("feeds")
    state = folder / "state"
    sources = "".join(
        f'[[feeds.sources]]\nname = "{name}"\nkind = "{kind}"\nsource = "{state}/{name}.txt"\n'
        for name, kind in LISTS.items()
    )
    with running_box(lab, folder, settings=f"{ALONE}\n[feeds]\nshipped = true\n{sources}") as box:
        yield box


@pytest.fixture(autouse=True)
def _empty_lists(box: Box) -> Iterator[None]:
    """Each test begins and ends with lists in which nobody stands."""
    yield
    clear(box)


def clear(box: Box) -> None:
    publish(
        box,
        own=b"# nobody\n",
        sslbl=b"# Listingdate,SHA1,Listingreason\n",
        fox=f"{FOX_HEAD}\n".encode(),
    )


FOX_HEAD = "first_seen_utc,ioc_value,ioc_type,threat_type,confidence_level,malware_printable"


def publish(box: Box, **lists: bytes) -> dict[str, Any]:
    """Write lists and have them taken into force; what `ratwall feeds update` says of each."""
    for name, content in lists.items():
        (box.state / f"{name}.txt").write_bytes(content)
    done = box.command("feeds", "update", "--json")
    # A list that is refused is told with the others, and by exit code 1.
    assert done.stdout, done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)}


def wait_taken(box: Box) -> None:
    """Wait until the inspector has the index that is on the disk, and no older one."""
    index = box.state / "feeds" / "index.bin"

    def taken() -> bool:
        inode = str(index.stat().st_ino)
        maps = Path(f"/proc/{box.worker('ratwall.inspector')}/maps").read_text()
        return any(line.split()[4] == inode for line in maps.splitlines() if index.name in line)

    wait_for(taken, WAIT_SECONDS, lambda: "the inspector did not take the lists")


def elements(lab: Lab, name: str = "listed4") -> dict[str, int]:
    """The servers that the kernel refuses, and for how many seconds more."""
    argv = ["nft", "--json", "list", "set", "inet", "ratwall", name]
    text = lab.box.run(argv).stdout
    found = re.findall(r'"concat": \["([^"]+)", (\d+)\]}, [^}]*"expires": (\d+)', text)
    return {f"{address}:{port}": int(left) for address, port, left in found}


def incident(box: Box, server: str, state: str) -> Any:
    """Wait for an incident with a server to be in a state."""

    def found() -> Any:
        cases = (one for one in box.ask("incidents") if one["server"] == server)
        return next((one for one in cases if one["state"] == state), None)

    return wait_for(found, WAIT_SECONDS, lambda: box.cli("incidents"))


@pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])
def test_a_listed_server_is_refused_at_its_first_packet_and_told(
    lab: Lab, box: Box, notary: Notary, family: int
) -> None:
    address, port, other = lab.internet.address(9, family), next(ports), next(ports)
    place = f"[{address}]:{port}" if family == 6 else f"{address}:{port}"
    plain = server_context(notary.web_site("shop.example"))
    with (
        Server(lab.internet, address, port, plain, web_handler(b"hello")) as server,
        Server(lab.internet, address, other, plain, web_handler(b"hello")),
    ):
        publish(box, own=f"{place}\n".encode())
        with lab.anna.enter(), pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), PATIENCE_SECONDS)
        assert reaches(lab.anna, address, other), "only that port is listed"
        assert server.visits == [], "not a packet got there"
    case = incident(box, address, "blocked")
    card = json.loads(lab.anna.run(["ip", "--json", "link", "show", "eth0"]).stdout)[0]
    assert case["device"]["mac"] == card["address"]
    (said,) = [fact for fact in case["evidence"] if fact["id"] == "feed.address"]
    assert said["points"] == 90
    assert said["text"].startswith("This server, on this port, is on the list own")
    actions = [one for one in box.ask("actions") if one["server"] == address]
    assert [(one["kind"], one["author"], one["server_port"]) for one in actions] == [
        ("block", "rule", port)
    ]


def test_a_server_may_be_listed_on_every_port_and_for_every_protocol(
    lab: Lab, box: Box, notary: Notary
) -> None:
    address, port, datagrams = lab.internet.address(10), next(ports), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, address, port, plain, web_handler(b"hello")):
        assert reaches(lab.anna, address, port)
        assert datagram_comes_back(lab, lab.anna, address, datagrams)
        publish(box, own=f"{address}\n".encode())
        assert not reaches(lab.anna, address, port)
        assert not datagram_comes_back(lab, lab.ben, address, datagrams)
        publish(box, own=b"# nobody\n")
        assert reaches(lab.ben, address, next(ports)) is False  # nobody listens there
        assert datagram_comes_back(lab, lab.ben, address, datagrams)


def test_an_allow_goes_before_every_list(lab: Lab, box: Box, notary: Notary) -> None:
    address, port = lab.internet.address(11), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, address, port, plain, web_handler(b"hello")):
        publish(box, own=f"{address}:{port}\n".encode())
        assert not reaches(lab.anna, address, port)
        case = incident(box, address, "blocked")
        box.cli("allow", f"{address}:{port}", "--incident", str(case["id"]))
        assert reaches(lab.anna, address, port)
        assert incident(box, address, "allowed")["id"] == case["id"]


def test_where_the_rule_only_tells_a_listed_server_is_reached_and_told(
    lab: Lab, box: Box, notary: Notary
) -> None:
    address, port = lab.internet.address(12), next(ports)
    plain = server_context(notary.web_site("shop.example"))
    answer = box.ask("rules", "set", "feed.address", "monitor")
    try:
        with Server(lab.internet, address, port, plain, web_handler(b"hello")):
            publish(box, own=f"{address}:{port}\n".encode())
            wait_for(
                lambda: box.ask("status")["feeds"]["mode"] == "monitor",
                WAIT_SECONDS,
                lambda: str(box.ask("status")["feeds"]),
            )
            assert reaches(lab.anna, address, port)
        incident(box, address, "would_block")
    finally:
        box.cli("undo", str(answer["action"]))


def test_a_poisoned_list_is_refused_and_the_one_before_stays(
    lab: Lab, box: Box, notary: Notary
) -> None:
    address, port = lab.internet.address(13), next(ports)
    own = lab.box.run(["hostname", "-I"], check=False).stdout.split()
    plain = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, address, port, plain, web_handler(b"hello")):
        good = f"{address}:{port}\n"
        publish(box, own=good.encode())
        for line, why in (
            ("0.0.0.0/0", "a whole network"),
            ("192.168.77.1", "a poisoned or a wrong list"),
            ("google.com", "a name that everybody uses"),
            *((each, "a poisoned or a wrong list") for each in own[:1]),
        ):
            said = publish(box, own=f"{good}{line}\n".encode())
            assert why in said["own"]["error"]
            assert said["own"]["indicators"] == {"endpoint": 1}, "of the list before"
            assert not reaches(lab.anna, address, port)
        done = box.cli("feeds", check=True)
        assert "not taken: " in done


def test_a_change_touches_nothing_but_what_changed(lab: Lab, box: Box) -> None:
    """What stays keeps the time it has left, through a longer list and through a reload."""
    first, second, third = (f"198.51.100.{n}:6606" for n in (201, 202, 203))
    publish(box, own=f"{first}\n{second}\n".encode())
    before, noted = elements(lab), time.monotonic()
    assert before.keys() == {first, second}
    assert 30 * DAY - 60 < before[first] <= 30 * DAY
    # It ends later than the file is old, by at most two days: then nobody puts it in again.
    time.sleep(2.0)
    publish(box, own=f"{first}\n{third}\n".encode())
    box.cli("reload")
    after, passed = elements(lab), int(time.monotonic() - noted)
    assert after.keys() == {first, third}
    assert before[first] - passed - 2 <= after[first] <= before[first] - passed + 1
    assert after[third] > after[first]


def test_a_listed_certificate_is_cut_before_the_first_byte(
    lab: Lab, box: Box, notary: Notary
) -> None:
    """SHA-1 of an honest-looking certificate, in SSLBL's format: nothing else gives it away."""
    address, port = lab.internet.address(14), next(ports)
    identity = notary.appliance("files.example")
    sha1 = hashlib.sha1(identity.der, usedforsecurity=False).hexdigest()
    context = server_context(identity, "1.2", "1.2")
    with Server(lab.internet, address, port, context, web_handler(b"hello")) as server:
        assert fetch(lab.anna, address, port, client_context("1.2", "1.2")).size == 5
        head = "# Listingdate,SHA1,Listingreason"
        publish(box, sslbl=f"{head}\r\n{time.strftime('%F %T')},{sha1},AsyncRAT C&C\r\n".encode())
        wait_taken(box)
        with pytest.raises(ConnectionResetError):
            fetch(lab.anna, address, port, client_context("1.2", "1.2"))
        visit = server.visits[-1]
        visit.wait_end(PATIENCE_SECONDS)
        assert visit.application_records == 0
    case = box.wait_blocked(address, port)
    (said,) = [fact for fact in case["evidence"] if fact["id"] == "feed.certificate"]
    assert case["family"] == "AsyncRAT"
    assert "is on the list sslbl as AsyncRAT, last seen" in said["text"]
    assert not reaches(lab.anna, address, port), "and the server is blocked"


def test_a_listed_name_cuts_its_connection_and_no_other(lab: Lab, box: Box, notary: Notary) -> None:
    """One address serves many names: the others are reached on."""
    address, port = lab.internet.address(15), next(ports)
    context = server_context(notary.web_site("shop.example"))
    with Server(lab.internet, address, port, context, web_handler(b"hello")) as server:
        publish(box, own=b"rat.example\n")
        wait_taken(box)
        for version in ("1.2", "1.3"):
            with pytest.raises(ConnectionResetError):
                fetch(
                    lab.anna,
                    address,
                    port,
                    client_context(version, version),
                    server_name="c2.rat.example",
                )
            assert server.visits[-1].application_bytes == 0
        assert (
            fetch(lab.anna, address, port, client_context(), server_name="shop.example").size == 5
        )
    case = incident(box, address, "blocked")
    assert "feed.name" in {fact["id"] for fact in case["evidence"]}
    assert "one address serves many names" in case["note"]


def test_what_runs_when_its_server_is_listed_is_cut(lab: Lab, box: Box, notary: Notary) -> None:
    address, port = lab.internet.address(8), next(ports)
    context = server_context(notary.web_site("shop.example"))
    with (
        Server(lab.internet, address, port, context, LongDownload().serve),
        BulkClient(lab.anna, address, port, client_context()) as client,
    ):
        client.wait_received(1_000_000)
        publish(box, own=f"{address}:{port}\n".encode())
        client.nudge()
        assert client.result().end is End.RESET
    incident(box, address, "blocked")


def test_what_was_listed_long_ago_is_told_and_not_cut(lab: Lab, box: Box, notary: Notary) -> None:
    address, port = lab.internet.address(7), next(ports)
    context = server_context(notary.web_site("shop.example"))
    day = time.strftime("%F", time.gmtime(time.time() - 400 * DAY))
    row = f"{day} 00:00:00,{address}:{port},ip:port,botnet_cc,100,AsyncRAT"
    with Server(lab.internet, address, port, context, web_handler(b"hello")):
        publish(box, fox=f"{FOX_HEAD}\n{row}\n".encode())
        assert elements(lab) == {}
        assert fetch(lab.anna, address, port, client_context()).size == 5
    case = incident(box, address, "alert")
    (said,) = [fact for fact in case["evidence"] if fact["id"] == "feed.address"]
    assert f"last seen {day}, 400 days ago" in said["text"]
    assert said["text"].endswith("so it is told and not cut.")


def test_the_lists_outlive_a_controller_and_a_flush(lab: Lab, box: Box) -> None:
    place = "198.51.100.210:6606"
    publish(box, own=f"{place}\n".encode())
    os.kill(box.worker("ratwall.controller"), signal.SIGKILL)
    assert place in elements(lab), "the kernel needs nobody for it"
    lab.box.run(["nft", "flush", "ruleset"])
    box.wait_line("the rules are in place again")
    wait_for(lambda: place in elements(lab), WAIT_SECONDS, lambda: "\n".join(box.output))
