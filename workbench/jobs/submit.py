"""Bringing one part to its provider, such that a process may die anywhere on the way and nothing is paid twice.

Each step is written down before it is taken. Uploads cost nothing, so a lost one is looked for and made again. A batch
costs money: one whose creation was begun and not heard of is looked for at the provider first, and is created again
only once a list that would have it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from workbench.core.clock import Clock
from workbench.core.errors import (
    BadRequest,
    Conflict,
    ContentBlocked,
    KeyRejected,
    ModelNotFound,
    ProviderError,
    QuotaSpent,
    RateLimited,
)
from workbench.jobs.prepare import wire_id_of
from workbench.jobs.record import question_of
from workbench.jobs.spool import Spool
from workbench.providers.batch import BatchAccount, BatchAdapter, BatchRow, BatchStatus
from workbench.store.job_records import JobRecord, PartRecord
from workbench.store.jobs import JobStore

_SLICE = 500


class Step(StrEnum):
    """How far a part got. What begins with an -ing may have happened or not."""

    NEW = "new"
    UPLOADING = "uploading"
    UPLOADED = "uploaded"
    CREATING = "creating"
    CREATED = "created"


REFUSALS = (BadRequest, ContentBlocked, KeyRejected, QuotaSpent, ModelNotFound)
"""After these nothing has been created, and asking again changes nothing."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One part, and everything that is needed to bring it to its provider."""

    job: JobRecord
    part: PartRecord
    adapter: BatchAdapter
    account: BatchAccount


class Submitter:
    """Takes parts through their steps. One at a time for each of them: whoever holds the job's lease."""

    def __init__(
        self, store: JobStore, spool: Spool, clock: Clock, settle_s: float, is_ours: Callable[[str], Awaitable[bool]]
    ) -> None:
        """`is_ours` tells whether this process still holds a job's lease, and holds on to it."""
        self._store = store
        self._spool = spool
        self._clock = clock
        self._settle_s = settle_s
        self._is_ours = is_ours

    async def submit(self, errand: Errand) -> BatchStatus:
        """The batch, created now or found. Raises ProviderError; where it stopped stands in the store.

        Raises `Conflict` while it cannot be told whether the batch exists.
        """
        if errand.part.step == Step.CREATING:
            found = await self._find(errand)
            if found is not None:
                return found
        lines = await self._lines(errand)
        file_id = errand.part.file_id
        if errand.part.step in (Step.NEW, Step.UPLOADING):
            file_id = await self._upload(errand, lines)
        return await self._create(errand, lines, file_id)

    async def drop(self, job_id: str, part: int | None = None) -> None:
        """The spooled rows are not needed any more."""
        await asyncio.to_thread(self._spool.drop, job_id, part)

    async def _upload(self, errand: Errand, lines: Sequence[bytes]) -> str | None:
        adapter, account, name = errand.adapter, errand.account, errand.part.name
        file_id = await adapter.find_upload(account, name) if errand.part.step == Step.UPLOADING else None
        if file_id is None:
            await self._note(errand, step=Step.UPLOADING)
            file_id = await adapter.upload(account, name, lines)
        await self._note(errand, step=Step.UPLOADED, file_id=file_id)
        return file_id

    async def _create(self, errand: Errand, lines: Sequence[bytes], file_id: str | None) -> BatchStatus:
        job, part = errand.job, errand.part
        # An upload may take half an hour, or a night with the lid closed.
        if not await self._is_ours(job.id):
            raise Conflict("Another process has taken this job over meanwhile.", hint="It goes on there.")
        await self._note(errand, step=Step.CREATING, sent_s=self._now_s())
        try:
            return await errand.adapter.create(
                errand.account, job.wire_model, tag=part.name, file_id=file_id, lines=lines
            )
        except (*REFUSALS, RateLimited):
            await self._note(errand, step=Step.UPLOADED)
            raise

    async def _find(self, errand: Errand) -> BatchStatus | None:
        """The batch whose creation was begun; None when it certainly was not created."""
        job, part = errand.job, errand.part
        rows = await self._store.after(job.id, "open", -1, 1, part=part.position)
        assert part.sent_s is not None, "written down together with the step"
        found = await errand.adapter.find_batch(
            errand.account,
            tag=part.name,
            file_id=part.file_id,
            custom_id=rows[0][0].wire_id,
            rows=part.rows,
            since_s=part.sent_s,
        )
        if found is None and self._now_s() - part.sent_s < self._settle_s:
            raise Conflict(
                "The creation's answer was lost, and the provider's list does not have the batch yet.",
                hint="It will be looked at again; nothing is sent twice meanwhile.",
                retry_after_s=self._settle_s,
            )
        return found

    async def _lines(self, errand: Errand) -> Sequence[bytes]:
        """From the spool, or made again from the store."""
        job, part = errand.job, errand.part
        spooled = await asyncio.to_thread(self._spool.lines, job.id, part.position, part.rows)
        if spooled is not None:
            return spooled
        writer = await asyncio.to_thread(self._spool.writer, job.id)
        try:
            position = -1
            while rows := await self._store.after(job.id, "open", position, _SLICE, part=part.position):
                position = rows[-1][0].position

                def encode(rows: Sequence[Any] = rows) -> None:
                    for record, _ in rows:
                        question = question_of(record)
                        row = BatchRow(wire_id_of(job.id, record.position), question.messages, question.params)
                        writer.add(part.position, errand.adapter.encode(errand.account, job.wire_model, row).line)

                await asyncio.to_thread(encode)
            await asyncio.to_thread(writer.finish)
        finally:
            await asyncio.to_thread(writer.abandon)
        made = await asyncio.to_thread(self._spool.lines, job.id, part.position, part.rows)
        if made is None:
            raise ProviderError("None of this part's rows is open any more.", hint="There is nothing to send.")
        return made

    async def _note(self, errand: Errand, **values: Any) -> None:
        await self._store.change_part(errand.job.id, errand.part.position, values)

    def _now_s(self) -> float:
        return self._clock.wall().timestamp()


def names(job_id: str, parts: int) -> list[str]:
    """How each part is called at the provider."""
    return [f"llm-workbench-{job_id}-{part}.jsonl" for part in range(parts)]
