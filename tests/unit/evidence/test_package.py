"""The evidence package as others read it: unzip, sha256sum, openssl, tshark, JSON, CSV.

The incident is a RAT's with everything a package can hold, and texts that a stranger chose badly.
"""

import csv
import hashlib
import io
import json
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ratwall.evidence.package import as_bytes, contents, names_server
from ratwall.evidence.text import iso
from ratwall.ledger import contacts, names
from ratwall.ledger.models import Action, Certificate, Detection, Flow, Incident
from ratwall.ledger.store import Ledger, open_ledger
from ratwall.ledger.writer import LedgerWriter
from unit.wire.x509.minting import mint

NOW = 1_750_000_000_123_456
SERVER, DEVICE = "203.0.113.7", "192.168.1.10"
FORMULA = '=HYPERLINK("http://198.51.100.1","click")'
DER = mint("AsyncRAT Server")


def pcap() -> bytes:
    """A capture of one SYN, raw IP."""
    packet = bytes.fromhex(
        "4500002800010000400600000a000001cb007107c35019ce0000000000000000500220000000 0000"
    )
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
    return header + struct.pack("<IIII", 1, 0, len(packet), len(packet)) + packet


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger.sqlite3") as ledger:
        writer = LedgerWriter(ledger)
        device = writer.device("02:00:00:00:00:01", DEVICE, NOW)
        facts = {
            "sha256": hashlib.sha256(DER).hexdigest(),
            "sha1": "ab" * 20,
            "subject": "CN=AsyncRAT Server\n\x1b[2J",
            "issuer": "CN=AsyncRAT Server",
            "serial": "01",
            "not_before": None,
            "not_after": None,
            "key_type": "rsa",
            "key_bits": 4096,
            "signature_algorithm": "sha512WithRSAEncryption",
            "self_issued": True,
        }
        certificate = writer.certificate(facts, DER, NOW)
        number = writer.insert(
            Incident,
            {
                "opened": NOW,
                "updated": NOW + 1,
                "device": device,
                "server": SERVER,
                "server_port": 6606,
                "name": "kashuub.example",
                "family": "AsyncRAT",
                "score": 100,
                "headline": f"PC tried to reach kashuub.example ({SERVER})",
                "state": "blocked",
                "count": 2,
                "certificate": certificate,
                "evidence": json.dumps(
                    [{"id": "asyncrat.name", "points": 100, "text": "Its name.", "technique": None}]
                ),
            },
        )
        for port in (50_000, 50_001):
            writer.insert(
                Flow,
                {
                    "start": NOW,
                    "device": device,
                    "client": DEVICE,
                    "client_port": port,
                    "server": SERVER,
                    "server_port": 6606,
                    "sni": FORMULA,
                    "resumed": False,
                    "certificate": certificate,
                    "score": 100,
                    "verdict": "block",
                    "flow_class": "block",
                    "evidence": "[]",
                    "enforced": True,
                    "proven": True,
                    "incident": number,
                },
            )
        writer.insert(
            Action,
            {
                "created": NOW,
                "kind": "block",
                "author": "rule",
                "reason": "Its name.",
                "server": SERVER,
                "server_port": 6606,
                "expires": NOW + 2,
                "incident": number,
            },
        )
        writer.insert(
            Detection,
            {
                "incident": number,
                "time": NOW,
                "rule": "rhythm.stock",
                "score": 60,
                "verdict": "alert",
                "facts": json.dumps({"beats": [NOW, NOW + 13_531_000]}),
            },
        )
        names.write(writer, "kashuub.example", (SERVER,), DEVICE, NOW)
        writer.audit(NOW, "rule", "block", f"{SERVER}:6606: Its name.")
        writer.audit(NOW, "rule", "block", "198.51.100.1:443: somebody else's")
        writer.audit(NOW, "rule", "block", f"{SERVER}0:443: somebody else's")
        assert writer.flush(durable=False), writer.problem
        yield ledger


@pytest.fixture
def package(ledger: Ledger, tmp_path: Path) -> Path:
    """The package, unpacked by unzip."""
    files = contents(ledger, 1, NOW, "0.1.0", lambda device, server: pcap())
    assert files is not None
    archive, folder = tmp_path / "incident.zip", tmp_path / "unpacked"
    archive.write_bytes(as_bytes(files, NOW))
    subprocess.run(["unzip", "-q", archive, "-d", folder], check=True)
    return folder


def test_sha256sum_finds_every_file_as_it_was(package: Path) -> None:
    check = ["sha256sum", "-c", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, cwd=package, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    named = {line.split(": ")[0] for line in done.stdout.splitlines()}
    assert named == {path.name for path in package.iterdir()} - {"SHA256SUMS"}
    with (package / "incident.json").open("ab") as file:
        file.write(b" ")
    tampered = subprocess.run(check, cwd=package, capture_output=True, text=True, check=False)
    assert "incident.json: FAILED" in tampered.stdout
    assert tampered.returncode == 1


def test_openssl_reads_the_certificate(package: Path) -> None:
    done = subprocess.run(
        ["openssl", "x509", "-inform", "DER", "-noout", "-subject", "-fingerprint", "-sha256",
         "-in", package / "certificate.der"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "AsyncRAT Server" in done.stdout
    assert hashlib.sha256(DER).hexdigest() in done.stdout.replace(":", "").lower()


def test_tshark_reads_the_capture(package: Path) -> None:
    done = subprocess.run(
        ["tshark", "-r", package / "capture.pcap", "-T", "fields", "-e", "ip.dst", "-e",
         "tcp.dstport"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [SERVER, "6606"]


def test_the_story_is_told_whole(package: Path) -> None:
    whole = json.loads((package / "incident.json").read_text())
    assert whole["incident"]["certificate"]["subject"].startswith("CN=AsyncRAT Server")
    assert [flow["client_port"] for flow in whole["flows"]] == [50_000, 50_001]
    assert [line["detail"] for line in whole["audit"]] == [f"{SERVER}:6606: Its name."]
    (name,) = json.loads((package / "names.json").read_text())
    assert (name["name"], name["devices"][0]["device"]) == ("kashuub.example", DEVICE)
    text = (package / "incident.txt").read_text()
    for part in ("kashuub.example", "+100", "rhythm.stock", "block by rule", iso(NOW), "proven"):
        assert part in text, text
    assert "\x1b" not in text


def test_a_spreadsheet_gets_no_formula_from_a_stranger(package: Path) -> None:
    with (package / "flows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sni"] for row in rows] == [f"'{FORMULA}"] * 2
    assert rows[0]["start_utc"] == iso(NOW)
    with (package / "beats.csv").open(newline="") as file:
        beats = [int(row["time_us"]) for row in csv.DictReader(file)]
    assert beats == [NOW, NOW + 13_531_000]


def test_the_same_facts_make_the_same_package(ledger: Ledger) -> None:
    packages = set()
    for _ in range(2):
        files = contents(ledger, 1, NOW, "0.1.0")
        assert files is not None
        assert "capture.pcap" not in files, "nothing was captured"
        packages.add(as_bytes(files, NOW))
    (package,) = packages
    assert zipfile.ZipFile(io.BytesIO(package)).testzip() is None


def test_without_a_certificate_there_is_none(ledger: Ledger) -> None:
    ledger.execute(Incident.update(certificate=None))
    files = contents(ledger, 1, NOW, "0.1.0")
    assert files is not None
    assert "certificate.der" not in files
    ledger.execute(Incident.update(certificate=1))
    ledger.execute(Certificate.update(der=None))
    files = contents(ledger, 1, NOW, "0.1.0")
    assert files is not None
    assert "certificate.der" not in files


def test_no_incident_no_package(ledger: Ledger) -> None:
    assert contents(ledger, 2, NOW, "0.1.0") is None


def test_how_regular_the_connections_are_is_in_the_story(ledger: Ledger) -> None:
    (incident,) = ledger.rows(Incident.select().limit(1))
    writer = LedgerWriter(ledger)
    pair = {"device": incident["device"], "server": incident["server"], "at": 1}
    parts = {"total": 812, "times": 990, "sizes": 1000, "duration": 0, "histogram": 5}
    contacts.write_score(writer, {**pair, "connections": 120, "regularity": 97, **parts})
    assert writer.flush()
    files = contents(ledger, 1, NOW, "0.1.0")
    assert files is not None
    whole = json.loads(files["incident.json"])
    assert whole["incident"]["regularity"]["rita"] == parts
    text = files["incident.txt"].decode()
    assert "Regularity of 120 connections in a day: 97 of 100; RITA's beacon score, to" in text
    assert "compare: 812 of 1000" in text


@pytest.mark.parametrize(
    ("server", "text", "named"),
    [
        (SERVER, f"{SERVER}:6606 for {DEVICE}: odd", True),
        (SERVER, f"asked {SERVER}.", True),
        (SERVER, f"1{SERVER}:443: another", False),
        ("2001:db8::7", "[2001:db8::7]:443: its name", True),
        ("2001:db8::7", "2001:db8::7, every port: odd", True),
        ("2001:db8::7", "[2001:db8::71]:443: another", False),
        ("2001:db8::7", "[2001:db8::7:1]:443: another", False),
    ],
)
def test_a_line_of_the_audit_trail_is_of_the_server_that_it_names(
    server: str, text: str, named: bool
) -> None:
    assert names_server(server, text) is named
