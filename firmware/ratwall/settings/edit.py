"""Changes a settings file as a person would: the lines that change change, comments stay.

Pure: text in, text out. The changed text is read again and must say what was meant, and nothing
else, so that no corner of TOML can make another file of it. What writes TOML (3 MB) is imported
when something is written: the processes that only read settings need not carry it.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from ratwall.errors import RatwallError


def digest(text: bytes) -> str:
    """Return what tells one state of the file from another."""
    return hashlib.sha256(text).hexdigest()


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a parsed file with `changes` made: full names and values, None takes a key out."""
    result = _copy(document)
    for name, value in changes.items():
        *sections, key = name.split(".")
        table = result
        for section in sections:
            table = table.setdefault(section, {})
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value
    return _pruned(result)


def edit(text: str, changes: Mapping[str, Any]) -> str:
    """Return a file's text with `changes` made; RatwallError if that cannot be done safely."""
    try:
        wanted = changed(tomllib.loads(text), changes)
        edited = _edited(text, changes)
        safe = _pruned(tomllib.loads(edited)) == wanted
    except (ValueError, KeyError, TypeError, AttributeError):
        safe = False
    if not safe:
        raise RatwallError(
            "the settings file is written in a way that cannot be changed here without harm; "
            "change it in the file"
        )
    return edited


def write(document: Mapping[str, Any]) -> str:
    """Return checked settings as TOML: sections of plain values and lists of tables, nested.

    Written out here, for what changes comments writes escapes that TOML 1.0 does not know.
    """
    return "".join(f"{line}\n" for line in _section("", document))


def _section(name: str, table: Mapping[str, Any]) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lists = {key: value for key, value in table.items() if _is_tables(value)}
    if name:
        yield f"[{name}]"
    yield from _pairs({k: v for k, v in table.items() if k not in inner and k not in lists})
    for key, entries in lists.items():
        for entry in entries:
            yield f"[[{name}.{key}]]"
            yield from _pairs(entry)
    for key, section in inner.items():
        yield from _section(f"{name}.{key}" if name else key, section)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{key} = {_written(value)}" for key, value in table.items())


def _written(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    # JSON's text is TOML's basic string, but for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _edited(text: str, changes: Mapping[str, Any]) -> str:
    from tomlkit.exceptions import TOMLKitError

    try:
        return _walked(text, changes)
    except TOMLKitError as error:
        raise ValueError(str(error)) from error


def _walked(text: str, changes: Mapping[str, Any]) -> str:
    import tomlkit

    document = tomlkit.parse(text)
    for name, value in changes.items():
        *sections, key = name.split(".")
        table: Any = document
        for section in sections:
            if section not in table:
                if value is None:
                    table = None
                    break
                table[section] = tomlkit.table()
            table = table[section]
        if table is None:
            continue
        if value is None:
            table.pop(key, None)
        else:
            table[key] = _item(value)
    return tomlkit.dumps(document)


def _item(value: Any) -> Any:
    import tomlkit
    from tomlkit.items import AoT

    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        tables = AoT([])
        for each in value:
            table = tomlkit.table()
            table.update(each)
            tables.append(table)
        return tables
    return value


def _copy(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copy(value) if isinstance(value, Mapping) else value
        for key, value in document.items()
    }


def _pruned(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without sections that say nothing."""
    kept = {}
    for key, value in document.items():
        if isinstance(value, Mapping):
            if inner := _pruned(value):
                kept[key] = inner
        else:
            kept[key] = value
    return kept
