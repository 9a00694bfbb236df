"""Fetching what a provider has for a part that is over: into the store, and into the response cache.

A slice at a time, each written before the next is asked for, so that memory stays flat and a provider is read no faster
than the disk writes. Broken off, it is begun again from the start: rows already here are written over by themselves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from workbench.core.clock import Clock
from workbench.core.params import params_from
from workbench.core.pricing import Price, cost_usd
from workbench.core.types import FinishReason, Result, Timing
from workbench.engine.batching import Answered, Batching
from workbench.engine.router import Target
from workbench.jobs.job import JobCounts, JobState, RowError, ended_state
from workbench.jobs.record import error_record, messages_of
from workbench.jobs.submit import Errand
from workbench.providers.batch import BatchResult, BatchState
from workbench.store.job_records import AnswerRecord
from workbench.store.jobs import JobStore
from workbench.store.usage_columns import usage_columns

SLICE = 200
_TURN = 16
"""Results between two turns of the loop: decoding one takes some 50 µs."""


@dataclass(frozen=True, slots=True)
class _Digest:
    """A slice of results, ready to be written."""

    answers: list[AnswerRecord]
    kept: list[tuple[str, Result]]
    """For the response cache."""


class Collector:
    """Reads results into the store."""

    def __init__(self, batching: Batching, store: JobStore, clock: Clock) -> None:
        self._batching = batching
        self._store = store
        self._clock = clock

    async def collect(self, errand: Errand, target: Target) -> int:
        """Everything that the provider has for this part; how many rows that were. Raises ProviderError."""
        assert errand.part.batch_id is not None, "only what was created can be collected"
        count = 0
        waiting: list[BatchResult] = []
        async with aclosing(errand.adapter.results(errand.account, errand.part.batch_id)) as results:
            async for result in results:
                waiting.append(result)
                count += 1
                if len(waiting) >= SLICE:
                    await self._write(errand, target, waiting)
                    waiting = []
                elif count % _TURN == 0:
                    await asyncio.sleep(0)
        if waiting:
            await self._write(errand, target, waiting)
        if errand.job.imported:
            await self._store.put_in_order(errand.job.id, natural)
        return count

    async def _write(self, errand: Errand, target: Target, results: Sequence[BatchResult]) -> None:
        digest = await asyncio.to_thread(self._digest, errand, target, results)
        await self._store.add_answers(errand.job.id, digest.answers, make_rows=errand.job.imported)
        await self._batching.store(digest.kept)

    def _digest(self, errand: Errand, target: Target, results: Sequence[BatchResult]) -> _Digest:
        """In a thread: it reads the rows that were asked, and the price table the first time."""
        job, part, now_s = errand.job, errand.part.position, self._clock.wall().timestamp()
        questions = self._store.questions(job.id, [result.custom_id for result in results])
        price = self._batching.price(target.route) if target.route.wire_model else None
        answers: list[AnswerRecord] = []
        asked: list[Answered] = []
        for result in results:
            question = questions.get(result.custom_id)
            if question is None and not job.imported:
                continue  # no row of ours: whoever reads these lines must be able to trust that they are
            answers.append(answer_record(result, part, now_s, price))
            if question is not None and not job.imported and result.error is None:
                params = params_from(msgspec.json.decode(question.params))
                whole = _result(result, target, answers[-1].cost_usd, errand)
                asked.append(Answered(messages_of(question), params, whole))
        kept = self._batching.kept(target, asked) if self._batching.keeps_answers else []
        return _Digest(answers, kept)


def answer_record(result: BatchResult, part: int, now_s: float, price: Price | None) -> AnswerRecord:
    """One row's result as it is stored, with what it cost and what it would have cost more live."""
    if result.error is not None:
        error = result.error
        return error_record(result.custom_id, part, now_s, RowError(error.title, str(error), error.code))
    usage = result.usage
    cost, live = cost_usd(usage, price, batch=True), cost_usd(usage, price)
    return AnswerRecord(
        wire_id=result.custom_id,
        part=part,
        ended_s=now_s,
        text=result.text,
        reasoning=result.reasoning,
        tool_calls=result.tool_calls,
        finish_reason=result.finish_reason or FinishReason.STOP,
        error_title=None,
        error_message=None,
        error_code=None,
        **usage_columns(usage),
        cost_usd=cost,
        saved_usd=None if cost is None or live is None else max(0.0, live - cost),
        request_id=result.request_id,
    )


def unfinished(way: BatchState, problem: str, part: int, now_s: float) -> AnswerRecord:
    """What a row comes to that the provider has nothing for."""
    match way:
        case BatchState.EXPIRED:
            error = RowError("expired", "The provider's time was up before it got to this row. Submit it again.")
        case BatchState.CANCELLED:
            error = RowError("cancelled", "The job was cancelled before this row was done.")
        case BatchState.FAILED:
            error = RowError("not run", problem or "The provider refused the batch and did not say why.")
        case _:
            why = problem or "The provider returned no result for this row. Submit it again."
            error = RowError("no result", why)
    return error_record("", part, now_s, error)


def part_state(way: BatchState, succeeded: int, failed: int) -> JobState:
    """How a part ended, by how its batch did and what came back."""
    ways = {BatchState.EXPIRED: JobState.EXPIRED, BatchState.CANCELLED: JobState.CANCELLED}
    ended = ways.get(way, JobState.FAILED)
    return ended_state(frozenset({ended}), JobCounts(succeeded + failed, succeeded, failed))


def natural(wire_id: str) -> tuple[str, int, str]:
    """A sort key by which `row-10` follows `row-9`."""
    match = re.search(r"(\d{1,18})\D*$", wire_id)
    return (wire_id[: match.start()], int(match[1]), wire_id) if match else (wire_id, -1, wire_id)


def _result(result: BatchResult, target: Target, cost: float | None, errand: Errand) -> Result:
    return Result(
        text=result.text,
        reasoning=result.reasoning,
        finish_reason=result.finish_reason or FinishReason.STOP,
        usage=result.usage,
        cost_usd=cost,
        timing=Timing(submitted_ns=0),
        route=target.route,
        key_alias=errand.account.key_alias,
        request_id=result.request_id,
        tool_calls=result.tool_calls,
    )
