"""Reads the settings file: TOML in, frozen `Settings` out, or one exact line of error.

Never writes, never guesses: an unknown key is an error with the nearest known one, because a
misspelt `enforce` that is silently ignored would leave an office unprotected.
"""

import difflib
import tomllib
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from ratwall.errors import UsageError
from ratwall.settings.rules import MarkMask, Rule, describe
from ratwall.settings.schema import QUEUE_HIGH, Settings

FILE_SIZE_LIMIT = 256 * 1024  # the full file has under 2 KB; more is not a settings file


def load_settings(path: Path | None) -> Settings:
    """Return the settings in the file at `path`, the defaults for None; UsageError if it is bad."""
    return Settings() if path is None else read_settings(path)[0]


def read_settings(path: Path) -> tuple[Settings, bytes]:
    """Return the settings in a file together with the very bytes that say so."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot read the settings: {error.strerror}") from error
    return parse_text(raw, str(path)), raw


def parse_text(raw: bytes, source: str) -> Settings:
    """Return the settings that the bytes of a file say; `source` names it in UsageError."""
    return parse_settings(read_document(raw, source), source)


def read_document(raw: bytes, source: str) -> dict[str, Any]:
    """Return the bytes of a file as TOML, not yet checked; `source` names it in UsageError."""
    if len(raw) > FILE_SIZE_LIMIT:
        raise UsageError(f"{source}: more than {FILE_SIZE_LIMIT} bytes: not a settings file")
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: not UTF-8 text at byte {error.start}") from error
    except (ValueError, RecursionError) as error:  # the first also for a number of 5,000 digits
        reason = str(error).splitlines()[0]
        raise UsageError(f"{source}: not valid TOML: {reason}") from error


def parse_settings(document: dict[str, Any], source: str) -> Settings:
    """Return the settings of a parsed TOML document; `source` names it in UsageError."""
    sections: dict[str, Field[Any]] = {section.name: section for section in fields(Settings)}
    parsed: dict[str, Any] = {}
    for name, table in document.items():
        if name not in sections:
            raise UsageError(f"{source}: [{name}]: unknown section{_suggest(name, sections)}")
        if not isinstance(table, dict):
            raise UsageError(f"{source}: {name}: expected a section, found {describe(table)}")
        # Each section's factory is its own class.
        parsed[name] = _parse_section(name, sections[name].default_factory, table, source)
    settings = Settings(**parsed)
    _check_together(settings, source)
    return settings


def _parse_section(name: str, section_class: Any, table: dict[str, Any], source: str) -> Any:
    """Return the dataclass of one section; UsageError names file, section and key."""
    known: dict[str, Field[Any]] = {key.name: key for key in fields(section_class)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        where = f"{source}: [{name}] {key}"
        if key not in known:
            raise UsageError(f"{where}: unknown key{_suggest(key, known)}")
        inner = known[key].metadata.get("section")
        if inner is not None:
            if not isinstance(value, dict):
                raise UsageError(f"{where}: expected a section, found {describe(value)}")
            values[key] = _parse_section(f"{name}.{key}", inner, value, source)
            continue
        rule: Rule = known[key].metadata["rule"]
        try:
            values[key] = rule.accept(value)
        except ValueError as error:
            found = describe(value, as_mask=isinstance(rule, MarkMask))
            raise UsageError(f"{where}: expected {error}, found {found}") from error
    return section_class(**values)


def _check_together(settings: Settings, source: str) -> None:
    """Refuse values that are good alone and contradict each other."""
    detection = settings.detection
    if not detection.watch < detection.alert < detection.block:
        raise UsageError(
            f"{source}: [detection]: expected watch < alert < block, "
            f"found {detection.watch}, {detection.alert}, {detection.block}"
        )
    kernel = settings.kernel
    if kernel.queue + kernel.workers - 1 > QUEUE_HIGH:
        raise UsageError(
            f"{source}: [kernel]: expected a queue for each worker up to number {QUEUE_HIGH}, "
            f"found {kernel.workers} workers from queue {kernel.queue} on"
        )
    if (problem := settings.export.problem()) is not None:
        raise UsageError(f"{source}: {problem}")
    network = settings.network
    if network.lan is not None and network.lan == network.wan:
        raise UsageError(
            f"{source}: [network]: expected two interfaces, found {describe(network.lan)} as lan "
            "and as wan"
        )


def _suggest(name: str, known: dict[str, Field[Any]]) -> str:
    """Return what to write instead: the nearest known name, else all of them."""
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return f', did you mean "{nearest[0]}"?'
    return f"; known are {', '.join(known)}"
