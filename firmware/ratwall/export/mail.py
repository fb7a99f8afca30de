"""Sends a message as mail, over TLS or not at all.

Never lets a text end a header: every value is freed of control characters before, and the library
refuses what would still break a line. The server's own words are kept, for a person who tries it.
"""

import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from typing import Final

from ratwall.export.connection import ANSWER_SECONDS, bounded, connect, secret, tls_context, words
from ratwall.export.courier import DeliveryError
from ratwall.export.notices import Message
from ratwall.export.records import CRITICAL, clean
from ratwall.settings.export import ExportMail, parse_server

SUBJECT_LIMIT: Final = 180  # characters; telephones show a third of it
SAID_LIMIT: Final = 200
OK: Final = range(200, 300)


class MailPost:
    """One mail server; each message is a connection of its own."""

    def __init__(self, settings: ExportMail, host: str, wall: Callable[[], int]) -> None:
        """`host` is the box's name, `wall` gives UTC microseconds."""
        self._settings = settings
        self._host = host
        self._wall = wall
        self._server, self._port = parse_server(str(settings.server))
        self.where = f"{self._server} port {self._port}"

    def send(self, message: Message) -> str:
        """Send a message; return what the server said, DeliveryError if nobody will get it."""
        smtp = _Smtp(self._host, connect(self._server, self._port), self._server)
        with closing(smtp), bounded(lambda: smtp.sock, ANSWER_SECONDS) as over:
            try:
                return self._talk(smtp, message)
            except smtplib.SMTPResponseException as error:
                said = _said(error.smtp_code, error.smtp_error)
                raise DeliveryError(f"{self.where}: refuses: {said}") from error
            except (OSError, ValueError, smtplib.SMTPException) as error:
                late = f"no answer within {ANSWER_SECONDS:.0f} s"
                why = late if over.is_set() else words(error)
                raise DeliveryError(f"{self.where}: {why}") from error

    def _talk(self, smtp: "_Smtp", message: Message) -> str:
        settings, context = self._settings, tls_context(self._settings.ca_file)
        smtp.begin(context if settings.security == "tls" else None)
        smtp.ehlo()
        if settings.security == "starttls":
            if not smtp.has_extn("starttls"):
                raise DeliveryError(f"{self.where}: offers no STARTTLS, so nothing was sent")
            smtp.turn_to_tls(context)
            smtp.ehlo()
        if settings.user is not None and settings.password_file is not None:
            smtp.login(settings.user, secret(settings.password_file))
        _expect(smtp.mail(str(settings.sender)))
        refused = []
        for recipient in settings.recipients:
            code, said = smtp.rcpt(recipient)
            if code not in OK:
                refused.append(f"{recipient}: {_said(code, said)}")
        if len(refused) == len(settings.recipients):
            raise DeliveryError(f"{self.where}: refuses every recipient: {refused[0]}")
        code, said = smtp.data(self._letter(message).as_bytes(policy=SMTP))
        _expect((code, said))
        answer = _said(code, said)
        return f"{answer}; refused: {', '.join(refused)}" if refused else answer

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage(policy=SMTP)
        sender = str(self._settings.sender)
        letter["From"] = sender
        letter["To"] = ", ".join(self._settings.recipients)
        letter["Subject"] = clean(message.title, SUBJECT_LIMIT)
        letter["Date"] = formatdate(self._wall() / 1_000_000)
        letter["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody on holiday answers it
        if message.severity <= CRITICAL:
            letter["Importance"] = "high"
        letter.set_content(message.body)
        return letter


class _Smtp(smtplib.SMTP):
    """The library's client on a connection that is there already.

    Its own STARTTLS hides the connection until the handshake is over, from whoever bounds its time.
    """

    sock: socket.socket

    def __init__(self, local: str, connection: socket.socket, server: str) -> None:
        super().__init__(local_hostname=local)
        self._server = server  # the name that its certificate must fit
        self.sock = connection

    def begin(self, context: ssl.SSLContext | None) -> None:
        """Hear the greeting, over TLS where a context is given."""
        if context is not None:
            self._secure(context)
        _expect(self.getreply())

    def turn_to_tls(self, context: ssl.SSLContext) -> None:
        """Go on over TLS, and forget all that was said before (RFC 3207, section 4.2)."""
        _expect(self.docmd("STARTTLS"))
        self._secure(context)
        self.file = self.ehlo_resp = self.helo_resp = None
        self.esmtp_features, self.does_esmtp = {}, False

    def _secure(self, context: ssl.SSLContext) -> None:
        self.sock = secured = context.wrap_socket(
            self.sock, server_hostname=self._server, do_handshake_on_connect=False
        )
        secured.do_handshake()


def _expect(reply: tuple[int, bytes]) -> None:
    if reply[0] not in OK:
        raise smtplib.SMTPResponseException(*reply)


def _said(code: int, text: bytes | str) -> str:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    return clean(f"{code} {' '.join(said.split())}", SAID_LIMIT)
