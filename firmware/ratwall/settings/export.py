"""Who is told of incidents, actions and the state of the box: one section for each receiver.

Never reads a secret: a setting names the file that holds it. A receiver without an address is none.
"""

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import PurePosixPath
from types import MappingProxyType
from urllib.parse import urlsplit

from ratwall.address import PORT_LIMIT
from ratwall.settings.rules import Boolean, Choice, Rule, Text

FORMATS = ("rfc5424", "cef", "ecs")
FACILITIES = ("daemon", "auth", *(f"local{number}" for number in range(8)))
PATH_LIMIT = 1024  # characters
TOPIC_LIMIT = 200  # bytes: brokers take 65,535, people read a screen's width
# RFC 1123 section 2.1; one label will do: "siem" is a name in many an office.
_HOST = re.compile(
    r"(?=.{1,253}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?"
    r"(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)*"
)


def accepts(rule: Rule) -> MappingProxyType[str, Rule]:
    """Return the field metadata that carries `rule`."""
    return MappingProxyType({"rule": rule})


def parse_server(text: str) -> tuple[str, int]:
    """Return (host, port) of "logs.example:6514" or "[2001:db8::1]:514", or ValueError."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ip_address(host).version != 6 or "%" in host:
            raise ValueError(text)
    elif not _HOST.fullmatch(host):
        raise ValueError(text)
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise ValueError(text)
    if not 1 <= int(port) <= PORT_LIMIT:
        raise ValueError(text)
    return host, int(port)


def is_server(text: str) -> bool:
    """Say whether `text` is a host and a port."""
    try:
        parse_server(text)
    except ValueError:
        return False
    return True


def is_url(text: str) -> bool:
    """Say whether `text` is an address that a request can be sent to."""
    if len(text) > PATH_LIMIT or not (text.isascii() and text.isprintable()) or " " in text:
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    named = bool(parts.hostname) and parts.username is None and not parts.fragment
    return parts.scheme == "https" and named and port != 0


def is_topic(text: str) -> bool:
    """Say whether topics can begin with `text` (MQTT 5, section 4.7)."""
    return (
        0 < len(text.encode(errors="replace")) <= TOPIC_LIMIT
        and text.isprintable()
        and not set(text) & set("+#")
        and not text.startswith(("$", "/"))
        and not text.endswith("/")
    )


def is_path(text: str) -> bool:
    """Say whether `text` can be the path of a file."""
    return (
        text.startswith("/")
        and len(text) <= PATH_LIMIT
        and text.isprintable()
        and PurePosixPath(text).name != ""
    )


SERVER = Text('a server and a port, such as "logs.example:6514" or "192.0.2.1:514"', is_server)
URL = Text("an https:// address of at most 1024 characters, without a password", is_url)
TOPIC = Text('a topic such as "office/ratwall", at most 200 bytes, without + and #', is_topic)
USER = Text("a user's name, at most 200 characters", lambda text: 0 < len(text) <= 200)
FILE = Text("the path of a file, from / on", is_path)


@dataclass(frozen=True, slots=True)
class ExportSyslog:
    """A server that takes syslog."""

    server: str | None = field(default=None, metadata=accepts(SERVER))
    # TLS, because what is told says who was attacked; a server without it must be named so.
    transport: str = field(default="tls", metadata=accepts(Choice(("tls", "tcp", "udp"))))
    format: str = field(default="rfc5424", metadata=accepts(Choice(FORMATS)))
    facility: str = field(default="local0", metadata=accepts(Choice(FACILITIES)))
    # Whom a certificate must come from; without one, those whom the system trusts.
    ca_file: str | None = field(default=None, metadata=accepts(FILE))


@dataclass(frozen=True, slots=True)
class ExportWebhook:
    """A web server that takes batches of records."""

    url: str | None = field(default=None, metadata=accepts(URL))
    # Anybody can send to an address that got known; only who has the secret can sign.
    secret_file: str | None = field(default=None, metadata=accepts(FILE))
    ca_file: str | None = field(default=None, metadata=accepts(FILE))


@dataclass(frozen=True, slots=True)
class ExportMqtt:
    """A broker of MQTT 5."""

    server: str | None = field(default=None, metadata=accepts(SERVER))
    # What all topics of this box begin with; two boxes at one broker need two.
    topic: str = field(default="ratwall", metadata=accepts(TOPIC))
    tls: bool = field(default=True, metadata=accepts(Boolean()))
    user: str | None = field(default=None, metadata=accepts(USER))
    password_file: str | None = field(default=None, metadata=accepts(FILE))
    ca_file: str | None = field(default=None, metadata=accepts(FILE))


@dataclass(frozen=True, slots=True)
class Export:
    """All receivers; none by default."""

    syslog: ExportSyslog = field(default_factory=ExportSyslog, metadata={"section": ExportSyslog})
    webhook: ExportWebhook = field(
        default_factory=ExportWebhook, metadata={"section": ExportWebhook}
    )
    mqtt: ExportMqtt = field(default_factory=ExportMqtt, metadata={"section": ExportMqtt})

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told anything."""
        places = (self.syslog.server, self.webhook.url, self.mqtt.server)
        return any(place is not None for place in places)

    def problem(self) -> str | None:
        """Return which key contradicts which, None if all is well."""
        if self.webhook.url is not None and self.webhook.secret_file is None:
            return "[export.webhook] url: expected secret_file beside it, which signs what is sent"
        if self.mqtt.password_file is not None and self.mqtt.user is None:
            return "[export.mqtt] password_file: expected user beside it, whose password it holds"
        return None
