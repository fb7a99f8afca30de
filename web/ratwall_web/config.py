"""What the admin page can be told when it is made: places, costs and limits.

Never reads a file or the environment: `python -m ratwall_web` fills it from its arguments, tests
fill it by hand. Each limit stands here with its reason, so that nobody has to hunt for one.
"""

from dataclasses import dataclass, field
from pathlib import Path

from ratwall.backup.envelope import MEMORY_KIB, PASSES
from ratwall.steward.client import SOCKET
from ratwall.update.place import DIRECTORY

MIB = 1024 * 1024


def shipped_changelog() -> Path:
    """Return where the image keeps the changelog, or where a checkout does."""
    shipped = Path("/usr/share/ratwall/CHANGELOG.md")
    return shipped if shipped.exists() else Path(__file__).parents[2] / "CHANGELOG.md"


@dataclass(frozen=True, slots=True)
class Config:
    """Places and limits of one admin page; only `state_dir` has no default."""

    state_dir: Path

    # Where the box keeps what became of the last update; nothing is there without its image.
    update_dir: Path = DIRECTORY

    # Where the controller asks for what only root may do; nothing is there without the image.
    steward_socket: Path = SOCKET
    # Where the steward and what it starts say how far they are.
    runtime_dir: Path = Path("/run/ratwall")
    changelog: Path = field(default_factory=shipped_changelog)

    # Names this page may be called by, besides any IP address (a name is what DNS rebinding
    # needs, an address is not) and the name of the machine itself.
    host_names: tuple[str, ...] = ("localhost", "ratwall.local")

    # Argon2id. 32 MiB and 3 passes take about 0.3 s on a Raspberry Pi 4 and are above the 19 MiB
    # and 2 passes that OWASP names as the least; one password is hashed at a time, so this is
    # also all the memory that a flood of guesses can take.
    argon2_memory: int = 32 * MIB
    argon2_passes: int = 3

    # A password guessed at 10 tries a minute would last for ever at this length.
    password_least: int = 12
    # Argon2 takes any length; a limit keeps the form's body small.
    password_most: int = 256

    # Half an hour without a click (the page's own polling is none), a working day in any case.
    session_idle_s: float = 30 * 60
    session_lifetime_s: float = 12 * 3600
    # Privileged acts ask for the password if it was given longer ago: enough to do what one came
    # for, too short for whoever finds the browser open at lunch.
    confirmed_s: float = 5 * 60
    # More people than this never look at one box at a time; the least recently used gives way.
    session_limit: int = 64

    # Five wrong passwords are a person who forgot; the sixth waits. The limit over all addresses
    # is for a PC that asks from many: at 50 in five minutes a password of 12 letters holds for
    # ever. It is not for browsers that signed in before, or that PC could lock the owner out.
    tries_per_address: int = 5
    # For one user from many addresses; above what a few colleagues mistype in five minutes.
    tries_per_user: int = 20
    tries_in_all: int = 50
    lockout_s: float = 5 * 60
    lockout_addresses: int = 1024
    # Codes of the second step, for one user: whoever is asked for one has given the password. At
    # five in 15 minutes a guesser needs more than a year for an even chance.
    code_tries: int = 5
    code_lockout_s: float = 15 * 60
    # From the right password to the code: to find the phone.
    code_wait_s: float = 5 * 60

    # Wrong API tokens of one address before it has to wait. Nobody guesses 256 bits: this keeps a
    # monitor with an old token from filling the audit trail.
    token_tries: int = 10

    # Of a backup's key; see `ratwall.backup.envelope`. Tests take less.
    backup_passes: int = PASSES
    backup_memory_kib: int = MEMORY_KIB

    # The largest form here carries a backup of at most 200 KiB.
    body_limit: int = 256 * 1024

    @property
    def web_dir(self) -> Path:
        """Return the directory that this process owns: password hash, key, certificate, code."""
        return self.state_dir / "web"

    @property
    def ledger_path(self) -> Path:
        """Return the path of the ledger that the controller writes and this process only reads."""
        return self.state_dir / "ledger.sqlite3"

    @property
    def control_socket(self) -> Path:
        """Return the path of the controller's command socket."""
        return self.state_dir / "run" / "control.sock"
