"""A rule of several conditions on one handshake: what is kept of a Suricata TLS rule.

Pure. All conditions must hold. Subject and issuer are compared in the form that such rules are
written for, attributes in their order with ", " between them: "C=CN, O=x, CN=y".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ratwall.feeds.indicator import Kind

if TYPE_CHECKING:  # whoever has facts has read a certificate; who only reads lists need not
    from ratwall.wire.tls.facts import TlsFacts
    from ratwall.wire.x509.name import Name

FIELDS = ("subject", "issuer", "sha1", "sni", "ja3", "ja4")
OF_CERTIFICATE = ("subject", "issuer", "sha1")


@dataclass(frozen=True, slots=True)
class Condition:
    """A text that a field of the handshake holds, or must not hold."""

    field: str
    content: str
    nocase: bool = False
    at_start: bool = False
    at_end: bool = False
    size: int | None = None  # of the whole field, in bytes
    negated: bool = False

    def holds(self, value: str | None) -> bool:
        """Say whether it holds of a field's value; what is not there holds nothing."""
        if value is None:
            return False
        found, wanted = value, self.content
        if self.nocase:
            found, wanted = found.lower(), wanted.lower()
        if self.at_start and self.at_end:
            there = found == wanted
        elif self.at_start:
            there = found.startswith(wanted)
        elif self.at_end:
            there = found.endswith(wanted)
        else:
            there = wanted in found
        if self.size is not None and len(found.encode()) != self.size:
            there = False
        return there != self.negated


@dataclass(frozen=True, slots=True)
class TlsRule:
    """One rule; `id` is its number in its feed, `text` what its author calls it."""

    id: str
    text: str
    conditions: tuple[Condition, ...]
    family: str | None = None

    @property
    def fields(self) -> frozenset[str]:
        """What of a handshake it asks for, without what it rules out."""
        return frozenset(each.field for each in self.conditions if not each.negated)

    @property
    def kind(self) -> Kind:
        """What it is like, for how long it is believed: a certificate, a name or a fingerprint."""
        if self.fields & set(OF_CERTIFICATE):
            return Kind.CERTIFICATE_SHA1
        return Kind.HOST if "sni" in self.fields else Kind.JA3

    def holds(self, values: Mapping[str, str | None]) -> bool:
        """Say whether all conditions hold."""
        return all(each.holds(values[each.field]) for each in self.conditions)

    def as_list(self) -> list[Any]:
        """Return the JSON-ready form that index files hold."""
        conditions = [
            [c.field, c.content, c.nocase, c.at_start, c.at_end, c.size, c.negated]
            for c in self.conditions
        ]
        return [self.id, self.text, self.family, conditions]

    @classmethod
    def from_list(cls, row: list[Any]) -> Self:
        """Read that form; ValueError or TypeError if it is another."""
        identifier, text, family, conditions = row
        return cls(
            str(identifier),
            str(text),
            tuple(Condition(*condition) for condition in conditions),
            None if family is None else str(family),
        )


def values_of(facts: "TlsFacts") -> dict[str, str | None]:
    """Return the fields of a handshake."""
    certificate = facts.certificate
    return {
        "subject": None if certificate is None else written(certificate.subject),
        "issuer": None if certificate is None else written(certificate.issuer),
        "sha1": None if certificate is None else certificate.sha1,
        "sni": facts.sni,
        "ja3": facts.ja3,
        "ja4": facts.ja4,
    }


def written(name: "Name") -> str:
    """Return a distinguished name as rules quote it."""
    return ", ".join(
        "+".join(f"{attribute.name}={attribute.value}" for attribute in rdn) for rdn in name.rdns
    )
