"""The data of the packs shipped: well-formed, readable, and unable to block for weak reasons."""

import re
from itertools import groupby
from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from ratwall.signatures.conditions import CONDITIONS
from ratwall.signatures.evidence import Evidence
from ratwall.signatures.pack import GROUPS, WEAK_POINTS_LIMIT, Rule, load_packs
from ratwall.verdict.judge import Thresholds, Verdict, weigh

PACKS = load_packs()
RULES = [rule for pack in PACKS for rule in pack.rules]
WEAK = [rule for rule in RULES if not rule.decisive]
DECISIVE = [rule for rule in RULES if rule.decisive]

# What the packs use, by its meaning in MITRE ATT&CK (Enterprise).
TECHNIQUES = {
    "T1571",  # Non-Standard Port
    "T1573.002",  # Encrypted Channel: Asymmetric Cryptography
    "T1587.003",  # Develop Capabilities: Digital Certificates (self-signed ones)
}

# A sentence that a shop owner reads on a phone.
TEXT_LENGTHS = range(30, 220)

DEFAULTS = Thresholds()


def evidence(rule: Rule) -> Evidence:
    return Evidence(rule.id, rule.points, rule.text, rule.technique, rule.decisive)


def test_families_asked_for_are_there() -> None:
    families = {rule.family for rule in DECISIVE}
    assert {"AsyncRAT", "DcRat", "VenomRAT", "Quasar", "AsyncRAT lineage"} <= families
    assert None not in families, "a block names what it blocked"


def test_identifiers_are_unique_across_packs() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_points_reasons_and_techniques_are_given() -> None:
    for rule in RULES:
        assert 1 <= rule.points <= 100
        assert len(rule.reason) > 20, rule.id
        assert rule.group in GROUPS
        assert rule.technique is None or rule.technique in TECHNIQUES, rule.id


def test_texts_are_whole_plain_sentences() -> None:
    jargon = re.compile(r"\b(JA3|JA4|SNI|X\.509|DER|C2|CN|RSA|SHA|handshake flight|issuer DN)\b")
    for rule in RULES:
        assert rule.text[0].isupper(), rule.id
        assert rule.text.endswith("."), rule.id
        assert len(rule.text) in TEXT_LENGTHS, rule.id
        assert not jargon.search(rule.text), rule.id


def test_a_decisive_fact_blocks_alone() -> None:
    for rule in DECISIVE:
        assert weigh((evidence(rule),), DEFAULTS).verdict is Verdict.BLOCK, rule.id


def test_a_decisive_rule_looks_at_the_certificate() -> None:
    for rule in DECISIVE:
        assert any(CONDITIONS[key].conclusive for key in rule.conditions), rule.id
        assert len(rule.conditions) >= 2, rule.id


def test_a_single_weak_fact_cannot_alert() -> None:
    assert DEFAULTS.alert > WEAK_POINTS_LIMIT
    for rule in WEAK:
        assert weigh((evidence(rule),), DEFAULTS).verdict in (Verdict.CLEAN, Verdict.WATCH)


def test_all_weak_facts_together_cannot_block() -> None:
    """Of a group only the strongest counts; the strongest of every group are the worst case."""
    groups = groupby(sorted(WEAK, key=attrgetter("group")), key=attrgetter("group"))
    worst = [max(rules, key=attrgetter("points")) for _, rules in groups]
    assert sum(rule.points for rule in worst) < DEFAULTS.block
    assert weigh(tuple(map(evidence, worst)), DEFAULTS).verdict is Verdict.ALERT


def test_ports_and_hellos_together_cannot_alert() -> None:
    everyday = [rule for rule in WEAK if rule.group in ("port", "hello")]
    worst = {rule.group: rule.points for rule in sorted(everyday, key=attrgetter("points"))}
    assert sum(worst.values()) < DEFAULTS.watch


@given(
    st.lists(st.sampled_from(WEAK), max_size=len(WEAK)),
    st.lists(st.integers(1, 100), min_size=3, max_size=3, unique=True).map(sorted),
)
def test_no_set_of_weak_facts_blocks_whatever_the_settings(
    chosen: list[Rule], thresholds: list[int]
) -> None:
    """Not even if matching let every rule of a group count, and thresholds were set to 1, 2, 3."""
    judgement = weigh(tuple(map(evidence, chosen)), Thresholds(*thresholds))
    assert judgement.verdict is not Verdict.BLOCK
    assert judgement.score < thresholds[2]
    assert judgement.family is None


@given(st.lists(st.sampled_from(RULES), min_size=1, max_size=len(RULES)))
def test_one_decisive_fact_among_any_others_blocks(chosen: list[Rule]) -> None:
    judgement = weigh(tuple(map(evidence, chosen)), DEFAULTS)
    assert (judgement.verdict is Verdict.BLOCK) is any(rule.decisive for rule in chosen)
    assert 1 <= judgement.score <= 100


def test_what_cannot_be_read_is_never_clean() -> None:
    for rule in WEAK:
        if "anomaly" in rule.conditions or "defects" in rule.conditions:
            assert weigh((evidence(rule),), DEFAULTS).verdict is Verdict.WATCH
