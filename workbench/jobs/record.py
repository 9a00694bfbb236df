"""Between what the store holds and what people look at: records to values, rows and results to records."""

from __future__ import annotations

import msgspec

from workbench.core.params import params_from
from workbench.core.types import FinishReason, KeyAlias, Message, Role, Usage, UsageSource
from workbench.jobs.job import Job, JobCounts, JobPart, JobRow, JobState, RowAnswer, RowError, state_of
from workbench.jobs.rows import Row
from workbench.store.job_records import AnswerRecord, JobRecord, PartRecord, RowRecord, StoredJob, StoredRow
from workbench.store.usage_columns import usage_columns


def job_of(stored: StoredJob) -> Job:
    record, parts = stored
    seen = tuple(part_of(part) for part in parts)
    counts = JobCounts(
        total=max(record.rows, sum(part.counts.finished for part in seen)),
        succeeded=sum(part.counts.succeeded for part in seen),
        failed=sum(part.counts.failed for part in seen),
    )
    state = state_of((part.state for part in seen), counts)
    if not seen and record.ended_s is not None:
        state = JobState.FAILED
    return Job(
        id=record.id,
        name=record.name,
        model=record.model,
        provider=record.provider,
        key_alias=KeyAlias(record.key_alias) if record.key_alias else None,
        group=record.group_id,
        state=state,
        counts=counts,
        parts=seen,
        created_s=record.created_s,
        ended_s=_ended_s(record, seen) if state.is_ended else None,
        cost_usd=_sum([part.cost_usd for part in parts]),
        saved_usd=_sum([part.saved_usd for part in parts]),
        estimate_usd=record.estimate_usd,
        problem=record.problem or next((part.problem for part in seen if part.problem), ""),
        imported=record.imported,
        retry_of=record.retry_of,
        cancel_asked=record.cancel_asked,
        notes=tuple(msgspec.json.decode(record.notes)),
    )


def part_of(record: PartRecord) -> JobPart:
    return JobPart(
        index=record.position,
        state=JobState(record.state),
        batch_id=record.batch_id,
        rows=record.rows,
        counts=JobCounts(max(record.rows, record.total), record.succeeded, record.failed),
        created_s=record.created_s,
        ended_s=record.ended_s,
        expires_s=record.expires_s,
        results_until_s=record.results_until_s,
        last_poll_s=record.last_poll_s,
        next_poll_s=record.next_poll_s,
        polls=record.polls,
        raw_state=record.raw_state,
        problem=record.problem,
    )


def row_of(stored: StoredRow) -> JobRow:
    record, answer = stored
    return JobRow(
        index=record.position,
        id=record.row_id,
        messages=messages_of(record),
        params=params_from(msgspec.json.decode(record.params)),
        answer=None if answer is None else answer_of(answer),
        cost_usd=None if answer is None else answer.cost_usd,
        saved_usd=None if answer is None else answer.saved_usd,
    )


def answer_of(record: AnswerRecord) -> RowAnswer:
    if record.error_title is not None:
        error = RowError(record.error_title, record.error_message or "", record.error_code or "")
        return RowAnswer(error=error, request_id=record.request_id)
    return RowAnswer(
        text=record.text,
        reasoning=record.reasoning,
        tool_calls=record.tool_calls,
        finish_reason=FinishReason(record.finish_reason or FinishReason.STOP),
        usage=_usage_of(record),
        request_id=record.request_id,
    )


def messages_of(record: RowRecord) -> tuple[Message, ...]:
    return tuple(Message(Role(role), text) for role, text in msgspec.json.decode(record.messages))


def record_of(row: Row, *, position: int, part: int, wire_id: str) -> RowRecord:
    messages = [[message.role, message.text] for message in row.messages]
    return RowRecord(
        position=position,
        part=part,
        row_id=row.id,
        wire_id=wire_id,
        messages=msgspec.json.encode(messages).decode(),
        params=msgspec.json.encode(row.params.as_dict()).decode(),
    )


def question_of(record: RowRecord) -> Row:
    """As it was handed in."""
    params = params_from(msgspec.json.decode(record.params))
    return Row(line=record.position + 1, id=record.row_id, messages=messages_of(record), params=params)


def error_record(wire_id: str, part: int, now_s: float, error: RowError) -> AnswerRecord:
    return AnswerRecord(
        wire_id=wire_id,
        part=part,
        ended_s=now_s,
        text="",
        reasoning="",
        tool_calls="",
        finish_reason=None,
        error_title=error.title,
        error_message=error.message,
        error_code=error.code,
        **usage_columns(None),
        cost_usd=None,
        saved_usd=None,
        request_id=None,
    )


def _usage_of(record: AnswerRecord) -> Usage | None:
    if record.input_tokens is None:
        return None
    return Usage(
        input=record.input_tokens,
        cached_input=record.cached_tokens or 0,
        cache_write=record.written_tokens or 0,
        output=record.output_tokens or 0,
        reasoning=record.reasoning_tokens or 0,
        source=UsageSource(record.usage_source or UsageSource.PROVIDER),
    )


def _ended_s(record: JobRecord, parts: tuple[JobPart, ...]) -> float | None:
    return record.ended_s or max((part.ended_s for part in parts if part.ended_s is not None), default=None)


def _sum(amounts: list[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None
