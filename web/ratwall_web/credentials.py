"""The passwords of the admin page: how they are set, kept and checked.

Never keeps or logs a password itself: `credentials.json` holds Argon2id strings made by libsodium.
One hash is computed at a time, so that a flood of guesses costs one core and one block of memory at
most. A name that nobody has costs the same work as a wrong password: nobody can find out names.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import nacl.exceptions
import nacl.pwhash.argon2id as argon2id

from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall_web import users
from ratwall_web.config import Config
from ratwall_web.language import _
from ratwall_web.users import FIRST_NAME, User

# Longer than this nobody waits for a page; under such a flood the answer is "busy".
HASHING_WAIT_S = 5.0
ID_BYTES = 4  # it only finds the entry
DIFFERENT_CHARACTERS = 5  # "aaaaaaaaaaaa" is guessed before any word is


class BusyError(RatwallError):
    """Too many passwords are being checked at once."""


class Credentials:
    """The password file of one box."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._path = config.web_dir / "credentials.json"
        self._hashing = threading.Lock()
        self._lock = threading.Lock()
        self._users: tuple[User, ...] = ()
        self._seen: tuple[int, ...] | None = None  # the file that `_users` was read from

    def exist(self) -> bool:
        """Tell whether a password has been set."""
        return self._path.exists()

    def set(self, password: str) -> None:
        """Make the first admin; UsageError says what is wrong with the password.

        Whoever was there before is gone: for the set-up, which is open only while nobody is there.
        """
        self._check_rules(password)
        hashed = self._hash(password)
        with self._lock:
            self._write((users.first_admin(hashed, _now()),))

    def all(self) -> tuple[User, ...]:
        """Return the users, in the order in which they were made."""
        with self._lock:
            return self._read()

    def user(self, number: str) -> User | None:
        """Return the user of this number, None if there is none."""
        return next((user for user in self.all() if user.id == number), None)

    def named(self, name: str) -> User | None:
        """Return the user of this name, None if there is none."""
        return users.named(self.all(), name)

    def check(self, password: str, name: str = FIRST_NAME) -> User | None:
        """Return the user whose password this is; BusyError under a flood of guesses."""
        there = self.all()
        if not there:
            return None
        user = users.named(there, name)
        stored = user.password if user is not None else _nobodys(there[0].password)
        with _Turn(self._hashing):
            try:
                argon2id.verify(stored.encode(), password.encode("utf-8", "replace"))
            except nacl.exceptions.InvalidkeyError:
                return None
        return user

    def add(self, name: str, role: str, password: str) -> User:
        """Make a user; UsageError says what is wrong."""
        # Name and role are judged before the password costs any work.
        trial = User("", name, role, "", 0)
        users.with_user(self.all(), trial)
        self._check_rules(password)
        hashed = self._hash(password)
        with self._lock:
            there = self._read()
            number = _fresh_id(there)
            new = User(number, name, role, hashed, _now())
            self._write(users.with_user(there, new))
        return new

    def rename(self, number: str, name: str) -> User | None:
        """Give a user another name; None if there is no such user."""
        return self._change(number, lambda user: replace(user, name=name))

    def set_role(self, number: str, role: str) -> User | None:
        """Give a user another role; UsageError if nobody would be left to change things."""
        return self._change(number, lambda user: replace(user, role=role))

    def set_password(self, number: str, password: str) -> User | None:
        """Give a user another password; UsageError says what is wrong with a bad one."""
        self._check_rules(password)
        hashed = self._hash(password)
        return self._change(number, lambda user: replace(user, password=hashed, set=_now()))

    def set_second_step(
        self, number: str, secret: str | None, recovery: tuple[str, ...]
    ) -> User | None:
        """Turn the second step of a sign-in on, with hashes of its recovery codes, or off."""
        return self._change(number, lambda user: replace(user, secret=secret, recovery=recovery))

    def use_recovery(self, number: str, digest: str) -> bool:
        """Use a recovery code up; False if it is none, or was used before."""
        with self._lock:
            there = self._read()
            user = next((user for user in there if user.id == number), None)
            used = None if user is None else users.without_recovery(user, digest)
            if used is None:
                return False
            self._write(users.changed(there, used))
        return True

    def remove(self, number: str) -> User | None:
        """Take a user away; UsageError for the last admin, None if there is no such user."""
        with self._lock:
            there = self._read()
            gone = next((user for user in there if user.id == number), None)
            if gone is not None:
                self._write(users.without(there, number))
        return gone

    def forget(self) -> None:
        """Remove everybody, so that the set-up page opens again; it asks for a new code."""
        self._path.unlink(missing_ok=True)

    def _change(self, number: str, change: Callable[[User], User]) -> User | None:
        with self._lock:
            there = self._read()
            user = next((user for user in there if user.id == number), None)
            if user is None:
                return None
            new = change(user)
            self._write(users.changed(there, new))
        return new

    def _check_rules(self, password: str) -> None:
        least, most = self._config.password_least, self._config.password_most
        length = {"least": least, "most": most, "length": len(password)}
        if len(password) < least:
            raise UsageError(
                _("The password needs at least %(least)s characters; this one has %(length)s.")
                % length
            )
        if len(password) > most:
            raise UsageError(
                _("The password may have at most %(most)s characters; this one has %(length)s.")
                % length
            )
        if len(set(password)) < DIFFERENT_CHARACTERS:
            raise UsageError(
                _("This password repeats the same few characters; take for instance four words.")
            )

    def _hash(self, password: str) -> str:
        with _Turn(self._hashing):
            hashed: bytes = argon2id.str(
                password.encode("utf-8", "replace"),
                opslimit=self._config.argon2_passes,
                memlimit=self._config.argon2_memory,
            )
        return hashed.decode()

    def _read(self) -> tuple[User, ...]:
        """Return the users of the file, read anew if it is another one than before."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._users, self._seen = (), None
            return ()
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            try:
                self._users = users.parse(json.loads(self._path.read_text()))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise RatwallError(
                    f"{self._path} is damaged ({error}); as root, run "
                    f"`python -m ratwall_web --state-dir {self._config.state_dir} "
                    "--forget-password`"
                ) from error
            self._seen = seen
        return self._users

    def _write(self, there: tuple[User, ...]) -> None:
        replace_file(self._path, json.dumps(users.document(there)) + "\n", mode=0o600)
        self._seen = None  # the next look reads it


def _now() -> int:
    return int(time.time() * 1_000_000)


def _fresh_id(there: tuple[User, ...]) -> str:
    number = secrets.token_hex(ID_BYTES)
    while any(user.id == number for user in there):
        number = secrets.token_hex(ID_BYTES)
    return number


def _nobodys(stored: str) -> str:
    """Return a hash that no password has, of the same cost as a stored one."""
    *head, salt, digest = stored.split("$")
    return "$".join((*head, _random_like(salt), _random_like(digest)))


def _random_like(part: str) -> str:
    length = len(part) * 3 // 4  # bytes in so many characters of base64 without padding
    return base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")


class _Turn:
    """One's turn at the hash, or BusyError."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=HASHING_WAIT_S):
            raise BusyError(
                _("Too many people are signing in at this moment. Try again in a minute.")
            )

    def __exit__(self, *exc: object) -> None:
        self._lock.release()
