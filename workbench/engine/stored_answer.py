"""An answer as the response cache keeps it, the key that it lies under, and which answers are kept at all."""

from __future__ import annotations

import hashlib

import msgspec

from workbench.core.types import CacheMode, FinishReason, Json, Message, Params, Result, Route, Timing, Usage

KEY_VERSION = 1
"""Part of every key: a change of what a key holds must never find an old answer."""


class StoredAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One answer as it lies in the cache: enough to say it again, and what saying it again saves."""

    stored_at_s: float
    """Wall clock."""
    text: str
    finish_reason: FinishReason
    timing: Timing
    """Of the call that was made, counted from its submission."""
    model: str = ""
    """`provider/wire model`, for people who look into the cache; empty in entries from before it was kept."""
    reasoning: str = ""
    tool_calls: str = ""
    usage: Usage | None = None
    cost_usd: float | None = None
    request_id: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, result: Result, stored_at_s: float) -> StoredAnswer:
        return cls(
            stored_at_s=stored_at_s,
            text=result.text,
            finish_reason=result.finish_reason,
            timing=_from_submission(result.timing),
            model=f"{result.route.provider}/{result.route.wire_model}",
            reasoning=result.reasoning,
            tool_calls=result.tool_calls,
            usage=result.usage,
            cost_usd=result.cost_usd,
            request_id=result.request_id,
            notes=result.notes,
        )

    def said_again(
        self,
        route: Route,
        timing: Timing,
        *,
        notes: tuple[str, ...],
        attempts: int = 0,
        similarity: float | None = None,
    ) -> Result:
        """The answer as that of another request, which it cost nothing."""
        return Result(
            text=self.text,
            reasoning=self.reasoning,
            finish_reason=self.finish_reason,
            usage=self.usage,
            cost_usd=0.0,
            timing=timing,
            route=route,
            cached=True,
            attempts=attempts,
            request_id=self.request_id,
            tool_calls=self.tool_calls,
            notes=tuple(dict.fromkeys((*notes, *self.notes))),
            saved_usd=self.cost_usd,
            saved_s=self.timing.e2e_s,
            similarity=similarity,
        )


def cache_key(
    route: Route, messages: tuple[Message, ...], body: dict[str, Json], sample: int, *, family: str = ""
) -> str:
    """SHA-256 over everything that decides the answer. `body` is what goes on the wire beside model and messages."""
    parts = {
        "v": KEY_VERSION,
        "provider": route.provider,
        "base_url": route.base_url.rstrip("/"),
        "family": family,
        "model": route.wire_model,
        "messages": [(message.role, message.text) for message in messages],
        "params": body,
        "sample": sample,
    }
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def may_store(result: Result, params: Params) -> bool:
    """True for whole answers. One cut by a limit is whole only if the caller set that limit."""
    if result.cached or not (result.text or result.tool_calls):
        return False
    match result.finish_reason:
        case FinishReason.STOP | FinishReason.TOOL_CALL:
            return True
        case FinishReason.LENGTH:
            return params.max_tokens is not None
        case _:
            return False


def reads(mode: CacheMode) -> bool:
    return mode in (CacheMode.USE, CacheMode.READ_ONLY)


def writes(mode: CacheMode) -> bool:
    return mode in (CacheMode.USE, CacheMode.REFRESH)


def _from_submission(timing: Timing) -> Timing:
    """The same stamps counted from the submission: a monotonic clock means nothing to another process."""
    start_ns = timing.submitted_ns

    def since(stamp_ns: int | None) -> int | None:
        return None if stamp_ns is None else stamp_ns - start_ns

    return Timing(
        submitted_ns=0,
        admitted_ns=since(timing.admitted_ns),
        dialled_ns=since(timing.dialled_ns),
        connected_ns=since(timing.connected_ns),
        sent_ns=since(timing.sent_ns),
        headers_ns=since(timing.headers_ns),
        first_event_ns=since(timing.first_event_ns),
        first_token_ns=since(timing.first_token_ns),
        first_answer_ns=since(timing.first_answer_ns),
        last_token_ns=since(timing.last_token_ns),
        done_ns=since(timing.done_ns),
        retry_wait_ns=timing.retry_wait_ns,
        stamp_error_ns=timing.stamp_error_ns,
        ttft_error_ns=timing.ttft_error_ns,
        stalled_ns=timing.stalled_ns,
    )
