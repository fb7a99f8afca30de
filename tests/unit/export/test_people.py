"""People are told by a real mail server and a real push server; each may be away, or hostile."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message as Letter
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from ratwall.export.courier import Courier, DeliveryError
from ratwall.export.mail import MailPost
from ratwall.export.notices import Message
from ratwall.export.notifier import Notifier, box_zone
from ratwall.export.push import PushPost
from ratwall.export.reader import reading
from ratwall.export.trial import ask
from ratwall.ledger.store import FILE_NAME
from ratwall.settings.export import ExportMail, ExportMessages, ExportPush
from ratwall_lab.certificates import Notary
from unit.export.conftest import Story, eventually, exporter, free_port, now
from unit.export.test_webhook import hook

MESSAGE = Message("box: PC-ANNA", "She tried.\n", "https://box.example/incidents/7", 2, ("x",))
PASSWORD = "open sesame"


class Mailbox:
    """What a mail server took, and what it refuses."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.refused: set[str] = set()
        self.full = False

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.full:
            return "452 4.3.1 the disk is full"
        self.letters.append(message_from_bytes(envelope.content))
        return "250 2.0.0 Ok: queued as 4711"


def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = data.login == b"box" and data.password == PASSWORD.encode()
    return AuthResult(success=right, handled=right)


@contextmanager
def mail_server(port: int, *, tls_first: bool = False, starttls: bool = True) -> Iterator[Mailbox]:
    identity = Notary().web_site("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.chain_file, identity.key_file)
    mailbox = Mailbox()

    class Server(Controller):
        def factory(self) -> SMTP:
            return SMTP(
                mailbox,
                tls_context=context if starttls and not tls_first else None,
                require_starttls=starttls and not tls_first,
                authenticator=authenticate,
                auth_require_tls=not tls_first,
            )

    server = Server(
        mailbox, hostname="127.0.0.1", port=port, ssl_context=context if tls_first else None
    )
    server.start()
    try:
        yield mailbox
    finally:
        server.stop()


@pytest.fixture
def password(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return str(file)


@pytest.fixture
def authority() -> str:
    return str(Notary().trust_root())


def mail(port: int, authority: str | None, **changed: Any) -> ExportMail:
    settings = ExportMail(
        server=f"localhost:{port}",
        sender="ratwall@office.example",
        recipients=("anna@office.example", "msp@example.com"),
        ca_file=authority,
    )
    return replace(settings, **changed)


def post(settings: ExportMail) -> MailPost:
    return MailPost(settings, "box-1", now)


@pytest.mark.parametrize("tls_first", [False, True], ids=["starttls", "tls"])
def test_a_letter_arrives_over_tls_and_the_server_s_words_come_back(
    authority: str, password: str, tls_first: bool
) -> None:
    security = "tls" if tls_first else "starttls"
    user = {} if tls_first else {"user": "box", "password_file": password}
    with mail_server(port := free_port(), tls_first=tls_first) as mailbox:
        mailbox.refused = {"msp@example.com"}
        said = post(mail(port, authority, security=security, **user)).send(MESSAGE)
    assert said.startswith("250 2.0.0 Ok: queued as 4711; refused: msp@example.com: 550 5.1.1")
    (letter,) = mailbox.letters
    assert letter["To"] == "anna@office.example, msp@example.com"
    assert letter["Subject"] == "box: PC-ANNA"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_payload().strip() == "She tried."


def test_who_cannot_be_trusted_or_offers_no_tls_is_sent_nothing(
    authority: str, password: str
) -> None:
    with mail_server(port := free_port()) as mailbox:
        with pytest.raises(DeliveryError, match="its certificate is not accepted"):
            post(mail(port, None)).send(MESSAGE)
        wrong = Path(password).with_name("wrong")
        wrong.write_text("wrong\n")
        with pytest.raises(DeliveryError, match="refuses: 535") as refused:
            post(mail(port, authority, user="box", password_file=str(wrong))).send(MESSAGE)
        assert "wrong" not in str(refused.value).split("535")[0]
        mailbox.refused = {"anna@office.example", "msp@example.com"}
        with pytest.raises(DeliveryError, match="refuses every recipient: anna@office"):
            post(mail(port, authority)).send(MESSAGE)
    with (
        mail_server(port, starttls=False) as bare,
        pytest.raises(DeliveryError, match="offers no STARTTLS, so nothing was sent"),
    ):
        post(mail(port, authority)).send(MESSAGE)
    assert mailbox.letters == bare.letters == []


HOSTILE = "PC\r\nBcc: everybody@example.com\r\n\r\n<script>\u202e\x00 Zoë"


def test_a_name_cannot_make_a_header(authority: str) -> None:
    message = replace(MESSAGE, title=f"box: {HOSTILE}", body=f"{HOSTILE}\n.\nQUIT\n")
    with mail_server(port := free_port()) as mailbox:
        post(mail(port, authority)).send(message)
    (letter,) = mailbox.letters
    assert letter["Bcc"] is None
    subject = str(make_header(decode_header(letter["Subject"])))
    assert "Bcc: everybody" in subject and "\n" not in subject and "Zoë" in subject
    with hook(port) as server:
        PushPost(ExportPush(f"https://localhost:{port}/topic", None, authority)).send(message)
    assert server.asked == ["/topic"]
    headers = server.heads[0]
    assert headers["Bcc"] is None and headers["Priority"] == "5"
    assert "Bcc: everybody" in str(make_header(decode_header(headers["Title"])))


def test_a_push_has_title_priority_link_and_token(authority: str, password: str) -> None:
    settings = ExportPush(f"https://localhost:{(port := free_port())}/topic", password, authority)
    with hook(port) as server:
        server.status = 200
        assert PushPost(settings).send(MESSAGE).startswith("200")
        server.status = 403
        with pytest.raises(DeliveryError, match="refuses with 403") as refused:
            PushPost(settings).send(MESSAGE)
    assert "topic" not in str(refused.value)
    (body,) = server.bodies
    assert body == b"She tried.\n"
    head = server.heads[0]
    assert head["Title"] == "box: PC-ANNA"
    assert head["Click"] == "https://box.example/incidents/7"
    assert head["Authorization"] == f"Bearer {PASSWORD}"


def test_an_outage_and_a_restart_repeat_nothing_and_lose_nothing(
    state_dir: Path, story: Story, authority: str
) -> None:
    """The courier, the ledger, the book and the mail server are real; the clock is the test's."""
    clock = [now()]
    settings, port = ExportMessages(level="all"), free_port()

    def start() -> Courier:
        notifier = Notifier(
            post(mail(port, authority)),
            settings,
            state_dir / "export" / "mail.book.json",
            "box",
            lambda: clock[0],
            UTC,
        )
        read = reading(state_dir / FILE_NAME, lambda: clock[0])
        return Courier(notifier, read, kept[0], keep, lambda: clock[0])

    kept: list[Any] = [None]

    def keep(position: Any) -> None:
        kept[0] = position

    def turns(courier: Courier, count: int = 4) -> None:
        for _ in range(count):
            courier.turn(clock[0] / 1e6)
            clock[0] += 30_000_000

    courier = start()
    story.incident(headline="first")
    turns(courier)
    assert "cannot be reached" in str(courier.facts.error)
    courier = start()  # in the middle of the outage
    story.incident(headline="second")
    with mail_server(port) as mailbox:
        turns(courier)
        assert courier.facts.error is None
        turns(start())
        story.incident(headline="third")
        mailbox.full = True
        courier = start()
        turns(courier)
        assert "refuses: 452" in str(courier.facts.error)
        mailbox.full = False
        turns(courier)
        turns(start())
    texts = [letter.get_payload() for letter in mailbox.letters]
    for word in ("first", "second", "third"):
        assert sum(word in text for text in texts) == 1, texts


def test_a_test_message_is_sent_on_request_and_its_answer_told(
    state_dir: Path, authority: str
) -> None:
    port = free_port()
    settings = (
        f'[export.mail]\nserver = "localhost:{port}"\nsender = "ratwall@office.example"\n'
        f'recipients = ["anna@office.example"]\nca_file = "{authority}"\n'
    )
    (state_dir / FILE_NAME).touch()

    def trials() -> dict[str, Any]:
        file = state_dir / "export" / "status.json"
        found: dict[str, Any] = json.loads(file.read_text())["trials"]
        return found

    with exporter(state_dir, settings):
        ask(state_dir / "export", "nobody")
        ask(state_dir / "export", "mail")
        failed = eventually(lambda: trials().get("mail"), trials)
        assert failed["ok"] is False and "cannot be reached" in failed["answer"]
        with mail_server(port) as mailbox:
            ask(state_dir / "export", "mail")
            done = eventually(lambda: (t := trials()["mail"])["ok"] and t, trials)
        assert done["answer"].startswith("250 2.0.0 Ok: queued as 4711")
        assert mailbox.letters[0]["Subject"].endswith(": test")


def test_the_box_s_time_zone(tmp_path: Path) -> None:
    assert box_zone(tmp_path / "none") is UTC
    (tmp_path / "broken").write_bytes(b"TZif")
    assert box_zone(tmp_path / "broken") is UTC
