"""Chat Completions, decoded: OpenAI's own stream and what a dozen imitators make of it.

Reasoning comes as `reasoning_content`, as `reasoning`, or between tags in the text. Usage rides on a last chunk of its
own, on the last content chunk, or on every chunk. Choices may be empty or missing, errors may stand inside a 200
stream, and `[DONE]` may never come. Whatever the dialect, the same events come out.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from workbench.core.decoding import NOT_JSON
from workbench.core.events import Delta, UsageReport
from workbench.core.types import Channel, FinishReason, Usage
from workbench.providers.base import WireEnd, WireEvent
from workbench.providers.dialogue import Facts
from workbench.providers.odd_counts import read_odd
from workbench.providers.reasoning import ThinkSplitter, ThinkTags
from workbench.providers.sse import SSEEvent


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Said(msgspec.Struct):
    """A delta, or a whole message: they have the same fields."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for cached tokens."""
    cost: float | None = None
    """OpenRouter's price, in dollars."""


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: ChatUsage | None = None
    error: Any = None
    object: str | None = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode

FINISH_REASONS: Final = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALL,
    "function_call": FinishReason.TOOL_CALL,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
    # What a server says that has stopped an answer which the model had not finished.
    "abort": FinishReason.INCOMPLETE,
    "error": FinishReason.INCOMPLETE,
    "insufficient_system_resource": FinishReason.INCOMPLETE,
}
"""A reason that is not here counts as stop: the provider did say that the answer is over."""


def chat_usage(usage: ChatUsage) -> Usage:
    """OpenAI's counts include cached and reasoning tokens already; the few that leave reasoning out are put right."""
    prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
    before, after = usage.prompt_tokens_details, usage.completion_tokens_details
    reasoning = (after.reasoning_tokens if after else None) or 0
    if reasoning and usage.total_tokens == prompt + completion + reasoning:
        completion += reasoning
    return Usage(
        input=prompt,
        cached_input=(before.cached_tokens if before else None) or usage.prompt_cache_hit_tokens or 0,
        cache_write=(before.cache_write_tokens if before else None) or 0,
        output=completion,
        reasoning=reasoning,
        cost_usd=usage.cost,
    )


class ChatDecoder:
    """One answer's decoder."""

    __slots__ = (
        "_at_ns",
        "_facts",
        "_finish",
        "_later",
        "_refused",
        "_reported",
        "_splitter",
        "_tool_lines",
        "ended",
        "finished",
    )

    def __init__(self, facts: Facts, tags: ThinkTags | None) -> None:
        self._facts = facts
        self._splitter = ThinkSplitter(tags) if tags is not None else None
        self._reported: Usage | None = None
        self._later: ChatUsage | None = None
        self._finish: str | None = None
        self._refused = False
        self._tool_lines: set[int] = set()
        self._at_ns = 0
        self.ended = False
        self.finished = False

    def decode(self, event: SSEEvent, at_ns: int, out: list[WireEvent]) -> None:
        data = event.data
        if data == b"[DONE]":
            # An end mark is an end, also after servers that never give a reason.
            self.ended = True
            self.finished = self.finished or self._at_ns > 0
            return
        if data:
            self._take(data, at_ns, out)

    def decode_whole(self, body: bytes, at_ns: int, out: list[WireEvent]) -> None:
        self._take(body, at_ns, out)

    def close(self, at_ns: int, out: list[WireEvent]) -> None:
        at_ns = self._at_ns or at_ns
        if self._splitter is not None:
            out.extend(Delta(at_ns, channel, text) for channel, text in self._splitter.close())
        if self._later is not None and (last := chat_usage(self._later)).total and last != self._reported:
            out.append(UsageReport(at_ns, last))
        if self.finished:
            raw = self._finish or ""
            reason = FINISH_REASONS.get(raw.lower(), FinishReason.STOP)
            if self._refused and reason is FinishReason.STOP:
                reason = FinishReason.REFUSAL
            out.append(WireEnd(at_ns, reason, raw))

    def _take(self, data: bytes, at_ns: int, out: list[WireEvent]) -> None:
        try:
            chunk = _decode(data)
        except NOT_JSON:
            chunk = read_odd(data, _Chunk, self._facts)
        if chunk.error or chunk.object == "error":
            raise self._facts.failed_inside(data)
        self._at_ns = at_ns
        for choice in chunk.choices or ():
            if choice.index:
                continue  # Only the first of several choices is shown; the adapter's notes say so.
            said = choice.delta or choice.message
            if said is not None:
                self._say(said, at_ns, out)
            if choice.finish_reason:
                self._finish = choice.finish_reason
                self.finished = True
        if chunk.usage is not None:
            self._report(chunk.usage, at_ns, out)

    def _report(self, usage: ChatUsage, at_ns: int, out: list[WireEvent]) -> None:
        """The first usage goes out at once; of those on every chunk after it, only the last, when the answer ends."""
        if self._reported is None:
            counted = chat_usage(usage)
            if counted.total:
                self._reported = counted
                out.append(UsageReport(at_ns, counted))
        else:
            self._later = usage

    def _say(self, said: _Said, at_ns: int, out: list[WireEvent]) -> None:
        if reasoning := said.reasoning_content or said.reasoning:
            # The server parses reasoning by itself: what looks like a tag in the text from here on is text.
            self._splitter = None
            out.append(Delta(at_ns, Channel.REASONING, reasoning))
        content = said.content
        if content:
            if not isinstance(content, str):
                self._say_parts(content, at_ns, out)
            elif self._splitter is None:
                out.append(Delta(at_ns, Channel.TEXT, content))
            else:
                out.extend(Delta(at_ns, channel, text) for channel, text in self._splitter.feed(content))
                if self._splitter.is_settled:
                    self._splitter = None
        if said.refusal:
            self._refused = True
            out.append(Delta(at_ns, Channel.TEXT, said.refusal))
        if said.tool_calls:
            self._call_tools(said.tool_calls, at_ns, out)

    def _say_parts(self, parts: list[Any], at_ns: int, out: list[WireEvent]) -> None:
        """Content in parts, as Mistral sends it: text, and thinking that holds parts again."""
        for part in parts:
            if not isinstance(part, dict):
                continue
            thinking = part.get("thinking")
            if isinstance(thinking, list):
                pieces = [piece.get("text") for piece in thinking if isinstance(piece, dict)]
                inner = "".join(text for text in pieces if isinstance(text, str))
                if inner:
                    out.append(Delta(at_ns, Channel.REASONING, inner))
            elif isinstance(text := part.get("text"), str) and text:
                out.append(Delta(at_ns, Channel.TEXT, text))

    def _call_tools(self, calls: list[_ToolCall], at_ns: int, out: list[WireEvent]) -> None:
        for place, call in enumerate(calls):
            function = call.function
            if function is None:
                continue
            index = place if call.index is None else call.index
            text = ""
            if index not in self._tool_lines:
                line = "\n" if self._tool_lines else ""
                text = f"{line}{function.name or 'tool'} "
                self._tool_lines.add(index)
            arguments = function.arguments
            if isinstance(arguments, str):
                text += arguments
            elif arguments is not None:
                text += msgspec.json.encode(arguments).decode()
            if text:
                out.append(Delta(at_ns, Channel.TOOL, text))
