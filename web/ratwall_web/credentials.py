"""The one password of the admin page: how it is set, kept and checked.

Never keeps or logs the password itself: `credentials.json` holds an Argon2id string made by
libsodium. One hash is computed at a time, so that a flood of guesses costs one core and one
block of memory at most.
"""

import json
import threading
import time

import nacl.exceptions
import nacl.pwhash.argon2id as argon2id

from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall_web.config import Config
from ratwall_web.language import _

# Longer than this nobody waits for a page; under such a flood the answer is "busy".
HASHING_WAIT_S = 5.0


class BusyError(RatwallError):
    """Too many passwords are being checked at once."""


class Credentials:
    """The password file of one box."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._path = config.web_dir / "credentials.json"
        self._hashing = threading.Lock()

    def exist(self) -> bool:
        """Tell whether a password has been set."""
        return self._path.exists()

    def set(self, password: str) -> None:
        """Keep the Argon2id hash of `password`; UsageError says what is wrong with a bad one."""
        least, most = self._config.password_least, self._config.password_most
        if len(password) < least:
            raise UsageError(
                _(
                    "The password needs at least %(least)s characters; this one has %(found)s.",
                    least=least,
                    found=len(password),
                )
            )
        if len(password) > most:
            raise UsageError(
                _(
                    "The password may have at most %(most)s characters; this one has %(found)s.",
                    most=most,
                    found=len(password),
                )
            )
        if len(set(password)) < 5:
            raise UsageError(
                _("This password repeats the same few characters; take for instance four words.")
            )
        hashed = self._hash(password)
        document = {"password": hashed, "set": int(time.time() * 1_000_000)}
        replace_file(self._path, json.dumps(document) + "\n", mode=0o600)

    def check(self, password: str) -> bool:
        """Tell whether `password` is the one that was set; BusyError under a flood of guesses."""
        stored = self.secret()
        if stored is None:
            return False
        with _Turn(self._hashing):
            try:
                return bool(argon2id.verify(stored, password.encode()))
            except nacl.exceptions.InvalidkeyError:
                return False

    def secret(self) -> bytes | None:
        """Return the hash of the password, None if none is set: known to this process only."""
        try:
            stored: bytes = json.loads(self._path.read_text())["password"].encode()
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, AttributeError) as error:
            raise RatwallError(
                f"{self._path} is damaged ({error}); as root, run "
                f"`python -m ratwall_web --state-dir {self._config.state_dir} --forget-password`"
            ) from error
        return stored

    def forget(self) -> None:
        """Remove the password, so that the set-up page opens again; it asks for a new code."""
        self._path.unlink(missing_ok=True)

    def _hash(self, password: str) -> str:
        with _Turn(self._hashing):
            hashed: bytes = argon2id.str(
                password.encode(),
                opslimit=self._config.argon2_passes,
                memlimit=self._config.argon2_memory,
            )
        return hashed.decode()


class _Turn:
    """One's turn at the hash, or BusyError."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=HASHING_WAIT_S):
            raise BusyError(
                _("Too many people are signing in at this moment. Try again in a minute.")
            )

    def __exit__(self, *_: object) -> None:
        self._lock.release()
