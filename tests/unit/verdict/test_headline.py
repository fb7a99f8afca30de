"""Headlines: who reached for what, in words, and no claim that was not earned."""

import pytest

from ratwall.verdict.headline import Outcome, headline


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (
            "blocked",
            "PC-ANNA tried to reach a remote-control server (AsyncRAT) at 203.0.113.7 port 6606: "
            "blocked",
        ),
        (
            "blocking",
            "PC-ANNA tried to reach a remote-control server (AsyncRAT) at 203.0.113.7 port 6606: "
            "being blocked",
        ),
        (
            "would_block",
            "PC-ANNA reached a remote-control server (AsyncRAT) at 203.0.113.7 port 6606: "
            "not blocked, only watched",
        ),
        (
            "allowed",
            "PC-ANNA tried to reach a remote-control server (AsyncRAT) at 203.0.113.7 port 6606: "
            "let through, because you allowed it",
        ),
        (
            "released",
            "PC-ANNA tried to reach a remote-control server (AsyncRAT) at 203.0.113.7 port 6606: "
            "block taken away",
        ),
    ],
)
def test_says_what_happened(outcome: str, said: str) -> None:
    made = headline(
        device="PC-ANNA", server="203.0.113.7", server_port=6606, family="AsyncRAT", outcome=outcome
    )
    assert made == said


def test_a_suspicion_is_called_one() -> None:
    made = headline(
        device="192.168.1.10",
        server="2001:db8::7",
        server_port=443,
        family=None,
        outcome=Outcome.ALERT,
    )
    assert made == (
        "192.168.1.10 reached a suspicious server at [2001:db8::7] port 443: "
        "not blocked, please check"
    )


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.BLOCKED])
def test_only_a_proven_block_is_called_blocked(outcome: Outcome) -> None:
    made = headline(device="x", server="192.0.2.1", server_port=1, family=None, outcome=outcome)
    assert not made.endswith(": blocked")


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(ValueError, match="'vanished' is not a valid Outcome"):
        headline(device="x", server="192.0.2.1", server_port=1, family=None, outcome="vanished")
