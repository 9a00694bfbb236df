"""Gemini's answers, decoded: one JSON document per frame, and no end mark.

A finish reason is the only sign of an end. Usage comes with every frame and the last one counts; thoughts are not among
the candidates' tokens, so they are added. A blocked prompt is an answer without candidates.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workbench.core.decoding import NOT_JSON
from workbench.core.errors import ContentBlocked
from workbench.core.events import Delta, UsageReport
from workbench.core.types import Channel, FinishReason, Usage
from workbench.providers.base import WireEnd, WireEvent
from workbench.providers.dialogue import Facts
from workbench.providers.odd_counts import read_odd
from workbench.providers.sse import SSEEvent


class _FunctionCall(msgspec.Struct):
    name: str | None = None
    args: Any = None


class _Part(msgspec.Struct):
    text: str | None = None
    thought: bool | None = None
    functionCall: _FunctionCall | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct):
    content: _Content | None = None
    finishReason: str | None = None
    index: int | None = None


class _PromptFeedback(msgspec.Struct):
    blockReason: str | None = None
    blockReasonMessage: str | None = None


class _Usage(msgspec.Struct):
    promptTokenCount: int | None = None
    toolUsePromptTokenCount: int | None = None
    cachedContentTokenCount: int | None = None
    candidatesTokenCount: int | None = None
    thoughtsTokenCount: int | None = None


class _Frame(msgspec.Struct):
    candidates: list[_Candidate] | None = None
    promptFeedback: _PromptFeedback | None = None
    usageMetadata: _Usage | None = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(_Frame).decode

_FINISH_REASONS: Final = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    # The most that one request may bring; the rest would need another one.
    "CONTINUATION": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "LANGUAGE": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
}
"""Every other reason is a failure of the model's (a malformed call, no image): the answer is not complete."""


def gemini_usage(usage: _Usage) -> Usage:
    thoughts = usage.thoughtsTokenCount or 0
    return Usage(
        input=(usage.promptTokenCount or 0) + (usage.toolUsePromptTokenCount or 0),
        cached_input=usage.cachedContentTokenCount or 0,
        output=(usage.candidatesTokenCount or 0) + thoughts,
        reasoning=thoughts,
    )


class GeminiDecoder:
    """One answer's decoder."""

    __slots__ = ("_at_ns", "_facts", "_later", "_raw", "_reported", "_tools", "ended", "finished")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._reported: Usage | None = None
        self._later: _Usage | None = None
        self._raw = ""
        self._tools = 0
        self._at_ns = 0
        self.ended = False
        self.finished = False

    def decode(self, event: SSEEvent, at_ns: int, out: list[WireEvent]) -> None:
        if event.data:
            self.decode_whole(event.data, at_ns, out)

    def decode_whole(self, body: bytes, at_ns: int, out: list[WireEvent]) -> None:
        try:
            frame = _decode(body)
        except NOT_JSON:
            frame = read_odd(body, _Frame, self._facts)
        if frame.error:
            raise self._facts.failed_inside(body)
        self._at_ns = at_ns
        for candidate in frame.candidates or ():
            if not candidate.index:
                self._take(candidate, at_ns, out)
        if frame.usageMetadata is not None:
            self._report(frame.usageMetadata, at_ns, out)
        if frame.promptFeedback is not None and frame.promptFeedback.blockReason:
            raise self._blocked(frame.promptFeedback)

    def close(self, at_ns: int, out: list[WireEvent]) -> None:
        if self._later is not None and (last := gemini_usage(self._later)) != self._reported:
            out.append(UsageReport(self._at_ns, last))
        if self.finished:
            reason = _FINISH_REASONS.get(self._raw, FinishReason.INCOMPLETE)
            if self._tools and reason is FinishReason.STOP:
                reason = FinishReason.TOOL_CALL
            out.append(WireEnd(self._at_ns or at_ns, reason, self._raw))

    def _report(self, usage: _Usage, at_ns: int, out: list[WireEvent]) -> None:
        """The first usage goes out at once; of those on every frame after it, only the last, when the answer ends."""
        if self._reported is None:
            self._reported = gemini_usage(usage)
            out.append(UsageReport(at_ns, self._reported))
        else:
            self._later = usage

    def _take(self, candidate: _Candidate, at_ns: int, out: list[WireEvent]) -> None:
        for part in (candidate.content.parts if candidate.content else None) or ():
            if part.text:
                out.append(Delta(at_ns, Channel.REASONING if part.thought else Channel.TEXT, part.text))
            if part.functionCall is not None:
                arguments = msgspec.json.encode(part.functionCall.args or {}).decode()
                line = "\n" if self._tools else ""
                self._tools += 1
                out.append(Delta(at_ns, Channel.TOOL, f"{line}{part.functionCall.name or 'tool'} {arguments}"))
        if candidate.finishReason and candidate.finishReason != "FINISH_REASON_UNSPECIFIED":
            self._raw = candidate.finishReason
            self.finished = True

    def _blocked(self, feedback: _PromptFeedback) -> ContentBlocked:
        witness = self._facts.witness
        why = witness.clean(feedback.blockReasonMessage or "")
        details = witness.details(self._facts.headers, hint="Change the prompt; sending it again ends the same way.")
        details["code"] = feedback.blockReason or ""
        place = f"{witness.place.provider} ({witness.place.model})"
        return ContentBlocked(f"{place} blocked the prompt: {feedback.blockReason}. {why}".strip(), **details)
