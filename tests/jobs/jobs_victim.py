"""A process that is killed while it works on a batch job, at a named point: `python jobs_victim.py`.

Each line on standard input is an errand in JSON. Each runs in a fork of its own, which kills itself, and a line says
how it ended. Forking saves importing everything anew for every point.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs_kit import HASTE, MODELS, rows_of

from workbench.core.settings import Settings
from workbench.engine.batching import Batching
from workbench.engine.engine import Engine
from workbench.jobs.desk import JobDesk
from workbench.providers.base import ProviderSpec
from workbench.providers.batch import (
    BatchAccount,
    BatchAdapter,
    BatchLimits,
    BatchResult,
    BatchRow,
    BatchStatus,
    EncodedRow,
)
from workbench.store.job_records import AnswerRecord
from workbench.store.jobs import JobStore

PARTS_OF = 6
"""Rows in a batch, so that a few rows make several."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Doomed:
    """An adapter that ends the process at `point`, when it works on the `nth` part."""

    inner: BatchAdapter
    point: str
    nth: int
    uploads: int = 0
    creations: int = 0

    @property
    def limits(self) -> BatchLimits:
        whole = self.inner.limits
        return BatchLimits(PARTS_OF, whole.body_bytes, whole.row_bytes)

    def encode(self, account: BatchAccount, model: str, row: BatchRow) -> EncodedRow:
        return self.inner.encode(account, model, row)

    async def upload(self, account: BatchAccount, name: str, lines: Sequence[bytes]) -> str | None:
        self.uploads += 1
        self._at("before upload", self.uploads)
        file_id = await self.inner.upload(account, name, lines)
        self._at("after upload", self.uploads)
        return file_id

    async def find_upload(self, account: BatchAccount, name: str) -> str | None:
        return await self.inner.find_upload(account, name)

    async def create(
        self, account: BatchAccount, model: str, *, tag: str, file_id: str | None, lines: Sequence[bytes]
    ) -> BatchStatus:
        self.creations += 1
        self._at("before create", self.creations)
        status = await self.inner.create(account, model, tag=tag, file_id=file_id, lines=lines)
        self._at("after create", self.creations)
        return status

    async def find_batch(self, account: BatchAccount, **about: Any) -> BatchStatus | None:
        return await self.inner.find_batch(account, **about)

    async def status(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        self._at("while polling", self.nth)
        return await self.inner.status(account, batch_id)

    async def results(self, account: BatchAccount, batch_id: str) -> AsyncGenerator[BatchResult, None]:
        count = 0
        async for result in self.inner.results(account, batch_id):
            count += 1
            if count == PARTS_OF // 2:
                self._at("while downloading", self.nth)
            yield result

    async def cancel(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        return await self.inner.cancel(account, batch_id)

    def _at(self, point: str, count: int) -> None:
        if point == self.point and count == self.nth:
            die()


async def work(errand: dict[str, Any]) -> None:
    point = errand["point"]
    find_adapter = Batching.adapter
    doomed: list[Doomed] = []

    async def adapter(self: Batching, spec: ProviderSpec) -> Any:
        if not doomed:
            doomed.append(Doomed(await find_adapter(self, spec), point, errand["nth"]))
        return doomed[0]

    Batching.adapter = adapter  # type: ignore[method-assign]  # this process has nothing else to do
    if point == "while writing":
        JobStore.add_answers = die_writing  # type: ignore[method-assign]  # as above
    rows = rows_of(errand["rows"])
    if point == "while reading":
        rows = (row if row.line < errand["rows"] else die() or row for row in rows)
    async with (
        Engine(Settings(), environ=errand["environ"]) as engine,
        JobDesk(engine, Path(errand["database"]), pace=HASTE) as desk,
    ):
        job = await desk.submit(MODELS[errand["provider"]], rows, name="doomed")
        await desk.wait(job.id)


async def die_writing(self: JobStore, job_id: str, answers: Sequence[AnswerRecord], *, make_rows: bool = False) -> None:
    """In the middle of the transaction that writes them."""

    def write(connection: sqlite3.Connection) -> None:
        for answer in answers[: len(answers) // 2]:
            connection.execute(
                "INSERT INTO job_answers (job_id, wire_id, part, ended_s, text) VALUES (?, ?, ?, ?, ?)",
                (job_id, answer.wire_id, answer.part, answer.ended_s, answer.text),
            )
        die()

    await self._database.write(write)


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(work(json.loads(line)))
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else f"ended with {status}", flush=True)


if __name__ == "__main__":
    # What errands need, imported once.
    for module in ("google.genai", "openai"):
        importlib.import_module(module)
    main()
