"""docs/settings.md names every setting with its default, and none that does not exist."""

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from ratwall.settings.schema import Settings

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
ROW = re.compile(r"^\| `\[([\w.]+)\] (\w+)` \| `?\"?([^`|]*?)\"?`? \|", re.MULTILINE)

BY_MACHINE = ("workers", "connections")  # from its cores and its memory


def written(value: Any) -> str:
    """A default as the page writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def sections(settings: Any, before: str = "") -> Iterator[tuple[str, str, Any]]:
    """Each setting with its section and its default."""
    for key in fields(settings):
        value = getattr(settings, key.name)
        if is_dataclass(value):
            yield from sections(value, f"{before}.{key.name}".lstrip("."))
        else:
            yield before, key.name, value


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {
        (section, key): default.strip() for section, key, default in ROW.findall(PAGE.read_text())
    }
    actual = {}
    for section, name, value in sections(Settings()):
        text = hex(value) if name == "mark_mask" else written(value)
        actual[section, name] = "by machine" if name in BY_MACHINE else text
    assert documented == actual
