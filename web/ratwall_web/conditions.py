"""What is tight on the box itself, in words, and what to do about it. Only words, no logic."""

from typing import Any

from ratwall_web.language import N_, _

TIGHT = {
    "processor": N_(
        "The processor is fully busy. For some minutes that is normal, after a start or while "
        "lists are read anew; if it stays, connections may pass without being inspected."
    ),
    "memory": N_("The memory is nearly full. If it stays so, restart the box."),
    "disk": N_(
        "The storage is nearly full. Old history goes by itself when there is no room; in the "
        "settings you can have it kept for a shorter time."
    ),
    "temperature": N_(
        "The box is hot and may slow itself down. Give it air, and take it out of the sun."
    ),
    "link": N_(
        "One of the two network ports has no link: nothing passes there. "
        "Check the cable and the device at its other end."
    ),
}


def hints(health: dict[str, Any] | None) -> list[str]:
    """Return a sentence for each thing that is tight."""
    return [_(TIGHT[name]) for name in (health or {}).get("tight", ()) if name in TIGHT]
