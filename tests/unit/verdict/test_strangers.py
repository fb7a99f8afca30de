"""Whatever certificate a stranger shows: it is judged, and its record can be sent."""

import json
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Thresholds, Verdict, judge
from ratwall.verdict.record import flow_record
from ratwall.wire.errors import ParseError
from ratwall.wire.tls.facts import Anomaly, TlsFacts
from ratwall.wire.x509.certificate import parse_certificate
from unit.signatures.seen import HTTPS, hello
from unit.wire.x509.minting import assemble, mint, plain_name

PACKS = load_packs()


@cache
def seed() -> bytes:
    return mint("AsyncRAT Server", serial=0xEAE051748BB5594FC1BFB18C75E94F)


def judged(der: bytes) -> dict[str, object]:
    """The record of a connection that showed `der`, as the inline box would make it."""
    facts = TlsFacts(client_hello=hello(), chain_length=1)
    try:
        facts.certificate = parse_certificate(der)
    except ParseError as error:
        facts.anomalies.add(Anomaly.UNREADABLE_CERTIFICATE)
        facts.certificate_error = str(error)
    judgement = judge(PACKS, Thresholds(), facts, HTTPS, None, 0)
    if facts.certificate is None or facts.certificate.defects:
        assert judgement.verdict is not Verdict.CLEAN, "what breaks the rules is never clean"
    record = flow_record(
        client=bytes(4),
        client_port=1,
        server=HTTPS.server,
        server_port=HTTPS.port,
        start_us=0,
        facts=facts,
        judgement=judgement,
    )
    json.dumps(record).encode()
    return record


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 255)), max_size=8))
def test_a_certificate_with_any_octets_changed(edits: list[tuple[int, int]]) -> None:
    der = bytearray(seed())
    for place, value in edits:
        der[place % len(der)] = value
    judged(bytes(der))


@given(st.binary(max_size=80), st.sampled_from([0x0C, 0x13, 0x14, 0x16, 0x1C, 0x1E, 0x04]))
def test_a_name_of_any_octets(value: bytes, tag: int) -> None:
    record = judged(assemble(subject=plain_name(value, tag)))
    certificate = record["certificate"]
    assert isinstance(certificate, dict)
    assert certificate["subject"].isprintable()


def test_the_unchanged_certificate_is_blocked() -> None:
    assert judged(seed())["verdict"] == "block"
