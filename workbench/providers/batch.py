"""The seam between jobs and a provider's batch endpoints: rows in, results by custom id out.

A provider's batch is made in two steps, upload and create, since a process may die between them; both are named so
that a restart finds them again: the upload by its file name, the batch by its metadata or its rows' custom ids.
Everything that goes wrong is a `ProviderError`. Nothing here waits, polls, retries or remembers; `jobs` does.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from workbench.core.errors import ProviderError
from workbench.core.types import FinishReason, KeyAlias, Message, Params, Usage
from workbench.providers.base import ProviderSpec


class BatchState(StrEnum):
    """Every provider's words for it, as one set."""

    VALIDATING = "validating"
    IN_PROGRESS = "in progress"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    PAUSED = "paused"

    @property
    def is_terminal(self) -> bool:
        """Nothing more will happen at the provider. Results may exist in every one of these states."""
        return self in (BatchState.COMPLETED, BatchState.FAILED, BatchState.EXPIRED, BatchState.CANCELLED)


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One row of a batch, before it is put into a provider's shape."""

    custom_id: str
    """Unique in its job; what a result is matched by."""
    messages: tuple[Message, ...]
    params: Params


@dataclass(frozen=True, slots=True)
class BatchAccount:
    """Who pays, and where."""

    spec: ProviderSpec
    base_url: str
    key: str = field(repr=False)
    key_alias: KeyAlias | None = None


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one provider batch may hold; larger jobs become several."""

    rows: int
    body_bytes: int
    row_bytes: int


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """A row as one line of the provider's own, without line end, and what was changed on the way."""

    custom_id: str
    line: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchCounts:
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    """Errors, refusals by the endpoint, expired and cancelled rows alike."""


@dataclass(frozen=True, slots=True)
class BatchStatus:
    id: str
    state: BatchState
    counts: BatchCounts
    created_s: float | None = None
    """Epoch seconds; None when the provider does not say. The same for the next ones."""
    ended_s: float | None = None
    expires_s: float | None = None
    results_until_s: float | None = None
    """After that the provider deletes what it has."""
    tag: str | None = None
    """What `create` was given, where the provider keeps metadata."""
    problem: str = ""
    """Why it failed, in the provider's words, one line."""
    raw_state: str = ""
    is_queue_full: bool = False
    """It failed since too much was waiting already: nothing of it ran, and later it may."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What one row came to. Exactly one of `finish_reason` and `error` is set: a failed row is never an empty text."""

    custom_id: str
    text: str = ""
    reasoning: str = ""
    tool_calls: str = ""
    """As in `Result`."""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    error: ProviderError | None = None
    request_id: str | None = None


class BatchAdapter(Protocol):
    """One provider's batch endpoints."""

    @property
    def limits(self) -> BatchLimits: ...

    def encode(self, account: BatchAccount, model: str, row: BatchRow) -> EncodedRow:
        """The row as it will be sent, by the same parameter rules as a live call. Raises BadRequest if it cannot be."""

    async def upload(self, account: BatchAccount, name: str, lines: Sequence[bytes]) -> str | None:
        """Bring the rows to the provider under a file name; returns the file's id, None where `create` carries them."""

    async def find_upload(self, account: BatchAccount, name: str) -> str | None:
        """The id of a file that an earlier process uploaded under this name."""

    async def create(
        self, account: BatchAccount, model: str, *, tag: str, file_id: str | None, lines: Sequence[bytes]
    ) -> BatchStatus:
        """Start the batch. `tag` comes back in its status where the provider keeps metadata."""

    async def find_batch(
        self, account: BatchAccount, *, tag: str, file_id: str | None, custom_id: str, rows: int, since_s: float
    ) -> BatchStatus | None:
        """The batch that an earlier process created, perhaps without hearing so, no earlier than `since_s`.

        Recognised by its tag, by the file it was made from, or by holding `custom_id` among `rows` rows: whatever this
        provider tells. Raises `Conflict`, which passes with time, while one that might be it does not say what it holds
        (Anthropic's, until they have ended). One that failed since the queue was full is none: it may have a successor.
        """

    async def status(self, account: BatchAccount, batch_id: str) -> BatchStatus:
        """Raises BatchNotFound when this account cannot see it."""

    def results(self, account: BatchAccount, batch_id: str) -> AsyncGenerator[BatchResult, None]:
        """Every row that the provider has a result or an error for, from output and error files, in its own order."""

    async def cancel(self, account: BatchAccount, batch_id: str) -> BatchStatus: ...
