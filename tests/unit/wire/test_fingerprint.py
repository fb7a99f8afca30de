"""JA3, JA3S and JA4: published examples, the rules one by one, and tshark as the judge."""

import dataclasses
import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap

from ratwall.wire.fingerprint import ja3, ja3_raw, ja3s, ja3s_raw, ja4, ja4_raw
from ratwall.wire.tls.handshake import (
    ClientHello,
    Extension,
    ServerHello,
    push_client_hello,
    push_server_hello,
)

GREASE = 0x1A1A


def uint16s(*values: int) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def listed(content: bytes, length_bytes: int = 2) -> bytes:
    return len(content).to_bytes(length_bytes, "big") + content


def groups(*values: int) -> Extension:
    return Extension(10, listed(uint16s(*values)))


def algorithms(*values: int) -> Extension:
    return Extension(13, listed(uint16s(*values)))


def versions(*values: int) -> Extension:
    return Extension(43, listed(uint16s(*values), 1))


def alpn(*protocols: bytes) -> Extension:
    return Extension(16, listed(b"".join(listed(protocol, 1) for protocol in protocols)))


SNI = Extension(0, listed(b"\0" + listed(b"shop.example")))
POINTS = Extension(11, listed(b"\0", 1))


def hello(
    *extensions: Extension, ciphers: tuple[int, ...] = (0xC014, 0x2F), version: int = 0x0303
) -> ClientHello:
    return ClientHello(0x0301, version, bytes(32), b"", ciphers, (0,), extensions)


# AsyncRAT on Windows 10, from its published JA3 pre-image: no server name, TLS 1.0.
ASYNCRAT = hello(
    groups(29, 23, 24),
    POINTS,
    Extension(35, b""),
    Extension(23, b""),
    Extension(65281, b"\0"),
    ciphers=(49162, 49161, 49172, 49171, 53, 47, 10),
    version=0x0301,
)

# The example that FoxIO's description of JA4 works through, GREASE added by the browser included.
CHROME = hello(
    Extension(GREASE, b""),
    SNI,
    *(Extension(kind, b"") for kind in (0x17, 0xFF01)),
    groups(GREASE, 29, 23, 24),
    POINTS,
    Extension(0x23, b""),
    alpn(b"h2", b"http/1.1"),
    Extension(0x05, b""),
    algorithms(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601),
    *(Extension(kind, b"") for kind in (0x12, 0x33, 0x2D)),
    versions(GREASE, 0x0304, 0x0303),
    *(Extension(kind, b"") for kind in (0x1B, 0x4469, 0x15)),
    ciphers=(
        *(GREASE, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8),
        *(0xC013, 0xC014, 0x009C, 0x009D, 0x002F, 0x0035),
    ),
)


def test_asyncrat_has_its_published_fingerprints() -> None:
    assert ja3_raw(ASYNCRAT) == (
        "769,49162-49161-49172-49171-53-47-10,10-11-35-23-65281,29-23-24,0"
    )
    assert ja3(ASYNCRAT) == "fc54e0d16d9764783542f0146a98b300"
    assert ja4(ASYNCRAT) == "t10i070500_c50f5591e341_950472255fe9"


def test_chrome_has_the_fingerprint_of_foxio_s_description() -> None:
    assert ja4(CHROME) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_grease_does_not_change_a_fingerprint() -> None:
    other = dataclasses.replace(
        CHROME,
        cipher_suites=(0xFAFA, *CHROME.cipher_suites[1:]),
        extensions=(Extension(0x2A2A, b""), *CHROME.extensions[1:]),
    )
    assert (ja3(other), ja4(other)) == (ja3(CHROME), ja4(CHROME))


def test_shuffled_extensions_change_ja3_but_not_ja4() -> None:
    other = dataclasses.replace(CHROME, extensions=tuple(reversed(CHROME.extensions)))
    assert ja3(other) != ja3(CHROME)
    assert ja4(other) == ja4(CHROME)


def test_ja3s_is_version_cipher_and_extensions() -> None:
    answer = ServerHello(0x0301, bytes(32), b"", 0xC014, 0, (Extension(23, b""),) * 1)
    answer = dataclasses.replace(answer, extensions=(Extension(23, b""), Extension(65281, b"\0")))
    assert ja3s_raw(answer) == "769,49172,23-65281"
    assert ja3s(answer) == "b74704234e6128f33bff9865696e31b3"


@pytest.mark.parametrize(
    ("offered", "legacy", "shown"),
    [
        ((), 0x0002, "s2"),
        ((), 0x0300, "s3"),
        ((), 0x0301, "10"),
        ((), 0x0302, "11"),
        ((), 0x0303, "12"),
        ((0x0304, 0x0303), 0x0303, "13"),
        ((GREASE, 0x0303), 0x0301, "12"),
        ((0x7F1C, 0x0303), 0x0303, "00"),  # a draft of TLS 1.3 is a version of its own
        ((), 0x0305, "00"),
    ],
)
def test_ja4_takes_the_highest_version_offered(
    offered: tuple[int, ...], legacy: int, shown: str
) -> None:
    extensions = (versions(*offered),) if offered else ()
    assert ja4(hello(*extensions, version=legacy))[1:3] == shown


@pytest.mark.parametrize("count", [98, 99, 100])
def test_ja4_counts_up_to_99(count: int) -> None:
    many = hello(
        *(Extension(1000 + n, b"") for n in range(count)), ciphers=tuple(range(1, count + 1))
    )
    assert ja4(many)[4:8] == f"{min(count, 99)}" * 2


@pytest.mark.parametrize(
    ("protocols", "shown"),
    [
        ((b"h2", b"http/1.1"), "h2"),
        ((b"http/1.1",), "h1"),
        ((b"x",), "xx"),
        ((b"\xab",), "ab"),
        ((b"\xab\xcd",), "ad"),
        ((b"\x30\xab",), "3b"),
        ((b"\x30\x31\xab\xcd",), "3d"),
        ((b"\x30\xab\xcd\x31",), "01"),
        ((b"",), "00"),
        ((), "00"),
    ],
)
def test_ja4_shows_the_ends_of_the_first_protocol(protocols: tuple[bytes, ...], shown: str) -> None:
    assert ja4(hello(alpn(*protocols)))[8:10] == shown


def test_ja4_hashes_nothing_to_zeros() -> None:
    assert ja4(hello(ciphers=())) == "t12i000000_000000000000_000000000000"
    assert ja4(hello(SNI, alpn(b"h2"))).endswith("_000000000000")


def test_ja4_keeps_the_order_of_signature_algorithms() -> None:
    first, second = algorithms(0x0804, 0x0403), algorithms(0x0403, 0x0804)
    assert ja4_raw(hello(first))[2] == "000d_0804,0403"
    assert ja4(hello(first)) != ja4(hello(second))


def test_ja4_names_the_transport() -> None:
    assert ja4(CHROME, "q").startswith("q13d")


@pytest.mark.parametrize("case", [ASYNCRAT, CHROME, hello(ciphers=()), hello(SNI, alpn(b"x"))])
def test_tshark_agrees_on_ja3(case: ClientHello, tmp_path: Path) -> None:
    body = push_client_hello(case)
    assert tshark(b"\x01" + listed(body, 3), 50000, 443, tmp_path, "ja3_full") == ja3_raw(case)


def test_tshark_agrees_on_ja3s(tmp_path: Path) -> None:
    answer = ServerHello(0x0303, bytes(32), b"", 0xC030, 0, (Extension(65281, b"\0"),))
    body = push_server_hello(answer)
    assert tshark(b"\x02" + listed(body, 3), 443, 50000, tmp_path, "ja3s_full") == ja3s_raw(answer)


def tshark(message: bytes, source: int, target: int, folder: Path, field: str) -> str:
    """What tshark says of one handshake message sent alone."""
    segment = TCP(sport=source, dport=target, flags="PA", seq=1) / (
        b"\x16\x03\x01" + listed(message)
    )
    capture = folder / "hello.pcap"
    wrpcap(str(capture), [Ether() / IP(src="192.0.2.1", dst="192.0.2.2") / segment])
    command = ["tshark", "-r", str(capture), "-T", "fields", "-e", f"tls.handshake.{field}"]
    try:
        shown = subprocess.run(command, capture_output=True, check=True, text=True)
    except FileNotFoundError:
        pytest.skip("tshark is not installed")
    return shown.stdout.strip()
