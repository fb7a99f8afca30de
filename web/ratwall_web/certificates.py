"""Which certificate the page shows: the owner's if there is one that loads, else the box's.

`own.pem` holds key and chain in one file, so that a power cut never leaves two that do not belong
together. A change holds for the next connection; one that cannot be put in force leaves the one
before. `served.crt` is the certificate that is shown, for the console. Never gives the key away.
"""

import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall_web import own_certificate
from ratwall_web.certificate import ServerCertificate
from ratwall_web.config import Config
from ratwall_web.language import _
from ratwall_web.own_certificate import Facts

Install = Callable[[ServerCertificate], None]


class Certificates:
    """The certificates of one page; `now` is UTC microseconds."""

    def __init__(self, config: Config, now: Callable[[], int]) -> None:
        self._directory = config.web_dir
        self._own = ServerCertificate(config.web_dir / "own.pem", config.web_dir / "own.pem")
        self._served = config.web_dir / "served.crt"
        self._boxes: ServerCertificate | None = None
        self._install: Install = _nowhere
        self._now = now
        self._lock = threading.Lock()
        self._facts: Facts | None = None  # of the owner's, while it is in force
        self.unloadable = False  # there is one of the owner's, and it cannot be put in force

    def start(self, boxes: ServerCertificate) -> ServerCertificate:
        """Return the certificate to start with; `boxes` is the one that the box made."""
        self._boxes = boxes
        pair = boxes
        if self._own.key.exists():
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._own.key, password="")
                self._facts = self._read()
                pair = self._own
            except (OSError, RatwallError) as error:  # SSLError is an OSError
                self.unloadable = True
                # What OpenSSL says of a damaged file may hold a part of the key: only which kind.
                reason = type(error).__name__
                print(
                    f"ratwall-web: {self._own.key} does not load ({reason}): "
                    "the box's own certificate is in force",
                    file=sys.stderr,
                )
        self._show(pair)
        return pair

    def attach(self, install: Install) -> None:
        """Take what puts a certificate in force for new connections."""
        self._install = install

    @property
    def own(self) -> Facts | None:
        """Return what the owner's certificate says, None while the box's is in force."""
        return self._facts

    @property
    def box(self) -> Facts | None:
        """Return what the box's certificate says, None before the page is served."""
        if self._boxes is None:
            return None
        return own_certificate.facts_of(self._boxes.certificate.read_text())

    def covers(self, host: str) -> bool:
        """Tell whether the owner's certificate names a host: the page answers to that name."""
        return self._facts is not None and own_certificate.covers(self._facts.names, host)

    def put(self, chain: bytes, key: bytes) -> Facts:
        """Put the owner's certificate in force; UsageError says what is wrong with it."""
        text, facts = own_certificate.check(chain, key, self._directory, self._now())
        with self._lock:
            before = self._own.key.read_bytes() if self._own.key.exists() else None
            replace_file(self._own.key, text, mode=0o600)
            try:
                self._install(self._own)
            except (OSError, ValueError) as error:
                if before is None:
                    self._own.key.unlink()
                else:
                    replace_file(self._own.key, before, mode=0o600)
                raise UsageError(
                    _("The certificate could not be put in force; the one before still is.")
                ) from error
            self._facts, self.unloadable = facts, False
            self._show(self._own)
        return facts

    def remove(self) -> bool:
        """Go back to the box's certificate; False if it is in force already."""
        with self._lock:
            if not self._own.key.exists():
                return False
            if self._boxes is not None:
                self._install(self._boxes)
                self._show(self._boxes)
            self._own.key.unlink()
            self._facts, self.unloadable = None, False
        return True

    def _read(self) -> Facts:
        found = own_certificate.certificates_in(self._own.key.read_text())
        return own_certificate.facts_of(found[0] if found else "")

    def _show(self, pair: ServerCertificate) -> None:
        """Leave the certificate that is in force, without its key, where the console reads it."""
        found = own_certificate.certificates_in(Path(pair.certificate).read_text())
        replace_file(self._served, f"{found[0]}\n" if found else "")


def _nowhere(_pair: ServerCertificate) -> None:
    """Stand in where nothing is served: in tests, and at the command line."""
