"""Who may use the page: names, roles, and the rules between them.

Pure: values in, values out, no file and no hash is computed here (`credentials` does both). A box
that had one password, and a seed, have a document without users: it reads as one admin, and a new
document still shows the first admin's password where an older version looks for it.
"""

import hashlib
import re
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ratwall.errors import UsageError
from ratwall_web.language import N_, _

ADMIN, VIEWER = "admin", "viewer"
ROLES = (ADMIN, VIEWER)
ROLE_WORDS = {
    ADMIN: N_("Admin: sees everything and may change everything"),
    VIEWER: N_("Viewer: sees everything and changes nothing"),
}
FIRST_NAME = "admin"  # whom the set-up makes, and who a box with one password always had
FIRST_ID = "00000001"
# It stands in the audit trail after `user:`, and on a line of a phone.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
NAME_RULE = N_("1 to 32 letters, digits, dots, dashes or underscores, a letter or digit first")
USERS_MOST = 32  # an office and whoever looks after it; each costs a line of a small file
RECOVERY_MOST = 10
AUTHOR = "user:"  # and the name: who did it, for the audit trail


@dataclass(frozen=True, slots=True)
class User:
    """One person; `set` is when the password was set, UTC microseconds."""

    id: str
    name: str
    role: str
    password: str = field(repr=False)
    set: int
    secret: str | None = field(default=None, repr=False)  # of the second step, base32
    recovery: tuple[str, ...] = field(default=(), repr=False)  # SHA-256 of codes not used yet

    @property
    def is_admin(self) -> bool:
        """Tell whether this user may change things."""
        return self.role == ADMIN

    @property
    def author(self) -> str:
        """Return how the audit trail names this user."""
        return FIRST_NAME if self.name == FIRST_NAME else f"{AUTHOR}{self.name}"

    @property
    def stamp(self) -> str:
        """Return what changes with the password and the role: sessions of another stamp end."""
        return hashlib.sha256(f"{self.role} {self.password}".encode()).hexdigest()


def first_admin(password: str, moment: int) -> User:
    """Return the one user of a box that has just been set up, by its password's hash."""
    return User(FIRST_ID, FIRST_NAME, ADMIN, password, moment)


def parse(document: Any) -> tuple[User, ...]:
    """Return the users of a document; ValueError, KeyError or TypeError if it is damaged."""
    if "users" not in document:
        return (_checked(first_admin(document["password"], document["set"])),)
    users = tuple(_checked(User(**row)) for row in document["users"][:USERS_MOST])
    if not any(user.is_admin for user in users):
        raise ValueError("there is no admin in it")
    return users


def document(users: tuple[User, ...]) -> dict[str, Any]:
    """Return what is kept; on top of it stands what a version without users reads."""
    first = next(user for user in users if user.is_admin)
    return {
        "password": first.password,
        "set": first.set,
        "users": [asdict(user) for user in users],
    }


def named(users: tuple[User, ...], name: str) -> User | None:
    """Return the user of this name, whatever the case of its letters."""
    wanted = name.strip().casefold()
    return next((user for user in users if user.name.casefold() == wanted), None)


def with_user(users: tuple[User, ...], new: User) -> tuple[User, ...]:
    """Return the users with one more; UsageError says why not."""
    if len(users) >= USERS_MOST:
        raise UsageError(
            _("There are %(number)s users, the most there can be.") % {"number": USERS_MOST}
        )
    _check_name(users, new)
    _check_role(new.role)
    return (*users, new)


def changed(users: tuple[User, ...], new: User) -> tuple[User, ...]:
    """Return the users with one replaced; UsageError if that leaves no admin, or a bad name."""
    _check_name(users, new)
    _check_role(new.role)
    result = tuple(new if user.id == new.id else user for user in users)
    _check_admins(result)
    return result


def without(users: tuple[User, ...], number: str) -> tuple[User, ...]:
    """Return the users without one; UsageError if that leaves no admin."""
    result = tuple(user for user in users if user.id != number)
    _check_admins(result)
    return result


def without_recovery(user: User, digest: str) -> User | None:
    """Return the user with one recovery code used up, None if it is none of the user's."""
    if digest not in user.recovery:
        return None
    return replace(user, recovery=tuple(code for code in user.recovery if code != digest))


def _check_name(users: tuple[User, ...], new: User) -> None:
    if not NAME.fullmatch(new.name):
        raise UsageError(_("A name is %(rule)s.") % {"rule": _(NAME_RULE)})
    other = named(users, new.name)
    if other is not None and other.id != new.id:
        raise UsageError(_("There is a user named %(name)s already.") % {"name": other.name})


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UsageError(_("Choose what the user may do."))


def _check_admins(users: tuple[User, ...]) -> None:
    if not any(user.is_admin for user in users):
        raise UsageError(
            _("This is the last admin: nobody could change anything any more. Make another first.")
        )


def _checked(user: User) -> User:
    texts = (user.id, user.name, user.role, user.password, user.secret or "", *user.recovery)
    if not all(isinstance(text, str) for text in texts) or not isinstance(user.set, int):
        raise ValueError("an entry is no user")
    if user.role not in ROLES or not NAME.fullmatch(user.name):
        raise ValueError("an entry has no role or name")
    return replace(user, recovery=tuple(user.recovery[:RECOVERY_MOST]))
