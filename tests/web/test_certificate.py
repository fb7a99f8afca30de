"""A certificate that the owner brings: checked, in force at once, and never at the page's cost."""

import datetime
import io
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from flask import Flask

from ratwall.errors import UsageError
from ratwall_web import create_app, own_certificate
from ratwall_web.certificate import ServerCertificate, provide_certificate
from ratwall_web.certificates import Certificates
from ratwall_web.config import Config
from ratwall_web.control import Control
from ratwall_web.own_certificate import CERTIFICATES_MOST, CHAIN_MOST, KEY_MOST
from ratwall_web.services import EXTENSION, Services
from web.conftest import Site, Visitor, serve
from web.story import Office
from web.visitor import BASE, PASSWORD, Person, field

DAY = datetime.timedelta(days=1)
NOW = datetime.datetime.now(datetime.UTC)
DAMAGED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(slots=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    secret: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key(self) -> bytes:
        return self.protected(serialization.NoEncryption())

    def protected(self, how: serialization.KeySerializationEncryption) -> bytes:
        return self.secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
        )

    @property
    def fingerprint(self) -> str:
        return "SHA256:" + self.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def issue(
    name: str,
    by: Issued | None = None,
    *,
    names: tuple[str, ...] = (),
    secret: Key | None = None,
    begins: datetime.datetime = NOW - DAY,
    ends: datetime.datetime = NOW + 90 * DAY,
) -> Issued:
    """Make a certificate; one that names a host is no authority."""
    secret = secret or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = by or Issued(None, secret)  # type: ignore[arg-type]
    algorithm = None if isinstance(signer.secret, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(not names, None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(each) for each in names])
        builder = builder.add_extension(alternatives, critical=False)
    return Issued(builder.sign(signer.secret, algorithm), secret)


@pytest.fixture(scope="module")
def root() -> Issued:
    return issue("Office Root")


@pytest.fixture(scope="module")
def middle(root: Issued) -> Issued:
    return issue("Office Authority", root)


@pytest.fixture(scope="module")
def leaf(middle: Issued) -> Issued:
    return issue("box", middle, names=("box.office.example", "*.boxes.example"))


def check(chain: bytes, key: bytes, where: Path) -> own_certificate.Facts:
    text, facts = own_certificate.check(chain, key, where, int(NOW.timestamp() * 1_000_000))
    assert list(where.iterdir()) == [], "nothing is left of the check"
    assert text.count("BEGIN") == chain.count(b"BEGIN") + 1
    return facts


def test_a_chain_is_read(tmp_path: Path, root: Issued, middle: Issued, leaf: Issued) -> None:
    for chain in (
        leaf.pem,
        leaf.pem + middle.pem,
        leaf.pem + b"\nsome words\n" + middle.pem + root.pem,
    ):
        facts = check(chain, leaf.key, tmp_path)
        assert facts.names == ("box.office.example", "*.boxes.example")
        assert (facts.subject, facts.issuer) == ("CN=box", "CN=Office Authority")
        assert facts.fingerprint == leaf.fingerprint
        assert facts.not_after == int(leaf.certificate.not_valid_after_utc.timestamp()) * 1_000_000


def test_rsa_is_taken_too(tmp_path: Path, middle: Issued) -> None:
    secret = rsa.generate_private_key(65537, 2048)
    own = issue("box", middle, names=("box.example",), secret=secret)
    old = secret.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert b"BEGIN RSA PRIVATE KEY" in old
    assert check(own.pem, old, tmp_path).names == ("box.example",)


def bad(root: Issued, middle: Issued, leaf: Issued) -> dict[str, tuple[bytes, bytes]]:
    """What each sentence is said of."""
    host = ("box.example",)
    ends = issue("box", middle, names=host, ends=NOW - DAY / 24)
    begins = issue("box", middle, names=host, begins=NOW + DAY)
    nameless = issue("box", middle)
    ed = issue("box", middle, names=host, secret=ed25519.Ed25519PrivateKey.generate())
    koblitz = issue("box", middle, names=host, secret=ec.generate_private_key(ec.SECP256K1()))
    weak = issue("box", middle, names=host, secret=rsa.generate_private_key(65537, 1024))
    locked = leaf.protected(serialization.BestAvailableEncryption(b"word"))
    half = leaf.key.replace(leaf.key[60:64], b"AAAA")
    return {
        "does not belong": (leaf.pem, root.key),
        "has expired": (ends.pem, ends.key),
        "is not valid yet": (begins.pem, begins.key),
        "names no host": (nameless.pem, nameless.key),
        "certificate 2 in the file did not issue certificate 1": (leaf.pem + root.pem, leaf.key),
        "certificate 3 in the file did not issue certificate 2": (
            leaf.pem + middle.pem + leaf.pem,
            leaf.key,
        ),
        "Browsers take no certificate": (ed.pem, ed.key),
        "key of this kind": (koblitz.pem, koblitz.key),
        "too weak": (weak.pem, weak.key),
        "passphrase": (leaf.pem, locked),
        "The key cannot be read": (leaf.pem, half),
        "exactly one private key in the file of the key; found 2": (leaf.pem, leaf.key * 2),
        "exactly one private key in the file of the key; found 0": (leaf.pem, leaf.pem),
        "There is no certificate": (leaf.key, leaf.key),
        "it is damaged": (DAMAGED, leaf.key),
        "is not in PEM form": (leaf.certificate.public_bytes(serialization.Encoding.DER), leaf.key),
        "The certificate is missing": (b" \n", leaf.key),
        "The key is missing": (leaf.pem, b""),
        f"at most {CERTIFICATES_MOST} certificates": (leaf.pem * 9, leaf.key),
        f"at most {CHAIN_MOST} bytes": (leaf.pem + b" " * CHAIN_MOST, leaf.key),
        f"at most {KEY_MOST} bytes": (leaf.pem, leaf.key + b" " * KEY_MOST),
    }


def test_what_would_shut_the_page_is_refused_in_words(
    tmp_path: Path, root: Issued, middle: Issued, leaf: Issued
) -> None:
    for words, (chain, key) in bad(root, middle, leaf).items():
        with pytest.raises(UsageError) as caught:
            check(chain, key, tmp_path)
        assert words in str(caught.value)
        assert "PRIVATE" not in str(caught.value) and "\n" not in str(caught.value)
        assert list(tmp_path.iterdir()) == [], words


def test_a_key_with_a_passphrase_asks_nobody(tmp_path: Path, leaf: Issued) -> None:
    """The header of the old form says so inside the block: OpenSSL would ask on the terminal."""
    old = leaf.secret.private_bytes(  # type: ignore[union-attr]
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"word"),
    )
    assert b"Proc-Type: 4,ENCRYPTED" in old
    with pytest.raises(UsageError, match="passphrase"):
        check(leaf.pem, old, tmp_path)


@pytest.mark.parametrize(
    ("host", "covered"),
    [
        ("box.office.example", True),
        ("office.example", False),
        ("one.boxes.example", True),
        ("one.two.boxes.example", False),
        ("boxes.example", False),
        (".boxes.example", False),
        ("*.boxes.example", True),
        ("example", False),
        ("evil.example", False),
    ],
)
def test_which_names_it_speaks_for(host: str, covered: bool) -> None:
    assert own_certificate.covers(("box.office.example", "*.boxes.example"), host) == covered


@pytest.fixture
def boxes(config: Config) -> ServerCertificate:
    return provide_certificate(config, "127.0.0.1")


@pytest.fixture
def certificates(config: Config, boxes: ServerCertificate) -> Certificates:
    made = Certificates(config, lambda: int(NOW.timestamp() * 1_000_000))
    assert made.start(boxes) == boxes
    return made


def test_it_holds_after_a_restart_and_until_it_is_removed(
    config: Config,
    boxes: ServerCertificate,
    certificates: Certificates,
    middle: Issued,
    leaf: Issued,
) -> None:
    installed: list[ServerCertificate] = []
    certificates.attach(installed.append)
    certificates.put(leaf.pem + middle.pem, leaf.key)
    own = config.web_dir / "own.pem"
    assert installed == [ServerCertificate(own, own)] and own.stat().st_mode & 0o777 == 0o600
    assert (config.web_dir / "served.crt").read_bytes() == leaf.pem, "and no key"
    again = Certificates(config, certificates._now)
    assert again.start(boxes).key == own
    assert again.own is not None and again.covers("box.office.example")
    assert again.remove() and not again.remove()
    assert not own.exists() and again.own is None and not again.covers("box.office.example")
    assert (config.web_dir / "served.crt").read_text() == boxes.certificate.read_text()


def test_one_that_cannot_be_put_in_force_leaves_the_one_before(
    config: Config, certificates: Certificates, middle: Issued, leaf: Issued
) -> None:
    def refuse(_pair: ServerCertificate) -> None:
        raise ssl.SSLError("this one does not load")

    certificates.attach(refuse)
    with pytest.raises(UsageError, match="the one before still is"):
        certificates.put(leaf.pem, leaf.key)
    assert not (config.web_dir / "own.pem").exists() and certificates.own is None
    certificates.attach(lambda _pair: None)
    certificates.put(leaf.pem, leaf.key)
    before = (config.web_dir / "own.pem").read_bytes()
    other = issue("other", middle, names=("other.example",))
    certificates.attach(refuse)
    with pytest.raises(UsageError):
        certificates.put(other.pem, other.key)
    assert (config.web_dir / "own.pem").read_bytes() == before
    assert certificates.covers("box.office.example") and not certificates.covers("other.example")


@pytest.mark.parametrize("content", [b"", b"-----BEGIN", b"\xff" * 100])
def test_a_damaged_one_does_not_keep_the_page_from_starting(
    config: Config, boxes: ServerCertificate, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.web_dir / "own.pem").write_bytes(content)
    there = Certificates(config, lambda: 0)
    assert there.start(boxes) == boxes
    assert there.unloadable and there.own is None
    assert "the box's own certificate is in force" in capsys.readouterr().err
    assert there.remove() and not there.unloadable


# The page.


@pytest.fixture
def app(config: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    monkeypatch.setattr(Control, "record", lambda *_: None)  # there is no controller here
    office = Office(config.ledger_path)
    app = create_app(config)
    parts: Services = app.extensions[EXTENSION]
    parts.credentials.set(PASSWORD)
    parts.certificates.start(provide_certificate(config, "127.0.0.1"))
    yield app
    office.close()


def upload(person: Person, chain: bytes, key: bytes) -> tuple[int, str]:
    data = {
        "csrf": field(person.get("/certificate/"), "csrf"),
        "chain": (io.BytesIO(chain), "chain.pem"),
        "key": (io.BytesIO(key), "key.pem"),
    }
    answer = person.client.post("/certificate/", data=data, base_url=BASE)
    return answer.status_code, answer.text


def test_the_page_takes_it_and_answers_to_its_name(app: Flask, leaf: Issued, root: Issued) -> None:
    person = Person(app)
    person.log_in()
    assert "In force: the box's own" in person.get("/certificate/").text
    named = {"base_url": "https://box.office.example:8443"}
    assert person.client.get("/login", **named).status_code == 400
    status, text = upload(person, leaf.pem, root.key)
    assert status == 422 and "does not belong" in text
    assert upload(person, leaf.pem, leaf.key)[0] == 303
    page = person.get("/certificate/").text
    assert "In force: your own" in page and leaf.fingerprint in page and "PRIVATE" not in page
    assert person.client.get("/login", **named).status_code == 200
    assert person.client.get("/login", base_url="https://evil.example").status_code == 400
    assert person.post("/certificate/remove", "/certificate/").status_code == 303
    assert person.client.get("/login", **named).status_code == 400


def test_a_running_page_shows_it_to_the_next_connection(
    state_dir: Path, owned_site: Site, middle: Issued, leaf: Issued
) -> None:
    """The page goes on with a certificate of another kind of key, and comes back with it."""
    own = issue("box", middle, names=("box.example",), secret=rsa.generate_private_key(65537, 2048))

    def shown(site: Site) -> str:
        pem = ssl.get_server_certificate(("127.0.0.1", site.port))
        return Issued(x509.load_pem_x509_certificate(pem.encode()), own.secret).fingerprint

    visitor = Visitor(owned_site)
    assert visitor.log_in().status == 303
    assert shown(owned_site) == owned_site.fingerprint
    boundary = "-" * 30
    parts = {
        "csrf": visitor.csrf("/certificate/").encode(),
        "chain": own.pem + middle.pem,
        "key": own.key,
    }
    body = (
        b"".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"'.encode()
            + (b"" if name == "csrf" else f'; filename="{name}.pem"'.encode())
            + b"\r\n\r\n"
            + content
            + b"\r\n"
            for name, content in parts.items()
        )
        + f"--{boundary}--\r\n".encode()
    )
    answer = visitor.send(
        "/certificate/", body, **{"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert answer.status == 303, answer.text
    assert shown(owned_site) == own.fingerprint
    assert "In force: your own" in visitor.get("/certificate/").text
    trusted = state_dir / "authority.pem"
    trusted.write_bytes(middle.pem)
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{owned_site.port}", "-partial_chain"),
            *("-CAfile", str(trusted), "-verify_return_error", "-verify_hostname", "box.example"),
        ],
        input="",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Verify return code: 0 (ok)" in done.stdout, done.stderr
    owned_site.process.terminate()
    owned_site.process.wait(timeout=60)
    with serve(state_dir) as again:
        assert again.fingerprint == own.fingerprint == shown(again)
