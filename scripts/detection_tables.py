#!/usr/bin/env python3
"""Write the tables of docs/detection.md from the packs and the judge, so that they stay true.

Run it after changing a pack or a threshold; a test fails as long as it has not been run. The text
around the tables is left alone.
"""

from collections.abc import Iterator
from pathlib import Path

from ratwall.detections.catalog import MODELS, RESPONSES
from ratwall.signatures.conditions import CONDITIONS
from ratwall.signatures.pack import GROUPS, WEAK_POINTS_LIMIT, Pack, load_packs
from ratwall.verdict.judge import Thresholds
from ratwall.verdict.memory import LIFETIME_US

DOCUMENT = Path(__file__).parent.parent / "docs" / "detection.md"
_BEGIN, _END = "<!-- {}: written by scripts/detection_tables.py -->", "<!-- end of {} -->"
_MICROSECONDS_A_DAY = 86_400 * 1_000_000


def tables() -> dict[str, str]:
    """Return each table's text by the name that marks its place in the document."""
    packs = load_packs()
    return {
        "thresholds": "\n".join(_thresholds()),
        "decisive rules": "\n".join(_rules(packs, decisive=True)),
        "other rules": "\n".join(_rules(packs, decisive=False)),
        "worst case": "\n".join(_worst_case(packs)),
        "models": "\n".join(_models()),
        "responses": "\n".join(_responses()),
        "conditions": "\n".join(_conditions()),
    }


def filled(document: str) -> str:
    """Return the document with every marked table replaced by what the code says now."""
    for name, text in tables().items():
        begin, end = _BEGIN.format(name), _END.format(name)
        before, _, rest = document.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise SystemExit(f"{DOCUMENT}: no place marked {begin} … {end}")
        document = f"{before}{begin}\n{text}\n{end}{after}"
    return document


def _thresholds() -> Iterator[str]:
    defaults = Thresholds()
    yield "| verdict | from score | what it means |"
    yield "|---|---|---|"
    yield "| clean | 0 | nothing said of it beyond the flow list |"
    yield f"| watch | {defaults.watch} | shown in the flow list with its reasons |"
    yield f"| alert | {defaults.alert} | an incident; the connection passes |"
    yield f"| block | {defaults.block} | cut, and only with a decisive fact |"
    yield ""
    yield f"A rule that is not decisive gives at most {WEAK_POINTS_LIMIT} points. A verdict is"
    days = LIFETIME_US // _MICROSECONDS_A_DAY
    yield f"remembered for {days} days after a certificate last showed it."


def _rules(packs: tuple[Pack, ...], *, decisive: bool) -> Iterator[str]:
    yield "| rule | group | points | family | technique | why these points |"
    yield "|---|---|---|---|---|---|"
    for pack in packs:
        for rule in pack.rules:
            if rule.decisive is decisive:
                yield (
                    f"| `{rule.id}` | {rule.group} | {rule.points} | {rule.family or ''} "
                    f"| {rule.technique or ''} | {rule.reason} |"
                )


def _worst_case(packs: tuple[Pack, ...]) -> Iterator[str]:
    weak = [rule for pack in packs for rule in pack.rules if not rule.decisive]
    worst = {
        group: max((rule.points for rule in weak if rule.group == group), default=0)
        for group in GROUPS
    }
    parts = ", ".join(f"{group} {points}" for group, points in worst.items() if points)
    total = sum(worst.values())
    yield f"The most that facts which are not decisive reach together: {total} ({parts})."


def _models() -> Iterator[str]:
    yield "| model | answers to | severity | techniques | what it asks for |"
    yield "|---|---|---|---|---|"
    for model in MODELS:
        yield (
            f"| `{model.id}` | {model.counterpart} | {model.severity} "
            f"| {', '.join(model.techniques)} | {model.about} |"
        )


def _responses() -> Iterator[str]:
    yield "| response | answers to | what is done |"
    yield "|---|---|---|"
    for response in RESPONSES:
        yield f"| `{response.id}` | {response.counterpart} | {response.about} |"


def _conditions() -> Iterator[str]:
    yield "| condition | value |"
    yield "|---|---|"
    for name, condition in CONDITIONS.items():
        mark = ", can make a rule decisive" if condition.conclusive else ""
        yield f"| `{name}` | {condition.allowed}{mark} |"


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
