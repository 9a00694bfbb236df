"""One request's record as a flat JSON object: what `bench load` and the telemetry file write, a line per request.

Spans are seconds; what is not known is null and never 0. No prompt, no answer and no key is in it.
"""

from __future__ import annotations

from workbench.core.clock import NS_PER_S
from workbench.core.types import CHARACTERS_PER_TOKEN, Json, UsageSource
from workbench.engine.records import AttemptRecord, RequestRecord

_STAMPS = (
    "enqueued",
    "admitted",
    "sent",
    "headers",
    "first_event",
    "first_token",
    "first_answer",
    "last_token",
    "ended",
)


def output_tokens(record: RequestRecord) -> tuple[int, bool]:
    """How many tokens came out, reasoning included, and whether that is an estimate."""
    usage = record.usage
    if usage is not None and usage.source is UsageSource.PROVIDER and usage.output > 0:
        return usage.output, False
    return round(record.characters / CHARACTERS_PER_TOKEN), True


def record_line(record: RequestRecord) -> dict[str, Json]:
    """The record by the names that the workbench shows its figures under."""
    timing, usage, route = record.timing, record.usage, record.route
    tokens, estimated = output_tokens(record)
    connect_ns = record.attempts[-1].connect_ns if record.attempts else None
    return {
        "number": record.number,
        "model": record.model,
        "provider": route.provider if route else None,
        "wire_model": route.wire_model if route else None,
        "key": record.key_alias,
        "population": record.population.value,
        "finish_reason": record.finish_reason.value if record.finish_reason else None,
        "error": record.error or None,
        "job": record.job or None,
        "setup_s": _seconds(record.setup_ns),
        "queue_s": _rounded(timing.queue_s),
        "waits_s": {reason.value: _seconds(waited_ns) for reason, waited_ns in record.waits},
        "retry_wait_s": _seconds(timing.retry_wait_ns),
        "connect_s": _seconds(connect_ns),
        "ttft_s": _rounded(timing.ttft_s),
        "ttfa_s": _rounded(timing.ttfa_s),
        "perceived_ttft_s": _rounded(timing.perceived_ttft_s),
        "tpot_s": _rounded(timing.tpot_s(tokens)),
        "longest_gap_s": _seconds(record.longest_gap_ns if record.chunks > 1 else None),
        "stalled_s": _seconds(timing.stalled_ns),
        "service_s": _rounded(timing.service_s),
        "e2e_s": _rounded(timing.e2e_s),
        "ttft_error_s": _seconds(timing.ttft_error_ns if timing.ttft_s is not None else None),
        "stamp_error_s": _seconds(timing.stamp_error_ns),
        "input_tokens": usage.input if usage else None,
        "cached_input_tokens": usage.cached_input if usage else None,
        "cache_write_tokens": usage.cache_write if usage else None,
        "output_tokens": tokens,
        "reasoning_tokens": usage.reasoning if usage else None,
        "tokens_estimated": estimated,
        "chunks": record.chunks,
        "tokens_per_chunk": _rounded(record.tokens_per_chunk),
        "cost_usd": record.cost_usd,
        "saved_usd": record.saved_usd,
        "attempts": [_attempt(attempt, timing.submitted_ns) for attempt in record.attempts],
    }


def _attempt(attempt: AttemptRecord, submitted_ns: int) -> dict[str, Json]:
    stamps = ((name, getattr(attempt, f"{name}_ns")) for name in _STAMPS)
    return {
        "number": attempt.number,
        "key": attempt.key_alias,
        "outcome": attempt.outcome.value,
        "error": attempt.error or None,
        "status": attempt.status,
        "fresh_connection": attempt.fresh,
        "at_s": {name: _seconds(stamp - submitted_ns) for name, stamp in stamps if stamp is not None},
    }


def _seconds(span_ns: int | None) -> float | None:
    return None if span_ns is None else round(span_ns / NS_PER_S, 6)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
