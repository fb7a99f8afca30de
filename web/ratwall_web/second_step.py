"""Whether the code of a second step is right, and that it is taken once only.

Which step was used last stands in a file of its own, `totp-use.json`: a restart must not let a code
in twice, and writing it down must never bring back a user that root has taken away meanwhile. Holds
no password and no secret.
"""

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from ratwall.replacing import replace_file
from ratwall_web import totp
from ratwall_web.config import Config
from ratwall_web.credentials import Credentials
from ratwall_web.users import USERS_MOST, User

NEVER = -1


class SecondStep:
    """The codes of one box's users; `now` is UTC microseconds."""

    def __init__(self, config: Config, credentials: Credentials, now: Callable[[], int]) -> None:
        self._path = config.web_dir / "totp-use.json"
        self._credentials = credentials
        self._now = now
        self._lock = threading.Lock()
        self._used = _read(self._path)

    def check(self, user: User, typed: str) -> bool:
        """Tell whether `typed` is a code of this user's, from the phone or from the list."""
        if user.secret is None:
            return False
        if self.take(user.id, user.secret, typed):
            return True
        digest = totp.recovery_digest(typed)
        return digest is not None and self._credentials.use_recovery(user.id, digest)

    def take(self, number: str, secret: str, typed: str) -> bool:
        """Tell whether a code of the phone is right, and let it never be right again."""
        with self._lock:
            after = self._used.get(number, NEVER)
            step = totp.matching_step(secret, typed, self._now() / 1_000_000, after)
            if step is None:
                return False
            there = {user.id for user in self._credentials.all()}
            kept = {key: value for key, value in self._used.items() if key in there}
            self._used = kept | {number: step}
            try:
                replace_file(self._path, json.dumps(self._used) + "\n", mode=0o600)
            except OSError as error:  # a full disk keeps nobody out; this process remembers it
                print(f"ratwall-web: {self._path}: {error.strerror}", file=sys.stderr)
        return True


def _read(path: Path) -> dict[str, int]:
    """Return the steps used last; a file cut short forgets them, for a minute's worth of codes."""
    try:
        kept = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(kept, dict):
        return {}
    rows = list(kept.items())[:USERS_MOST]
    return {str(key): step for key, step in rows if isinstance(step, int)}
