"""Follows open jobs: a task for every part, so that one slow provider delays no other, and one that keeps watch.

The watch renews this desk's leases, takes up jobs that nobody follows (new ones, and those of processes that died), and
notices what other processes did. A lease is a row in the store; a process on this machine that is dead loses its own at
once, one that cannot be seen after `lease_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from workbench.core.clock import Clock
from workbench.core.errors import StoreError
from workbench.jobs.pace import Pace
from workbench.jobs.rounds import Round, Rounds
from workbench.store.ids import new_id
from workbench.store.job_records import JobRecord, PartRecord, StoredJob
from workbench.store.jobs import JobStore


@dataclass(slots=True)
class _Nudge:
    """How a part's task is told not to wait any longer, and whom it tells when it has been round."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[asyncio.Future[None]] = field(default_factory=list)
    closed: bool = False

    def ask(self) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked.append(future)
        self.event.set()
        if self.closed:
            self.tell(self.taken())
        return future

    def taken(self) -> list[asyncio.Future[None]]:
        self.event.clear()
        taken, self.asked = self.asked, []
        return taken

    def tell(self, asked: list[asyncio.Future[None]]) -> None:
        for future in asked:
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """There will be no more rounds."""
        self.closed = True
        self.tell(self.taken())


@dataclass(slots=True)
class _Followed:
    """One job whose lease is ours."""

    task: asyncio.Task[None]
    nudges: dict[int, _Nudge]
    cancel_asked: bool


class Tracker:
    """The tasks of one desk. `follow=False` renews leases and follows nothing by itself."""

    def __init__(
        self,
        store: JobStore,
        rounds: Rounds,
        *,
        clock: Clock,
        pace: Pace,
        follow: bool,
        changed: Callable[[str], Awaitable[None]],
        swept: Callable[[], Awaitable[None]],
    ) -> None:
        """`changed` is told of a job that may have changed; `swept` is called at every look at the store."""
        self._store = store
        self._rounds = rounds
        self._clock = clock
        self._pace = pace
        self._follow = follow
        self._changed = changed
        self._swept = swept
        self.owner = owner_of_this_process()
        self._followed: dict[str, _Followed] = {}
        self._reserved: set[str] = set()
        # Between the question whether anybody here is at work on a job and the start of it, nobody else may ask that.
        self._claiming = asyncio.Lock()
        self._wake = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._watch = asyncio.create_task(self._keep_watch(), name="batch jobs")

    async def aclose(self) -> None:
        tasks = [followed.task for followed in self._followed.values()]
        if self._watch is not None:
            tasks.append(self._watch)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._followed.clear()
        with contextlib.suppress(StoreError):
            await self._store.release(self.owner)

    def reserve(self, job_id: str) -> None:
        """Somebody else in this process is at work on this job, with our lease."""
        self._reserved.add(job_id)

    async def free(self, job_id: str) -> None:
        """It is the tracker's from here on, or another process's if this one follows nothing."""
        self._reserved.discard(job_id)
        if self._follow:
            self._wake.set()
        else:
            await self._store.release(self.owner, job_id)

    def look(self) -> None:
        """At the store, now."""
        self._wake.set()

    async def take(self, job_id: str) -> bool:
        """Our lease on a job; False while another process has it."""
        now_s = self._now_s()
        return await self._store.take(job_id, self.owner, now_s, now_s + self._pace.lease_s, owner_is_gone)

    async def ask(self, stored: StoredJob) -> None:
        """One round for every open part of a job, now; returns when they have been made, here or not at all."""
        job, parts = stored
        positions = [part.position for part in parts if not part.over]
        async with self._claiming:
            followed = self._followed.get(job.id)
            if followed is None:
                if job.id in self._reserved or not await self.take(job.id):
                    return
                self._reserved.add(job.id)
        if followed is not None:
            await _round_by(followed, positions)
            return
        try:
            went = await asyncio.gather(
                *(self._rounds.step(job.id, place, self._pace.first_s) for place in positions), return_exceptions=True
            )
        finally:
            await self.free(job.id)
        for outcome in went:
            if isinstance(outcome, BaseException):
                raise outcome

    # ---- the watch

    async def _keep_watch(self) -> None:
        while True:
            self._wake.clear()
            # A store that is locked or full is looked at again; what could not be written is noticed where it is.
            with contextlib.suppress(StoreError):
                await self._sweep()
            await until(self._wake, self._pace.sweep_s)

    async def _sweep(self) -> None:
        now_s = self._now_s()
        held: frozenset[str] = frozenset()
        if self._followed or self._reserved:
            held = await self._store.renew(self.owner, now_s + self._pace.lease_s)
        for job_id in [job_id for job_id in self._followed if job_id not in held]:
            # Ended, forgotten, or slept for so long that somebody else took over.
            await _cancelled(self._followed.pop(job_id).task)
        if self._follow:
            for stored in await self._store.open():
                await self._consider(stored)
            await self._let_go_of_ended()
        await self._swept()

    async def _consider(self, stored: StoredJob) -> None:
        job, parts = stored
        followed = self._followed.get(job.id)
        if followed is not None:
            if job.cancel_asked and not followed.cancel_asked:
                followed.cancel_asked = True
                for nudge in followed.nudges.values():
                    nudge.event.set()
            return
        async with self._claiming:
            if job.id in self._reserved or not await self.take(job.id):
                return
            if parts:
                self._start(job, parts)
            else:
                await self._give_up(job)

    async def _let_go_of_ended(self) -> None:
        for job_id in [job_id for job_id, followed in self._followed.items() if followed.task.done()]:
            del self._followed[job_id]
            await self._store.release(self.owner, job_id)

    async def _give_up(self, job: JobRecord) -> None:
        """Its process ended while the rows were being read; what was read may be any part of them."""
        problem = "The program ended while the rows were being read. Nothing was sent; submit them again."
        await self._store.change_job(job.id, {"ended_s": self._now_s(), "problem": problem})
        await self._store.release(self.owner, job.id)
        await self._changed(job.id)

    def _start(self, job: JobRecord, parts: tuple[PartRecord, ...]) -> None:
        still_open = [part for part in parts if not part.over]
        nudges = {part.position: _Nudge() for part in still_open}
        task = asyncio.create_task(self._follow_job(job.id, still_open, nudges), name=f"batch job {job.id}")
        self._followed[job.id] = _Followed(task, nudges, job.cancel_asked)

    async def _follow_job(self, job_id: str, parts: list[PartRecord], nudges: dict[int, _Nudge]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self._follow_part(job_id, part, nudges[part.position]))
        finally:
            self._wake.set()

    async def _follow_part(self, job_id: str, part: PartRecord, nudge: _Nudge) -> None:
        # What has never been asked after is due now, and so is what should have been while nobody followed it.
        due_s = part.next_poll_s if part.next_poll_s is not None else 0.0
        wait_s, previous_s = max(0.0, min(due_s - self._now_s(), self._pace.slowest_s)), self._pace.first_s
        asked: list[asyncio.Future[None]] = []
        try:
            while True:
                await until(nudge.event, wait_s)
                asked = nudge.taken()
                went = await self._step(job_id, part.position, previous_s)
                nudge.tell(asked)
                if went.ended:
                    return
                wait_s, previous_s = went.wait_s, max(went.wait_s, self._pace.first_s)
        finally:
            nudge.tell(asked)
            nudge.close()

    async def _step(self, job_id: str, position: int, previous_s: float) -> Round:
        wait_s = max(previous_s, self._pace.first_s)
        try:
            return await self._rounds.step(job_id, position, previous_s)
        except StoreError:
            return Round(ended=False, wait_s=wait_s)  # nor could it be written down
        except Exception as exc:  # the boundary of a task: this part waits, the others go on
            await self._note(job_id, position, exc)
            return Round(ended=False, wait_s=wait_s)

    async def _note(self, job_id: str, position: int, exc: Exception) -> None:
        problem = f"{type(exc).__name__}: {exc}. This is a fault of the workbench."
        with contextlib.suppress(StoreError):
            await self._store.change_part(job_id, position, {"problem": problem})
            await self._changed(job_id)

    def _now_s(self) -> float:
        return self._clock.wall().timestamp()


def owner_of_this_process() -> str:
    """Who holds a lease: the machine, its process namespace, the process, and chance."""
    return f"{_place()}|{os.getpid()}|{new_id(0.0)[-5:]}"


def owner_is_gone(owner: str) -> bool:
    """True when that process is certainly dead: it was on this machine, and is not any more."""
    place, _, rest = owner.partition("|")
    pid = rest.partition("|")[0]
    # On Windows, asking after a process in this way would end it.
    if place != _place() or not pid.isdecimal() or sys.platform == "win32":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _place() -> str:
    """Containers may share a host's name and a directory, and not its process numbers."""
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()}:{Path('/proc/self/ns/pid').readlink()}"
    return socket.gethostname()


async def until(event: asyncio.Event, seconds: float) -> bool:
    """Whether it was set before the time was over.

    Not `asyncio.wait_for`, which up to Python 3.11 loses a cancellation that comes together with the event.
    """
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _round_by(followed: _Followed, positions: list[int]) -> None:
    """Have the tasks that follow a job's parts go round once."""
    asked = [followed.nudges[place].ask() for place in positions if place in followed.nudges]
    # A task that was cancelled before it began tells nobody.
    while not followed.task.done() and (pending := [future for future in asked if not future.done()]):
        await asyncio.wait([followed.task, *pending], return_when=asyncio.FIRST_COMPLETED)
