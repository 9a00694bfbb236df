"""The state of a lane as a word: what may be going on, kept apart because a person does something different about each.

Pure: `state_after(state, event)` is the whole machine. A state is shown as glyph and word, never by colour alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never

from workbench.core.errors import ContentBlocked, IncompleteStream, TimedOut, WorkbenchError
from workbench.core.events import (
    Admitted,
    CacheHit,
    Delta,
    Failed,
    Finished,
    Opened,
    Queued,
    Retrying,
    StreamEvent,
    UsageReport,
)
from workbench.core.types import Channel, FinishReason, Result


class LaneState(StrEnum):
    READY = "ready"
    """Nothing has been asked yet."""
    QUEUED = "queued"
    CONNECTING = "connecting"
    THINKING = "thinking"
    STREAMING = "streaming"
    DONE = "done"
    CACHED = "cached"
    TRUNCATED = "truncated"
    FILTERED = "filtered"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    CANCELLED = "stopped"
    INCOMPLETE = "incomplete"
    FAILED = "failed"

    @property
    def is_running(self) -> bool:
        return self in _RUNNING

    @property
    def is_final(self) -> bool:
        return self is not LaneState.READY and self not in _RUNNING

    @property
    def is_success(self) -> bool:
        """The model said all it wanted to say, or as much as it was allowed to."""
        return self in (LaneState.DONE, LaneState.CACHED, LaneState.TRUNCATED)

    @property
    def is_failure(self) -> bool:
        """It ended in another way than the model and the person wanted."""
        return self.is_final and not self.is_success and self is not LaneState.CANCELLED

    @property
    def wants_retry(self) -> bool:
        """Part of what "retry failed" repeats: a person's own stop and a model's refusal are answers, not failures."""
        return self in (LaneState.FAILED, LaneState.TIMED_OUT, LaneState.INCOMPLETE)

    @property
    def glyph(self) -> str:
        return _GLYPHS[self][0]

    @property
    def ascii_glyph(self) -> str:
        return _GLYPHS[self][1]


_RUNNING = frozenset({LaneState.QUEUED, LaneState.CONNECTING, LaneState.THINKING, LaneState.STREAMING})

# One cell wide in every terminal and in the common fonts; the second column is for terminals without them.
_GLYPHS: dict[LaneState, tuple[str, str]] = {
    LaneState.READY: ("○", "o"),
    LaneState.QUEUED: ("◔", "q"),
    LaneState.CONNECTING: ("◌", "."),
    LaneState.THINKING: ("◐", "~"),
    LaneState.STREAMING: ("●", "*"),
    LaneState.DONE: ("✓", "+"),
    LaneState.CACHED: ("≡", "="),
    LaneState.TRUNCATED: ("⋯", "<"),
    LaneState.FILTERED: ("⊘", "#"),
    LaneState.REFUSED: ("⊖", "-"),
    LaneState.TIMED_OUT: ("◷", "t"),
    LaneState.CANCELLED: ("■", "x"),
    LaneState.INCOMPLETE: ("◑", "%"),
    LaneState.FAILED: ("✗", "!"),
}


def state_after(state: LaneState, event: StreamEvent) -> LaneState:
    """The state once `event` has happened. Final states stay: nothing follows a terminal event."""
    if state.is_final:
        return state
    match event:
        case Queued() | Retrying():
            return LaneState.QUEUED
        case Admitted() | Opened():
            return LaneState.CONNECTING
        case CacheHit() | UsageReport():
            return state
        case Delta(channel=Channel.REASONING):
            # Some models think again between two pieces of their answer; the answer has begun all the same.
            return state if state is LaneState.STREAMING else LaneState.THINKING
        case Delta():
            return LaneState.STREAMING
        case Finished(result=result):
            return _state_of_result(result)
        case Failed(error=error):
            return _state_of_error(error)
        case _:
            assert_never(event)


def _state_of_result(result: Result) -> LaneState:
    match result.finish_reason:
        case FinishReason.STOP | FinishReason.TOOL_CALL:
            return LaneState.CACHED if result.cached else LaneState.DONE
        case FinishReason.LENGTH:
            return LaneState.TRUNCATED
        case FinishReason.CONTENT_FILTER:
            return LaneState.FILTERED
        case FinishReason.REFUSAL:
            return LaneState.REFUSED
        case FinishReason.CANCELLED:
            return LaneState.CANCELLED
        case FinishReason.TIMED_OUT:
            return LaneState.TIMED_OUT
        case FinishReason.INCOMPLETE:
            return LaneState.INCOMPLETE
        case _:
            assert_never(result.finish_reason)


def _state_of_error(error: WorkbenchError) -> LaneState:
    match error:
        case TimedOut():
            return LaneState.TIMED_OUT
        case ContentBlocked():
            return LaneState.FILTERED
        case IncompleteStream():
            return LaneState.INCOMPLETE
        case _:
            return LaneState.FAILED
