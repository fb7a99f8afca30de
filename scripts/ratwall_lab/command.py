"""`scripts/lab`: the lab by hand. It stays up until it is taken down.

scripts/lab up                 an office, a box, an internet with the whole cast in it
scripts/lab status             which labs stand, and where their servers listen
scripts/lab shell anna         a shell on one machine of the lab
scripts/lab shell box -- ratwall run --lan lan --wan wan --state-dir /tmp/state
scripts/lab down               take it down again
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from ratwall_lab import standing
from ratwall_lab.cast import FAMILIES_OF_IP, Stage, make_roles
from ratwall_lab.certificates import Notary
from ratwall_lab.namespaces import LabError
from ratwall_lab.tools import LAB_TOOLS, check_root, check_tools
from ratwall_lab.topology import Lab

SCRIPT = Path(__file__).resolve().parents[1] / "lab"


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/lab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", default=standing.DEFAULT_NAME, help="which lab (default: rwlab)")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "make a lab"), ("serve", "play the internet of a lab (used by up)")):
        command = commands.add_parser(name, help=text)
        command.add_argument("--mode", choices=("router", "bridge"), default="router")
        command.add_argument("--masquerade", action="store_true", help="hide the office behind it")
    commands.add_parser("status", help="say which labs stand")
    down = commands.add_parser("down", help="take a lab down")
    down.add_argument(
        "--abandoned", action="store_true", help="remove what killed labs left behind instead"
    )
    shell = commands.add_parser("shell", help="run a shell, or a command, on a machine of the lab")
    shell.add_argument("machine", help="anna, ben, box, internet or switch")
    shell.add_argument("argv", nargs="*", metavar="COMMAND")
    options = parser.parse_args(argv)
    if not standing.NAME.fullmatch(options.name):
        parser.error(f"--name: up to 15 lower-case letters and digits, found {options.name!r}")
    return options


def main(argv: list[str] | None = None) -> int:
    """Run one command of the lab."""
    options = parse(sys.argv[1:] if argv is None else argv)
    commands = {"up": _up, "serve": _serve, "status": _status, "down": _down, "shell": _shell}
    try:
        check_root(f"scripts/lab {options.command}")
        check_tools(LAB_TOOLS)
        return commands[options.command](options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _up(options: argparse.Namespace) -> int:
    lab = _lab(options)
    lab.up()
    try:
        argv = [sys.executable, str(SCRIPT), "--name", options.name, "serve"]
        argv += ["--mode", options.mode, *(["--masquerade"] if options.masquerade else [])]
        with standing.log_file(options.name).open("w") as log:
            server = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        born = standing.start_time(server.pid)
        if server.stdout is None or server.stdout.readline() != b"ready\n" or born is None:
            raise LabError(
                f"the internet's servers did not start; see {standing.log_file(options.name)}"
            )
        server.stdout.close()
    except BaseException:
        lab.down()
        raise
    standing.write(standing.Note(options.name, options.mode, options.masquerade, server.pid, born))
    print(f"{options.name} is up in {options.mode} mode: {', '.join(h.name for h in lab.hosts)}")
    print("next: scripts/lab status | scripts/lab shell anna | scripts/lab down")
    return 0


def _serve(options: argparse.Namespace) -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Stage(_lab(options), make_roles(Notary())):
        print("ready", flush=True)
        stop.wait()
    return 0


def _status(options: argparse.Namespace) -> int:
    notes = standing.standing()
    if not notes:
        print("no lab is up; make one with: scripts/lab up")
        return 0
    roles = make_roles(Notary())
    for note in notes:
        alive = standing.start_time(note.server_pid) == note.server_start
        state = f"process {note.server_pid}" if alive else "its servers are gone"
        print(f"{note.name}: {note.mode} mode, internet played by {state}")
        lab = note.lab()
        for host in (lab.anna, lab.ben, lab.box):
            places = ", ".join((*host.ipv4, *host.ipv6)) or "no address"
            print(f"  {host.name:10}{places}")
        for role in roles:
            places = " ".join(lab.internet.address(role.index, family) for family in FAMILIES_OF_IP)
            ports = ",".join(str(port) for port in role.ports)
            print(f"  {role.title:46}{places}  port {ports}")
    return 0


def _down(options: argparse.Namespace) -> int:
    if options.abandoned:
        for name in standing.take_down_abandoned():
            print(f"removed {name}")
        return 0
    standing.take_down(standing.find(options.name))
    print(f"{options.name} is down")
    return 0


def _shell(options: argparse.Namespace) -> int:
    host = standing.find(options.name).lab().host(options.machine)
    argv = host.argv(options.argv or [os.environ.get("SHELL", "/bin/sh")])
    os.environ["PS1"] = f"{options.name}/{host.name}# "
    os.execvp(argv[0], argv)


def _lab(options: argparse.Namespace) -> Lab:
    return Lab(options.mode, masquerade=options.masquerade, prefix=options.name)
