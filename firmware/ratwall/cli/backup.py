"""`ratwall backup` and `ratwall restore`: what makes this box yours, as one encrypted file.

The passphrase is asked for on the terminal, or is the first line of standard input; it is never an
argument. A backup that is put back changes nothing unless all of it is good.
"""

import argparse
import getpass
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ratwall.backup.envelope import FILE_LIMIT, PASSPHRASE_MOST, check_passphrase
from ratwall.backup.work import look_into, make, put_back
from ratwall.cli.asking import AUTHOR, Change
from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import local_time, printable
from ratwall.controller.client import Client
from ratwall.errors import NotPermittedError, UsageError
from ratwall.replacing import replace_file

MODE = 0o600


def _backup_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="where to write it")
    add_json(parser)


def _backup(options: argparse.Namespace) -> int:
    web = _web(options)
    if options.file.exists():
        raise UsageError(f"{options.file}: is there already; give another name")
    passphrase = _passphrase(twice=True)
    check_passphrase(passphrase)
    made = make(_ask(options), web, passphrase, socket.gethostname(), _now(), os.urandom)
    try:
        replace_file(options.file, made, mode=MODE)
    except OSError as error:
        raise UsageError(f"{options.file}: cannot be written: {error.strerror}") from error
    if options.json:
        print_json({"file": str(options.file), "bytes": len(made)})
    else:
        print(f"{options.file}: {len(made)} bytes. Without the passphrase nobody can open it.")
    return 0


def _restore_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a backup")
    parser.add_argument("--check", action="store_true", help="open it, change nothing")
    add_json(parser)


def _restore(options: argparse.Namespace) -> int:
    web = _web(options)
    try:
        with options.file.open("rb") as opened:
            file = opened.read(FILE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{options.file}: cannot be read: {error.strerror}") from error
    contents = look_into(file, _passphrase(twice=False))
    about = {"box": contents.box, "made": contents.made, "version": contents.version}
    if options.check:
        told = _ask(options)("restore", part=contents.part, dry=True)
        restored = {key: told[key] for key in ("actions", "devices", "refused")}
    else:
        owner = web.stat()

        def give(path: Path) -> None:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

        result = asdict(put_back(_ask(options), web, contents, give))
        restored = {key: result[key] for key in ("actions", "devices", "refused")}
    if options.json:
        print_json(about | restored)
        return 0
    verb = "would be put back" if options.check else "is put back"
    print(
        printable(
            f"The backup of {contents.box}, made {local_time(contents.made)}, {verb}: settings, "
            f"{restored['actions']} actions, {restored['devices']} names of devices."
        )
    )
    for refused in restored["refused"]:
        print(printable(f"  left out: {refused}"))
    if not options.check:
        print("Start the box again for what waits for it: certificate, ports, engine.")
    return 0


def _web(options: argparse.Namespace) -> Path:
    web: Path = options.state_dir / "web"
    if os.geteuid() != 0 and not os.access(web, os.R_OK | os.W_OK | os.X_OK):
        raise NotPermittedError(f"{web}: not permitted; run this as root")
    return web


def _ask(options: argparse.Namespace) -> Callable[..., dict[str, Any]]:
    client = Client(options.state_dir / "run" / "control.sock")

    def ask(command: str, **arguments: Any) -> dict[str, Any]:
        return client.call(command, author=AUTHOR, **arguments)

    return ask


def _passphrase(*, twice: bool) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline(PASSPHRASE_MOST + 2).rstrip("\r\n")
    given = getpass.getpass("Passphrase: ")
    if twice and getpass.getpass("Once more: ") != given:
        raise UsageError("the two passphrases are not the same")
    return given


def _now() -> int:
    return time.time_ns() // 1000


backup = Change(_backup_arguments, _backup)
restore = Change(_restore_arguments, _restore)
