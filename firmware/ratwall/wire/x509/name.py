"""Distinguished names: ordered RDNs as they stood on the wire.

It never normalises: two names are equal when their DER is, which is what "self-issued" means to a
signature (RFC 5280 §7.1 would also fold case and spaces).

Design note: the text form is openssl's without escapes for commas, "C=US,O=X,CN=Y"; characters
that cannot be printed are shown as \\u{…}, so that a name can neither break a line in a log nor
move the cursor of a terminal.
"""

from dataclasses import dataclass, field

from ratwall.wire.errors import ParseError
from ratwall.wire.x509 import der, oid

# Attributes read per name. Real names have at most a dozen; the rest only costs time.
ATTRIBUTES_LIMIT = 64

# How each string type of X.520 is read (RFC 5280 §4.1.2.4). T61String is in practice Latin-1.
_CODECS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "ascii",  # NumericString
    0x13: "latin-1",  # PrintableString; Latin-1 because some authorities write umlauts into it
    0x14: "latin-1",  # T61String
    0x16: "latin-1",  # IA5String
    0x1A: "latin-1",  # VisibleString
    0x1B: "latin-1",  # GeneralString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


@dataclass(frozen=True, slots=True)
class Attribute:
    """One `type=value` of an RDN; `name` is openssl's short name or the dotted identifier."""

    oid: str
    name: str
    value: str
    tag: int


@dataclass(frozen=True, slots=True)
class Name:
    """An ordered list of RDNs, each with one attribute or several; compared by its DER."""

    der: bytes
    rdns: tuple[tuple[Attribute, ...], ...] = field(compare=False)

    def __str__(self) -> str:
        return ",".join(
            "+".join(f"{attribute.name}={attribute.value}" for attribute in rdn)
            for rdn in self.rdns
        )

    def values(self, name: str) -> tuple[str, ...]:
        """Return every value of one attribute type, e.g. "CN", in wire order."""
        return tuple(a.value for rdn in self.rdns for a in rdn if a.name == name)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """The attribute types in wire order, e.g. ("CN",) or ("CN", "OU", "O", "L", "C")."""
        return tuple(a.name for rdn in self.rdns for a in rdn)


def parse_name(walker: der.Walker, element: der.Element) -> Name:
    """Read a Name (RFC 5280 §4.1.2.4) from a SEQUENCE, as far as its structure holds."""
    rdns: list[tuple[Attribute, ...]] = []
    room = ATTRIBUTES_LIMIT
    try:
        for rdn in walker.children(element, ATTRIBUTES_LIMIT):
            if rdn.tag != der.SET:
                walker.note("name part that is not a SET")
            pairs = walker.children(rdn, room)
            room -= len(pairs)
            rdns.append(tuple(_parse_attribute(walker, pair) for pair in pairs))
    except ParseError as error:
        walker.note(f"name: {error}")
    return Name(walker.data[element.start : element.after], tuple(rdns))


def _parse_attribute(walker: der.Walker, pair: der.Element) -> Attribute:
    kind = walker.expect(der.OBJECT_IDENTIFIER, pair.content, pair.end, "name attribute type")
    text = walker.element(kind.after, pair.end)
    dotted = oid.dotted(walker.value(kind))
    value = _decode(walker, text)
    return Attribute(dotted, oid.ATTRIBUTE_NAMES.get(dotted, dotted), value, text.tag)


def _decode(walker: der.Walker, element: der.Element) -> str:
    content = walker.value(element)
    codec = _CODECS.get(element.tag)
    if codec is None:
        walker.note(f"name value of type 0x{element.tag:02x}")
        return "#" + content.hex()
    try:
        text = content.decode(codec)
    except UnicodeDecodeError:
        walker.note(f"name value that is not {codec}")
        text = content.decode("latin-1")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in text)
