"""How regular a device's connections with a server are, as a sentence with both measures.

Never judges: neither makes anything fire by itself.
"""

from typing import Any

RITA_FULL = 1000  # thousandths


def measures(regularity: dict[str, Any]) -> str:
    """Return our measure and RITA's, with RITA's parts; takes what the ledger has of the pair."""
    text = (
        f"Its {regularity['connections']} connections with this server in a day: "
        f"{regularity['ours']} of 100 regular by Ratwall's measure"
    )
    rita = regularity["rita"]
    if rita is None:
        return f"{text}; too few for RITA's."
    parts = ", ".join(
        f"{name} {rita[name] / RITA_FULL:.3f}"
        for name in ("times", "sizes", "duration", "histogram")
    )
    return f"{text}, {rita['total'] / RITA_FULL:.3f} of 1 by RITA's ({parts})."
