"""Where batch jobs are handed in, looked at and fetched: the one door for the library, the shell and the screens.

A desk belongs to one event loop and one open engine. While it is open with `track=True` it follows every open job of
the store, its own and those of processes that are gone; of several processes on one store each job is followed by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from workbench.core.errors import UsageError
from workbench.jobs.accounts import Accounts
from workbench.jobs.collect import Collector
from workbench.jobs.estimate import tally
from workbench.jobs.finding import find_job
from workbench.jobs.handing_in import HandingIn
from workbench.jobs.job import BatchSupport, Job, JobChange, JobEstimate, JobRow, JobState, RowFilter
from workbench.jobs.news import News
from workbench.jobs.pace import Pace
from workbench.jobs.record import job_of, row_of
from workbench.jobs.rounds import Rounds
from workbench.jobs.rows import Row
from workbench.jobs.spool import Spool
from workbench.jobs.submit import Submitter
from workbench.jobs.tracker import Tracker, until
from workbench.store.database import Database
from workbench.store.job_records import StoredRow
from workbench.store.jobs import JobStore

if TYPE_CHECKING:
    from workbench.engine.batching import Batching
    from workbench.engine.engine import Engine

_SLICE_ROWS = 500


@dataclass(frozen=True, slots=True)
class _Open:
    """What an open desk stands on."""

    database: Database
    batching: Batching
    store: JobStore
    accounts: Accounts
    rounds: Rounds
    spool: Spool
    tracker: Tracker
    news: News
    handing_in: HandingIn


class JobDesk:
    """Batch jobs of one store.

    async with Engine(settings) as engine, JobDesk(engine, paths.database) as desk:
        job = await desk.submit("gpt-5.4-mini", rows, name="labels")
        job = await desk.wait(job.id)
        async for row in desk.all_rows(job.id): ...
    """

    def __init__(self, engine: Engine, database: Path, *, track: bool = True, pace: Pace | None = None) -> None:
        """`engine` must be open for as long as the desk is. `track=False` follows nothing by itself: for one look."""
        self._engine = engine
        self._path = database
        self._track = track
        self._pace = pace or Pace()
        self._opened: _Open | None = None

    async def __aenter__(self) -> Self:
        """Raises StoreError when the store cannot be opened."""
        opened = self._assemble(self._engine.batching(), await asyncio.to_thread(Database, self._path))
        try:
            await opened.news.learn()
            await _tidy(opened.spool, opened.store)
        except BaseException:
            await opened.database.aclose()
            raise
        self._opened = opened
        opened.tracker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Jobs go on at their providers; what was being fetched is fetched again by whoever tracks next."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.tracker.aclose()
            await opened.database.aclose()

    async def submit(
        self, model: str, rows: Iterable[Row], *, name: str = "", group: str | None = None, skip_bad: bool = False
    ) -> Job:
        """Hand rows in; returns once every part has its provider id, or is known to need patience (`job.problem`).

        `rows` is consumed in a thread, a slice at a time. Everything is written down before anything is sent.

        Args:
            skip_bad: rows that the provider's shape cannot hold become failed rows; otherwise nothing is sent.

        Raises:
            UsageError: no rows, duplicate ids, a row that cannot be sent, an unknown model, a model without batches;
                nothing has been sent or kept.
            WorkbenchError: the provider refused it (key, quota, …); nothing is kept.
            StoreError: it could not be written down; nothing has been sent.
        """
        opened = self._desk
        job_id = await opened.handing_in.submit(model, rows, name=name, group=group, skip_bad=skip_bad)
        return await self.job(job_id)

    async def jobs(self) -> tuple[Job, ...]:
        """Newest first."""
        return tuple(job_of(stored) for stored in await self._desk.store.all())

    async def job(self, job_id: str) -> Job:
        """By its id or an unambiguous beginning of it, by a part's provider id, or by `provider:n:id`.

        Raises UsageError with the nearest matches.
        """
        return job_of(await find_job(self._desk.store, job_id))

    async def rows(
        self, job_id: str, *, only: RowFilter = RowFilter.ALL, offset: int = 0, limit: int = 200
    ) -> tuple[JobRow, ...]:
        """One page of rows in input order; `offset` counts rows that pass the filter."""
        job, _ = await find_job(self._desk.store, job_id)
        found = await self._desk.store.page(job.id, only.value, offset, limit)
        return tuple(await asyncio.to_thread(_decoded, found))

    async def all_rows(self, job_id: str, *, only: RowFilter = RowFilter.ALL) -> AsyncGenerator[JobRow, None]:
        """Every row in input order, read from the store as it is consumed."""
        job, _ = await find_job(self._desk.store, job_id)
        position = -1
        while found := await self._desk.store.after(job.id, only.value, position, _SLICE_ROWS):
            position = found[-1][0].position
            for row in await asyncio.to_thread(_decoded, found):
                yield row

    async def error_counts(self, job_id: str) -> tuple[tuple[str, int], ...]:
        """Failed rows by their error's title, most frequent first."""
        job, _ = await find_job(self._desk.store, job_id)
        return tuple(await self._desk.store.error_counts(job.id))

    async def cancel(self, job_id: str) -> Job:
        """Ask the provider to stop. Rows done by then keep their answers, and are paid. Harmless for an ended job.

        Raises the provider's error when it could not be asked.
        """
        opened = self._desk
        job, parts = await find_job(opened.store, job_id)
        if all(part.over for part in parts):
            return await self.job(job.id)
        await opened.store.change_job(job.id, {"cancel_asked": True})
        for part in parts:
            if part.state in (JobState.QUEUED, JobState.RUNNING):
                await opened.rounds.cancel(job, part)
        await opened.news.changed(job.id)
        await self.poll_now(job.id)
        return await self.job(job.id)

    async def retry_failed(self, job_id: str) -> Job:
        """A new job of this one's failed rows. Raises UsageError: not ended, none failed, imported, or done before."""
        stored = await find_job(self._desk.store, job_id)
        return await self.job(await self._desk.handing_in.retry_failed(stored))

    async def import_(self, job_id: str, *, model: str | None = None, name: str = "") -> Job:
        """Take up a batch made elsewhere: `provider:n:id`, or a provider's id alone where that tells whose it is.

        One that is known already is returned. Without a key for its provider it is kept, and waits for one.

        Args:
            model: what its rows were for, so that they can be priced.

        Raises:
            UsageError: the id says no provider.
            BatchNotFound: no key of that provider can see it.
        """
        return await self.job(await self._desk.handing_in.take_up(job_id, model, name))

    async def forget(self, job_id: str) -> None:
        """Delete a job, its rows and answers here. Raises UsageError while it is open: cancel it first."""
        opened = self._desk
        stored = await find_job(opened.store, job_id)
        job = job_of(stored)
        if not job.state.is_ended:
            raise UsageError(f"The job {job.id} is still {job.state}.", hint="Cancel it first.")
        await opened.store.forget(job.id)
        await opened.news.changed(job.id)

    async def poll_now(self, job_id: str | None = None) -> None:
        """Ask after one job, or after all open ones, without waiting for its turn; returns when they have been asked.

        An ended one is collected too. What goes wrong stands in the jobs' `problem`.
        """
        opened = self._desk
        if job_id is not None:
            await opened.tracker.ask(await find_job(opened.store, job_id))
            return
        await asyncio.gather(*(opened.tracker.ask(stored) for stored in await opened.store.open()))

    async def wait(self, job_id: str, *, timeout_s: float | None = None, poll_interval_s: float | None = None) -> Job:
        """Until it has ended. Raises TimeoutError; the job goes on.

        Args:
            poll_interval_s: ask at least this often, instead of by the desk's own pace.
        """
        job = await self.job(job_id)
        changed = asyncio.Event()
        stop = self.subscribe(lambda change: changed.set() if change.job.id == job.id else None)
        # A desk that follows nothing must ask by itself.
        interval_s = poll_interval_s or (None if self._track else self._pace.first_s)
        try:
            async with asyncio.timeout(timeout_s):
                while not (job := await self.job(job.id)).state.is_ended:
                    await self._until(changed, job, interval_s)
        finally:
            stop()
        return job

    def subscribe(self, listener: Callable[[JobChange], None]) -> Callable[[], None]:
        """Call `listener` on the loop with every change of a job, other processes' included; returns how to stop.

        It must be quick: no waiting, no drawing.
        """
        return self._desk.news.subscribe(listener)

    async def price(self, model: str, rows: Iterable[Row]) -> JobEstimate:
        """What these rows may cost as a batch and live. Raises as `submit` does for the model; sends nothing."""
        batching, accounts = self._desk.batching, self._desk.accounts
        target = batching.target(model)
        adapter = await accounts.adapter(target.spec)
        counted = await asyncio.to_thread(tally, rows)
        price = await asyncio.to_thread(batching.price, target.route)
        return counted.estimate(price, adapter.limits)

    async def supported(self) -> tuple[BatchSupport, ...]:
        """What each provider with batches offers, and whether there is a key for it."""
        return await self._desk.accounts.supported()

    async def _until(self, changed: asyncio.Event, job: Job, interval_s: float | None) -> None:
        """A change of this job, or the time to ask after it."""
        if interval_s is None:
            await changed.wait()
            changed.clear()
            return
        now_s = self._desk.batching.clock.wall().timestamp()
        asked_s = job.last_poll_s or job.created_s
        if await until(changed, max(0.0, interval_s - (now_s - asked_s))):
            changed.clear()
        else:
            await self.poll_now(job.id)

    @property
    def _desk(self) -> _Open:
        if self._opened is None:
            raise UsageError("The desk for batch jobs is not open.", hint="Use it inside `async with JobDesk(...)`.")
        return self._opened

    def _assemble(self, batching: Batching, database: Database) -> _Open:
        store, accounts, pace = JobStore(database), Accounts(batching), self._pace
        spool, news = Spool(self._path.parent / "batches"), News(store)
        rounds = Rounds(
            store,
            accounts,
            Submitter(store, spool, batching.clock, pace.settle_s, lambda job_id: tracker.take(job_id)),
            Collector(batching, store, batching.clock),
            clock=batching.clock,
            rng=batching.rng,
            pace=pace,
            changed=news.changed,
        )
        tracker = Tracker(
            store, rounds, clock=batching.clock, pace=pace, follow=self._track, changed=news.changed, swept=news.look
        )
        handing_in = HandingIn(batching, store, spool, accounts, rounds, tracker, news, pace)
        return _Open(database, batching, store, accounts, rounds, spool, tracker, news, handing_in)


async def _tidy(spool: Spool, store: JobStore) -> None:
    """Remove what processes left behind that died between sending a part and deleting its file."""
    # In this order: a job is written down before its files are.
    there = await asyncio.to_thread(spool.jobs)
    if there:
        for job_id in there - {job.id for job, _ in await store.open()}:
            await asyncio.to_thread(spool.drop, job_id)


def _decoded(found: Sequence[StoredRow]) -> list[JobRow]:
    """Takes milliseconds when prompts are long: for a thread."""
    return [row_of(stored) for stored in found]
