"""The record of one judged connection: what `replay --json` prints, a report carries, an API shows.

It holds metadata only, never payload, and its keys are a contract.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from ratwall.verdict.judge import Judgement
from ratwall.wire.tls.facts import TlsFacts
from ratwall.wire.x509.certificate import Certificate

# Characters of a text that a stranger chose (names, server name). RFC 1035 ends a host name at
# 255; distinguished names in use are shorter than this, and a report must fit one packet.
TEXT_LIMIT = 1024

# Worked out once for many connections; some 200 KB and 1 MB at most.
ADDRESSES_REMEMBERED = 1024
CERTIFICATES_REMEMBERED = 256

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
        "client": address_text(client),
        "client_port": client_port,
        "server": address_text(server),
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


@lru_cache(maxsize=ADDRESSES_REMEMBERED)
def address_text(packed: bytes) -> str:
    """Return an address of 4 or 16 octets as people write it."""
    return str(ipaddress.ip_address(packed))


@lru_cache(maxsize=CERTIFICATES_REMEMBERED)
def certificate_record(certificate: Certificate) -> dict[str, Any]:
    """Return the JSON-ready facts of a certificate, to be read only: the same for all who ask.

    The serial is in hexadecimal as openssl's.
    """
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
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


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
