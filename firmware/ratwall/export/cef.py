"""A record as one line of ArcSight's Common Event Format, version 0.

Pure. In the header a pipe and a backslash are escaped, in the extension an equals sign and a
backslash; nothing else of a value can end it, because a record has no line ends.
"""

from typing import Final

from ratwall import __version__
from ratwall.export.records import Record

_KEYS: Final = {
    "device": "src",
    "device_mac": "smac",
    "device_name": "shost",
    "server": "dst",
    "server_port": "dpt",
    "server_name": "dhost",
    "count": "cnt",
    "state": "act",
    "author": "suser",
    "reason": "reason",
    "id": "externalId",
}
# Six custom texts, each with a label, for what the format has no key for.
_LABELLED: Final = {
    "family": "cs1",
    "certificate_subject": "cs2",
    "certificate_sha256": "cs3",
    "rules": "cs4",
    "techniques": "cs5",
    "kind": "cs6",
}
_NUMBERED: Final = {"score": "cn1"}
_SIXES: Final = {
    "device": ("c6a2", "Source IPv6 Address"),
    "server": ("c6a3", "Destination IPv6 Address"),
}


def cef(record: Record, host: str) -> str:
    """Return the line; `host` is the box's name."""
    header = "|".join(
        _header(part) for part in ("Ratwall", "Ratwall", __version__, record.event, record.message)
    )
    pairs = {
        "rt": str(record.time // 1000),  # milliseconds since 1970
        "dvchost": host,
    }
    for name, value in record.fields.items():
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        if name in _SIXES and ":" in text:  # src and dst hold IPv4 alone
            key, label = _SIXES[name]
            pairs |= {key: text, f"{key}Label": label}
        elif name in _KEYS:
            pairs[_KEYS[name]] = text
        elif name in _LABELLED or name in _NUMBERED:
            key = _LABELLED.get(name) or _NUMBERED[name]
            pairs[key] = text
            pairs[f"{key}Label"] = name
    extension = " ".join(f"{key}={_extension(text)}" for key, text in pairs.items())
    return f"CEF:0|{header}|{_severity(record.severity)}|{extension}"


def _severity(syslog: int) -> int:
    """Return 0 (least) to 10 for a severity of syslog's, 7 (least) to 0."""
    return 10 - syslog


def _header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _extension(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=")
