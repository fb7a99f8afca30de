"""The two slots as RAUC and the boot loader see them; text in, facts out, no process, no file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ratwall.errors import RatwallError
from ratwall.update.attempt import SLOTS, Tries

ENVIRONMENT_MAGIC = "# GRUB Environment Block"
GOOD = "1"


class SlotError(RatwallError):
    """What RAUC says of the slots cannot be understood."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot; `version` is known where an update wrote it."""

    name: str
    good: bool
    version: str | None


def read_slots(text: str) -> dict[str, Slot]:
    """Return the slots by name out of `rauc status --detailed --output-format=json`."""
    try:
        found = [facts for entry in json.loads(text)["slots"] for facts in entry.values()]
        slots = {
            facts["bootname"]: Slot(
                facts["bootname"],
                facts.get("boot_status") == "good",
                facts.get("slot_status", {}).get("bundle", {}).get("version"),
            )
            for facts in found
            if facts.get("bootname")
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SlotError(f"update: RAUC's answer cannot be read: {error!r}") from error
    if set(slots) != set(SLOTS):
        raise SlotError(f"update: expected slots A and B, RAUC knows {sorted(slots)}")
    return slots


def other_slot(name: str) -> str:
    """Return the slot that is not this one."""
    return SLOTS[1 - SLOTS.index(name)]


def running_slot(command_line: str) -> str | None:
    """Return the slot that the kernel was started from; None where that is not said."""
    for word in command_line.split():
        key, _, value = word.partition("=")
        if key == "rauc.slot" and value in SLOTS:
            return value
    return None


def read_tries(environment: str | None, slot: str) -> Tries:
    """Return what GRUB's environment block says of a slot; nothing known without a good block."""
    if environment is None or not environment.startswith(ENVIRONMENT_MAGIC):
        return Tries()
    values = dict(
        line.split("=", 1) for line in environment.splitlines() if "=" in line and line[0] != "#"
    )
    ok, used = values.get(f"{slot}_OK"), values.get(f"{slot}_TRY")
    return Tries(
        None if ok is None else ok == GOOD,
        int(used) if used is not None and used in ("0", "1", "2", "3") else None,
    )


def read_release(text: str) -> Mapping[str, str]:
    """Return the fields of os-release(5); quotes taken off, nothing else interpreted."""
    fields = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator and not key.startswith("#"):
            fields[key.strip()] = value.strip().strip('"')
    return fields
