"""Runs `rauc`, which does the writing and keeps the boot loader's marks.

It decides nothing. RAUC's service is started by the bus when it is asked something, and is the only
process that may write a slot.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

from ratwall.errors import RatwallError, UsageError
from ratwall.update.bundle import Manifest, read_manifest
from ratwall.update.slots import Slot, read_slots

ANSWER_SECONDS = 90.0  # it may have to start first, and asks GRUB's tool once for each mark
WORDS_LIMIT = 300  # characters of its complaint
# What RAUC says of a signature, whatever is wrong with it.
SIGNATURE_WORDS = ("signature", "certificate", "cms")


class RaucError(RatwallError):
    """RAUC refused, failed, or is not there."""


def read_bundle(path: Path, name: str, keyring: Path) -> Manifest:
    """Return what a bundle says of itself; UsageError if nobody in `keyring` signed it."""
    done = _run("info", "--keyring", str(keyring), "--output-format=json", str(path))
    if done.returncode != 0:
        words = _complaint(done.stderr)
        if any(word in words.lower() for word in SIGNATURE_WORDS):
            raise UsageError(
                f"update: {name}: is not signed by anybody whom this box trusts, or was changed"
                f" after that: {words}"
            )
        raise UsageError(f"update: {name}: RAUC refuses it: {words}")
    return read_manifest(done.stdout, name)


def slots() -> dict[str, Slot]:
    """Return what is known of both slots; RaucError if RAUC does not answer."""
    done = _run("status", "--detailed", "--output-format=json")
    if done.returncode != 0:
        raise RaucError(f"update: RAUC does not name the slots: {_complaint(done.stderr)}")
    return read_slots(done.stdout)


def mark(what: str, slot: str) -> None:
    """Mark a slot ("booted" or "other") as "good", "bad" or "active"; RaucError if that fails."""
    done = _run("status", f"mark-{what}", slot)
    if done.returncode != 0:
        raise RaucError(f"update: slot {slot}: not marked {what}: {_complaint(done.stderr)}")


def install(path: Path, tell: Callable[[str], None]) -> None:
    """Write a bundle into the other slot; RaucError with the reason. `tell` gets its progress."""
    argv = ["rauc", "install", str(path)]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            text = line.strip()
            lines = [*lines[-20:], text]  # enough to hold the complaint at the end
            if "%" in text[:5]:
                tell(text)
    if process.returncode != 0:
        errors = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
        words = (errors or lines or ["no message"])[-1].removeprefix("LastError: ")
        raise RaucError(f"update: not installed: {words[:WORDS_LIMIT]}")


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["rauc", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise RaucError(
            "update: no RAUC here: only a box started from Ratwall's image can be updated so"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise RaucError(f"update: RAUC did not answer within {ANSWER_SECONDS:.0f} s") from error


def _complaint(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and "-Message:" not in line]
    return " ".join(" ".join(lines).split())[-WORDS_LIMIT:] or "no message"
