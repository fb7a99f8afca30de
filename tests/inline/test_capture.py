"""A capture: off unless asked for, whole packets of one device, in the evidence of its incident."""

import itertools
import os
import socket
import subprocess
import zipfile
from pathlib import Path

from inline.conftest import Box, fingerprint, running_box, wait_for
from inline.traffic import meets
from ratwall.evidence.capture import between
from ratwall_lab.certificates import Identity
from ratwall_lab.endpoint import PATIENCE_SECONDS, End
from ratwall_lab.topology import Lab, Mode

ports = itertools.count(7800)


def tshark(capture: Path, *fields: str) -> list[list[str]]:
    """The fields of each packet, as tshark reads them."""
    argv = [
        "tshark",
        "-r",
        capture,
        "-T",
        "fields",
        *(f for field in fields for f in ("-e", field)),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def package_of(box: Box, folder: Path, server: str) -> zipfile.ZipFile:
    incident = next(one for one in box.ask("incidents") if one["server"] == server)
    target = folder / f"{server}.zip"
    box.cli("evidence", str(incident["id"]), "-o", str(target))
    return zipfile.ZipFile(target)


def test_nothing_is_captured_unless_asked(
    lab: Lab, box: Box, rat: Identity, tmp_path: Path
) -> None:
    assert box.ask("capture", "list") == []
    assert meets(lab, rat, next(ports)) is End.RESET
    server = lab.internet.address(3)
    wait_for(lambda: box.ask("incidents"), PATIENCE_SECONDS, lambda: box.cli("status"))
    with package_of(box, tmp_path, server) as package:
        assert "capture.pcap" not in package.namelist()
    assert not (box.state / "captures").exists()
    box.cli("release", str(box.ask("incidents")[0]["id"]))


def test_a_capture_of_a_device_is_in_the_evidence(
    lab: Lab, box: Box, rat: Identity, tmp_path: Path
) -> None:
    server, port, anna = lab.internet.address(3), next(ports), lab.anna.address()
    box.cli("capture", "on", "--device", anna, "--for", "2m", "--reason", "looks odd")
    assert [one["device"] for one in box.ask("capture", "list")] == [anna]
    assert meets(lab, rat, port) is End.RESET
    with lab.ben.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"ben is nobody's business", (server, 9))

    def captured() -> bool:
        """Files are flushed now and then: until the last of it is there."""
        packets = between(box.state / "captures", anna, server)
        return packets is not None and b"Acme Printing Ltd" in packets

    wait_for(captured, PATIENCE_SECONDS, lambda: box.cli("capture", "list"))
    box.cli("capture", "off", "--device", anna)
    assert box.ask("capture", "list") == []
    assert between(box.state / "captures", lab.ben.address(), server) is None
    with package_of(box, tmp_path, server) as package:
        package.extractall(tmp_path / "case")
    packets = tshark(
        tmp_path / "case" / "capture.pcap", "ip.src", "ip.dst", "tls.handshake.certificate"
    )
    assert {frozenset(packet[:2]) for packet in packets} == {frozenset((anna, server))}
    shown = "".join(packet[2] for packet in packets if len(packet) > 2)
    assert b"Acme Printing Ltd".hex() in shown.replace(":", ""), (
        "whole packets, the certificate too"
    )
    files = list((box.state / "captures").iterdir())
    assert all(file.stat().st_mode & 0o007 == 0 for file in files), "not for everybody's eyes"
    readers = (box.state / "ledger.sqlite3").stat().st_gid
    assert {file.stat().st_gid for file in files} == {readers}, "the page may read them"
    box.cli("release", str(box.ask("incidents")[0]["id"]))


def test_a_rule_may_begin_one_and_it_is_gone_with_the_box(
    mode: Mode, rat: Identity, tmp_path: Path
) -> None:
    with Lab(mode) as lab:
        before = fingerprint(lab)
        settings = '[capture]\nrules = ["bouncycastle.*"]\nseconds = 60\n'
        with running_box(lab, tmp_path, settings=settings) as box:
            begun_by_a_rule(lab, box, rat)
        assert fingerprint(lab) == before


def begun_by_a_rule(lab: Lab, box: Box, rat: Identity) -> None:
    assert meets(lab, rat, next(ports)) is End.RESET
    wait_for(lambda: box.ask("capture", "list"), PATIENCE_SECONDS, lambda: box.cli("status"))
    (one,) = box.ask("capture", "list")
    assert (one["device"], one["author"]) == (lab.anna.address(), "rule")
    assert 0 < one["until"] - one["since"] <= 60_000_000
    assert "chain captures" in rules(lab)
    os.kill(box.worker("ratwall.controller"), 9)
    # What it had begun is over with the next one.
    wait_for(lambda: "chain captures" not in rules(lab), PATIENCE_SECONDS, lambda: rules(lab))


def rules(lab: Lab) -> str:
    argv = ["nft", "list", "table", "inet", "ratwall"]
    return lab.box.run(argv, check=False).stdout


def test_a_capture_goes_on_when_somebody_flushed_the_rules(lab: Lab, box: Box) -> None:
    ben, server = lab.ben.address(), lab.internet.address(6)
    box.cli("capture", "on", "--device", ben, "--for", "5m")
    lab.box.run(["nft", "flush", "ruleset"])
    wait_for(lambda: ben in rules(lab), PATIENCE_SECONDS, lambda: rules(lab))
    with lab.ben.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"anybody there?", (server, 9))
    wait_for(
        lambda: between(box.state / "captures", ben, server),
        PATIENCE_SECONDS,
        lambda: box.cli("capture", "list"),
    )
    box.cli("capture", "off", "--device", ben)
