"""TOML files read into typed structs, with errors that a person can act on.

Says which file, which line, which key, what was expected, and the nearest known name of a misspelt one. `tomllib` keeps
no positions, so a line is found again by parsing the file's prefixes: done only once something is wrong.
"""

from __future__ import annotations

import re
import tomllib
import types
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec

from workbench.core.errors import ConfigError

StructT = TypeVar("StructT", bound=msgspec.Struct)

KeyPath: TypeAlias = tuple[str, ...]

ValueT = TypeVar("ValueT")
NotAKey: TypeAlias = Annotated[ValueT, msgspec.Meta(extra={"from_file": False})]
"""A field that the program fills in and no file can set."""

_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """The file's text and its tables. Raises ConfigError for a file that cannot be read or is not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text.") from exc
    except OSError as exc:
        raise ConfigError(f"Cannot read {path}: {exc.strerror or exc}.") from exc
    try:
        return text, tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(_syntax_message(path, text, str(exc))) from exc


def struct_from(tables: Mapping[str, Any], into: type[StructT], path: Path, text: str) -> StructT:
    """`tables` as an `into`, or ConfigError for the first unknown key or wrong value; never a half-filled struct."""
    try:
        return _struct(tables, into, ())
    except _Wrong as exc:
        raise ConfigError(f"{where(path, text, exc.key)}: {exc.complaint}", hint=exc.suggestion) from exc


def where(path: Path, text: str, key: KeyPath) -> str:
    """`config.toml:12: limits.max_concurrent`, for the start of a complaint."""
    line = line_of(text, key)
    return f"{path}{'' if line is None else f':{line}'}: {dotted(key)}"


def line_of(text: str, key: KeyPath) -> int | None:
    """Number of the line where `key` is set, from 1; None if it is nowhere.

    Lines that cannot end a statement do not parse as the end of a file, so the statement which brings the key in
    begins right after the last prefix that parsed without it.
    """
    lines = text.splitlines(keepends=True)
    start = 1
    for count in range(1, len(lines) + 1):
        try:
            tables = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if _has(tables, key):
            return start
        start = count + 1
    return None


def dotted(key: KeyPath) -> str:
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in key)


def nearest(name: str, known: Sequence[str]) -> str:
    """`Did you mean x?`, or the choices when nothing is near, or empty when there are none."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Known here: {', '.join(sorted(known))}." if known else ""


class _Wrong(Exception):
    def __init__(self, key: KeyPath, complaint: str, suggestion: str = "") -> None:
        super().__init__(complaint)
        self.key = key
        self.complaint = complaint
        self.suggestion = suggestion


def _struct(value: object, into: type[StructT], key: KeyPath) -> StructT:
    if not isinstance(value, Mapping):
        raise _Wrong(key, f"expected a table, got {_shown(value)}.")
    fields = {field.encode_name: field for field in msgspec.structs.fields(into) if not _is_internal(field.type)}
    for name in value:
        if name not in fields:
            raise _Wrong((*key, name), "unknown key.", nearest(name, tuple(fields)))
    return into(**{fields[name].name: _value(item, fields[name].type, (*key, name)) for name, item in value.items()})


def _is_internal(field_type: Any) -> bool:
    return any(
        isinstance(note, msgspec.Meta) and note.extra == {"from_file": False}
        for note in getattr(field_type, "__metadata__", ())
    )


def _value(value: object, into: Any, key: KeyPath) -> Any:
    origin = get_origin(into)
    if isinstance(into, type) and issubclass(into, msgspec.Struct):
        return _struct(value, into, key)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _Wrong(key, f"expected a table, got {_shown(value)}.")
        item_type = get_args(into)[1]
        return {name: _value(item, item_type, (*key, name)) for name, item in value.items()}
    try:
        return msgspec.convert(value, into)
    except msgspec.ValidationError as exc:
        raise _Wrong(key, f"expected {_expected(into, str(exc))}, got {_shown(value)}.") from exc


def _expected(into: Any, complaint: str) -> str:
    """What a field takes, in words; a bound that the value broke is quoted from msgspec's own complaint."""
    if get_origin(into) is Annotated:
        into = get_args(into)[0]
    bound = re.match(r"Expected `\w+` ((?:>=|<=|>|<) [\d.]+)", complaint)
    return f"{_described(into)}{f' {bound[1]}' if bound else ''}"


def _described(into: Any) -> str:
    origin, arguments = get_origin(into), get_args(into)
    if origin is Annotated:
        return _described(arguments[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_described(option) for option in arguments if option is not type(None))
    if origin in (tuple, list):
        return f"a list of {_described(arguments[0])}"
    if arguments:  # Literal
        return " or ".join(repr(option) for option in arguments)
    return _WORDS.get(getattr(into, "__name__", ""), str(into))


def _shown(value: object) -> str:
    """The kind of a value and, where it is short and cannot be a secret, the value."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case str():
            # Long text may be a key that slipped into the wrong place.
            return repr(value) if len(value) <= 16 else "text"
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def _has(tables: object, key: KeyPath) -> bool:
    for part in key:
        if not isinstance(tables, Mapping) or part not in tables:
            return False
        tables = tables[part]
    return True


def _syntax_message(path: Path, text: str, complaint: str) -> str:
    reason = re.sub(r"\s*\(at .*\)$", "", complaint)
    at = re.search(r"line (\d+), column (\d+)", complaint)
    line, column = (int(at[1]), int(at[2])) if at else (text.count("\n") + 1, 0)
    return f"{path}:{line}{f':{column}' if column else ''}: not valid TOML: {reason}."
