"""A record as a message of syslog, RFC 5424: structured data, or a body of CEF or ECS.

Pure. A message is never longer than its transport is sure to take: what is too long has its texts
shortened, at the end down to the least that is worth telling, but it is always whole and valid.
"""

from collections.abc import Callable
from typing import Final

from ratwall.export.cef import cef
from ratwall.export.ecs import ecs_text, instant
from ratwall.export.records import Record

# RFC 5426 section 3.2: what every receiver should take in a datagram.
DATAGRAM_LIMIT: Final = 2048
STREAM_LIMIT: Final = 8000  # below what rsyslog and syslog-ng take unless told otherwise (8,192)
# Private numbers of enterprises begin with IANA's list; this one is for examples (RFC 5612),
# because Ratwall has none of its own.
ELEMENT: Final = "ratwall@32473"
BOM: Final = b"\xef\xbb\xbf"  # RFC 5424 section 6.4: before text that is not ASCII
NIL: Final = "-"
APPLICATION: Final = "ratwall"
HOST_LIMIT: Final = 255  # RFC 5424 section 6
_STEPS: Final = (1024, 256, 96)  # characters of a text, tried in turn

FACILITIES: Final = {"daemon": 3, "auth": 4} | {
    f"local{number}": 16 + number for number in range(8)
}
FORMATS: Final = ("rfc5424", "cef", "ecs")


def message(record: Record, *, host: str, facility: str, form: str, limit: int) -> bytes:
    """Return the message, at most `limit` bytes, without a frame."""
    render = _RENDER[form]
    for step in _STEPS:
        made = render(record.shortened(step), host, facility)
        if len(made) <= limit:
            return made
    return render(record.bare(), host, facility)


def host_name(name: str) -> str:
    """Return a box's name as the header takes it: printable ASCII without spaces."""
    text = "".join(each for each in name if "!" <= each <= "~")[:HOST_LIMIT]
    return text or NIL


def _header(record: Record, host: str, facility: str) -> str:
    priority = FACILITIES[facility] * 8 + record.severity
    return f"<{priority}>1 {instant(record.time)} {host} {APPLICATION} {NIL} {record.event}"


def _structured(record: Record, host: str, facility: str) -> bytes:
    data = f'{ELEMENT} seq="{record.sequence}" ledger="{record.ledger}"'
    for name, value in record.fields.items():
        for part in value if isinstance(value, tuple) else (value,):
            data += f' {name}="{_parameter(str(part))}"'
    text = record.message.encode()
    mark = b"" if text.isascii() else BOM
    return f"{_header(record, host, facility)} [{data}] ".encode() + mark + text


def _parameter(text: str) -> str:
    """Escape a value as section 6.3.3 says: quote, backslash and closing bracket."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("]", "\\]")


def _with_cef(record: Record, host: str, facility: str) -> bytes:
    return f"{_header(record, host, facility)} {NIL} {cef(record, host)}".encode()


def _with_ecs(record: Record, host: str, facility: str) -> bytes:
    return f"{_header(record, host, facility)} {NIL} {ecs_text(record, host)}".encode()


_RENDER: Final[dict[str, Callable[[Record, str, str], bytes]]] = {
    "rfc5424": _structured,
    "cef": _with_cef,
    "ecs": _with_ecs,
}
