"""docs/detection.md says what the packs and the judge do."""

import re

from detection_tables import DOCUMENT, filled
from ratwall.controller.policies import REMOTE_ACCESS
from ratwall.detections.catalog import MODELS
from ratwall.signatures.conditions import CONDITIONS
from ratwall.signatures.pack import load_packs


def test_the_tables_are_those_of_the_code() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run scripts/detection_tables.py"


def test_every_technique_used_is_explained() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    explained = text.partition("## Techniques")[2].partition("##")[0]
    used = {rule.technique for pack in load_packs() for rule in pack.rules if rule.technique}
    used |= {technique for model in MODELS for technique in model.techniques}
    used.add(REMOTE_ACCESS)
    assert set(re.findall(r"T\d{4}(?:\.\d{3})?", explained)) == used


def test_every_condition_is_described() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in CONDITIONS:
        assert f"| `{name}` |" in text, f"run scripts/detection_tables.py: {name}"
