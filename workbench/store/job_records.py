"""The rows of the tables that hold batch jobs, as values: one class to a table, one field to a column."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One row of `jobs`."""

    id: str
    created_s: float
    model: str
    provider: str
    wire_model: str
    base_url: str
    name: str = ""
    ended_s: float | None = None
    """Only for one that was given up before it had parts."""
    key_alias: str | None = None
    fingerprint: str = ""
    """Of the key, so that it is found again under whatever alias."""
    group_id: str | None = None
    rows: int = 0
    estimate_usd: float | None = None
    problem: str = ""
    imported: bool = False
    retry_of: str | None = None
    cancel_asked: bool = False
    notes: str = "[]"
    """A JSON list."""
    revision: int = 0
    owner: str = ""
    """Who follows it; empty when nobody does."""
    owner_until_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One row of `job_parts`: one provider batch."""

    job_id: str
    position: int
    state: str
    step: str
    """How far its submission got."""
    rows: int
    name: str = ""
    """Of its file, and its tag: how it is found again at the provider."""
    file_id: str | None = None
    sent_s: float | None = None
    """When we last began to create it."""
    batch_id: str | None = None
    over: bool = False
    """It has ended, and what the provider had of it is here."""
    way: str = ""
    """How it ended at the provider; empty before that."""
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    created_s: float | None = None
    ended_s: float | None = None
    expires_s: float | None = None
    results_until_s: float | None = None
    last_poll_s: float | None = None
    next_poll_s: float | None = None
    polls: int = 0
    misses: int = 0
    """How often in a row the provider did not know it."""
    raw_state: str = ""
    problem: str = ""
    cost_usd: float | None = None
    saved_usd: float | None = None


@dataclass(frozen=True, slots=True)
class RowRecord:
    """One row of `job_rows`. `messages` and `params` are JSON."""

    position: int
    part: int
    row_id: str
    wire_id: str
    messages: str
    params: str


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One row of `job_answers`."""

    wire_id: str
    part: int
    ended_s: float
    text: str
    reasoning: str
    tool_calls: str
    finish_reason: str | None
    error_title: str | None
    error_message: str | None
    error_code: str | None
    input_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    usage_source: str | None
    cost_usd: float | None
    saved_usd: float | None
    request_id: str | None


StoredJob = tuple[JobRecord, tuple[PartRecord, ...]]
StoredRow = tuple[RowRecord, AnswerRecord | None]
