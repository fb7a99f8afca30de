"""Gathers what the console page shows; whatever cannot be had is left out, and asked again later.

Only reads: the controller's status, this host's addresses, and a few small files.
"""

import hashlib
import socket
import ssl
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ratwall import __version__
from ratwall.console.page import Facts
from ratwall.controller.client import Client
from ratwall.errors import RatwallError
from ratwall.kernel.links import own_addresses
from ratwall.update.attempt import notice
from ratwall.update.place import DIRECTORY, Place, last_attempt

STATUS_SECONDS = 3.0  # a controller that is busy longer is asked again at the next turn
FILE_LIMIT = 65_536  # bytes; a certificate has some 800


def gather(
    state_dir: Path, runtime_dir: Path, settings_dir: Path, update_dir: Path = DIRECTORY
) -> Facts:
    """Return what is known now."""
    status = _status(state_dir / "run" / "control.sock")
    return Facts(
        name=socket.gethostname(),
        version=__version__,
        addresses=_addresses(),
        state=status.get("state"),
        reason=status.get("reason"),
        # The one that is shown; before the page's first start with this version, the box's own.
        fingerprint=_fingerprint(state_dir / "web" / "served.crt")
        or _fingerprint(state_dir / "web" / "tls.crt"),
        setup_code=_text(state_dir / "web" / "setup-code"),
        problem=_text(runtime_dir / "settings-problem") or _text(runtime_dir / "seed-problem"),
        site=_text(settings_dir / "site-name"),
        update=notice(last_attempt(Place(update_dir)), time.time_ns() // 1000),
    )


def _status(path: Path) -> dict[str, Any]:
    try:
        return Client(path, STATUS_SECONDS).call("status")
    except (RatwallError, ValueError):  # it starts, restarts, or is gone: the page says so
        return {}


def _addresses() -> tuple[str, ...]:
    try:
        found = [ip_address(address) for address in own_addresses()]
    except RatwallError:
        return ()
    # A link-local IPv6 address needs a zone behind it, which browsers refuse.
    usable = [
        address
        for address in found
        if not address.is_loopback and not (address.version == 6 and address.is_link_local)
    ]
    return tuple(str(address) for address in sorted(usable, key=lambda a: (a.version, int(a))))


def _fingerprint(path: Path) -> str | None:
    text = _text(path)
    if text is None:
        return None
    with suppress(ValueError):
        der = ssl.PEM_cert_to_DER_cert(text)
        return "SHA256:" + hashlib.sha256(der).digest().hex(":").upper()
    return None


def _text(path: Path) -> str | None:
    """Return the text of a small file, None if it is not there, not ours to read, or empty."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_LIMIT).decode(errors="replace").strip()
    except OSError:
        return None
    return text or None
