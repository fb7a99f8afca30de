"""docs/settings.md names every setting with its default, and none that does not exist."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from ratwall.settings.schema import Settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
ROW = re.compile(r"^\| `\[(\w+)\] (\w+)` \| `?\"?([^`|]*?)\"?`? \|", re.MULTILINE)

BY_MACHINE = ("workers", "connections")  # from its cores and its memory


def written(value: Any) -> str:
    """A default as the page writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {
        (section, key): default.strip() for section, key, default in ROW.findall(PAGE.read_text())
    }
    settings = Settings()
    actual = {}
    for section in fields(Settings):
        table = getattr(settings, section.name)
        for key in fields(table):
            value = getattr(table, key.name)
            text = hex(value) if key.name == "mark_mask" else written(value)
            if key.name in BY_MACHINE:
                text = "by machine"
            actual[section.name, key.name] = text
    assert documented == actual
