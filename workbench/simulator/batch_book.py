"""Batches and files of one simulator: who owns them, and what has become of each by now.

Nothing runs in the background. A batch's state, its progress and its results follow from when it was created, its pace
and the clock, so a status costs the same for ten rows and for fifty thousand, and a result is made when it is read.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from workbench.simulator.models import Provider

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class BatchPace:
    """How batches get on. `time_scale` shortens everything but `expires_s` and `keep_s`."""

    validate_s: float = 3.0
    rows_per_s: float = 2.0
    finalize_s: float = 3.0
    cancel_s: float = 2.0
    expires_s: float = DAY_S
    keep_s: float = 29 * DAY_S
    """How long results can be had after the end."""
    failing: float = 0.0
    """Share of the rows that end with a server error."""
    enqueued_tokens: int | None = None
    """Most tokens that one organisation may have waiting for one model; None: no end."""
    brief: bool = False
    """Answers of one short sentence, made 20 times as fast as others: for many rows."""


class Phase(StrEnum):
    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"

    @property
    def is_end(self) -> bool:
        return self in (Phase.COMPLETED, Phase.FAILED, Phase.EXPIRED, Phase.CANCELLED)


class Moment(NamedTuple):
    """A batch, as it stands."""

    phase: Phase
    done: int
    """Rows that have been answered, successfully or not."""
    ended_s: float | None = None
    """When the last phase began, on the batch clock."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What validation found in one line."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRow:
    custom_id: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowResult:
    """What came of one row: an answer's body with status 200, or an error's."""

    custom_id: str
    status: int
    body: Any
    number: int
    """Of the row, in its file."""


RowReader = Callable[[bytes], BatchRow]


@dataclass(eq=False)
class Batch:
    """Rows on their way. All times are seconds of the book's clock."""

    id: str
    number: int
    provider: Provider
    organisation: str
    model: str
    endpoint: str
    lines: Sequence[bytes]
    read_row: RowReader
    pace: BatchPace
    scale: float
    """The time scale when it was created."""
    created_s: float
    problems: tuple[Problem, ...] = ()
    tokens: int = 0
    """Of all prompts, roughly."""
    details: dict[str, Any] = field(default_factory=dict)
    """What the dialect keeps of the request: metadata, names, files."""
    cancelled_s: float | None = None
    failures: list[int] = field(default_factory=list)
    """How many of the first 0, 1, 2, … rows of `order` have failed, as far as somebody has counted."""

    @cached_property
    def order(self) -> list[int]:
        """Rows in the order in which they are answered and written: any but their file's."""
        order = list(range(len(self.lines)))
        random.Random(f"batch order {self.number}").shuffle(order)
        return order

    @property
    def expires_s(self) -> float:
        return self.created_s + self.pace.expires_s

    def at(self, now_s: float) -> Moment:
        pace, scale = self.pace, self.scale
        started_s = self.created_s + pace.validate_s * scale
        worked_s = started_s + len(self.lines) / pace.rows_per_s * scale
        completed_s = worked_s + pace.finalize_s * scale
        over_s = min(started_s if self.problems else completed_s, self.expires_s)
        if self.cancelled_s is not None and self.cancelled_s < over_s:
            done = self._answered(self.cancelled_s - started_s)
            ended_s = self.cancelled_s + pace.cancel_s * scale
            return Moment(Phase.CANCELLED, done, ended_s) if now_s >= ended_s else Moment(Phase.CANCELLING, done)
        if now_s < min(started_s, self.expires_s):
            return Moment(Phase.VALIDATING, 0)
        if self.problems:
            return Moment(Phase.FAILED, 0, started_s)
        if now_s >= over_s:
            phase = Phase.COMPLETED if completed_s <= self.expires_s else Phase.EXPIRED
            return Moment(phase, self._answered(over_s - started_s), over_s)
        done = self._answered(now_s - started_s)
        return Moment(Phase.FINALIZING if done == len(self.lines) else Phase.IN_PROGRESS, done)

    def _answered(self, worked_s: float) -> int:
        if worked_s < 0:
            return 0
        if self.scale == 0 or math.isinf(self.pace.rows_per_s):
            return len(self.lines)
        # A millionth of a row more: the end must not wait for a rounding error.
        return min(len(self.lines), int(worked_s / self.scale * self.pace.rows_per_s + 1e-6))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An uploaded file. What batches write is made when it is read and is kept nowhere."""

    id: str
    provider: Provider
    organisation: str
    name: str
    purpose: str
    data: bytes
    created_s: float


class BatchBook:
    """Everything about batches that one simulator remembers."""

    def __init__(self, pace: BatchPace, clock: Callable[[], float]) -> None:
        self.pace = pace
        """For batches that are created from now on."""
        self._clock = clock
        self._skipped_s = 0.0
        self._files: dict[str, StoredFile] = {}
        self._batches: dict[str, Batch] = {}
        self._count = 0

    def now_s(self) -> float:
        return self._clock() + self._skipped_s

    def skip(self, seconds: float) -> None:
        """Let time pass for batches, and for nothing else."""
        self._skipped_s += seconds

    def wall(self, moment_s: float) -> float:
        """Epoch seconds of a moment on this clock, which is always now where the real one is."""
        return time.time() + moment_s - self.now_s()

    def next_number(self) -> int:
        self._count += 1
        return self._count

    def add_file(self, file: StoredFile) -> None:
        self._files[file.id] = file

    def add(self, batch: Batch) -> None:
        self._batches[batch.id] = batch

    def file(self, name: str, provider: Provider, organisation: str) -> StoredFile | None:
        """None also for what belongs to somebody else."""
        found = self._files.get(name)
        return found if found and (found.provider, found.organisation) == (provider, organisation) else None

    def remove_file(self, name: str) -> None:
        self._files.pop(name, None)

    def remove(self, batch: Batch) -> None:
        self._batches.pop(batch.id, None)

    def batch(self, name: str, provider: Provider, organisation: str) -> Batch | None:
        """None also for what belongs to somebody else."""
        found = self._batches.get(name)
        return found if found and (found.provider, found.organisation) == (provider, organisation) else None

    def files(self, provider: Provider, organisation: str) -> list[StoredFile]:
        """Newest first."""
        return [
            file
            for file in reversed(self._files.values())
            if (file.provider, file.organisation) == (provider, organisation)
        ]

    def batches(self, provider: Provider, organisation: str) -> list[Batch]:
        """Newest first."""
        return [
            batch
            for batch in reversed(self._batches.values())
            if (batch.provider, batch.organisation) == (provider, organisation)
        ]

    def cancel(self, batch: Batch) -> None:
        """Harmless for a batch that is over or was cancelled before."""
        if batch.cancelled_s is None and not batch.at(self.now_s()).phase.is_end:
            batch.cancelled_s = self.now_s()

    def results_until_s(self, batch: Batch) -> float | None:
        ended_s = batch.at(self.now_s()).ended_s
        return None if ended_s is None else ended_s + batch.pace.keep_s

    def has_results(self, batch: Batch) -> bool:
        """They exist from the end of a batch until they are deleted."""
        until_s = self.results_until_s(batch)
        return until_s is not None and self.now_s() < until_s

    def over_limit(self, batch: Batch) -> tuple[int, int] | None:
        """The limit of tokens in waiting, and how many wait already, where this batch is too much; else None."""
        limit = batch.pace.enqueued_tokens
        if limit is None or (waiting := self._enqueued_tokens_beside(batch)) + batch.tokens <= limit:
            return None
        return limit, waiting

    def _enqueued_tokens_beside(self, batch: Batch) -> int:
        """In batches of its model that are not over."""
        now_s = self.now_s()
        others = (one for one in self.batches(batch.provider, batch.organisation) if one.model == batch.model)
        return sum(one.tokens for one in others if not one.problems and not one.at(now_s).phase.is_end)
