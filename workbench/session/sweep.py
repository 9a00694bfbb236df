"""A file of prompts through one or several models into a file of results, from any point where it was left.

Rows stream through: what is in memory is what is under way, the ids of the input and the names of finished rows. Every
row that ends is in the results file before the next one is looked at, so a run can be killed at any moment.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from workbench.core.errors import UsageError, WorkbenchError
from workbench.core.schema import OutputSchema
from workbench.core.types import CacheMode, Json, Priority, Request, Result
from workbench.engine.budget import Budget, BudgetStats
from workbench.jobs.rows import BadRow, Row, RowReader
from workbench.session.fanout import Complete, fan_out
from workbench.session.sheet import Sheet
from workbench.session.structured import Structurer

_COMPLAINTS = 5
"""Bad rows that are quoted before the rest is only counted."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is to be asked: every row of a file, of every model, so many times."""

    source: Path
    reader: RowReader
    models: tuple[str, ...]
    samples: int = 1
    cache: CacheMode = CacheMode.USE
    in_flight: int = 32
    """Per model."""
    schema: OutputSchema | None = None
    """What every answer must be; a row whose answer is not, even after its repair, has failed."""

    def survey(self, *, skip_bad: bool) -> Survey:
        """Read the file once without sending anything. Raises UsageError for bad rows unless they may be skipped."""
        rows, bad = 0, []
        for row in self.reader.read(self.source):
            if isinstance(row, BadRow):
                bad.append(row)
            else:
                rows += 1
        if bad and not skip_bad:
            raise UsageError(f"{self.source}: {_quoted(bad)}", hint="Mend them, or leave them out with --skip-bad.")
        if not rows:
            raise UsageError(f"{self.source} has no rows that can be asked.")
        return Survey(rows, tuple(bad), rows * len(self.models) * self.samples)

    def keys(self) -> Iterator[tuple[str, str, int, str]]:
        """Id, model, sample and digest of everything that is to be asked."""
        for row in self.rows():
            digest = self.digest(row)
            for model in self.models:
                for sample in range(self.samples):
                    yield row.id, model, sample, digest

    def digest(self, row: Row) -> str:
        """Changes when what would be sent changes; the schema is a part of that."""
        if self.schema is None:
            return row.digest
        content = [row.digest, self.schema.schema]
        return hashlib.blake2b(msgspec.json.encode(content, order="sorted"), digest_size=12).hexdigest()

    def rows(self) -> Generator[Row, None, None]:
        """Close it when leaving early: it holds the file."""
        with closing(self.reader.read(self.source)) as found:
            for row in found:
                if isinstance(row, Row):
                    yield row


@dataclass(frozen=True, slots=True)
class Survey:
    rows: int
    bad: tuple[BadRow, ...]
    requests: int
    """Rows × models × samples."""


@dataclass(frozen=True, slots=True)
class SweepTally:
    """How far it is. `done` counts finished rows of earlier runs as well."""

    total: int
    done: int = 0
    failed: int = 0
    kept: int = 0
    """Finished in an earlier run."""
    cached: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    capped: bool = False
    """True when the run ended at its spend cap."""

    def plus(self, outcome: Result | WorkbenchError) -> SweepTally:
        result = outcome if isinstance(outcome, Result) else outcome.partial
        ended = replace(
            self,
            done=self.done + 1,
            failed=self.failed + isinstance(outcome, WorkbenchError),
            cached=self.cached + (result is not None and result.cached),
        )
        return ended if result is None else ended.plus_spent(result)

    def plus_spent(self, result: Result) -> SweepTally:
        """With what an answer took, whether or not a row ended with it."""
        if result.cached:
            return self
        return replace(
            self,
            output_tokens=self.output_tokens + (result.usage.output if result.usage else 0),
            cost_usd=self.cost_usd + (result.cost_usd or 0.0),
            unpriced=self.unpriced + (result.cost_usd is None),
        )


RowToJson = Callable[[Request, Result | WorkbenchError], Mapping[str, Json]]
OnCap = Callable[[BudgetStats], Awaitable[float | None]]
"""Asked when the money is spent: a new cap, or None to end the run here."""


@dataclass(frozen=True, slots=True)
class _Asked:
    row: Row
    digest: str


@dataclass(frozen=True, slots=True)
class _Answered:
    result: Result
    value: Json = None
    """The object in it, where there is a schema."""


class SweepRun:
    """One run of a sweep."""

    def __init__(
        self,
        sweep: Sweep,
        sheet: Sheet,
        complete: Complete,
        *,
        total: int,
        as_json: RowToJson,
        on_row: Callable[[SweepTally, Row, Request, Result | WorkbenchError], None] | None = None,
        budget: Budget | None = None,
        on_cap: OnCap | None = None,
        room: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`room` is awaited after each row: whoever keeps rows elsewhere may take its time."""
        self._sweep = sweep
        self._sheet = sheet
        self._complete = complete
        self._as_json = as_json
        self._on_row = on_row
        self._budget = budget or Budget()
        self._on_cap = on_cap
        self._room = room
        self._asking: asyncio.Task[None] | None = None
        self._pending: dict[int, _Asked] = {}
        self._stopped = False
        self._mean_usd: dict[str, float] = {}
        self._scouts: dict[str, asyncio.Lock] = {}
        """By model, under a cap: until one answer has said what they cost, they are asked for one at a time."""
        self._answered: set[str] = set()
        """Models of which that much is known, be it that their price is not."""
        self._structurer = Structurer()
        self.tally = SweepTally(total)

    async def run(self) -> SweepTally:
        """Ask what is not finished yet. Cancelling leaves a file that can be resumed."""
        width = self._sweep.in_flight * len(self._sweep.models)
        try:
            with closing(self._sweep.rows()) as rows:
                async with aclosing(fan_out(self._ask, self._requests(rows), in_flight=width)) as ends:
                    async for ended in ends:
                        asked = self._pending.pop(ended.index)
                        if isinstance(ended.result, _CapReached):
                            continue
                        self._write(asked, ended.request, ended.result)
                        if self._room is not None:
                            await self._room()
        finally:
            if self._asking is not None:
                self._asking.cancel()
                await asyncio.wait([self._asking])
        return self.tally

    def _requests(self, rows: Iterable[Row]) -> Iterator[Request]:
        index = 0
        for row in rows:
            digest = self._sweep.digest(row)
            for model in self._sweep.models:
                for sample in range(self._sweep.samples):
                    if self._stopped:
                        return
                    if self._sheet.is_finished(row.id, model, sample, digest):
                        self.tally = replace(self.tally, done=self.tally.done + 1, kept=self.tally.kept + 1)
                        continue
                    self._pending[index] = _Asked(row, digest)
                    index += 1
                    yield self._request(row, model, sample)

    def _request(self, row: Row, model: str, sample: int) -> Request:
        return Request(
            model=model,
            messages=row.messages,
            params=row.params,
            cache=self._sweep.cache,
            sample=sample,
            priority=Priority.BULK,
            job=f"run {self._sweep.source.name}",
        )

    async def _ask(self, request: Request) -> _Answered:
        schema = self._sweep.schema
        if schema is None:
            return _Answered(await self._ask_once(request))
        structured = await self._structurer.ask(self._ask_once, request, schema, on_rejected=self._count_rejected)
        return _Answered(structured.result, structured.value)

    def _count_rejected(self, result: Result) -> None:
        self.tally = self.tally.plus_spent(result)

    async def _ask_once(self, request: Request) -> Result:
        model = request.model
        if self._budget.statistics().limit_usd is not None and model not in self._answered:
            # Thirty that start together, each expected to cost nothing, would be paid for before the cap is looked at.
            async with self._scouts.setdefault(model, asyncio.Lock()):
                if model not in self._answered:
                    return await self._send(request)
        return await self._send(request)

    async def _send(self, request: Request) -> Result:
        expected_usd = self._mean_usd.get(request.model, 0.0)
        while (reservation := self._budget.try_reserve(expected_usd)) is None:
            await self._wait_for_money()
        try:
            result = await self._complete(request)
        except WorkbenchError as exc:
            reservation.settle(exc.partial.cost_usd if exc.partial is not None else 0.0)
            raise
        except BaseException:
            reservation.release()
            raise
        reservation.settle(0.0 if result.cached else result.cost_usd)
        if not result.cached:
            self._answered.add(request.model)
        if result.cost_usd is not None and not result.cached:
            # What the last ones cost says what the next ones will; it is only needed near the cap.
            self._mean_usd[request.model] = (
                0.8 * self._mean_usd.get(request.model, result.cost_usd) + 0.2 * result.cost_usd
            )
        return result

    async def _wait_for_money(self) -> None:
        if self._budget.statistics().is_spent:
            # One question for all who wait.
            if not self._stopped and (self._asking is None or self._asking.done()):
                self._asking = asyncio.create_task(self._ask_for_more())
            if self._asking is not None:
                await asyncio.shield(self._asking)
            if self._stopped:
                raise _CapReached("The spend cap was reached.")
        else:
            await self._budget.changed()

    async def _ask_for_more(self) -> None:
        cap = await self._on_cap(self._budget.statistics()) if self._on_cap is not None else None
        if cap is None:
            self._stopped = True
            self.tally = replace(self.tally, capped=True)
        else:
            self._budget.raise_to(cap)

    def _write(self, asked: _Asked, request: Request, ended: _Answered | WorkbenchError) -> None:
        row = asked.row
        outcome, value = (ended.result, ended.value) if isinstance(ended, _Answered) else (ended, None)
        self._sheet.append(
            {
                "id": row.id,
                "line": row.line,
                "sample": request.sample,
                "digest": asked.digest,
                **self._as_json(request, outcome),
                **({"object": value} if self._sweep.schema is not None else {}),
            }
        )
        self.tally = self.tally.plus(outcome)
        if self._on_row is not None:
            self._on_row(self.tally, row, request, outcome)


class _CapReached(WorkbenchError):
    """Ends a request that was never sent."""


def _quoted(bad: list[BadRow]) -> str:
    lines = [f"line {row.line}: {row.reason}" for row in bad[:_COMPLAINTS]]
    if len(bad) > _COMPLAINTS:
        lines.append(f"and {len(bad) - _COMPLAINTS} more.")
    return f"{len(bad)} bad row{'s' if len(bad) > 1 else ''}:\n  " + "\n  ".join(lines)
