"""The kinds of handshake that the bench counts and the profile takes apart."""

from dataclasses import dataclass

from ratwall_lab.certificates import Identity, Notary
from ratwall_lab.contexts import Version

# ALPN names that make a hello of two segments, as ML-KEM's key share does.
MANY_PROTOCOLS = ("h2", "http/1.1", *(f"{number:0200d}" for number in range(7)))


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of handshake."""

    name: str
    version: Version
    identity: Identity
    long_hello: bool = False


def kinds(notary: Notary) -> tuple[Kind, ...]:
    """TLS 1.2 and 1.3: the plain ones first, then those with more to read."""
    short = notary.web_site("shop.example", intermediates=0)
    long = notary.web_site("shop.example", kind="rsa2048", intermediates=2)
    versions: tuple[Version, Version] = ("1.2", "1.3")
    return (
        *(Kind(f"TLS {each}", each, short) for each in versions),
        *(Kind(f"TLS {each}, 3 RSA certificates", each, long) for each in versions),
        *(Kind(f"TLS {each}, hello of 2 segments", each, short, True) for each in versions),
    )
