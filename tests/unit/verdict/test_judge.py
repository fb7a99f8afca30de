"""Evidence becomes a score, a score a verdict, and a memory one more piece of evidence."""

import pytest

from ratwall.errors import UsageError
from ratwall.signatures.evidence import Evidence
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import Remembered, Thresholds, Verdict, judge, weigh
from unit.signatures.seen import HTTPS, asyncrat_hello, at_port, facts, hello
from unit.wire.x509.minting import mint

NOW = 1_700_000_000_000_000
MINUTE = 60_000_000


def weak(points: int) -> Evidence:
    return Evidence(f"weak.{points}", points, "A sign.", None)


def decisive(points: int, family: str | None = "ShopRAT") -> Evidence:
    return Evidence(f"sure.{points}", points, "A proof.", None, True, family)


@pytest.mark.parametrize(
    ("points", "verdict"),
    [
        (29, Verdict.CLEAN),
        (30, Verdict.WATCH),
        (31, Verdict.WATCH),
        (59, Verdict.WATCH),
        (60, Verdict.ALERT),
        (61, Verdict.ALERT),
        (79, Verdict.ALERT),
        (80, Verdict.BLOCK),
        (81, Verdict.BLOCK),
    ],
)
def test_thresholds_are_reached_at_their_number(points: int, verdict: Verdict) -> None:
    judgement = weigh((decisive(points),), Thresholds())
    assert (judgement.score, judgement.verdict) == (points, verdict)


def test_points_are_added_and_end_at_100() -> None:
    assert weigh((decisive(60), weak(15)), Thresholds()).score == 75
    assert weigh((decisive(90), weak(50)), Thresholds()).score == 100
    assert weigh((), Thresholds()).score == 0


@pytest.mark.parametrize("points", [79, 80, 81, 200])
def test_weak_facts_end_one_short_of_a_block(points: int) -> None:
    judgement = weigh((weak(points - 1), weak(1)), Thresholds())
    assert (judgement.score, judgement.verdict) == (79, Verdict.ALERT)


def test_the_strongest_reason_comes_first_and_names_the_family() -> None:
    judgement = weigh((weak(50), decisive(85, "Lineage"), decisive(90)), Thresholds())
    assert [item.points for item in judgement.evidence] == [90, 85, 50]
    assert judgement.family == "ShopRAT"


def test_a_hint_names_no_family() -> None:
    """A port that a family uses is no reason to write its name over an incident."""
    hint = Evidence("hint", 50, "A sign.", None, False, "ShopRAT")
    assert weigh((hint,), Thresholds()).family is None


@pytest.mark.parametrize(
    "values", [(0, 60, 80), (30, 30, 80), (60, 30, 80), (30, 80, 80), (30, 60, 101), (80, 60, 30)]
)
def test_thresholds_out_of_order_are_refused(values: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="allowed is 1 ≤ watch < alert < block ≤ 100, found watch"):
        Thresholds(*values)


def test_the_narrowest_and_widest_thresholds_are_allowed() -> None:
    Thresholds(1, 2, 3)
    Thresholds(98, 99, 100)


def test_a_handshake_is_judged_by_everything_it_showed() -> None:
    seen = facts(mint("AsyncRAT Server"), client=asyncrat_hello())
    judgement = judge(load_packs(), Thresholds(), seen, at_port(6606), None, NOW)
    assert (judgement.verdict, judgement.score) == (Verdict.BLOCK, 100)
    assert judgement.family == "AsyncRAT"
    assert len(judgement.evidence) == 4


REMEMBERED = Remembered("Quasar", 95, NOW - 125 * MINUTE, 443, "b" * 64)


def test_a_remembered_server_is_blocked_when_its_certificate_is_hidden() -> None:
    judgement = judge((), Thresholds(), facts(client=hello()), HTTPS, REMEMBERED, NOW)
    assert (judgement.verdict, judgement.score, judgement.family) == (Verdict.BLOCK, 95, "Quasar")
    (reason,) = judgement.evidence
    assert reason.text == (
        "This server was recognised as Quasar by its certificate 2 hours ago; "
        "this connection hides the certificate, so the earlier verdict holds."
    )
    assert (reason.id, reason.technique) == ("memory.server", "T1573.002")


def test_a_server_remembered_on_another_port_says_so() -> None:
    judgement = judge((), Thresholds(), facts(), at_port(8808), REMEMBERED, NOW)
    assert "recognised as Quasar on port 443 2 hours ago" in judgement.evidence[0].text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "less than a minute"),
        (59, "less than a minute"),
        (60, "1 minute"),
        (3599, "59 minutes"),
        (3600, "1 hour"),
        (86_399, "23 hours"),
        (86_400, "1 day"),
        (172_800, "2 days"),
    ],
)
def test_spans_are_said_in_their_largest_unit(seconds: int, said: str) -> None:
    remembered = Remembered(None, 95, NOW - seconds * 1_000_000, 443, "b" * 64)
    judgement = judge((), Thresholds(), facts(), HTTPS, remembered, NOW)
    assert f"as a remote-control server by its certificate {said} ago" in judgement.evidence[0].text
