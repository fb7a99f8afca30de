"""`ratwall settings`: every setting with its value, and changing one.

The controller checks a change by the schema and has the owner's file changed as a whole. A secret
is read from standard input, so that it stands in no list of processes and no history of a shell;
none is ever printed.
"""

import argparse
import json
import sys
import time
import tomllib
from typing import Any

from ratwall.cli.asking import AUTHOR
from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import printable, table
from ratwall.controller.client import Client
from ratwall.errors import ExitCode, RatwallError, UsageError
from ratwall.export.facts import RECEIVERS
from ratwall.settings.catalogue import SECRET_LIMIT, SECRETS, Entry, entries, said

TEST_SECONDS = 45.0  # a mail server may take twenty to connect, and twenty to answer
LOOK_SECONDS = 0.25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=("show", "set", "unset"),
        default="show",
        metavar="show|set|unset|test",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="such as detection.alert")
    parser.add_argument(
        "value", nargs="?", metavar="VALUE", help="as in the file; a secret comes from the input"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Show settings, or change one."""
    known = entries()
    if options.what == "test":
        return _test(options)
    if options.name is not None and options.name not in known:
        raise UsageError(
            f"settings: {options.name!r}: there is no such setting; see: ratwall settings"
        )
    client = Client(options.state_dir / "run" / "control.sock")
    if options.what == "show":
        return _show(options, client.call("settings"), known)
    if options.name is None:
        raise UsageError(f"settings: {options.what}: give NAME, found nothing")
    changes: dict[str, Any] = {}
    secrets: dict[str, str | None] = {}
    if options.name in SECRETS:
        secrets[options.name] = _secret(options) if options.what == "set" else None
    else:
        changes[options.name] = _value(options) if options.what == "set" else None
    answer = client.call("settings_set", author=AUTHOR, changes=changes, secrets=secrets, dry=False)
    if options.json:
        print_json(answer)
    elif answer["waiting"]:
        print(f"{options.name}: kept; it holds after the next start.")
    else:
        print(f"{options.name}: {'kept, and in force' if answer['changed'] else 'is so already'}.")
    return 0


def _test(options: argparse.Namespace) -> int:
    """Have a test message sent, and say what the other end said."""
    if options.name not in RECEIVERS:
        raise UsageError(f"settings: test: give one of {', '.join(RECEIVERS)}")
    client = Client(options.state_dir / "run" / "control.sock")
    asked = client.call("message_test", author=AUTHOR, receiver=options.name)["asked"]
    deadline = time.monotonic() + TEST_SECONDS
    while time.monotonic() < deadline:
        trial = (client.call("messages")["trials"] or {}).get(options.name)
        if trial is not None and trial["at"] >= asked:
            if options.json:
                print_json(trial)
            else:
                print(printable(f"{'sent' if trial['ok'] else 'failed'}: {trial['answer']}"))
            return ExitCode.OK if trial["ok"] else ExitCode.FAILED
        time.sleep(LOOK_SECONDS)
    raise RatwallError(
        f"{options.name}: no answer within {TEST_SECONDS:.0f} s; see: ratwall status"
    )


def _show(options: argparse.Namespace, file: dict[str, Any], known: dict[str, Entry]) -> int:
    names = [options.name] if options.name else list(known)
    shown = {name: _described(known[name], file) for name in names}
    if options.json:
        print_json({"path": file["path"], "problem": file["problem"], "settings": shown})
        return 0
    rows = [
        (name, printable(_written(one["value"])), "yes" if one["set"] else "")
        for name, one in shown.items()
    ]
    print(table(("SETTING", "VALUE", "SET"), rows))
    if file["problem"]:
        print(f"ratwall: {printable(file['problem'])}", file=sys.stderr)
    if file["waiting"]:
        print(f"After the next start: {', '.join(file['waiting'])}.")
    return 0


def _described(entry: Entry, file: dict[str, Any]) -> dict[str, Any]:
    value = said(file["document"], entry.name)
    is_set = value is not None
    if entry.name in SECRETS:
        return {"value": None, "default": None, "set": is_set, "restart": False}
    return {
        "value": value if is_set else entry.default,
        "default": entry.default,
        "set": is_set,
        "restart": entry.needs_restart,
    }


def _written(value: Any) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)


def _value(options: argparse.Namespace) -> Any:
    """Return VALUE as TOML; what is none is text, so that words need no quotes."""
    if options.value is None:
        raise UsageError("settings: set: give NAME and VALUE, found no value")
    try:
        return tomllib.loads(f"value = {options.value}")["value"]
    except (ValueError, RecursionError):
        return options.value


def _secret(options: argparse.Namespace) -> str:
    if options.value is not None:
        raise UsageError(
            f"settings: {options.name}: is a secret: give it on standard input, not as an argument"
        )
    return sys.stdin.read(SECRET_LIMIT + 2).rstrip("\r\n")
