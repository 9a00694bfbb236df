"""`LLM`'s calls for batches: many prompts at half the price, answered within a day.

A job outlives the process: its id is all that has to be kept, and the store keeps even that. Answers land in the
response cache, so that asking the same live afterwards costs nothing.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypedDict

from workbench.asking import Asker
from workbench.core.errors import ProviderError, SomeFailed, UsageError
from workbench.core.messages import Prompt, messages_from, prompts_from
from workbench.core.types import FinishReason, Json, Result, Route, Timing
from workbench.loop_thread import Host, shared_loop_thread
from workbench.session.fanout import Errors, failures_in

if TYPE_CHECKING:
    from workbench.jobs.desk import JobDesk
    from workbench.jobs.job import Job, JobRow
    from workbench.jobs.rows import Row


class BatchCounts(TypedDict):
    total: int
    succeeded: int
    failed: int


class BatchProgress(TypedDict):
    status: str
    """`submitting`, `queued`, `running`, `collecting`, `cancelling`; at the end `completed` (every row answered),
    `partial` (some), `failed` (none), `expired` or `cancelled`."""
    counts: BatchCounts


class BatchCalls:
    """What `LLM` says about batches."""

    _asker: Asker

    def batch(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        poll_interval: float = 60,
        timeout: float = 86_400,
        *,
        errors: Errors = "raise",
        **params: Json,
    ) -> list[str]:
        """Submit a batch, wait for its end, and return an answer for each prompt, in order.

        Args:
            poll_interval: seconds between two questions how it is getting on.
            timeout: seconds to wait. The job goes on after that; `batch_retrieve` has it later.
            errors: "raise" raises `SomeFailed` with all answers in it; "return" puts an error in its answer's place.

        Raises:
            UsageError: nothing has been sent; also NotImplementedError for a provider without batches, naming others.
            TimeoutError: its message has the job's id.
            SomeFailed: one or more prompts failed.
        """
        return shared_loop_thread().run(
            lambda host: self._batch(host, prompts, system_prompt, poll_interval, timeout, errors, params)
        )

    async def abatch(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        poll_interval: float = 60,
        timeout: float = 86_400,
        *,
        errors: Errors = "raise",
        **params: Json,
    ) -> list[str]:
        """`batch`, awaited."""
        return await shared_loop_thread().arun(
            lambda host: self._batch(host, prompts, system_prompt, poll_interval, timeout, errors, params)
        )

    def batch_submit(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        *,
        name: str = "",
        **params: Json,
    ) -> str:
        """Submit a batch; its id, like `openai:1:batch_abc123`. More prompts than one batch holds get an id of our own.

        Raises as `batch` does, and what the provider answers if it refuses; nothing is paid then.
        """
        return shared_loop_thread().run(lambda host: self._submit_alone(host, prompts, system_prompt, name, params))

    async def abatch_submit(
        self,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None = None,
        *,
        name: str = "",
        **params: Json,
    ) -> str:
        """`batch_submit`, awaited."""
        return await shared_loop_thread().arun(
            lambda host: self._submit_alone(host, prompts, system_prompt, name, params)
        )

    def batch_status(self, batch_id: str) -> BatchProgress:
        """Ask the provider how a batch is getting on. An id that another program made is taken up first."""
        return shared_loop_thread().run(lambda host: self._status(host, batch_id))

    async def abatch_status(self, batch_id: str) -> BatchProgress:
        """`batch_status`, awaited."""
        return await shared_loop_thread().arun(lambda host: self._status(host, batch_id))

    def batch_retrieve(self, batch_id: str, *, errors: Errors = "raise") -> list[str] | None:
        """The answers in the order of the prompts; None while the batch has not ended.

        Args:
            errors: as `batch` has it. A failed row is an error, never an empty text.
        """
        return shared_loop_thread().run(lambda host: self._retrieve(host, batch_id, errors))

    async def abatch_retrieve(self, batch_id: str, *, errors: Errors = "raise") -> list[str] | None:
        """`batch_retrieve`, awaited."""
        return await shared_loop_thread().arun(lambda host: self._retrieve(host, batch_id, errors))

    def batch_cancel(self, batch_id: str) -> BatchProgress:
        """Ask the provider to stop. What is answered by then is paid, and can be retrieved."""
        return shared_loop_thread().run(lambda host: self._cancel(host, batch_id))

    async def abatch_cancel(self, batch_id: str) -> BatchProgress:
        """`batch_cancel`, awaited."""
        return await shared_loop_thread().arun(lambda host: self._cancel(host, batch_id))

    # ---- on the engine's loop

    async def _batch(
        self,
        host: Host,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None,
        poll_interval: float,
        timeout: float,
        errors: Errors,
        params: dict[str, Json],
    ) -> list[str]:
        async with _desk(host) as desk:
            job = await self._submit(desk, prompts, system_prompt, "", params)
            try:
                job = await desk.wait(job.id, timeout_s=timeout, poll_interval_s=poll_interval)
            except TimeoutError:
                late = f"The batch {job.handle} has not ended within {timeout:g} s. It goes on; retrieve it later."
                raise TimeoutError(late) from None
            return await self._answers(desk, job, errors)

    async def _submit_alone(
        self,
        host: Host,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None,
        name: str,
        params: dict[str, Json],
    ) -> str:
        async with _desk(host) as desk:
            return (await self._submit(desk, prompts, system_prompt, name, params)).handle

    async def _submit(
        self,
        desk: JobDesk,
        prompts: Prompt | Sequence[Prompt],
        system_prompt: str | None,
        name: str,
        params: dict[str, Json],
    ) -> Job:
        return await desk.submit(self._asker.model, self._rows(prompts, system_prompt, params), name=name)

    def _rows(
        self, prompts: Prompt | Sequence[Prompt], system_prompt: str | None, params: dict[str, Json]
    ) -> Iterator[Row]:
        from workbench.jobs.rows import Row

        chosen = self._asker.params_of(params)
        for place, prompt in enumerate(prompts_from(prompts)):
            messages = messages_from(prompt, system_prompt, where=f"prompt {place}: ")
            yield Row(line=place + 1, id=str(place), messages=messages, params=chosen)

    async def _status(self, host: Host, batch_id: str) -> BatchProgress:
        async with _desk(host) as desk:
            return _progress(await self._asked(desk, batch_id))

    async def _retrieve(self, host: Host, batch_id: str, errors: Errors) -> list[str] | None:
        async with _desk(host) as desk:
            job = await self._asked(desk, batch_id)
            return await self._answers(desk, job, errors) if job.state.is_ended else None

    async def _cancel(self, host: Host, batch_id: str) -> BatchProgress:
        async with _desk(host) as desk:
            job = await self._known(desk, batch_id)
            return _progress(await desk.cancel(job.id))

    async def _asked(self, desk: JobDesk, batch_id: str) -> Job:
        """The job, as its provider sees it now."""
        job = await self._known(desk, batch_id)
        if not job.state.is_ended:
            await desk.poll_now(job.id)
        return await desk.job(job.id)

    async def _known(self, desk: JobDesk, batch_id: str) -> Job:
        from workbench.jobs.finding import batch_of

        try:
            return await desk.job(batch_id)
        except UsageError:
            if batch_of(batch_id) is None:
                raise
        return await desk.import_(batch_id, model=self._asker.model)

    async def _answers(self, desk: JobDesk, job: Job, errors: Errors) -> list[str]:
        outcomes: list[str | ProviderError] = []
        results: list[Result] = []
        async for row in desk.all_rows(job.id):
            outcomes.append(_outcome(row, job))
            if row.answer is not None and row.answer.error is None:
                results.append(_result(row, job))
        self._asker.count_job(job.id, results)
        if errors == "raise" and (failures := failures_in(outcomes)):
            raise SomeFailed(failures, outcomes)
        return outcomes  # type: ignore[return-value]  # as with `generate`, errors stand in a list of texts if wanted


@asynccontextmanager
async def _desk(host: Host) -> AsyncIterator[JobDesk]:
    """A desk for one call: it follows nothing that this program did not ask for."""
    from workbench.core.paths import Paths
    from workbench.jobs.desk import JobDesk

    async with JobDesk(host.engine, Paths.from_environment(os.environ).database, track=False) as desk:
        yield desk


def _progress(job: Job) -> BatchProgress:
    counts = job.counts
    return {
        "status": job.state.value,
        "counts": {"total": counts.total, "succeeded": counts.succeeded, "failed": counts.failed},
    }


def _outcome(row: JobRow, job: Job) -> str | ProviderError:
    if row.answer is None:
        return ProviderError(f"Row {row.id} of {job.id} has no answer.", provider=job.provider, model=job.model)
    if row.answer.error is None:
        return row.answer.text
    error = row.answer.error
    return ProviderError(error.message, provider=job.provider, model=job.model, code=error.code)


def _result(row: JobRow, job: Job) -> Result:
    answer = row.answer
    assert answer is not None, "only answered rows are counted"
    return Result(
        text=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason or FinishReason.STOP,
        usage=answer.usage,
        cost_usd=row.cost_usd,
        timing=Timing(submitted_ns=0),
        route=Route(job.model, job.provider, job.model, ""),
        key_alias=job.key_alias,
        request_id=answer.request_id,
        tool_calls=answer.tool_calls,
    )
