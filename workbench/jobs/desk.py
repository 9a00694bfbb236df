"""Where batch jobs are handed in, looked at and fetched: the one door for the library, the shell and the screens.

A desk belongs to one event loop and one open engine. While it is open with `track=True` it follows every open job of
the store, its own and those of processes that are gone; of several processes on one store each job is followed by one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from workbench.jobs.job import BatchSupport, Job, JobChange, JobEstimate, JobRow, RowFilter
from workbench.jobs.rows import Row

if TYPE_CHECKING:
    from workbench.engine.engine import Engine


class JobDesk:
    """Batch jobs of one store.

    async with Engine(settings) as engine, JobDesk(engine, paths.database) as desk:
        job = await desk.submit("gpt-5.4-mini", rows, name="labels")
        job = await desk.wait(job.id)
        async for row in desk.all_rows(job.id): ...
    """

    def __init__(self, engine: Engine, database: Path, *, track: bool = True) -> None:
        """`engine` must be open for as long as the desk is. `track=False` follows nothing by itself: for one look."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Raises StoreError when the store cannot be opened."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Jobs go on at their providers; what was being fetched is fetched again by whoever tracks next."""
        raise NotImplementedError

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
        raise NotImplementedError

    async def jobs(self) -> tuple[Job, ...]:
        """Newest first."""
        raise NotImplementedError

    async def job(self, job_id: str) -> Job:
        """By its id or an unambiguous beginning of it, by a part's provider id, or by `provider:n:id`.

        Raises UsageError with the nearest matches.
        """
        raise NotImplementedError

    async def rows(
        self, job_id: str, *, only: RowFilter = RowFilter.ALL, offset: int = 0, limit: int = 200
    ) -> tuple[JobRow, ...]:
        """One page of rows in input order; `offset` counts rows that pass the filter."""
        raise NotImplementedError

    def all_rows(self, job_id: str, *, only: RowFilter = RowFilter.ALL) -> AsyncGenerator[JobRow, None]:
        """Every row in input order, read from the store as it is consumed."""
        raise NotImplementedError

    async def error_counts(self, job_id: str) -> tuple[tuple[str, int], ...]:
        """Failed rows by their error's title, most frequent first."""
        raise NotImplementedError

    async def cancel(self, job_id: str) -> Job:
        """Ask the provider to stop. Rows done by then keep their answers, and are paid. Harmless for an ended job.

        Raises the provider's error when it could not be asked.
        """
        raise NotImplementedError

    async def retry_failed(self, job_id: str) -> Job:
        """A new job of this one's failed rows. Raises UsageError: not ended, none failed, imported, or done before."""
        raise NotImplementedError

    async def import_(self, job_id: str, *, model: str | None = None, name: str = "") -> Job:
        """Take up a batch made elsewhere: `provider:n:id`, or a provider's id alone where that tells whose it is.

        One that is known already is returned. Without a key for its provider it is kept, and waits for one.

        Args:
            model: what its rows were for, so that they can be priced.

        Raises:
            UsageError: the id says no provider.
            BatchNotFound: no key of that provider can see it.
        """
        raise NotImplementedError

    async def forget(self, job_id: str) -> None:
        """Delete a job, its rows and answers here. Raises UsageError while it is open: cancel it first."""
        raise NotImplementedError

    async def poll_now(self, job_id: str | None = None) -> None:
        """Ask after one job, or after all open ones, without waiting for its turn; returns when they have been asked.

        An ended one is collected too. What goes wrong stands in the jobs' `problem`.
        """
        raise NotImplementedError

    async def wait(self, job_id: str, *, timeout_s: float | None = None, poll_interval_s: float | None = None) -> Job:
        """Until it has ended. Raises TimeoutError; the job goes on.

        Args:
            poll_interval_s: ask at least this often, instead of by the desk's own pace.
        """
        raise NotImplementedError

    def subscribe(self, listener: Callable[[JobChange], None]) -> Callable[[], None]:
        """Call `listener` on the loop with every change of a job, other processes' included; returns how to stop.

        It must be quick: no waiting, no drawing.
        """
        raise NotImplementedError

    async def price(self, model: str, rows: Iterable[Row]) -> JobEstimate:
        """What these rows may cost as a batch and live. Raises as `submit` does for the model; sends nothing."""
        raise NotImplementedError

    async def supported(self) -> tuple[BatchSupport, ...]:
        """What each provider with batches offers, and whether there is a key for it."""
        raise NotImplementedError
