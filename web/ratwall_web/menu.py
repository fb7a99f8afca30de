"""Where everything is: the main navigation, and the sections of the settings page.

Only tables, and what of them to show. A page that is not registered is not shown, so that a table
may name a page before it is there. The main navigation has few entries, so that it fits a phone:
what belongs together shares one, and is told apart by a second line on its pages.
"""

from dataclasses import dataclass

from flask import current_app, request

from ratwall_web.language import N_


@dataclass(frozen=True, slots=True)
class Entry:
    """A page: its name, its endpoint, and what a person finds there, where that is said."""

    label: str
    endpoint: str
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Pages that belong together."""

    label: str
    entries: tuple[Entry, ...]

    @property
    def there(self) -> tuple[Entry, ...]:
        """Return those of the pages that there are."""
        known = current_app.view_functions
        return tuple(entry for entry in self.entries if entry.endpoint in known)

    @property
    def is_open(self) -> bool:
        """Tell whether the page that is shown belongs here."""
        return any(is_current(entry) for entry in self.entries)


MAIN = (
    Section(N_("Overview"), (Entry(N_("Overview"), "overview.dashboard"),)),
    Section(N_("Incidents"), (Entry(N_("Incidents"), "incidents.index"),)),
    Section(N_("Devices"), (Entry(N_("Devices"), "devices.index"),)),
    Section(
        N_("Connections"),
        (
            Entry(N_("Connections"), "flows.index"),
            Entry(N_("Servers"), "servers.index"),
        ),
    ),
    Section(
        N_("Protection"),
        (
            Entry(N_("Allowed and blocked"), "allows.index"),
            Entry(N_("Lists"), "lists.index"),
            Entry(N_("Rules"), "rules.index"),
        ),
    ),
)
# Blueprints without a list of their own, and the one that their pages belong to.
BELONGS_TO = {"blocks": "flows"}

SETTINGS = (
    Section(
        N_("The box"),
        (
            Entry(
                N_("Settings of the box"),
                "values.index",
                N_("Everything that can be set, with its meaning."),
            ),
            Entry(
                N_("Restart and power"),
                "power.index",
                N_("Restart the box, switch it off, or have it forget everything."),
            ),
        ),
    ),
    Section(
        N_("People"),
        (
            Entry(
                N_("Users"),
                "users.index",
                N_("Who may use this page, what they may do, and who is signed in."),
            ),
            Entry(
                N_("Your account"),
                "account.index",
                N_("Your password, a second step with your phone, and where you are signed in."),
            ),
            Entry(
                N_("Certificate of this page"),
                "certificate.index",
                N_("By what browsers know this box; bring one that they trust."),
            ),
        ),
    ),
    Section(
        N_("Messages"),
        (
            Entry(
                N_("Messages"),
                "messages.index",
                N_("Mail, telephone and other systems: who is told, of what, and when."),
            ),
        ),
    ),
    Section(
        N_("Safety copies"),
        (
            Entry(
                N_("Backup and restore"),
                "backup.index",
                N_("All that makes this box yours, as one encrypted file."),
            ),
        ),
    ),
    Section(
        N_("Updates"),
        (
            Entry(
                N_("Updates"),
                "updates.index",
                N_("Which version runs, another one, and back to the one before."),
            ),
        ),
    ),
    Section(
        N_("Support"),
        (
            Entry(
                N_("Support"),
                "support.index",
                N_("A file for whoever helps you, and letting somebody in for some hours."),
            ),
        ),
    ),
    Section(
        N_("Records and programs"),
        (
            Entry(
                N_("Audit trail"),
                "audit.index",
                N_("Who changed what on this box, and when."),
            ),
            Entry(
                N_("API tokens"),
                "tokens.index",
                N_("Let a program of yours ask this box over the network."),
            ),
        ),
    ),
)


def main() -> tuple[Section, ...]:
    """Return the sections of the main navigation that have a page."""
    return tuple(section for section in MAIN if section.there)


def settings() -> tuple[Section, ...]:
    """Return the sections of the settings that have a page."""
    return tuple(section for section in SETTINGS if section.there)


def is_current(entry: Entry) -> bool:
    """Tell whether the page that is shown is of this entry's blueprint."""
    shown = request.blueprint or ""
    return BELONGS_TO.get(shown, shown) == _blueprint(entry)


def in_settings() -> bool:
    """Tell whether the page that is shown is the settings page or one of those it leads to."""
    return request.blueprint == "hub" or any(section.is_open for section in SETTINGS)


def _blueprint(entry: Entry) -> str:
    return entry.endpoint.partition(".")[0]
