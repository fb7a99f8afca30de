"""API tokens: made once, kept as hashes, checked, revoked.

Never keeps a token: `tokens.json` holds the SHA-256 of each, and one round is enough, for a token
is 256 random bits and not a word that somebody chose. When each was last used stands in a file of
its own: writing that down must never bring back a token that root has taken away meanwhile.
"""

import hashlib
import hmac
import json
import re
import secrets
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ratwall.errors import RatwallError, UsageError
from ratwall.replacing import replace_file
from ratwall_web.config import Config
from ratwall_web.language import N_, _
from ratwall_web.users import FIRST_NAME

READ, ACT = "read", "act"  # what a token may do; one that acts may read as well
SCOPES = (READ, ACT)
PREFIX = "ratwall"  # so that people, and programs that look for leaked secrets, know one
SECRET_BYTES = 32
ID_BYTES = 4  # it only finds the entry; the rest of the token is the proof
# An audit trail holds it, and so does a line on a phone.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
NAME_RULE = N_("1 to 40 letters, digits, dots, dashes or underscores, a letter or digit first")
# More than one for each system that an office or its provider runs; each costs nothing.
TOKENS_LIMIT = 32
# A monitor asks every few seconds: a memory card need not hear of each time.
USE_WRITTEN_EVERY = 3600 * 1_000_000  # microseconds
DAY = 86_400 * 1_000_000  # microseconds
DAYS_MOST = 3650  # ten years: longer than a box lasts
NOBODYS = "0" * 64  # no SHA-256 that anybody knows a text for


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is kept; times are UTC microseconds.

    `used` None is never, `expires` None is never; `by` is the name of the user who made it.
    """

    id: str
    name: str
    scope: str
    made: int
    digest: str = field(repr=False)
    used: int | None = None
    expires: int | None = None
    by: str = FIRST_NAME


class Tokens:
    """The tokens of one box."""

    def __init__(self, config: Config, now: Callable[[], int]) -> None:
        self._path = config.web_dir / "tokens.json"
        self._use_path = config.web_dir / "token-use.json"
        self._now = now
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._seen: tuple[int, ...] | None = None  # the file that `_tokens` was read from
        self._used: dict[str, int] = _read_use(self._use_path)
        self._written = dict(self._used)

    def make(self, name: str, scope: str, days: int | None = None, by: str = FIRST_NAME) -> str:
        """Make a token and return its text, which nobody can get again; UsageError if not.

        It is good for so many days, None: until it is revoked.
        """
        if not NAME.fullmatch(name):
            raise UsageError(_("A token's name is %(rule)s.") % {"rule": _(NAME_RULE)})
        if scope not in SCOPES:
            raise UsageError(_("Choose what the token may do."))
        if days is not None and not 1 <= days <= DAYS_MOST:
            raise UsageError(
                _("A token lasts for 1 to %(most)s days, or until it is revoked; found %(days)s.")
                % {"most": DAYS_MOST, "days": days}
            )
        with self._lock:
            self._read()
            if any(token.name == name for token in self._tokens.values()):
                raise UsageError(
                    _("There is a token named %(name)s. Take another name, or revoke it.")
                    % {"name": name}
                )
            if len(self._tokens) >= TOKENS_LIMIT:
                raise UsageError(
                    _("There are %(number)s tokens, the most there can be.")
                    % {"number": TOKENS_LIMIT}
                )
            number = secrets.token_hex(ID_BYTES)
            while number in self._tokens:
                number = secrets.token_hex(ID_BYTES)
            text = f"{PREFIX}_{number}_{secrets.token_urlsafe(SECRET_BYTES)}"
            now = self._now()
            expires = None if days is None else now + days * DAY
            made = Token(number, name, scope, now, _digest(text), expires=expires, by=by)
            self._write({**self._tokens, number: made})
        return text

    def find(self, text: str) -> Token | None:
        """Return the token whose text this is, None if it is none; it counts as used now."""
        prefix, _dash, rest = text.partition("_")
        number = rest.partition("_")[0]
        with self._lock:
            self._read()
            token = self._tokens.get(number) if prefix == PREFIX else None
            # The same work whether the number is known or not.
            right = hmac.compare_digest(_digest(text), token.digest if token else NOBODYS)
            if token is None or not right or self.is_over(token):
                return None
            self._touch(number)
        return token

    def is_over(self, token: Token) -> bool:
        """Tell whether a token has lasted for as long as it should."""
        return token.expires is not None and self._now() >= token.expires

    def all(self) -> list[Token]:
        """Return the tokens, the newest first."""
        with self._lock:
            self._read()
            found = [
                replace(token, used=self._used.get(token.id)) for token in self._tokens.values()
            ]
        return sorted(found, key=lambda token: token.made, reverse=True)

    def revoke(self, number: str) -> Token | None:
        """Take a token away, from its next use on; None if there is none of that number."""
        with self._lock:
            self._read()
            token = self._tokens.get(number)
            if token is not None:
                self._write({key: held for key, held in self._tokens.items() if key != number})
        return token

    def forget(self) -> None:
        """Take all tokens away: whoever set the password anew trusts none of them."""
        self._path.unlink(missing_ok=True)

    def _touch(self, number: str) -> None:
        now = self._now()
        self._used[number] = now
        if 0 <= now - self._written.get(number, 0) < USE_WRITTEN_EVERY:
            return
        self._written = {key: at for key, at in self._used.items() if key in self._tokens}
        try:
            replace_file(self._use_path, json.dumps(self._written) + "\n", mode=0o600)
        except OSError as error:  # a full disk takes the time away from the list, not the API
            print(f"ratwall-web: {self._use_path}: {error.strerror}", file=sys.stderr)

    def _read(self) -> None:
        """Take the file in if it is another one than before."""
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._tokens, self._seen = {}, None
            return
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen == self._seen:
            return
        try:
            rows = json.loads(self._path.read_text())["tokens"]
            tokens = [_token(row) for row in rows[:TOKENS_LIMIT]]
        except (ValueError, KeyError, TypeError) as error:
            raise RatwallError(
                f"{self._path} is damaged ({error}); remove it as root, and make new tokens"
            ) from error
        self._tokens, self._seen = {token.id: token for token in tokens}, seen

    def _write(self, tokens: dict[str, Token]) -> None:
        rows = [asdict(token) for token in tokens.values()]
        for row in rows:
            del row["used"]
        replace_file(self._path, json.dumps({"tokens": rows}) + "\n", mode=0o600)
        self._seen = None  # the next look reads it


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _token(row: dict[str, Any]) -> Token:
    token = Token(**row)
    texts = (token.id, token.name, token.scope, token.digest, token.by)
    if not all(isinstance(text, str) for text in texts) or token.scope not in SCOPES:
        raise ValueError("an entry is no token")
    if not isinstance(token.made, int) or not isinstance(token.expires, int | None):
        raise ValueError("an entry has no time")
    return token


def _read_use(path: Path) -> dict[str, int]:
    """Return when each token was used; a file that is not there, or cut short, is as good as none.

    It is shown, and decides nothing.
    """
    try:
        kept = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    return {str(key): at for key, at in kept.items() if isinstance(at, int)}
