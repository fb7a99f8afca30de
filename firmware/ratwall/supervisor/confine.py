"""Starts one of our processes with the least it needs: a user, capabilities, files of its own.

Used by `ratwall run` only; in the image systemd does the same by unit. `confined` returns the
command line; this module, run as a program inside a fresh mount namespace, lays out the view and
hands over to `setpriv` (util-linux).

The view: a user without rights cannot read a checkout or a Python below root's home. Where that is
so, the directory that bars the way is covered by an empty one, in which only what is needed shows,
read-only. It hides the rest of that home as a welcome side effect.
"""

import argparse
import os
import pwd
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ratwall.kernel.command import run

# Accounts by name where the image has them; elsewhere bare numbers out of the range that systemd
# keeps for dynamic users, so that no account must be made on a machine that only tries Ratwall.
ACCOUNTS = {
    "ratwall": 61_841,
    "ratwall-inspector": 61_842,
    "ratwall-web": 61_843,
    "ratwall-export": 61_844,
}

# -P: nothing is imported from the directory that root happened to stand in.
PYTHON = (sys.executable, "-P")
ACTIVATION_DESCRIPTOR = 3  # sd_listen_fds(3): where the first passed socket is


@dataclass(frozen=True, slots=True)
class Account:
    """A user and its group, by number."""

    uid: int
    gid: int


def account(name: str) -> Account:
    """Return the account of that name, or its stand-in where the machine has none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return Account(ACCOUNTS[name], ACCOUNTS[name])
    return Account(entry.pw_uid, entry.pw_gid)


def confined(
    argv: Sequence[str],
    user: Account,
    *,
    groups: Sequence[int] = (),
    capabilities: Sequence[str] = (),
    state_dir: Path,
    listening: int | None = None,
    orphan_signal: str = "KILL",
) -> list[str]:
    """Return the command line that runs `argv` as `user` with these capabilities and no other.

    `listening` is an inherited socket to hand over by the activation protocol; `orphan_signal` is
    what the kernel sends the process when the supervisor dies.
    """
    return [
        *("unshare", "--mount", "--propagation", "private", "--"),
        *(*PYTHON, "-m", "ratwall.supervisor.confine"),
        *(f"--uid={user.uid}", f"--gid={user.gid}", f"--state-dir={state_dir}"),
        f"--groups={','.join(str(group) for group in (user.gid, *groups))}",
        f"--capabilities={','.join(['-all', *(f'+{name}' for name in capabilities)])}",
        f"--orphan-signal={orphan_signal}",
        *([] if listening is None else [f"--listening={listening}"]),
        *("--", *argv),
    ]


def barred_by(path: Path, uid: int) -> Path | None:
    """Return the first directory on the way to `path` that `uid`, as one of all, cannot pass."""
    for directory in [*reversed(path.parents), path]:
        status = directory.stat()
        own = status.st_uid == uid
        if not status.st_mode & (stat.S_IXUSR if own else stat.S_IXOTH):
            return directory
    return None


def lay_out_view(needed: Sequence[Path], state_dir: Path, uid: int) -> None:
    """Make each needed path reachable for `uid` in this process's own mount namespace."""
    barred: dict[Path, list[Path]] = {}
    for path in [*needed, state_dir]:
        wall = barred_by(path, uid)
        if wall is not None and path not in barred.setdefault(wall, []):
            barred[wall].append(path)
    for wall, paths in barred.items():
        opened = [(path, os.open(path, os.O_PATH | os.O_DIRECTORY)) for path in paths]
        run("mount", "-t", "tmpfs", "-o", "mode=0755,size=64k", "ratwall", str(wall))
        for path, descriptor in opened:
            path.mkdir(parents=True, exist_ok=True)
            # Not canonicalised: the link's text would name the place that is now covered.
            source = f"/proc/{os.getpid()}/fd/{descriptor}"
            run("mount", "--no-canonicalize", "--bind", source, str(path))
            if path != state_dir:
                run("mount", "-o", "remount,bind,ro", str(path))
            os.close(descriptor)


def code_paths() -> list[Path]:
    """Return the directories that Python and our packages are read from, outermost only."""
    wanted = {
        Path(sys.prefix),
        Path(sys.base_prefix),
        *(Path(entry) for entry in sys.path if entry),
    }
    for package in ("ratwall", "ratwall_web"):  # an editable install is not on sys.path
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            wanted.add(Path(spec.origin).parents[1])
    present = {path.resolve() for path in wanted if path.is_dir()}
    return sorted(path for path in present if not present & set(path.parents))


def main() -> None:
    """Lay out the view, drop everything, become the program."""
    parser = argparse.ArgumentParser(prog="ratwall.supervisor.confine")
    parser.add_argument("--uid", type=int, required=True)
    parser.add_argument("--gid", type=int, required=True)
    parser.add_argument("--groups", required=True)
    parser.add_argument("--capabilities", required=True)
    parser.add_argument("--orphan-signal", required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--listening", type=int)
    parser.add_argument("argv", nargs="+")
    options = parser.parse_args()
    lay_out_view(code_paths(), options.state_dir.resolve(), options.uid)
    if options.listening is not None:
        os.dup2(options.listening, ACTIVATION_DESCRIPTOR, inheritable=True)
        os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    os.execvp(  # noqa: S606 (an exec without a shell is what we want)
        "setpriv",
        [
            *("setpriv", f"--reuid={options.uid}", f"--regid={options.gid}"),
            f"--groups={options.groups}",
            f"--inh-caps={options.capabilities}",
            f"--ambient-caps={options.capabilities}",
            f"--bounding-set={options.capabilities}",
            f"--pdeathsig={options.orphan_signal}",
            *("--no-new-privs", "--", *options.argv),
        ],
    )


if __name__ == "__main__":
    main()
