"""What is asked of a certificate that the owner brings: everything that could shut the page.

Looks, and keeps nothing. The `openssl` command reads it, as it makes the box's own; every call is
bounded in size and time. The key is written nowhere but into a directory that only this process can
enter, for the moment of the check, and is in no message.
"""

import hashlib
import re
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ratwall.errors import UsageError
from ratwall_web.language import N_, _

CHAIN_MOST = 32 * 1024  # bytes: a chain of four RSA certificates has eight thousand
KEY_MOST = 16 * 1024  # bytes: an RSA key of 8,192 bits has half of that
CERTIFICATES_MOST = 8
NAMES_MOST = 100  # of one certificate; each is a name that the page answers to
OPENSSL_TIMEOUT_S = 10
MICROSECONDS = 1_000_000

CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", re.ASCII
)
KEY = re.compile(
    r"-----BEGIN ((?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----"
    r"(.+?)-----END (?:RSA |EC |ENCRYPTED )?PRIVATE KEY-----",
    re.ASCII | re.DOTALL,
)
DNS_NAME = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
# What browsers take; a certificate of another kind, as Ed25519, would shut them all out.
CURVES = ("prime256v1", "secp384r1", "secp521r1")
KEY_ONLY = "no_header,no_version,no_serial,no_signame,no_validity,no_subject,no_issuer,no_sigdump"
DAMAGED = N_("The certificate cannot be read: it is damaged, or of no known kind.")
WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says; times are UTC microseconds, names in lower case."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: int
    not_after: int
    fingerprint: str


def check(chain: bytes, key: bytes, directory: Path, now: int) -> tuple[str, Facts]:
    """Return the text to keep, and what the certificate says; UsageError says what is wrong.

    The text is key and chain in one, so that both are replaced at once.
    """
    certificates = _certificates(_text(chain, CHAIN_MOST, _("The certificate")))
    secret = _key(_text(key, KEY_MOST, _("The key")))
    facts = facts_of(certificates[0])
    if not facts.names:
        raise UsageError(
            _(
                "The certificate names no host: browsers take none without a subject "
                "alternative name."
            )
        )
    if facts.not_after <= now:
        raise UsageError(_("The certificate has expired. Take a new one."))
    if facts.not_before > now:
        raise UsageError(_("The certificate is not valid yet, by the clock of this box."))
    _check_kind(certificates[0])
    text = "\n".join((secret, *certificates)) + "\n"
    with tempfile.TemporaryDirectory(dir=directory, prefix=".certificate-") as place:
        _check_pair(text, Path(place))
        _check_order(certificates, Path(place))
    return text, facts


def facts_of(certificate: str) -> Facts:
    """Return what one PEM certificate says; UsageError if openssl cannot read it."""
    what = ["-subject", "-issuer", "-startdate", "-enddate", "-ext", "subjectAltName"]
    lines = _openssl(["x509", "-noout", "-nameopt", "utf8,sep_comma_plus", *what], certificate)
    fields = dict(line.split("=", 1) for line in lines if re.match(r"[a-zA-Z]+=", line))
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate)
        return Facts(
            subject=fields.get("subject", ""),
            issuer=fields.get("issuer", ""),
            names=_names(lines),
            not_before=ssl.cert_time_to_seconds(fields["notBefore"]) * MICROSECONDS,
            not_after=ssl.cert_time_to_seconds(fields["notAfter"]) * MICROSECONDS,
            fingerprint="SHA256:" + hashlib.sha256(der).digest().hex(":").upper(),
        )
    except (KeyError, ValueError) as error:
        raise UsageError(_(DAMAGED)) from error


def certificates_in(text: str) -> list[str]:
    """Return the PEM certificates of a text, the page's own first."""
    return CERTIFICATE.findall(text)[:CERTIFICATES_MOST]


def covers(names: tuple[str, ...], host: str) -> bool:
    """Tell whether a certificate speaks for a host; `*.` stands for one label (RFC 6125)."""
    label, _dot, rest = host.partition(".")
    return host in names or (bool(label) and "." in rest and f"*.{rest}" in names)


def _text(content: bytes, most: int, what: str) -> str:
    if not content.strip():
        raise UsageError(_("%(what)s is missing: choose its file.", what=what))
    if len(content) > most:
        raise UsageError(
            _(
                "%(what)s may have at most %(most)s bytes; this file has %(length)s.",
                what=what,
                most=most,
                length=len(content),
            )
        )
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise UsageError(
            _(
                "%(what)s is not in PEM form, which is text that starts with -----BEGIN. "
                "Have it exported as PEM.",
                what=what,
            )
        ) from None


def _certificates(text: str) -> list[str]:
    found = CERTIFICATE.findall(text)
    if not found:
        raise UsageError(
            _("There is no certificate in that file: -----BEGIN CERTIFICATE----- is missing.")
        )
    if len(found) > CERTIFICATES_MOST:
        raise UsageError(
            _(
                "A chain may have at most %(most)s certificates; this one has %(number)s.",
                most=CERTIFICATES_MOST,
                number=len(found),
            )
        )
    return found


def _key(text: str) -> str:
    found = list(KEY.finditer(text))
    if len(found) != 1:
        raise UsageError(
            _(
                "Expected exactly one private key in the file of the key; found %(number)s.",
                number=len(found),
            )
        )
    if "ENCRYPTED" in found[0][0]:
        raise UsageError(
            _(
                "The key is protected by a passphrase, which nobody could type when the box "
                "starts. Take it out: openssl pkey -in key.pem -out plain.pem"
            )
        )
    return found[0][0]


def _check_kind(certificate: str) -> None:
    text = "\n".join(
        _openssl(
            ["x509", "-noout", "-text", "-certopt", f"{KEY_ONLY},no_aux,no_extensions"], certificate
        )
    )
    curve = re.search(r"ASN1 OID: (\S+)", text)
    if "rsaEncryption" not in text and (curve is None or curve[1] not in CURVES):
        raise UsageError(
            _(
                "Browsers take no certificate with a key of this kind. Use RSA, or ECDSA with "
                "P-256 or P-384."
            )
        )


def _check_pair(text: str, place: Path) -> None:
    path = place / "own.pem"
    path.touch(0o600)
    path.write_text(text)
    try:
        # Without a password of ours OpenSSL would ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            problem = _("The key does not belong to the certificate.")
        elif error.reason in WEAK:
            problem = _("The certificate or its key is too weak: browsers would refuse it.")
        else:
            problem = _("The key cannot be read: it is damaged, or of no known kind.")
        raise UsageError(problem) from None  # what OpenSSL says more may hold parts of the key


def _check_order(certificates: list[str], place: Path) -> None:
    for number, (lower, upper) in enumerate(pairwise(certificates), 1):
        (place / "lower.pem").write_text(lower)
        (place / "upper.pem").write_text(upper)
        arguments = [
            "verify",
            "-partial_chain",
            "-no_check_time",
            "-trusted",
            str(place / "upper.pem"),
        ]
        if _run([*arguments, str(place / "lower.pem")], "").returncode != 0:
            raise UsageError(
                _(
                    "The chain is out of order: certificate %(upper)s in the file did not issue "
                    "certificate %(lower)s. The box's own comes first, then each one's issuer.",
                    upper=number + 1,
                    lower=number,
                )
            )


def _names(lines: list[str]) -> tuple[str, ...]:
    at = next((n for n, line in enumerate(lines) if "Subject Alternative Name" in line), None)
    if at is None or at + 1 >= len(lines):
        return ()
    names = []
    for part in lines[at + 1].split(","):
        kind, _colon, name = part.strip().partition(":")
        name = name.strip().lower()
        if (kind == "DNS" and DNS_NAME.fullmatch(name)) or kind == "IP Address":
            names.append(name)
    return tuple(names[:NAMES_MOST])


def _openssl(arguments: list[str], certificate: str) -> list[str]:
    done = _run(arguments, certificate)
    if done.returncode != 0:
        raise UsageError(_(DAMAGED))
    return done.stdout.splitlines()


def _run(arguments: list[str], given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *arguments],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        input=given,
        timeout=OPENSSL_TIMEOUT_S,
    )
