"""Rows to be asked, read from a JSONL, CSV or text file one at a time: the same for live runs and for batches.

A JSONL row is `{"prompt": …}` or `{"messages": […]}` with optional `id`, `system` and `params`; a bare string is a
prompt. With a template, every row gives the values of its `{{variables}}`. A row that cannot be used is a value that
says why, with its line, and does not stop the others; nothing here holds more than one row, and a mark of each id.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO

import msgspec

from workbench.core.decoding import NOT_JSON
from workbench.core.errors import UsageError
from workbench.core.messages import messages_from
from workbench.core.params import params_from
from workbench.core.types import Json, Message, Params
from workbench.jobs.seen_ids import SeenIds
from workbench.jobs.template import fill

_OWN_KEYS = ("id", "prompt", "messages", "system", "params")

_FIELD_LIMIT = 64 * 1024 * 1024
"""Largest CSV cell. The standard library's own limit of 128 KiB is smaller than many prompts."""


class RowFormat(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    TEXT = "txt"

    @classmethod
    def of(cls, path: Path) -> RowFormat:
        """By the file's ending. Raises UsageError for one that means none of them."""
        endings = {".jsonl": cls.JSONL, ".ndjson": cls.JSONL, ".csv": cls.CSV, ".txt": cls.TEXT, ".text": cls.TEXT}
        chosen = endings.get(path.suffix.lower())
        if chosen is None:
            raise UsageError(f"{path}: rows come from .jsonl, .csv or .txt files, not {path.suffix or 'this'}.")
        return chosen


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    """Where it stands in its file, from 1."""
    id: str
    """The row's own `id`, else its line."""
    messages: tuple[Message, ...]
    params: Params = field(default_factory=Params)

    @property
    def digest(self) -> str:
        """Changes when what would be sent changes: how a resumed run knows that a finished row is still the same."""
        content = [[message.role, message.text] for message in self.messages], self.params.as_dict()
        return hashlib.blake2b(msgspec.json.encode(content, order="sorted"), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class BadRow:
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class RowReader:
    """How to turn a file's lines into rows."""

    template: str | None = None
    system: str | None = None
    """For rows that have none of their own."""
    params: Params = field(default_factory=Params)
    """Under the row's own."""

    def read(self, path: Path, format_: RowFormat | None = None) -> Generator[Row | BadRow, None, None]:
        """Raises UsageError, before the first row, when the file cannot be opened or its ending means nothing."""
        chosen = format_ or RowFormat.of(path)
        try:
            stream = path.open(encoding="utf-8-sig", newline="", errors="surrogateescape")
        except OSError as exc:
            raise UsageError(f"Cannot read {path}: {exc.strerror or exc}.") from exc
        return self._closing(stream, chosen)

    def rows(self, lines: Iterable[str], format_: RowFormat) -> Iterator[Row | BadRow]:
        """Rows of lines that are already at hand. Ids that come twice are refused the second time."""
        seen = SeenIds()
        for line, values in _values(lines, format_):
            row = values if isinstance(values, BadRow) else self._row(line, values)
            if isinstance(row, Row) and not seen.add(row.id):
                row = BadRow(line, f"id {row.id!r} has been used before.")
            yield row

    def _closing(self, stream: TextIO, format_: RowFormat) -> Generator[Row | BadRow, None, None]:
        with stream:
            yield from self.rows(stream, format_)

    def _row(self, line: int, values: Mapping[str, Json]) -> Row | BadRow:
        try:
            _refuse_stray_bytes(values)
            return Row(
                line=line,
                id=str(values["id"]) if values.get("id") not in (None, "") else str(line),
                messages=self._messages(values),
                params=params_from({**self.params.as_dict(), **_own_params(values)}),
            )
        except UsageError as exc:
            return BadRow(line, exc.message)

    def _messages(self, values: Mapping[str, Json]) -> tuple[Message, ...]:
        own_system = values.get("system")
        system = own_system if isinstance(own_system, str) else self.system
        if self.template is not None:
            return messages_from(fill(self.template, values), fill(system, values) if system else None)
        if "messages" in values:
            return messages_from(values["messages"], system)  # type: ignore[arg-type]  # it checks what it is given
        if "prompt" in values:
            return messages_from(values["prompt"], system)  # type: ignore[arg-type]  # it checks what it is given
        known = ", ".join(sorted(values)) or "nothing"
        raise UsageError(f'neither "prompt" nor "messages" in it; it has {known}.')


def _refuse_stray_bytes(values: Mapping[str, Json]) -> None:
    """Bytes that are not UTF-8 were read as lone surrogates, so that one bad row does not end the file."""
    for value in values.values():
        if isinstance(value, str) and any("\udc80" <= letter <= "\udcff" for letter in value):
            raise UsageError("not UTF-8 text.")


def _own_params(values: Mapping[str, Json]) -> Mapping[str, Json]:
    params = values.get("params") or {}
    if not isinstance(params, Mapping):
        raise UsageError("params must be an object.")
    return params


def _values(lines: Iterable[str], format_: RowFormat) -> Iterator[tuple[int, Mapping[str, Json] | BadRow]]:
    match format_:
        case RowFormat.JSONL:
            yield from _jsonl_values(lines)
        case RowFormat.CSV:
            yield from _csv_values(lines)
        case RowFormat.TEXT:
            for line, text in enumerate(lines, 1):
                if prompt := text.strip("\r\n"):
                    yield line, {"prompt": prompt, "text": prompt}


def _jsonl_values(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Json] | BadRow]]:
    for line, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            value = msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
        except NOT_JSON as exc:
            yield line, BadRow(line, f"not JSON: {exc}.")
            continue
        if isinstance(value, str):
            value = {"prompt": value}
        yield line, value if isinstance(value, dict) else BadRow(line, "a row must be an object or a string.")


def _csv_values(lines: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Json] | BadRow]]:
    csv.field_size_limit(_FIELD_LIMIT)
    reader = csv.DictReader(lines, strict=True)
    try:
        for cells in reader:
            if None in cells or None in cells.values():
                columns = len(reader.fieldnames or ())
                yield reader.line_num, BadRow(reader.line_num, f"expected {columns} cells, as in the first line.")
            else:
                yield reader.line_num, cells
    except csv.Error as exc:
        yield reader.line_num, BadRow(reader.line_num, f"not CSV from here on: {exc}.")
