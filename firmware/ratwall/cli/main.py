"""The `ratwall` command line: finds the command, runs it, turns errors into one line.

Never does the work itself, and imports only the module of the command that was asked for, so that
`ratwall --help` answers at once on a slow box. A command is a module, or an object in one, with
`add_arguments(parser)` and `run(namespace) -> int`.
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ratwall import __version__
from ratwall.errors import ExitCode, RatwallError, UsageError

DEFAULT_STATE_DIR = Path("/var/lib/ratwall")
INTERRUPTED = 128 + 2  # what a shell reports of a command ended by Ctrl-C (SIGINT is 2)


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command lives ("module" or "module:object") and its line in the help."""

    target: str
    summary: str
    keeps_state: bool = True  # it takes --state-dir


COMMANDS = {
    "run": Entry("ratwall.supervisor.run", "go inline between two interfaces and protect"),
    "status": Entry("ratwall.cli.status", "say whether the office is protected now"),
    "incidents": Entry("ratwall.cli.incidents", "list incidents, or explain one"),
    "evidence": Entry("ratwall.cli.evidence", "pack all that is known of an incident"),
    "flows": Entry("ratwall.cli.flows", "list judged connections"),
    "names": Entry("ratwall.cli.names", "list the names that devices asked for"),
    "contacts": Entry("ratwall.cli.contacts", "list which device has to do with which server"),
    "explain": Entry("ratwall.cli.explain", "say why a connection scored what it scored"),
    "devices": Entry("ratwall.cli.devices", "list the devices that were seen"),
    "actions": Entry("ratwall.cli.actions", "list what is in force: blocks, allows, pauses"),
    "allow": Entry("ratwall.cli.changes:allow", "let a server or a certificate pass"),
    "block": Entry("ratwall.cli.changes:block", "block a server, for all or one device"),
    "release": Entry("ratwall.cli.changes:release", "take a block or a quarantine away"),
    "keep": Entry("ratwall.cli.changes:keep", "keep the blocks of an incident longer"),
    "undo": Entry("ratwall.cli.changes:undo", "take an action back, by its number"),
    "quarantine": Entry("ratwall.cli.responses:quarantine", "cut a device off the internet"),
    "watch": Entry("ratwall.cli.responses:watch", "watch a device closely for a while"),
    "pause": Entry("ratwall.cli.responses:pause", "let a device, or all, pass for a while"),
    "resume": Entry("ratwall.cli.responses:resume", "end a pause"),
    "rules": Entry("ratwall.cli.rules", "list what each rule may do, or change it"),
    "settings": Entry("ratwall.cli.settings", "show the settings, or change one"),
    "backup": Entry("ratwall.cli.backup:backup", "write what makes this box yours into a file"),
    "restore": Entry("ratwall.cli.backup:restore", "put a backup back"),
    "feeds": Entry("ratwall.cli.feeds", "list the indicator feeds, update or check them"),
    "capture": Entry("ratwall.cli.capture", "copy a device's packets into a file"),
    "reload": Entry("ratwall.cli.reload", "take changed settings and signature packs in place"),
    "update": Entry("ratwall.cli.update", "install another version, or go back", keeps_state=False),
    "support": Entry("ratwall.cli.support", "pack how the box fares, without a secret"),
    "selftest": Entry("ratwall.selftest.command", "try whether a known handshake is cut"),
    "doctor": Entry("ratwall.doctor.command", "find what is wrong around Ratwall, and clean up"),
    "replay": Entry("ratwall.replay.command", "judge capture files", keeps_state=False),
    "signatures": Entry("ratwall.cli.signatures", "list signature packs, check or update them"),
}
EXIT_CODES = f"""\
exit codes:
  {ExitCode.OK:>3}  done
  {ExitCode.FAILED:>3}  failed, or the self-test did not pass
  {ExitCode.USAGE:>3}  bad arguments, bad settings, unreadable input
  {ExitCode.NOT_PERMITTED:>3}  root, or a capability, is missing
  {ExitCode.NOT_RUNNING:>3}  Ratwall is not running
  {ExitCode.FOUND:>3}  replay: something at alert or above; doctor: something wants a hand
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line, as all of Ratwall's are."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing the usage and leaving."""
        name = self.prog.removeprefix("ratwall ")
        raise UsageError(f"{name}: {message}; see: {self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `arguments` default to the process's own."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        return _dispatch([word for word in given if word != "--debug"])
    except RatwallError as error:
        if debug:
            raise
        return _complain(" ".join(str(error).split()), error.exit_code)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        words = " ".join(f"{type(error).__name__}: {error}".split())
        return _complain(
            f"{words} (a fault in Ratwall itself; add --debug to see where)", ExitCode.FAILED
        )


def _dispatch(given: list[str]) -> int:
    """Find the command, let it declare its arguments, run it."""
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help(), end="")
        return ExitCode.OK if given else ExitCode.USAGE
    if given[0] in ("-V", "--version"):
        print(f"ratwall {__version__}")
        return ExitCode.OK
    name = given[0]
    entry = COMMANDS.get(name)
    if entry is None:
        nearest = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f'did you mean "{nearest[0]}"?' if nearest else "see: ratwall --help"
        raise UsageError(f'there is no command "{name}"; {hint}')
    command = _load(entry.target)
    parser = Parser(
        prog=f"ratwall {name}",
        description=f"{entry.summary[0].upper()}{entry.summary[1:]}.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    if entry.keeps_state:
        parser.add_argument(
            "--state-dir",
            type=Path,
            default=DEFAULT_STATE_DIR,
            metavar="DIR",
            help=f"where Ratwall keeps its ledger and sockets (default: {DEFAULT_STATE_DIR})",
        )
    # Taken out before parsing; declared here so that the help shows it.
    parser.add_argument("--debug", action="store_true", help="show the trace of an error")
    return int(command.run(parser.parse_args(given[1:])))


def _load(target: str) -> Any:
    """Import a command's module and return the command."""
    module_name, _, attribute = target.partition(":")
    module = importlib.import_module(module_name)
    return getattr(module, attribute) if attribute else module


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {entry.summary}" for name, entry in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ratwall COMMAND [options]",
            "",
            "Cuts remote-access trojans off before their first byte of data.",
            "",
            "commands:",
            *lines,
            "",
            "`ratwall COMMAND --help` explains a command, `ratwall --version` the version.",
            "",
            EXIT_CODES,
        ]
    )


def _complain(message: str, code: int) -> int:
    from ratwall.cli.table import printable  # not for `--help`, which answers at once

    # A server's or a list's own words may be in it, which a terminal shall not obey.
    print(f"ratwall: {printable(message)}", file=sys.stderr)
    return code
