"""The set-up code: proof that whoever sets the first password can see the box's console.

There is never a default password. While none is set, a random code stands on the console and in
`<state>/web/setup-code` (mode 0600); the page asks for it. It survives a restart, so that a code
noted down stays good, and is gone once the password is set.
"""

import hmac
import secrets
import sys
from typing import TextIO

from ratwall.replacing import replace_file
from ratwall_web.config import Config

# Eight digits: a hundred million, against the 50 tries that the lock-out allows in five minutes.
CODE_DIGITS = 8


class SetupCode:
    """The set-up code of one box; `console` is where it is shown."""

    def __init__(self, config: Config, console: TextIO | None = None) -> None:
        self._path = config.web_dir / "setup-code"
        self._console = console

    def announce(self) -> str:
        """Make the code unless there is one, show it on the console, and return its digits."""
        code = self._read()
        if code is None:
            code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
            replace_file(self._path, code + "\n", mode=0o600)
        half = CODE_DIGITS // 2
        console = self._console or sys.stdout
        print(f"ratwall-web: set-up code {code[:half]}-{code[half:]}", file=console, flush=True)
        return code

    def ensure(self) -> None:
        """Make and show a code if there is none (the password was taken away while we run)."""
        if self._read() is None:
            self.announce()

    def matches(self, typed: str) -> bool:
        """Tell whether `typed` is the code; spaces and dashes in it do not count."""
        code = self._read()
        digits = "".join(char for char in typed if char not in " -\u2010\u2011\u2013")
        return code is not None and hmac.compare_digest(digits.encode(), code.encode())

    def withdraw(self) -> None:
        """Forget the code: the password is set."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> str | None:
        try:
            code = self._path.read_text().strip()
        except FileNotFoundError:
            return None
        # A file cut short by a power loss is as good as none.
        return code if len(code) == CODE_DIGITS and code.isdecimal() else None
