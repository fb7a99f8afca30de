"""The page's own TLS key and certificate, made on the box by the `openssl` command.

One certificate per box, never one shared by all boxes; the console shows its fingerprint, so that
the owner can compare it with what the browser shows. No certificate library is on the box (it would
bring a Rust toolchain into the image build), and none is needed for this.
"""

import hashlib
import ipaddress
import shutil
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ratwall.errors import RatwallError
from ratwall_web.config import Config

# Apple's systems refuse server certificates that are valid for longer, even trusted by hand.
VALID_DAYS = 825
# Renewed at the first start after this; a box restarts at least with each update.
RENEW_BEFORE_DAYS = 30
OPENSSL_TIMEOUT_S = 60

REQUEST = """\
[req]
prompt = no
distinguished_name = name
x509_extensions = server
[name]
CN = ratwall
O = Ratwall admin page
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = {names}
"""


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """Paths of the PEM certificate and its key; both may be in one file, the key first."""

    certificate: Path
    key: Path

    def fingerprint(self) -> str:
        """Return the SHA-256 fingerprint as browsers show it, `SHA256:AB:CD:…`."""
        text = self.certificate.read_text()
        end = text.index(ssl.PEM_FOOTER) + len(ssl.PEM_FOOTER)
        der = ssl.PEM_cert_to_DER_cert(text[text.index(ssl.PEM_HEADER) : end])
        return "SHA256:" + hashlib.sha256(der).digest().hex(":").upper()


def provide_certificate(config: Config, listen_host: str) -> ServerCertificate:
    """Return the box's certificate, made now if there is none or it is about to expire."""
    pair = ServerCertificate(config.web_dir / "tls.crt", config.web_dir / "tls.key")
    if shutil.which("openssl") is None:
        raise RatwallError(
            "the openssl command is missing and the admin page needs it for its certificate; "
            "install it with: apt-get install openssl"
        )
    if not _still_good(pair):
        _make(pair, _names(listen_host))
    return pair


def _names(listen_host: str) -> str:
    names = ["IP:127.0.0.1", "DNS:localhost", "DNS:ratwall.local"]
    try:
        address = ipaddress.ip_address(listen_host)
    except ValueError:
        own = f"DNS:{listen_host}"
    else:
        own = "" if address.is_unspecified else f"IP:{address}"
    if own and own not in names:
        names.append(own)
    return ",".join(names)


def _still_good(pair: ServerCertificate) -> bool:
    if not (pair.certificate.exists() and pair.key.exists()):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(pair.certificate, pair.key)
    except ssl.SSLError:  # the power went between the two renames: they do not belong together
        return False
    seconds = str(RENEW_BEFORE_DAYS * 24 * 3600)
    arguments = ["x509", "-noout", "-checkend", seconds, "-in", str(pair.certificate)]
    return _openssl(arguments).returncode == 0


def _make(pair: ServerCertificate, names: str) -> None:
    # In a directory beside the target: a rename there is atomic, and the directory's mode 0700
    # keeps the key private from its first byte.
    with tempfile.TemporaryDirectory(dir=pair.key.parent, prefix=".certificate-") as directory:
        request, key, certificate = (Path(directory) / name for name in ("request", "key", "crt"))
        request.write_text(REQUEST.format(names=names))
        what = ["-config", str(request), "-sha256", "-days", str(VALID_DAYS)]
        # Not encrypted: nobody is there at boot to type a passphrase.
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
        where = ["-keyout", str(key), "-out", str(certificate)]
        result = _openssl(["req", "-x509", *what, *curve, *where])
        if result.returncode != 0:
            reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RatwallError(f"openssl could not make the admin page's certificate: {reason}")
        key.chmod(0o600)
        certificate.chmod(0o644)
        key.replace(pair.key)
        certificate.replace(pair.certificate)


def _openssl(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=OPENSSL_TIMEOUT_S,
    )
