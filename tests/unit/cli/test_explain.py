"""`ratwall explain`: every fact, the sum, the thresholds, what was done and who changed it."""

from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from ratwall.ledger import contacts
from ratwall.ledger.store import FILE_NAME, open_ledger
from ratwall.ledger.writer import LedgerWriter
from unit.cli.conftest import Shell
from unit.controller.box import (
    CLIENT,
    NOON,
    SERVER,
    Box,
    FakeInspector,
    Running,
    eventually,
    report,
)
from unit.wire import handshakes

NAME = {"id": "asyncrat.name", "points": 100, "text": "The name.", "technique": "T1587.003"}
PORT = {"id": "asyncrat.port", "points": 10, "text": "The port.", "technique": "T1571"}
HELLO = {"id": "general.no-name", "points": 75, "text": "A hello.", "technique": None}


def judged(shell: Shell, inspector: FakeInspector, number: int, **changes: object) -> str:
    """Have a connection judged; its explanation."""
    inspector.send(report(client_port=50_000 + number, **changes))
    eventually(lambda: len(shell.json("flows")) == number)
    return shell.run("explain", str(number))


def test_a_sum_beyond_a_hundred_is_counted_as_a_hundred(
    shell: Shell, running: Running, inspector: FakeInspector
) -> None:
    eventually(lambda: running.call("status"))
    text = judged(shell, inspector, 1, evidence=[NAME, PORT], score=100)
    assert "  +100  The name. [asyncrat.name, T1587.003]\n" in text
    assert "   +10  The port. [asyncrat.port, T1571]\n" in text
    assert "   = 110  counted as 100, the most there is\n" in text
    assert "watch from 30, alert from 60, block from 80: BLOCK (AsyncRAT)" in text
    assert "It was cut; the kernel's proof is still to come." in text


def test_weak_facts_are_said_not_to_be_enough(
    shell: Shell, running: Running, inspector: FakeInspector
) -> None:
    changes = {"score": 79, "verdict": "alert", "family": None, "class": "observed"}
    text = judged(shell, inspector, 1, evidence=[HELLO, PORT], **changes)
    assert "=  85  counted as 79: none of these facts alone is enough to cut a connection" in text
    assert ": ALERT\n  It was let through." in text


def test_what_a_person_changed_is_named(
    shell: Shell, running: Running, inspector: FakeInspector
) -> None:
    running.call("allow", server=SERVER, server_port=6606, device=CLIENT, reason="our own tool")
    running.call("allow", server=SERVER, server_port=7707, reason="of another port")
    running.call("allow", server="203.0.113.99", server_port=6606, reason="of another server")
    text = judged(shell, inspector, 1, start="2099-01-01T00:00:00Z", **{"class": "exempt"})
    assert "It was let through, because you allowed it." in text
    assert "Action 1: allow by root, always: our own tool" in text
    assert "another" not in text


def test_an_action_that_came_later_changed_nothing(
    shell: Shell, running: Running, inspector: FakeInspector
) -> None:
    before = judged(shell, inspector, 1, start="2020-01-01T00:00:00Z")
    running.call("allow", server=SERVER, server_port=6606, reason="too late")
    assert shell.run("explain", "1") == before


def test_a_connection_is_found_by_its_ends(shell: Shell, attacked: Running) -> None:
    by_number = shell.json("explain", "1")
    assert by_number[0]["flow"] == 1
    assert shell.json("explain", f"{CLIENT}:50000", f"{SERVER}:6606") == by_number


def test_modes_of_rules_and_thresholds_are_those_of_the_settings(
    shell: Shell, attacked: Running, tmp_path: Path
) -> None:
    file = tmp_path / "other.toml"
    file.write_text('[detection]\nwatch = 20\n[rules]\nmonitor = ["asyncrat.*"]\n')
    (one,) = shell.json("explain", "1", "--config", str(file))
    assert one["thresholds"] == {"watch": 20, "alert": 60, "block": 80}
    assert [fact["mode"] for fact in one["evidence"]] == ["monitor"]
    assert "; rule set to monitor]" in shell.run("explain", "1", "--config", str(file))


def test_how_regular_its_connections_are_is_said_by_two_measures(
    shell: Shell, box: Box, attacked: Running
) -> None:
    assert shell.json("explain", "1")[0]["regularity"] is None
    with open_ledger(box.state / FILE_NAME) as ledger:
        writer = LedgerWriter(ledger)
        pair = {"device": 1, "server": SERVER, "at": NOON, "connections": 120, "regularity": 97}
        parts = {"total": 812, "times": 990, "sizes": 1000, "duration": 0, "histogram": 5}
        contacts.write_score(writer, pair | parts)
        assert writer.flush()
        assert shell.json("explain", "1")[0]["regularity"] == {
            "at": NOON, "connections": 120, "ours": 97, "rita": parts,
        }  # fmt: skip
        said = " ".join(shell.run("explain", "1").split())
        assert "120 connections with this server in a day: 97 of 100 regular by Ratwall's" in said
        assert "0.812 of 1 by RITA's (times 0.990, sizes 1.000, duration 0.000, hist" in said
        story = " ".join(shell.run("incidents", "1").split())
        assert "How regular its connections are:" in story
        assert "97 of 100 regular" in story
        contacts.write_score(writer, pair | dict.fromkeys(parts))
        assert writer.flush()
        assert "measure; too few for RITA's." in " ".join(shell.run("explain", "1").split())


def test_modes_set_by_a_person_go_before_the_settings(
    shell: Shell, attacked: Running, tmp_path: Path
) -> None:
    assert [fact["mode"] for fact in shell.json("explain", "1")[0]["evidence"]] == ["enforce"]
    rule = shell.json("explain", "1")[0]["evidence"][0]["id"]
    attacked.call("rule", rule="asyncrat.*", mode="off")
    attacked.call("rule", rule=rule, mode="monitor")
    assert f"[{rule}, T1573.002; rule set to monitor]" in shell.run("explain", "1")
    attacked.call("rule", rule=rule, mode="enforce")
    assert "rule set to" not in shell.run("explain", "1")
    named = tmp_path / "named.toml"  # who names a file asks for what that file says
    named.write_text('[rules]\noff = ["*"]\n')
    assert "rule set to off" in shell.run("explain", "1", "--config", str(named))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["99"], "there is no flow 99; see: ratwall flows"),
        (
            ["192.168.1.10:1", "203.0.113.7:2"],
            "explain: no connection from 192.168.1.10:1 to 203.0.113.7:2 was judged; "
            "see: ratwall flows",
        ),
        (
            ["/nowhere.pcap"],
            "explain: expected a flow's number, CLIENT:PORT SERVER:PORT or a capture file, found "
            "'/nowhere.pcap'",
        ),
    ],
)
def test_what_is_not_there_is_one_line(
    shell: Shell, attacked: Running, words: list[str], message: str
) -> None:
    assert shell.run("explain", *words, code=2) == message


def test_a_capture_without_tls_says_so_and_a_broken_one_is_an_error(
    shell: Shell, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.pcap"
    wrpcap(str(plain), [Ether() / IP(src=CLIENT, dst=SERVER) / TCP(dport=80) / b"GET / "])
    assert shell.run("explain", str(plain)) == "No TLS connection in there.\n"
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(b"no capture")
    assert str(broken) in shell.run("explain", str(broken), code=2)


def test_each_connection_of_a_capture_is_explained(shell: Shell, tmp_path: Path) -> None:
    sent, packets = {True: 1000, False: 2000}, []
    for from_client, said in handshakes.full("TLS 1.2"):
        source, target = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        ports = (50_000, 443) if from_client else (443, 50_000)
        network = Ether() / IP(src=source, dst=target)
        numbers = {"seq": sent[from_client], "ack": sent[not from_client]}
        transport = TCP(sport=ports[0], dport=ports[1], flags="PA", **numbers)
        packets.append(network / transport / said)
        sent[from_client] += len(said)
    capture = tmp_path / "one.pcap"
    wrpcap(str(capture), packets)
    (one,) = shell.json("explain", str(capture))
    assert (one["file"], one["flow"], one["server_port"]) == (str(capture), None, 443)
    assert one["done"] == "Nothing was done: it is a capture."
    assert one["sum"] == sum(fact["points"] for fact in one["evidence"])
    assert f"Connection: {CLIENT}:50000 to {SERVER}:443" in shell.run("explain", str(capture))
