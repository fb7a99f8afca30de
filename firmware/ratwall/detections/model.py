"""What a model is: a name, what it is about, and a pure function from a history to evidence."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ratwall.detections.history import History
from ratwall.signatures.evidence import Evidence

Reasons = tuple[Evidence, ...]


class Severity(StrEnum):
    """How much a model says when it alone has fired."""

    LOW = "low"  # kept for the next one: no incident by itself
    MEDIUM = "medium"  # an incident where two or more of its circumstances speak for it
    HIGH = "high"  # an incident


@dataclass(frozen=True, slots=True)
class Model:
    """One named detection; `examine` gives its reasons, its own first, () if it does not fire."""

    id: str  # "model.ssl-beacon-rare"
    name: str
    counterpart: str  # the name of what it answers to, in Darktrace's list
    severity: Severity
    techniques: tuple[str, ...]  # MITRE ATT&CK
    about: str
    examine: Callable[[History], Reasons]


@dataclass(frozen=True, slots=True)
class Response:
    """One named answer to what models find."""

    id: str
    name: str
    counterpart: str
    about: str


@dataclass(frozen=True, slots=True)
class Match:
    """A model that fired."""

    model: Model
    reasons: Reasons

    @property
    def points(self) -> int:
        """The sum of its reasons."""
        return sum(reason.points for reason in self.reasons)
