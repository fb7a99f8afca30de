"""Keeps the catalogues of the admin page: texts taken out of the sources, and what is read of them.

Run by `scripts/translate`. Never translates: a new text gets an empty line for a person to fill.
What is doubtful counts as missing, for a translation that was guessed from a similar text is wrong
more often than none.
"""

import argparse
import io
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from babel.messages import pofile
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "web" / "ratwall_web"
CATALOGUES = SOURCES / "translations"
# The functions of `ratwall_web.language`, and which of their arguments are messages.
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "NN_": (1, 2)}
METHODS = [("templates/**.html", "jinja2"), ("**.py", "python")]
OPTIONS = {"templates/**.html": {"trimmed": "true", "silent": "false"}}
PLACE = re.compile(r"%\((\w+)\)s|%%")
NEVER = datetime(2026, 1, 1, tzinfo=UTC)
WIDTH = 100  # of a line, as everywhere in this project


def extracted() -> Catalog:
    """Return every text that the sources mark."""
    catalogue = Catalog(project="Ratwall", version="", charset="utf-8")
    found = extract_from_dir(str(SOURCES), METHODS, OPTIONS, KEYWORDS)
    # The order of the files is that of the disk; a catalogue has one of its own.
    for file, _, message, _, _ in sorted(found, key=lambda each: (each[0], each[1])):
        catalogue.add(message, locations=[(file, 0)])
    return catalogue


def read(path: Path) -> Catalog:
    """Return a catalogue as it is kept."""
    with path.open("rb") as file:
        catalogue = pofile.read_po(file, locale=path.parts[-3])
    # The same texts make the same file, whenever that is.
    catalogue.creation_date = catalogue.revision_date = NEVER
    return catalogue


def compiled(catalogue: Catalog) -> bytes:
    """Return what the page reads of a catalogue."""
    content = io.BytesIO()
    write_mo(content, catalogue)
    return content.getvalue()


def problems(catalogue: Catalog, sources: Catalog) -> list[str]:
    """Say what is wrong with a catalogue, a line for each text."""
    wrong = []
    for wanted in sources:
        if not wanted.id:
            continue
        if any(re.search(r"%\(\w+\)[^s]", text) for text in _forms(wanted.id)):
            wrong.append(f"has a place that is not %(name)s: {_first(wanted)!r}")
        kept = catalogue.get(wanted.id)
        if kept is None or not all(_forms(kept.string)):
            wrong.append(f"has no translation: {_first(wanted)!r}")
        elif kept.fuzzy:
            wrong.append(f"is only guessed: {_first(wanted)!r}")
        else:
            wrong += [f"{what}: {_first(wanted)!r}" for what in _mistakes(wanted, kept)]
    unused = [message for message in catalogue if message.id and message.id not in sources]
    return wrong + [f"is used no more: {_first(message)!r}" for message in unused]


def _mistakes(wanted: Message, kept: Message) -> list[str]:
    """Say what is wrong with one translation: a lost place, markup that was not there."""
    ids, strings = _forms(wanted.id), _forms(kept.string)
    found = []
    for number, text in enumerate(strings):
        english = ids[min(number, len(ids) - 1)]
        if sorted(set(PLACE.findall(text))) != sorted(set(PLACE.findall(english))):
            found.append(f"has other places ({text!r})")
        if "%" in PLACE.sub("", text) and "%" not in PLACE.sub("", english):
            found.append(f"has a % that is no place ({text!r})")
        if sorted(re.findall(r"<[^>]*>", text)) != sorted(re.findall(r"<[^>]*>", english)):
            found.append(f"has other markup ({text!r})")
        if '"' in text and '"' not in english:
            found.append(f"has a straight quote, which ends an attribute ({text!r})")
    return found


def _forms(text: str | list[str] | tuple[str, ...]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _first(message: Message) -> str:
    return _forms(message.id)[0]


def update(path: Path, sources: Catalog) -> None:
    """Take the texts of the sources into a catalogue, and compile it."""
    catalogue = read(path)
    catalogue.update(sources, no_fuzzy_matching=True)
    catalogue.creation_date = catalogue.revision_date = NEVER
    catalogue.obsolete.clear()
    content = io.BytesIO()
    pofile.write_po(content, catalogue, width=WIDTH, include_lineno=False, omit_header=False)
    path.write_bytes(content.getvalue())
    path.with_suffix(".mo").write_bytes(compiled(read(path)))


def check(path: Path, sources: Catalog) -> list[str]:
    """Say what is wrong with a catalogue and with what was compiled of it."""
    catalogue = read(path)
    wrong = problems(catalogue, sources)
    binary = path.with_suffix(".mo")
    if not binary.exists() or binary.read_bytes() != compiled(catalogue):
        wrong.append("was changed after it was compiled: run scripts/translate")
    return wrong


def main() -> int:
    """Update or check every catalogue."""
    parser = argparse.ArgumentParser(prog="scripts/translate")
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    sources, wrong = extracted(), []
    for path in sorted(CATALOGUES.glob("*/LC_MESSAGES/*.po")):
        if not arguments.check:
            update(path, sources)
        wrong += [f"{path.relative_to(ROOT)}: {problem}" for problem in check(path, sources)]
    print("\n".join(wrong) if wrong else "every catalogue is complete")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
