"""How much a device is to be worried about, in one word, from its open incidents of the last week.

Pure, and no more than it says: the highest score of what nobody allowed or released, by the
thresholds that incidents have (docs/detection.md).
"""

from ratwall.verdict.judge import Thresholds
from ratwall_web.language import N_
from ratwall_web.wording import Phrase

HIGH = Phrase(
    "bad",
    N_("High"),
    N_(
        "Within a week it tried to reach a server that was recognised as remote control, and "
        "nobody allowed that."
    ),
)
RAISED = Phrase(
    "warn", N_("Raised"), N_("Within a week it did something suspicious that nobody allowed.")
)
LOW = Phrase("calm", N_("Low"), N_("Nothing suspicious within a week."))


def risk(score: int | None) -> Phrase:
    """Return the word for the highest score of a device's open incidents, None without any."""
    thresholds = Thresholds()
    if score is not None and score >= thresholds.block:
        return HIGH
    if score is not None and score >= thresholds.alert:
        return RAISED
    return LOW
