"""What came of the test of the protection, in words, and what to do about it.

Pure: the controller's word for it and the box's state in, a phrase out. No promise is made that the
test has not kept: "works" is said of one that was cut, and of no other.
"""

from dataclasses import dataclass
from typing import Any

from ratwall_web.language import N_, _


@dataclass(frozen=True, slots=True)
class Outcome:
    """A result: its tone, what is so, and what to do."""

    tone: str
    title: str
    text: str
    advice: str = ""


PASSED = Outcome(
    "good",
    N_("The protection works"),
    N_(
        "The box sent itself what a remote-control program says when it calls home, "
        "and cut the connection before any data got through."
    ),
)
MONITOR = Outcome(
    "warn",
    N_("Seen, but not cut: monitor only"),
    N_("The box only watches, as it was told. A real remote-control program would get through."),
    N_("Set the protection to \u201cCut off\u201d, then test again."),
)
PAUSED = Outcome(
    "warn",
    N_("Not cut: the protection is paused"),
    N_("During a pause connections pass without being inspected, also this one."),
    N_("End the pause on the overview, then test again."),
)
NOTHING_CUTS = Outcome(
    "bad",
    N_("Not cut"),
    N_("The test connection passed through the box, and nobody cut it."),
    N_(
        "Wait a minute: what is missing is started again by itself. Then test again. "
        "If it fails again, restart the box."
    ),
)
FAILED = {
    "refused": Outcome(
        "bad",
        N_("The test could not begin"),
        N_("The box refused the test connection before anything was said on it."),
        N_("Test again in a minute. If it fails again, restart the box."),
    ),
    "no_way": Outcome(
        "bad",
        N_("The test connection found no way"),
        N_("Nothing comes through between the two ends of the test."),
        N_("Test again in a minute. If it fails again, restart the box."),
    ),
    "altered": Outcome(
        "bad",
        N_("The test connection was changed on its way"),
        N_("What arrived is not what was sent."),
        N_("Restart the box. If it stays so, show this to whoever looks after your network."),
    ),
    "swallowed": Outcome(
        "warn",
        N_("Stopped, but not cleanly"),
        N_(
            "The answer of the test's server did not get through, but the device was not told "
            "that the connection is over."
        ),
        N_("Test again in a minute. If it stays so, restart the box."),
    ),
    "late": Outcome(
        "bad",
        N_("Cut too late"),
        N_("Some data of the test connection reached its server before it was cut."),
        N_("Test again in a minute. If it fails again, restart the box."),
    ),
    "no_rules": Outcome(
        "bad",
        N_("The box does not inspect at all"),
        N_("Its rules are not in the kernel: the internet works, but without protection."),
        N_("They are put in again by themselves. Test again in a minute, then restart the box."),
    ),
    "not_tried": Outcome(
        "warn",
        N_("The test could not be tried"),
        N_("Something kept the box from making the two ends of the test."),
        N_("Test again in a minute: another test may have been running."),
    ),
    "lost": Outcome(
        "warn",
        N_("The test gave no result"),
        N_("It was begun, but nobody said what came of it."),
        N_("Test again. If it stays so, restart the box."),
    ),
}
BY_STATE = {"monitor": MONITOR, "paused": PAUSED}


def outcome(result: dict[str, Any], state: str | None) -> Outcome:
    """Return a result in words; `state` is the box's, which explains why nothing was cut."""
    if result.get("ok") is True:
        found = PASSED
    elif result.get("cause", "passed") in ("passed", None):
        found = BY_STATE.get(state or "", NOTHING_CUTS)
    else:
        found = FAILED.get(str(result["cause"]), NOTHING_CUTS)
    advice = _(found.advice) if found.advice else ""
    return Outcome(found.tone, _(found.title), _(found.text), advice)
