"""The packages stand in the order that data takes; nothing imports what comes later.

The order is the one that docs/architecture.md shows to people.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "firmware" / "ratwall"
# Single files in front: everybody may use them, they use nobody. `__main__` is cli's front door.
FIRST, LAST = ["__init__", "errors", "address", "replacing"], ["__main__"]


def order() -> list[str]:
    """The packages in the order of the table in docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (`[a-z]+/`(?:, `[a-z]+/`)*) \|", text, re.MULTILINE)
    return FIRST + re.findall(r"([a-z]+)/", " ".join(rows)) + LAST


def imports(path: Path) -> Iterator[str]:
    """The parts of ratwall that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written out in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            root, _, rest = name.partition(".")
            if root == "ratwall":
                part = rest.partition(".")[0]
                yield "__init__" if part.startswith("__") else part
            assert root not in ("ratwall_web", "ratwall_lab"), f"{path} imports {name}"


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_documented_order_names_every_package_once() -> None:
    there = {part_of(path) for path in PACKAGE.rglob("*.py")}
    assert sorted(order()) == sorted(there)


def test_nothing_imports_what_comes_later() -> None:
    place = {name: number for number, name in enumerate(order())}
    backwards = [
        f"{path.relative_to(ROOT)} imports {imported}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for imported in imports(path)
        if place[imported] > place[part_of(path)]
    ]
    assert backwards == []


def test_the_parsers_stand_alone() -> None:
    """`wire` is bytes in, facts out: it may be read, tested and reused without the rest."""
    used = {name for path in (PACKAGE / "wire").rglob("*.py") for name in imports(path)}
    assert used <= {"wire", "errors"}
