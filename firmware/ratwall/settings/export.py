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
from ratwall.settings.rules import Boolean, Choice, Integer, Rule, Text, describe

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


# RFC 5321 has more; this is what people have, and nothing that could end a line.
_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?P<host>[A-Za-z0-9.-]{1,253})")
_MOMENT = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
RECIPIENTS_LIMIT = 10  # a list of more people has an address of its own


def is_mail(text: str) -> bool:
    """Say whether `text` is an address that mail can be sent to."""
    match = _MAIL.fullmatch(text)
    return match is not None and _HOST.fullmatch(match["host"]) is not None


@dataclass(frozen=True, slots=True)
class Recipients:
    """A list of addresses for mail."""

    limit: int

    def accept(self, value: object) -> tuple[str, ...]:
        """Return the addresses, each once, in the order given."""
        expected = f"a list of at most {self.limit} addresses such as anna@office.example"
        if not isinstance(value, list) or len(value) > self.limit:
            raise ValueError(expected)
        for item in value:
            if not isinstance(item, str) or not is_mail(item):
                raise ValueError(f"{expected}; {describe(item)} is none")
        return tuple(dict.fromkeys(value))


MAIL = Text('an address such as "ratwall@office.example"', is_mail)
MOMENT = Text('a time such as "22:00"', lambda text: _MOMENT.fullmatch(text) is not None)
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
class ExportMail:
    """A mail server, and people who want to be told in words."""

    server: str | None = field(default=None, metadata=accepts(SERVER))
    # TLS from the first byte is port 465, STARTTLS 587; unencrypted mail would tell the street.
    security: str = field(default="starttls", metadata=accepts(Choice(("starttls", "tls"))))
    user: str | None = field(default=None, metadata=accepts(USER))
    password_file: str | None = field(default=None, metadata=accepts(FILE))
    sender: str | None = field(default=None, metadata=accepts(MAIL))
    recipients: tuple[str, ...] = field(default=(), metadata=accepts(Recipients(RECIPIENTS_LIMIT)))
    ca_file: str | None = field(default=None, metadata=accepts(FILE))


@dataclass(frozen=True, slots=True)
class ExportPush:
    """A server that pushes messages to telephones, as ntfy does."""

    # With the topic. Who knows it can read along: it is as good as a password.
    url: str | None = field(default=None, metadata=accepts(URL))
    token_file: str | None = field(default=None, metadata=accepts(FILE))
    ca_file: str | None = field(default=None, metadata=accepts(FILE))


@dataclass(frozen=True, slots=True)
class ExportMessages:
    """What people are told by mail and push, and when."""

    # What wants a hand. Notices alone would teach people to look away.
    level: str = field(
        default="warning", metadata=accepts(Choice(("critical", "warning", "all", "none")))
    )
    quiet_from: str | None = field(default=None, metadata=accepts(MOMENT))
    quiet_until: str | None = field(default=None, metadata=accepts(MOMENT))
    # A remote-control program at night is when it matters; who sleeps beside the telephone says no.
    urgent_at_night: bool = field(default=True, metadata=accepts(Boolean()))
    digest: str = field(default="off", metadata=accepts(Choice(("off", "daily", "weekly"))))
    digest_hour: int = field(default=8, metadata=accepts(Integer(0, 23)))  # before the first guest
    # What links in messages begin with: only the owner knows by which name the box is reached.
    page: str = field(default="https://ratwall.local", metadata=accepts(URL))


@dataclass(frozen=True, slots=True)
class Export:
    """All receivers; none by default."""

    syslog: ExportSyslog = field(default_factory=ExportSyslog, metadata={"section": ExportSyslog})
    webhook: ExportWebhook = field(
        default_factory=ExportWebhook, metadata={"section": ExportWebhook}
    )
    mqtt: ExportMqtt = field(default_factory=ExportMqtt, metadata={"section": ExportMqtt})

    mail: ExportMail = field(default_factory=ExportMail, metadata={"section": ExportMail})
    push: ExportPush = field(default_factory=ExportPush, metadata={"section": ExportPush})
    messages: ExportMessages = field(
        default_factory=ExportMessages, metadata={"section": ExportMessages}
    )

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told anything."""
        places = (self.syslog.server, self.webhook.url, self.mqtt.server)
        people = (self.mail.server, self.push.url)
        return any(place is not None for place in (*places, *people))

    def problem(self) -> str | None:
        """Return which key contradicts which, None if all is well."""
        if self.webhook.url is not None and self.webhook.secret_file is None:
            return "[export.webhook] url: expected secret_file beside it, which signs what is sent"
        if self.mqtt.password_file is not None and self.mqtt.user is None:
            return "[export.mqtt] password_file: expected user beside it, whose password it holds"
        mail, messages = self.mail, self.messages
        if mail.password_file is not None and mail.user is None:
            return "[export.mail] password_file: expected user beside it, whose password it holds"
        if mail.server is not None and (mail.sender is None or not mail.recipients):
            return "[export.mail] server: expected sender and recipients beside it"
        if (messages.quiet_from is None) != (messages.quiet_until is None):
            return "[export.messages] quiet_from: expected quiet_until beside it, or neither"
        return None
