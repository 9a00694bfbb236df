"""From rows to what will be sent: encoded, refused or split into parts, and written down, a slice at a time.

Works in threads, since encoding fifty thousand rows takes seconds; never holds more than a slice, so a job's size does
not show in memory. Nothing is sent from here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from workbench.core.errors import ProviderError, UsageError
from workbench.jobs.estimate import Tally
from workbench.jobs.job import RowError
from workbench.jobs.record import error_record, record_of
from workbench.jobs.rows import Row
from workbench.jobs.split import Splitter
from workbench.jobs.spool import Spool, SpoolWriter
from workbench.providers.batch import BatchAccount, BatchAdapter, BatchRow
from workbench.store.job_records import AnswerRecord, RowRecord
from workbench.store.jobs import JobStore

SLICE_ROWS = 500
SLICE_BYTES = 4_000_000

_NAMED = 5
"""So many refused rows are named in the complaint."""


@dataclass(slots=True)
class Prepared:
    """What became of a job's rows."""

    rows: int = 0
    """With the refused ones."""
    parts: tuple[int, ...] = ()
    """Rows to be sent, by part."""
    notes: dict[str, None] = field(default_factory=dict)
    """What was dropped or renamed on the way to the wire: each once, in order."""
    refused: list[str] = field(default_factory=list)
    """The first of them, with their reasons."""
    refused_count: int = 0
    tally: Tally = field(default_factory=Tally)
    """Of what will be sent."""


@dataclass(slots=True)
class _Slice:
    rows: list[RowRecord] = field(default_factory=list)
    errors: list[AnswerRecord] = field(default_factory=list)


class Preparation:
    """One job on its way into the store."""

    def __init__(
        self, job_id: str, adapter: BatchAdapter, account: BatchAccount, wire_model: str, now_s: float
    ) -> None:
        self._job_id = job_id
        self._adapter = adapter
        self._account = account
        self._wire_model = wire_model
        self._now_s = now_s
        self._splitter = Splitter(adapter.limits)
        self._seen: set[str] = set()
        self._found = Prepared()

    async def write(self, rows: Iterable[Row], store: JobStore, spool: Spool, *, skip_bad: bool) -> Prepared:
        """Raises UsageError: nothing to send, or rows that cannot be, unless `skip_bad`."""
        source, found = iter(rows), self._found
        writer = await asyncio.to_thread(spool.writer, self._job_id)
        try:
            while (taken := await asyncio.to_thread(self._take, source, writer)) is not None:
                if found.refused_count and not skip_bad:
                    continue  # read on, to say how many there are
                await store.add_rows(self._job_id, taken.rows)
                if taken.errors:
                    await store.add_answers(self._job_id, taken.errors)
            found.parts = tuple(self._splitter.rows)
            _check(found, skip_bad=skip_bad)
            await asyncio.to_thread(writer.finish)
        finally:
            await asyncio.to_thread(writer.abandon)
        return found

    def _take(self, source: Iterator[Row], writer: SpoolWriter) -> _Slice | None:
        taken, size = _Slice(), 0
        for row in source:
            size += self._add(row, taken, writer)
            if len(taken.rows) >= SLICE_ROWS or size >= SLICE_BYTES:
                break
        return taken if taken.rows else None

    def _add(self, row: Row, taken: _Slice, writer: SpoolWriter) -> int:
        """The row's size on the wire."""
        found = self._found
        wire_id = wire_id_of(self._job_id, found.rows)
        line = self._encoded(row, wire_id)
        part = len(self._splitter.rows) - 1
        if isinstance(line, RowError):
            found.refused_count += 1
            if len(found.refused) < _NAMED:
                found.refused.append(f"line {row.line} (id {row.id}): {line.message}")
            taken.errors.append(error_record(wire_id, part, self._now_s, line))
        else:
            part = self._splitter.place(len(line))
            writer.add(part, line)
            found.tally.add(row)
        taken.rows.append(record_of(row, position=found.rows, part=part, wire_id=wire_id))
        found.rows += 1
        return 0 if isinstance(line, RowError) else len(line)

    def _encoded(self, row: Row, wire_id: str) -> bytes | RowError:
        if row.id in self._seen:
            return RowError("duplicate id", f"its id {row.id!r} has been used before.")
        self._seen.add(row.id)
        try:
            encoded = self._adapter.encode(self._account, self._wire_model, BatchRow(wire_id, row.messages, row.params))
        except ProviderError as error:
            return RowError(error.title, str(error), error.code)
        size = len(encoded.line)
        if not self._splitter.fits(size):
            limit = self._adapter.limits.row_bytes
            title = self._account.spec.title or self._account.spec.name
            return RowError("too large", f"{size:,} bytes; a row of a batch at {title} may have {limit:,}.")
        self._found.notes.update(dict.fromkeys(encoded.notes))
        return encoded.line


def wire_id_of(job_id: str, position: int) -> str:
    """How a row is called at the provider: unique among all jobs, and no secret of the file it came from."""
    return f"{job_id}-{position}"


def _check(found: Prepared, *, skip_bad: bool) -> None:
    if not found.rows:
        raise UsageError("There are no rows to submit.")
    complaints = "; ".join(found.refused)
    more = (
        "" if found.refused_count <= len(found.refused) else f"; and {found.refused_count - len(found.refused):,} more"
    )
    if not sum(found.parts):
        raise UsageError(f"None of the {found.rows:,} rows can be sent: {complaints}{more}")
    if found.refused_count and not skip_bad:
        raise UsageError(
            f"{found.refused_count:,} of {found.rows:,} rows cannot be sent: {complaints}{more}",
            hint="Nothing was sent. Correct them, or leave them out.",
        )
