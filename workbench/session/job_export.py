"""A job's rows as a file: JSON lines to work with, CSV for a spreadsheet, Markdown to read. In input order, in slices.

The file appears when it is whole; encoding and writing happen in a thread, so that fifty thousand rows stop no screen.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO

import msgspec

from workbench.core.errors import UsageError
from workbench.core.redact import redact
from workbench.core.text import strip_control
from workbench.core.types import Json, Role
from workbench.jobs.job import Job, JobRow
from workbench.session import figures
from workbench.session.job_lanes import question

_SLICE = 500
"""Rows that are in memory at a time."""

_COLUMNS = ("index", "id", "model", "prompt", "text", "error", "finish_reason", "output_tokens", "cost_usd")


class ExportFormat(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"
    MARKDOWN = "md"

    @classmethod
    def of(cls, path: Path) -> ExportFormat:
        """By the file's ending. Raises UsageError for one that means none of them."""
        ending = path.suffix.lower().lstrip(".")
        known = {"ndjson": cls.JSONL, "markdown": cls.MARKDOWN} | {format_.value: format_ for format_ in cls}
        if ending not in known:
            raise UsageError(f"{path.name}: an export is a .jsonl, .csv or .md file.")
        return known[ending]


async def export_rows(job: Job, rows: AsyncIterable[JobRow], path: Path) -> int:
    """Write rows to `path`, in the format of its ending; returns how many. Raises UsageError when that cannot be."""
    encode = _ENCODERS[ExportFormat.of(path)]
    beside = path.with_name(f"{path.name}.part")
    try:
        stream = await asyncio.to_thread(beside.open, "w", encoding="utf-8", newline="", errors="surrogatepass")
    except OSError as exc:
        raise UsageError(f"Cannot write {path}: {exc.strerror or exc}.") from exc
    count = 0
    try:
        with stream:
            held: list[JobRow] = []
            async for row in rows:
                held.append(row)
                if len(held) == _SLICE:
                    await asyncio.to_thread(_write, stream, encode, job, held, count == 0)
                    count += len(held)
                    held = []
            await asyncio.to_thread(_write, stream, encode, job, held, count == 0)
            count += len(held)
        await asyncio.to_thread(beside.replace, path)
    except OSError as exc:
        raise UsageError(f"Cannot write {path}: {exc.strerror or exc}.") from exc
    finally:
        beside.unlink(missing_ok=True)
    return count


def _write(stream: IO[str], encode: _Encoder, job: Job, rows: Sequence[JobRow], is_first: bool) -> None:
    stream.write(encode(job, rows, is_first))


def row_as_json(job: Job, row: JobRow) -> dict[str, Json]:
    """The object of one line. A row without an answer has an `error`, and no text."""
    answer = row.answer
    error: Json = None
    if answer is None:
        error = {"title": "open", "message": "This row has no result yet.", "code": ""}
    elif answer.error is not None:
        failed = answer.error
        error = {"title": failed.title, "message": redact(failed.message), "code": redact(failed.code)}
    usage = None if answer is None else answer.usage
    return {
        "index": row.index,
        "id": row.id,
        "job": job.id,
        "model": job.model,
        "text": answer.text if answer else "",
        "reasoning": answer.reasoning if answer else "",
        "tool_calls": answer.tool_calls if answer else "",
        "finish_reason": answer.finish_reason.value if answer and answer.finish_reason else None,
        "usage": None if usage is None else usage.as_json(),
        "cost_usd": row.cost_usd,
        "error": error,
    }


def _as_jsonl(job: Job, rows: Sequence[JobRow], is_first: bool) -> str:
    lines = []
    for row in rows:
        asked: Json = [{"role": message.role.value, "content": message.text} for message in row.messages]
        lines.append(msgspec.json.encode({**row_as_json(job, row), "messages": asked}).decode() + "\n")
    return "".join(lines)


def _as_csv(job: Job, rows: Sequence[JobRow], is_first: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore")
    if is_first:
        writer.writeheader()
    for row in rows:
        usage = row.answer.usage if row.answer is not None else None
        writer.writerow(
            {
                **row_as_json(job, row),
                "prompt": question(row),
                "error": error_text(row),
                "output_tokens": "" if usage is None else usage.output,
            }
        )
    return text.getvalue()


def _as_markdown(job: Job, rows: Sequence[JobRow], is_first: bool) -> str:
    parts = [f"# {job.name or job.id}\n\n{job.model or job.provider} · {job.state}"] if is_first else []
    for row in rows:
        parts.append(f"## {row.id}")
        if row.messages:
            parts += [f"### {_HEADINGS[message.role]}\n\n{message.text}" for message in row.messages]
        answer = row.answer
        if answer is not None and answer.reasoning:
            quoted = "\n".join(f"> {line}".rstrip() for line in answer.reasoning.strip().splitlines())
            parts.append(f"### Reasoning\n\n{quoted}")
        if answer is not None and answer.text:
            parts.append(f"### Answer\n\n{answer.text.strip()}")
        if said := error_text(row):
            parts.append(f"*({said})*")
        elif row.cost_usd is not None:
            parts.append(f"*{figures.cost(row.cost_usd)}*")
    return strip_control("\n\n".join(parts) + "\n\n") if parts else ""


def error_text(row: JobRow) -> str:
    """Why a row has no answer, in a line; empty when it has one."""
    if row.answer is None:
        return "open: no result yet"
    error = row.answer.error
    return "" if error is None else redact(f"{error.title}: {error.message}")


_Encoder = Callable[[Job, Sequence[JobRow], bool], str]

_HEADINGS: Mapping[Role, str] = {Role.SYSTEM: "System", Role.USER: "Prompt", Role.ASSISTANT: "Assistant"}

_ENCODERS: Mapping[ExportFormat, _Encoder] = {
    ExportFormat.JSONL: _as_jsonl,
    ExportFormat.CSV: _as_csv,
    ExportFormat.MARKDOWN: _as_markdown,
}
