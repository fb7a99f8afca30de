"""`ratwall signatures`: the signature packs in force; `check` reads packs as the box would,
`update` brings a signed one in force, `remove` goes back to what was shipped.

A pack is checked whole before anything is changed, and put in by root; whoever judges verifies it
again. The running box takes it between two packets. What goes wrong then puts the old state back.
"""

import argparse
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ratwall.cli.obtaining import obtain
from ratwall.cli.reading import add_json, print_json
from ratwall.cli.table import ago, local_time, table
from ratwall.controller.client import Client
from ratwall.controller.packs import pack_facts
from ratwall.errors import ExitCode, NotRunningError, RatwallError, UsageError
from ratwall.settings.load import load_settings
from ratwall.settings.schema import Settings
from ratwall.signatures.benign import OWN, Sample, certificates, refuse_harmful, samples
from ratwall.signatures.pack import Pack, load_packs, read_pack
from ratwall.signatures.signed import SIGNED_BYTES_LIMIT, SignedPack, is_signed, open_signed
from ratwall.signatures.signed import trusted_keys as keys_of
from ratwall.signatures.store import (
    PACKS_LIMIT,
    HeldPack,
    InForce,
    PackDirectory,
    packs_in_force,
)
from ratwall.supervisor.reload import PACKS

OWN_CERTIFICATE = Path("web") / "tls.crt"  # of the admin page, below the state directory
OWN_BYTES_LIMIT = 65_536  # of it; one has 1 KB
SHOWN_AS_SHIPPED = "shipped"
ACTIONS = ("check", "update", "remove")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=ACTIONS,
        metavar="check|update|remove",
        help="check: read pack files, or those in force; update: bring a signed pack in force; "
        "remove: go back to the pack shipped; nothing: list the packs in force",
    )
    parser.add_argument(
        "subject",
        nargs="*",
        metavar="FILE|URL|NAME",
        help="check: files; update: one file or https address; remove: a pack's name",
    )
    parser.add_argument(
        "--older", action="store_true", help="update: also to a version older than the one in force"
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings, for the keys trusted; by default those of the running box",
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    """List, check, update or remove packs; UsageError with the reason if one is refused."""
    given: list[str] = options.subject
    settings = _settings(options)
    if options.what in ("update", "remove") and len(given) != 1:
        wanted = "one FILE or https address" if options.what == "update" else "the NAME of a pack"
        raise UsageError(
            f"signatures: {options.what}: expected {wanted}, found {len(given)}; "
            "see: ratwall signatures --help"
        )
    if options.what == "update":
        return _update(options, settings, given[0])
    if options.what == "remove":
        return _remove(options, settings, given[0])
    if options.what == "check" and given:
        return _check(options, settings, [Path(each) for each in given])
    return _list(options, packs_in_force(options.state_dir, settings.signatures.trust))


def _settings(options: argparse.Namespace) -> Settings:
    """Return those of --config, else those that the box runs by, else the defaults."""
    path: Path | None = options.config
    if path is None:
        running = options.state_dir / "run" / "settings.toml"
        path = running if running.is_file() else None
    return load_settings(path)


def _list(options: argparse.Namespace, found: InForce) -> int:
    """Print the packs in force; exit code 1 if one was left out."""
    if options.json:
        print_json(
            {"packs": [pack_facts(each) for each in found.held], "problems": list(found.problems)}
        )
    else:
        print(_table(found.held))
        rules = sum(len(pack.rules) for pack in found.packs)
        print(f"packs: {len(found.held)}, rules: {rules}")
        for problem in found.problems:
            print(problem)
    return ExitCode.FAILED if found.problems else ExitCode.OK


def _table(held: Sequence[HeldPack]) -> str:
    rows = [
        (
            each.pack.name,
            each.pack.version,
            each.key or SHOWN_AS_SHIPPED,
            each.pack.made,
            None if each.taken is None else ago(each.taken),
            len(each.pack.rules),
            sum(rule.decisive for rule in each.pack.rules),
            each.pack.about,
        )
        for each in held
    ]
    headings = ("PACK", "VERSION", "KEY", "MADE", "TAKEN", "RULES", "BLOCK", "ABOUT")
    return table(headings, rows)


def _check(options: argparse.Namespace, settings: Settings, paths: list[Path]) -> int:
    """Print what is in pack files; UsageError at the first fault. Unsigned ones are read too."""
    held: dict[str, HeldPack] = {}
    honest = [*samples(), *_own(options.state_dir)]
    for path in paths:
        content = obtain(str(path), SIGNED_BYTES_LIMIT)
        if is_signed(content):
            signed = open_signed(content, keys_of(settings.signatures.trust), str(path))
            found = HeldPack(signed.pack, signed.key)
        else:
            found = HeldPack(read_pack(content, str(path)), "not signed")
        if found.pack.name in held:
            raise UsageError(f'{path}: name: another pack is called "{found.pack.name}" already')
        refuse_harmful(found.pack, load_packs(), honest, str(path))
        held[found.pack.name] = found
    return _list(options, InForce(tuple(held.values())))


def _update(options: argparse.Namespace, settings: Settings, source: str) -> int:
    """Bring a pack in force."""
    _refuse_foreign(options.state_dir)
    signed = open_signed(
        obtain(source, SIGNED_BYTES_LIMIT), keys_of(settings.signatures.trust), source
    )
    pack = signed.pack
    if pack.made is None:
        raise UsageError(f"{source}: made: missing; a signed pack says when it was made")
    directory = PackDirectory(options.state_dir)
    with directory.opened():
        held = packs_in_force(options.state_dir, settings.signatures.trust)
        before = directory.content(pack.name)
        if before == signed.content and not held.problems:
            return _said(options, held, pack, "is in force already; nothing was changed")
        _refuse_older(signed, held, source, allowed=options.older)
        if before is None and directory.count() >= PACKS_LIMIT:
            raise UsageError(
                f"{source}: there are {PACKS_LIMIT} packs already, and no more are taken; remove "
                "one with: ratwall signatures remove NAME"
            )
        refuse_harmful(pack, held.packs, [*samples(), *_own(options.state_dir)], source)
        return _exchange(options, settings, directory, pack, signed.content, before)


def _remove(options: argparse.Namespace, settings: Settings, name: str) -> int:
    """Take a brought pack away."""
    _refuse_foreign(options.state_dir)
    directory = PackDirectory(options.state_dir)
    with directory.opened():
        before = None if "/" in name or "\0" in name else directory.content(name)
        if before is None:
            raise UsageError(
                f"signatures: remove: no pack {name!r} was brought here; see: ratwall signatures"
            )
        shipped = next((each for each in load_packs() if each.name == name), None)
        return _exchange(options, settings, directory, shipped or name, None, before)


def _exchange(
    options: argparse.Namespace,
    settings: Settings,
    directory: PackDirectory,
    pack: Pack | str,
    content: bytes | None,
    before: bytes | None,
) -> int:
    """Put a file in place of the one before and have the box take it, or put it back."""
    name = pack if isinstance(pack, str) else pack.name
    directory.put(name, content)
    client = Client(options.state_dir / "run" / "reload.sock")
    try:
        client.call(PACKS)
        when = "is in force; no connection was touched"
    except RatwallError as error:
        if not isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
            directory.put(name, before)
            with suppress(RatwallError):  # whoever has taken it shall go back, as far as it answers
                client.call(PACKS)
            raise RatwallError(f"{error}; the packs are as they were") from error
        when = "will be in force when Ratwall is started"
    now = packs_in_force(options.state_dir, settings.signatures.trust)
    if isinstance(pack, str):
        when = "is gone, and none was shipped under its name"
    elif content is None:
        when = f"that was shipped {when}"
    return _said(options, now, pack, when)


def _said(options: argparse.Namespace, now: InForce, pack: Pack | str, what: str) -> int:
    if options.json:
        return _list(options, now) and ExitCode.OK
    if isinstance(pack, str):
        print(f"{pack}: {what}.")
    else:
        print(f"{pack.name}, version {pack.version}, made {pack.made}: {what}.")
    return ExitCode.OK


def _refuse_foreign(state_dir: Path) -> None:
    """NotRunningError where Ratwall never ran: packs would lie where nobody looks."""
    if not (state_dir / "run").is_dir():
        raise NotRunningError(
            f"{state_dir}: Ratwall never ran there; start it with: ratwall run, or name the right "
            "--state-dir"
        )


def _refuse_older(signed: SignedPack, held: InForce, source: str, *, allowed: bool) -> None:
    """UsageError if the version does not rise, unless that is asked for, or is below the one that
    was shipped."""
    pack = signed.pack
    shipped = next((each for each in load_packs() if each.name == pack.name), None)
    if shipped is not None and pack.version < shipped.version:
        raise UsageError(
            f"{source}: version {pack.version} of {pack.name} is older than version "
            f"{shipped.version} that came with Ratwall, which stays in force"
        )
    there = held.of(pack.name)
    if there is None or pack.version > there.pack.version:
        return
    if pack.version == there.pack.version:
        if there.key is None or allowed:
            return  # the one shipped, signed; or somebody insists
        raise UsageError(
            f"{source}: another pack with version {pack.version} of {pack.name} is in force, and "
            "this one differs; a changed pack needs a higher version, or take it with --older"
        )
    if not allowed:
        raise UsageError(
            f"{source}: version {pack.version} of {pack.name} is older than version "
            f"{there.pack.version} in force since {local_time(there.taken)}; to go back to it: "
            "--older"
        )


def _own(state_dir: Path) -> list[Sample]:
    """Return the certificate of the box's own page, if there is one to be read."""
    path = state_dir / OWN_CERTIFICATE
    try:
        content = obtain(str(path), OWN_BYTES_LIMIT).decode("ascii", errors="replace")
    except UsageError:
        return []
    return [Sample(OWN, each) for each in certificates(content)]
