"""What a pack must not match: certificates of honest servers, and the box's own.

Pure: the certificates are handed in. `benign.pem` holds the outside of servers that offices talk
to (public sites, printers, cameras, network storage, remote desktops), made by
`scripts/make-benign-samples`; none is anybody's real one.

Design note: of a rule that can block only what it asks of the certificate is asked here. A port or
a hello would make it narrower, but honest servers stand on every port.
"""

import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ratwall.errors import UsageError
from ratwall.settings.schema import Detection
from ratwall.signatures.conditions import Sight
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.match import match
from ratwall.signatures.pack import Pack
from ratwall.wire.errors import ParseError
from ratwall.wire.tls.facts import TlsFacts
from ratwall.wire.tls.handshake import ClientHello, Extension
from ratwall.wire.x509.certificate import Certificate, parse_certificate

SAMPLES = Path(__file__).with_name("benign.pem")
OWN = "the certificate of this box's own page"
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_ALERT = Detection().alert  # by default; who sets it lower has asked for more alerts
_HTTPS = Endpoint(bytes((203, 0, 113, 1)), 443)
_NAMED = Extension(0, b"\0\x0f\0\0\x0cshop.example")  # server_name
# A client of today that names its server, such as a browser, and one that does not.
_HELLOS = tuple(
    ClientHello(0x0303, 0x0303, bytes(32), b"", (0x1301, 0xC02F), (0,), extensions)
    for extensions in ((_NAMED,), ())
)


@dataclass(frozen=True, slots=True)
class Sample:
    """An honest server's certificate, and what to call it."""

    name: str
    certificate: Certificate


def certificates(pem: str) -> Iterator[Certificate]:
    """Yield the certificates of a PEM text; what is none, or cannot be read, is passed over."""
    for part in pem.split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        if not end:
            continue
        try:
            yield parse_certificate(ssl.PEM_cert_to_DER_cert(f"{_BEGIN}{body}{_END}\n"))
        except (ParseError, ValueError):
            continue


def samples() -> list[Sample]:
    """Return the honest certificates that come with Ratwall."""
    found = certificates(SAMPLES.read_text())
    return [Sample(f"an honest certificate ({_name(each)})", each) for each in found]


def refuse_harmful(
    pack: Pack, others: Sequence[Pack], honest: Iterable[Sample], place: str
) -> None:
    """Raise UsageError if a rule would have an honest server cut, or if the pack, together with
    the others in force, would raise an alert for one."""
    others = [other for other in others if other.name != pack.name]
    for sample in honest:
        for hello in _HELLOS:
            facts = TlsFacts(client_hello=hello, certificate=sample.certificate, chain_length=1)
            sight = Sight(facts, _HTTPS)
            for rule in pack.rules:
                asked = [test for test in rule.tests if test in rule.certificate_tests]
                if rule.decisive and all(test(sight) for test in asked):
                    raise UsageError(
                        f'{place}: refused: rule "{rule.id}" would cut off {sample.name}; '
                        "it must ask for more"
                    )
            points = _points([*others, pack], facts)
            if _points(others, facts) < _ALERT <= points:
                raise UsageError(
                    f"{place}: refused: with it {sample.name} would raise an alert "
                    f"({points} points, from {_ALERT} on)"
                )


def _points(packs: Sequence[Pack], facts: TlsFacts) -> int:
    return sum(evidence.points for evidence in match(packs, facts, _HTTPS))


def _name(certificate: Certificate) -> str:
    names = certificate.subject.values("CN") or certificate.subject.values("O")
    return names[0] if names else "without a name"
