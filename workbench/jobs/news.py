"""What is known of every job, and who is told when that changes, by this process or by another one on the store."""

from __future__ import annotations

from collections.abc import Callable

from workbench.jobs.job import Job, JobChange
from workbench.jobs.record import job_of
from workbench.store.job_records import StoredJob
from workbench.store.jobs import JobStore

Listener = Callable[[JobChange], None]


class News:
    """The jobs of one store as last seen. Belongs to one event loop."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._known: dict[str, tuple[int, Job]] = {}
        self._listeners: dict[int, Listener] = {}
        self._next = 0

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        number = self._next = self._next + 1
        self._listeners[number] = listener

        def stop() -> None:
            self._listeners.pop(number, None)

        return stop

    async def learn(self) -> None:
        """What there is, without telling anybody."""
        for stored in await self._store.all():
            self._known[stored[0].id] = (stored[0].revision, job_of(stored))

    async def look(self) -> None:
        """At everything that has changed since it was last seen."""
        revisions = await self._store.revisions()
        for job_id, revision in revisions.items():
            seen = self._known.get(job_id)
            if seen is None or seen[0] < revision:
                await self.changed(job_id)
        for job_id in [job_id for job_id in self._known if job_id not in revisions]:
            self._gone(job_id)

    async def changed(self, job_id: str) -> None:
        """This one may have changed."""
        stored = await self._store.get(job_id)
        if stored is None:
            self._gone(job_id)
        else:
            self.tell(stored)

    def tell(self, stored: StoredJob) -> None:
        record = stored[0]
        seen = self._known.get(record.id)
        if seen is not None and seen[0] >= record.revision:
            return  # read earlier than what is known, or told already
        job = job_of(stored)
        self._known[record.id] = (record.revision, job)
        self._publish(JobChange(job, None if seen is None else seen[1].state))

    def _gone(self, job_id: str) -> None:
        seen = self._known.pop(job_id, None)
        if seen is not None:
            self._publish(JobChange(seen[1], seen[1].state, gone=True))

    def _publish(self, change: JobChange) -> None:
        for listener in tuple(self._listeners.values()):
            listener(change)
