"""The record of one judged connection: what `replay --json` prints, a report carries, an API shows.

It holds metadata only, never payload, and its keys are a contract.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

from ratwall.verdict.judge import Judgement
from ratwall.wire.tls.facts import TlsFacts
from ratwall.wire.x509.certificate import Certificate

# Characters of a text that a stranger chose (names, server name). RFC 1035 ends a host name at
# 255; distinguished names in use are shorter than this, and a report must fit one packet.
TEXT_LIMIT = 1024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def flow_record(
    *,
    client: bytes,
    client_port: int,
    server: bytes,
    server_port: int,
    start_us: int,
    facts: TlsFacts,
    judgement: Judgement,
) -> dict[str, Any]:
    """Return the JSON-ready record; addresses are 4 or 16 octets, `start_us` UTC microseconds."""
    certificate = facts.certificate
    return {
        "client": str(ipaddress.ip_address(client)),
        "client_port": client_port,
        "server": str(ipaddress.ip_address(server)),
        "server_port": server_port,
        "start": iso_time(start_us),
        "sni": None if facts.sni is None else _cut(facts.sni),
        "tls_version": facts.version_name,
        "ja3": facts.ja3,
        "ja4": facts.ja4,
        "ja3s": facts.ja3s,
        "resumed": facts.resumed,
        "certificate": None if certificate is None else certificate_record(certificate),
        "score": judgement.score,
        "verdict": str(judgement.verdict),
        "family": judgement.family,
        "evidence": [item.as_dict() for item in judgement.evidence],
    }


def certificate_record(certificate: Certificate) -> dict[str, Any]:
    """Return the JSON-ready facts of a certificate; the serial is in hexadecimal as openssl's."""
    return {
        "subject": _cut(str(certificate.subject)),
        "issuer": _cut(str(certificate.issuer)),
        "sha1": certificate.sha1,
        "sha256": certificate.sha256,
        "serial": _serial(certificate.serial),
        "not_before": _iso_seconds(certificate.not_before),
        "not_after": _iso_seconds(certificate.not_after),
        "self_issued": certificate.self_issued,
        "key_type": certificate.key_type,
        "key_bits": certificate.key_bits,
        "signature_algorithm": certificate.signature_algorithm,
    }


def iso_time(microseconds: int) -> str:
    """Return a UTC time as "2024-01-23T02:04:30.000000Z"."""
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _iso_seconds(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    moment = _EPOCH + timedelta(seconds=seconds)
    return f"{moment.replace(tzinfo=None).isoformat()}Z"


def _serial(number: int) -> str:
    """Hexadecimal of an even number of digits, with a sign where there is one, cut if endless."""
    digits = f"{abs(number):X}"
    if len(digits) % 2:
        digits = "0" + digits
    return _cut(("-" if number < 0 else "") + digits)


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"
