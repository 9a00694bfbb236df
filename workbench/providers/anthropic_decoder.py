"""Anthropic's Messages, decoded: named events, content blocks, and usage that grows.

`input_tokens` leaves out what came from and went into the prompt cache; the prompt is the sum of the three. Usage in
`message_delta` is cumulative, and may repeat the input counts or leave them out.
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
from workbench.providers.sse import SSEEvent


class _OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Block(msgspec.Struct):
    """A content block: whole, at its beginning, or a piece of it."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    name: str | None = None
    input: Any = None
    stop_reason: str | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: _Block | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: _Usage | None = None


class _Answer(_Message):
    type: str = ""
    error: Any = None


_decode_event: Final = msgspec.json.Decoder(_Event).decode
_decode_answer: Final = msgspec.json.Decoder(_Answer).decode

_FINISH_REASONS: Final = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALL,
    # A server tool paused the turn: the caller would have to send it on for the rest.
    "pause_turn": FinishReason.INCOMPLETE,
    "refusal": FinishReason.REFUSAL,
}
_TOOLS: Final = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})


class AnthropicDecoder:
    """One answer's decoder."""

    __slots__ = ("_end", "_facts", "_tools", "_usage", "ended", "finished")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._usage = _Usage()
        """The last count that was given of each kind."""
        self._tools = 0
        self._end: WireEnd | None = None
        self.ended = False
        self.finished = False

    def decode(self, event: SSEEvent, at_ns: int, out: list[WireEvent]) -> None:
        data = event.data
        if not data:
            return
        try:
            said = _decode_event(data)
        except NOT_JSON:
            said = read_odd(data, _Event, self._facts)
        match said.type or event.name:
            case "content_block_delta" if said.delta is not None:
                self._piece(said.delta, at_ns, out)
            case "content_block_start" if said.content_block is not None:
                self._begin(said.content_block, at_ns, out)
            case "message_start" if said.message is not None:
                self._count(said.message.usage, at_ns, out)
            case "message_delta":
                self._count(said.usage, at_ns, out)
                if said.delta is not None and said.delta.stop_reason:
                    self._stop(said.delta.stop_reason, at_ns)
            case "message_stop":
                # Its reason has come before it; where it has not, this is still an end.
                self._end = self._end or WireEnd(at_ns, FinishReason.STOP, "")
                self.ended = self.finished = True
            case "error":
                raise self._facts.failed_inside(data)
            case _:
                pass  # ping, content_block_stop, and whatever is added later: signs of life.

    def decode_whole(self, body: bytes, at_ns: int, out: list[WireEvent]) -> None:
        try:
            answer = _decode_answer(body)
        except NOT_JSON:
            answer = read_odd(body, _Answer, self._facts)
        if answer.type == "error" or answer.error:
            raise self._facts.failed_inside(body)
        for block in answer.content or ():
            self._begin(block, at_ns, out)
            if block.type in _TOOLS:
                self._say(Channel.TOOL, msgspec.json.encode(block.input or {}).decode(), at_ns, out)
        self._count(answer.usage, at_ns, out)
        if answer.stop_reason:
            self._stop(answer.stop_reason, at_ns)

    def close(self, at_ns: int, out: list[WireEvent]) -> None:
        if self._end is not None:
            out.append(self._end)

    def _say(self, channel: Channel, text: str | None, at_ns: int, out: list[WireEvent]) -> None:
        if text:
            out.append(Delta(at_ns, channel, text))

    def _begin(self, block: _Block, at_ns: int, out: list[WireEvent]) -> None:
        """A block as it begins: mostly empty, but whole where nothing is streamed."""
        if block.type in _TOOLS:
            line = "\n" if self._tools else ""
            self._tools += 1
            self._say(Channel.TOOL, f"{line}{block.name or 'tool'} ", at_ns, out)
        self._say(Channel.REASONING, block.thinking, at_ns, out)
        self._say(Channel.TEXT, block.text, at_ns, out)

    def _piece(self, piece: _Block, at_ns: int, out: list[WireEvent]) -> None:
        match piece.type:
            case "text_delta":
                self._say(Channel.TEXT, piece.text, at_ns, out)
            case "thinking_delta":
                self._say(Channel.REASONING, piece.thinking, at_ns, out)
            case "input_json_delta":
                self._say(Channel.TOOL, piece.partial_json, at_ns, out)
            case _:
                pass  # Signatures and citations are no output of their own.

    def _count(self, usage: _Usage | None, at_ns: int, out: list[WireEvent]) -> None:
        if usage is None:
            return
        for name in usage.__struct_fields__:
            if (value := getattr(usage, name)) is not None:
                setattr(self._usage, name, value)
        out.append(UsageReport(at_ns, anthropic_usage(self._usage)))

    def _stop(self, reason: str, at_ns: int) -> None:
        self._end = WireEnd(at_ns, _FINISH_REASONS.get(reason, FinishReason.STOP), reason)
        self.finished = True


def anthropic_usage(usage: _Usage) -> Usage:
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    return Usage(
        input=(usage.input_tokens or 0) + read + written,
        cached_input=read,
        cache_write=written,
        output=usage.output_tokens or 0,
        reasoning=((details.thinking_tokens or details.reasoning_tokens) if details else None) or 0,
    )
