"""Who is signed in: sessions kept in this process's memory, never in the cookie.

The cookie holds 256 random bits; here only their SHA-256 is kept, so that a core dump signs nobody
in. A restart signs everybody out: sessions on the disk would have to be guarded like the password.
Knows no clock: seconds that only ever grow are passed in.
"""

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ratwall_web.config import Config
from ratwall_web.users import User

if TYPE_CHECKING:
    from ratwall_web.confirmation import Pending

TOKEN_BYTES = 32
ID_BYTES = 4
# A notice is read on the next page; more than a few mean that nobody reads them.
NOTICE_LIMIT = 4


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence shown at the top of the next page; tone is `good` or `bad`."""

    tone: str
    text: str


@dataclass(slots=True)
class Session:
    """One browser that gave the right password; `id` only tells it from others, it is no secret.

    `stamp` is what the user's password and role were: the guard ends sessions of another one.
    """

    id: str
    user: str
    stamp: str
    address: str
    browser: str
    started: float
    seen: float
    confirmed: float  # when the password was given last
    pending: "Pending | None" = None  # what waits for it to be given again
    enrolling: str | None = field(default=None, repr=False)  # a second step not confirmed yet
    notices: list[Notice] = field(default_factory=list)

    def notify(self, tone: str, text: str) -> None:
        """Keep a sentence for the next page."""
        self.notices = [*self.notices, Notice(tone, text)][-NOTICE_LIMIT:]

    def take_notices(self) -> list[Notice]:
        """Return the sentences kept for this page, once."""
        taken, self.notices = self.notices, []
        return taken


class Sessions:
    """All sessions of one box, bounded in number, idle time and age."""

    def __init__(self, config: Config, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[bytes, Session] = {}

    def now(self) -> float:
        """Return the seconds that sessions are counted in."""
        return self._clock()

    def start(self, user: User, address: str = "", browser: str = "") -> str:
        """Sign a browser in and return the token for its cookie, never one that it brought."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = self._clock()
        with self._lock:
            self._drop_stale(now)
            while len(self._sessions) >= self._config.session_limit:
                oldest = min(self._sessions, key=lambda key: self._sessions[key].seen)
                del self._sessions[oldest]
            self._sessions[_digest(token)] = Session(
                id=secrets.token_hex(ID_BYTES),
                user=user.id,
                stamp=user.stamp,
                address=address,
                browser=browser,
                started=now,
                seen=now,
                confirmed=now,
            )
        return token

    def find(self, token: str, *, touch: bool = True) -> Session | None:
        """Return the session of this token, or None; `touch` counts the request as a sign of life.

        The page's own polling passes touch=False: a forgotten open tab must not stay signed in.
        """
        now = self._clock()
        key = _digest(token)
        with self._lock:
            session = self._sessions.get(key)
            if session is None:
                return None
            if self._stale(session, now):
                del self._sessions[key]
                return None
            if touch:
                session.seen = now
            return session

    def confirm(self, session: Session) -> None:
        """Take down that the password was given again just now."""
        session.confirmed = self._clock()

    def is_confirmed(self, session: Session) -> bool:
        """Tell whether the password was given a short while ago."""
        return self._clock() - session.confirmed < self._config.confirmed_s

    def end(self, token: str) -> None:
        """Sign this browser out."""
        with self._lock:
            self._sessions.pop(_digest(token), None)

    def all(self) -> list[tuple[Session, float, float]]:
        """Return who is signed in, the newest first, and for how many seconds: in all, and idle."""
        now = self._clock()
        with self._lock:
            self._drop_stale(now)
            there = sorted(self._sessions.values(), key=lambda each: each.started, reverse=True)
        return [(each, now - each.started, now - each.seen) for each in there]

    def end_one(self, number: str, user: str | None = None) -> Session | None:
        """End the session of this number, if it is `user`'s where that is said; None if not."""
        return next(
            iter(self._end(lambda each: each.id == number and user in (None, each.user))), None
        )

    def end_of(self, user: str, but: Session | None = None) -> int:
        """End all sessions of a user, but for one; return how many there were."""
        return len(self._end(lambda each: each.user == user and each is not but))

    def _end(self, wanted: Callable[[Session], bool]) -> list[Session]:
        with self._lock:
            ended = {key: each for key, each in self._sessions.items() if wanted(each)}
            for key in ended:
                del self._sessions[key]
        return list(ended.values())

    def end_all(self) -> None:
        """Sign everybody out: the password was set anew."""
        with self._lock:
            self._sessions.clear()

    def __len__(self) -> int:
        """Return how many browsers are signed in."""
        with self._lock:
            return len(self._sessions)

    def _stale(self, session: Session, now: float) -> bool:
        idle = now - session.seen >= self._config.session_idle_s
        return idle or now - session.started >= self._config.session_lifetime_s

    def _drop_stale(self, now: float) -> None:
        stale = [key for key, session in self._sessions.items() if self._stale(session, now)]
        for key in stale:
            del self._sessions[key]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
