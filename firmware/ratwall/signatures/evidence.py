"""One observed fact, with what it is worth and what it says to the owner of a shop.

It never names a verdict; points become one in `ratwall.verdict.judge`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact about one connection.

    `id` begins with the pack it came from, or "memory"; `text` is a plain sentence; `technique` a
    MITRE ATT&CK id or None. Only a `decisive` fact can lead to a block: a family's certificate, a
    remembered verdict, an indicator.
    """

    id: str
    points: int
    text: str
    technique: str | None
    decisive: bool = False
    family: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the form that records, reports and the ledger carry."""
        return {
            "id": self.id,
            "points": self.points,
            "text": self.text,
            "technique": self.technique,
        }
