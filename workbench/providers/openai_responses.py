"""The Responses API: reasoning summaries stream, so a pane is not silent while a model thinks.

Nothing is stored at the provider (`store: false`); encrypted reasoning is asked for in its place, which is what keeps
a conversation's reasoning usable without storage. Every event carries its type in its data; there is no `[DONE]`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec

from workbench.core.clock import Clock
from workbench.core.decoding import NOT_JSON
from workbench.core.events import Delta, UsageReport
from workbench.core.types import Channel, FinishReason, Json, Usage
from workbench.providers.base import Call, WireEnd, WireEvent
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.dialogue import Facts, converse
from workbench.providers.failures import Witness
from workbench.providers.fitting import Fitted, fit
from workbench.providers.odd_counts import read_odd
from workbench.providers.openai_chat import chat_messages
from workbench.providers.openai_sdk import OpenAISDK
from workbench.providers.parameters import leave_out
from workbench.providers.sse import SSEEvent


class OpenAIResponsesAdapter:
    """Speaks Responses through the openai SDK."""

    def __init__(self, sdk: OpenAISDK, clock: Clock, memory: ParameterMemory) -> None:
        self._sdk = sdk
        self._clock = clock
        self._memory = memory

    def open(self, call: Call) -> AsyncGenerator[WireEvent, None]:
        witness = Witness.of(call)
        refused = self._memory.refused(call.route)
        fitted = fit(call.spec, call.route.wire_model, call.params, refused)
        body = responses_body(call, fitted, refused)
        facts = Facts(witness, self._clock)
        return converse(
            call,
            lambda: self._sdk.post(call, "/responses", body, witness),
            ResponsesDecoder(facts),
            facts,
            fitted.notes,
        )

    async def aclose(self) -> None:
        """Nothing of its own: the connections belong to `Connections`."""


def responses_body(call: Call, fitted: Fitted, refused: frozenset[str] = frozenset()) -> dict[str, Json]:
    body: dict[str, Json] = {
        "model": call.route.wire_model,
        "input": chat_messages(call.messages),
        **fitted.body,
    }
    if call.stream:
        body |= {"stream": True, "stream_options": {"include_obfuscation": False}}
        leave_out(body, refused & {"stream_options", "stream_options.include_obfuscation"})
    return body


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Reason(msgspec.Struct):
    reason: str | None = None


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct):
    type: str = ""
    id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    output: list[_Item] | None = None
    usage: _Usage | None = None
    incomplete_details: _Reason | None = None
    error: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: Any = None
    item: _Item | None = None
    item_id: str | None = None
    summary_index: int | None = None
    response: _Response | None = None
    error: Any = None


_decode_event: Final = msgspec.json.Decoder(_Event).decode
_decode_response: Final = msgspec.json.Decoder(_Response).decode

_TOOL_ITEMS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call"})


def responses_usage(usage: _Usage) -> Usage:
    before, after = usage.input_tokens_details, usage.output_tokens_details
    return Usage(
        input=usage.input_tokens or 0,
        cached_input=(before.cached_tokens if before else None) or 0,
        cache_write=(before.cache_write_tokens if before else None) or 0,
        output=usage.output_tokens or 0,
        reasoning=(after.reasoning_tokens if after else None) or 0,
    )


class ResponsesDecoder:
    """One answer's decoder."""

    __slots__ = ("_end", "_facts", "_refused", "_summary", "_tools", "ended", "finished")

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._end: WireEnd | None = None
        self._refused = False
        self._summary: tuple[str | None, int | None] | None = None
        """The reasoning part that the last summary text belonged to; a new one starts a new paragraph."""
        self._tools = 0
        self.ended = False
        self.finished = False

    def decode(self, event: SSEEvent, at_ns: int, out: list[WireEvent]) -> None:
        data = event.data
        if not data or data == b"[DONE]":
            return
        try:
            said = _decode_event(data)
        except NOT_JSON:
            said = read_odd(data, _Event, self._facts)
        match said.type:
            case "response.output_text.delta":
                self._say(Channel.TEXT, said.delta, at_ns, out)
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                self._reason(said, at_ns, out)
            case "response.refusal.delta":
                self._refused = True
                self._say(Channel.TEXT, said.delta, at_ns, out)
            case (
                "response.function_call_arguments.delta"
                | "response.custom_tool_call_input.delta"
                | "response.mcp_call_arguments.delta"
            ):
                self._say(Channel.TOOL, said.delta, at_ns, out)
            case "response.output_item.added" if said.item is not None and said.item.type in _TOOL_ITEMS:
                self._begin_tool(said.item, at_ns, out)
            case "response.completed" | "response.incomplete" | "response.failed" if said.response is not None:
                self._finish(said.response, data, at_ns, out)
            case "error":
                raise self._facts.failed_inside(data)
            case "" if said.error:
                raise self._facts.failed_inside(data)
            case _:
                pass  # Beginnings and ends of parts, and tools that run at the provider: signs of life.

    def decode_whole(self, body: bytes, at_ns: int, out: list[WireEvent]) -> None:
        try:
            response = _decode_response(body)
        except NOT_JSON:
            response = read_odd(body, _Response, self._facts)
        if response.error:
            raise self._facts.failed_inside(body)
        if response.status is None:
            return
        for item in response.output or ():
            self._whole_item(item, at_ns, out)
        self._finish(response, body, at_ns, out)

    def close(self, at_ns: int, out: list[WireEvent]) -> None:
        if self._end is not None:
            out.append(self._end)

    def _say(self, channel: Channel, text: Any, at_ns: int, out: list[WireEvent]) -> None:
        if isinstance(text, str) and text:
            out.append(Delta(at_ns, channel, text))

    def _reason(self, said: _Event, at_ns: int, out: list[WireEvent]) -> None:
        part = (said.item_id, said.summary_index)
        if self._summary not in (None, part):
            self._say(Channel.REASONING, "\n\n", at_ns, out)
        self._summary = part
        self._say(Channel.REASONING, said.delta, at_ns, out)

    def _begin_tool(self, item: _Item, at_ns: int, out: list[WireEvent]) -> None:
        line = "\n" if self._tools else ""
        self._tools += 1
        self._say(Channel.TOOL, f"{line}{item.name or 'tool'} ", at_ns, out)

    def _whole_item(self, item: _Item, at_ns: int, out: list[WireEvent]) -> None:
        summary = "\n\n".join(part.text for part in item.summary or () if part.text)
        self._say(Channel.REASONING, summary, at_ns, out)
        for part in item.content or ():
            self._refused = self._refused or part.refusal is not None
            channel = Channel.REASONING if part.type == "reasoning_text" else Channel.TEXT
            self._say(channel, part.text or part.refusal, at_ns, out)
        if item.type in _TOOL_ITEMS:
            self._begin_tool(item, at_ns, out)
            self._say(Channel.TOOL, item.arguments or item.input, at_ns, out)

    def _finish(self, response: _Response, data: bytes, at_ns: int, out: list[WireEvent]) -> None:
        if response.usage is not None:
            out.append(UsageReport(at_ns, responses_usage(response.usage)))
        status = response.status or "completed"
        if status == "failed" or response.error:
            raise self._failure(data)
        detail = response.incomplete_details
        raw = (detail.reason if detail else None) or status
        self._end = WireEnd(at_ns, self._finish_reason(raw, status), raw)
        self.ended = self.finished = True

    def _finish_reason(self, raw: str, status: str) -> FinishReason:
        match raw:
            case "max_output_tokens" | "max_tokens":
                return FinishReason.LENGTH
            case "content_filter":
                return FinishReason.CONTENT_FILTER
            case "cancelled":
                return FinishReason.CANCELLED
        if status == "incomplete":
            return FinishReason.INCOMPLETE
        if self._refused:
            return FinishReason.REFUSAL
        return FinishReason.TOOL_CALL if self._tools else FinishReason.STOP

    def _failure(self, data: bytes) -> Exception:
        decoded = msgspec.json.decode(data)
        inner = decoded.get("response", decoded)
        return self._facts.witness.failed_inside(inner, self._facts.headers, self._facts.clock.wall())
