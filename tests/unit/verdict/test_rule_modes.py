"""A rule that only tells, or says nothing, in the judge."""

import pytest

from ratwall.settings.schema import Rules
from ratwall.signatures.endpoint import Endpoint
from ratwall.signatures.pack import load_packs
from ratwall.verdict.judge import MONITORED_ID, Judgement, Thresholds, Verdict, judge
from unit.signatures.seen import facts, hello
from unit.wire.x509.minting import mint

SERVER = Endpoint(bytes((203, 0, 113, 7)), 6606)
STRANGE = facts(mint("AsyncRAT Server"), client=hello())


def judged(rules: Rules) -> Judgement:
    return judge(load_packs(), Thresholds(), STRANGE, SERVER, None, 0, rules)


def test_by_default_a_certificate_is_enough() -> None:
    assert (judged(Rules()).verdict, judged(Rules()).enforced) == (Verdict.BLOCK, True)


def test_in_monitor_mode_it_is_told_that_it_would_have_been_cut() -> None:
    told = judged(Rules(monitor=("*",)))
    assert (told.verdict, told.enforced) == (Verdict.BLOCK, False)
    assert told.evidence[-1].id == MONITORED_ID
    assert "set to tell only" in told.evidence[-1].text


def test_what_is_off_says_nothing() -> None:
    assert judged(Rules(off=("*",))).evidence == ()


def test_one_rule_of_several_in_monitor_mode_changes_nothing_where_others_suffice() -> None:
    decisive = [item.id for item in judged(Rules()).evidence if item.decisive]
    if len(decisive) < 2:
        pytest.fail("the mint no longer meets two decisive rules: choose another")
    assert judged(Rules(monitor=(decisive[0],))).enforced
    assert not judged(Rules(monitor=tuple(decisive))).enforced


def test_a_watched_device_needs_less_for_an_alert_and_no_less_to_be_cut() -> None:
    assert Thresholds(30, 60, 80).lowered(15) == Thresholds(15, 45, 80)
    assert Thresholds(1, 2, 80).lowered(15) == Thresholds(1, 2, 80)
