"""How a job comes to be: handed in with its rows, made of another one's failed rows, or taken up from elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgspec

from workbench.core.errors import BatchNotFound, KeyRejected, ProviderError, QuotaSpent, UsageError, WorkbenchError
from workbench.engine.batching import Batching
from workbench.engine.keyring import Key
from workbench.engine.router import Target
from workbench.jobs.accounts import Accounts, account
from workbench.jobs.finding import provider_of
from workbench.jobs.job import JobState
from workbench.jobs.news import News
from workbench.jobs.pace import Pace
from workbench.jobs.prepare import Preparation, Prepared
from workbench.jobs.record import job_of, question_of
from workbench.jobs.rounds import Rounds, status_values
from workbench.jobs.rows import Row
from workbench.jobs.spool import Spool
from workbench.jobs.submit import REFUSALS, Step, names
from workbench.jobs.tracker import Tracker
from workbench.providers.base import ProviderSpec
from workbench.providers.batch import BatchAdapter, BatchStatus
from workbench.store.ids import new_id
from workbench.store.job_records import JobRecord, PartRecord, StoredJob
from workbench.store.jobs import JobStore

_FIRST_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class HandingIn:
    """One desk's way with new jobs."""

    batching: Batching
    store: JobStore
    spool: Spool
    accounts: Accounts
    rounds: Rounds
    tracker: Tracker
    news: News
    pace: Pace

    # ---- with rows

    async def submit(
        self,
        model: str,
        rows: Iterable[Row],
        *,
        name: str,
        group: str | None,
        skip_bad: bool,
        retry_of: str | None = None,
    ) -> str:
        """The job's id. Raises as `JobDesk.submit` says."""
        # At once: jobs that are submitted together are as old as their order says, whichever has its keys first.
        now_s = self._now_s()
        target = self.batching.target(model)
        adapter = await self.accounts.adapter(target.spec)
        keys = await self.accounts.keys(target.spec)
        job = JobRecord(
            id=new_id(now_s),
            created_s=now_s,
            model=target.route.spec,
            provider=target.spec.name,
            wire_model=target.route.wire_model,
            base_url=target.route.base_url,
            name=name,
            key_alias=keys[0].alias,
            fingerprint=keys[0].fingerprint,
            group_id=group,
            retry_of=retry_of,
            owner=self.tracker.owner,
            owner_until_s=now_s + self.pace.lease_s,
        )
        self.tracker.reserve(job.id)
        try:
            await self.store.add(job)
            try:
                await self._write_down(job, rows, target, adapter, keys[0], skip_bad=skip_bad)
            except BaseException:
                await self._erase(job.id)
                raise
            await self.news.changed(job.id)
            refusal = await self._send(job.id, keys)
            if refusal is not None:
                await self._erase(job.id)
                raise refusal
        finally:
            await self.tracker.free(job.id)
        return job.id

    async def retry_failed(self, stored: StoredJob) -> str:
        """Raises UsageError as `JobDesk.retry_failed` says."""
        job = job_of(stored)
        if not job.state.is_ended:
            raise UsageError(f"The job {job.id} is still {job.state}.", hint="Wait for its end, or cancel it.")
        if not job.counts.failed:
            raise UsageError(f"None of the rows of {job.id} failed.")
        if job.imported:
            raise UsageError(f"The job {job.id} was imported: what its rows asked is not known here.")
        if before := await self.store.retries_of(job.id):
            raise UsageError(f"The failed rows of {job.id} were submitted before, as {before[0][0].id}.")
        rows: Iterator[Row] = (question_of(record) for record in self.store.failed_rows(job.id))
        name = f"{job.name or job.id} (retry)"
        return await self.submit(job.model, rows, name=name, group=job.group, skip_bad=True, retry_of=job.id)

    async def _write_down(
        self, job: JobRecord, rows: Iterable[Row], target: Target, adapter: BatchAdapter, key: Key, *, skip_bad: bool
    ) -> None:
        """With the last line of this the intent is whole: it is carried out, whoever does it."""
        payer = account(target.spec, job.base_url, key)
        preparation = Preparation(job.id, adapter, payer, job.wire_model, job.created_s)
        prepared = await preparation.write(rows, self.store, self.spool, skip_bad=skip_bad)
        price = await asyncio.to_thread(self.batching.price, target.route)
        estimate = prepared.tally.estimate(price, adapter.limits)
        await self.store.add_parts(
            job.id,
            _parts(job.id, prepared),
            {
                "rows": prepared.rows,
                "estimate_usd": estimate.batch_usd_high,
                "notes": msgspec.json.encode(list(prepared.notes)).decode(),
            },
        )

    async def _send(self, job_id: str, keys: Iterable[Key]) -> ProviderError | None:
        """Every part, with the first key that is not refused; the refusal if none was taken or is in doubt."""
        refusal: ProviderError | None = None
        for number, key in enumerate(keys):
            if number:
                await self._start_over(job_id, key)
            refusal = await self._send_parts(job_id)
            if not isinstance(refusal, KeyRejected | QuotaSpent):
                break
        return refusal

    async def _start_over(self, job_id: str, key: Key) -> None:
        """With another key, to whose account no file has been uploaded."""
        await self.store.change_job(job_id, {"key_alias": key.alias, "fingerprint": key.fingerprint})
        stored = await self.store.get(job_id)
        for part in () if stored is None else stored[1]:
            await self.store.change_part(job_id, part.position, {"step": Step.NEW, "file_id": None})

    async def _send_parts(self, job_id: str) -> ProviderError | None:
        stored = await self.store.get(job_id)
        taken = False
        for part in () if stored is None else stored[1]:
            error = await self._try(job_id, part.position)
            if isinstance(error, REFUSALS) and not taken:
                return error
            taken = True
            if error is not None:
                await self.rounds.put_off(job_id, part.position, error)
            await self.news.changed(job_id)
        return None

    async def _try(self, job_id: str, position: int) -> WorkbenchError | None:
        """A few times, while somebody waits; what the last time came to."""
        for number in range(self.pace.tries):
            try:
                await self.rounds.hand_in(job_id, position)
            except WorkbenchError as error:
                last = number == self.pace.tries - 1
                hint_s = (error.retry_after_s or 0.0) if isinstance(error, ProviderError) else 0.0
                may_pass = isinstance(error, ProviderError) and error.may_retry and hint_s <= self.pace.first_s
                if last or not may_pass:
                    return error
                await asyncio.sleep(max(hint_s, self.batching.rng.uniform(0, _FIRST_PAUSE_S * 2**number)))
            else:
                return None
        return None

    async def _erase(self, job_id: str) -> None:
        await asyncio.to_thread(self.spool.drop, job_id)
        await self.store.forget(job_id)
        await self.news.changed(job_id)

    # ---- from elsewhere

    async def take_up(self, text: str, model: str | None, name: str) -> str:
        """A batch made elsewhere; the id of its job. Raises as `JobDesk.import_` says."""
        provider, number, batch_id = provider_of(text)
        spec = self.accounts.spec(provider)
        target = self.batching.target(model) if model else None
        if target is not None and target.spec.name != provider:
            raise UsageError(f"{model} is not a model of {spec.title or provider}, whose batch {batch_id} is.")
        key, status = await self._seen(spec, number, batch_id)
        for known, _ in await self.store.with_batch(status.id if status else batch_id):
            if known.provider == provider:
                return known.id
        now_s = self._now_s()
        job = JobRecord(
            id=new_id(now_s),
            created_s=(status.created_s if status else None) or now_s,
            model=target.route.spec if target else "",
            provider=provider,
            wire_model=target.route.wire_model if target else "",
            base_url=spec.base_url,
            name=name,
            key_alias=key.alias if key else None,
            fingerprint=key.fingerprint if key else "",
            rows=status.counts.total if status else 0,
            imported=True,
            owner=self.tracker.owner,
            owner_until_s=now_s + self.pace.lease_s,
        )
        problem = "" if status else f"No key for {spec.title or provider}: set {' or '.join(spec.key_variables)}."
        part = PartRecord(job.id, 0, JobState.QUEUED, Step.CREATED, job.rows, batch_id=batch_id, problem=problem)
        if status is not None:
            part = replace(part, **status_values(status, part, now_s))
        self.tracker.reserve(job.id)
        try:
            await self.store.add(job)
            await self.store.add_parts(job.id, [part], {})
        finally:
            await self.tracker.free(job.id)
        await self.news.changed(job.id)
        return job.id

    async def _seen(self, spec: ProviderSpec, number: int, batch_id: str) -> tuple[Key | None, BatchStatus | None]:
        """The key that can see a batch, and what it shows; neither where there is no key at all.

        `number` is the key's in our own ids; in others it may be anything, and then it is but a first guess.
        """
        adapter = await self.accounts.adapter(spec)
        keys = list(await self.batching.keys(spec))
        if 0 < number <= len(keys):
            keys.insert(0, keys.pop(number - 1))
        error: ProviderError | None = None
        for key in keys:
            try:
                return key, await adapter.status(account(spec, spec.base_url, key), batch_id)
            except (BatchNotFound, KeyRejected) as exc:
                error = error or exc
        if error is not None:
            raise error
        return None, None

    def _now_s(self) -> float:
        return self.batching.clock.wall().timestamp()


def _parts(job_id: str, prepared: Prepared) -> list[PartRecord]:
    called = names(job_id, len(prepared.parts))
    return [
        PartRecord(job_id, place, JobState.SUBMITTING, Step.NEW, rows, name=called[place])
        for place, rows in enumerate(prepared.parts)
    ]
