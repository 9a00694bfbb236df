"""Anthropic's endpoints: Messages, streamed and whole, with thinking blocks and prompt caching."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator import anthropic_errors
from workbench.simulator.answers import Answer, Event, Finish, Schedule
from workbench.simulator.anthropic_reading import read_messages
from workbench.simulator.batch_anthropic import AnthropicBatches
from workbench.simulator.batch_rows import RowExchange
from workbench.simulator.dialect import Dialect, header, identifier
from workbench.simulator.exchange import Exchange, Snapshot
from workbench.simulator.faults import FaultKind
from workbench.simulator.mangle import Frames
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.prompt import Prompt
from workbench.simulator.prompt_cache import CacheUse
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.simulation import Simulation
from workbench.simulator.stream import Headers, Step

encode = msgspec.json.encode
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
NONSENSE: dict[str, object] = {"input_tokens": -7, "output_tokens": 99_999_999_999}

STOP_REASONS = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL: "tool_use",
    Finish.REFUSAL: "refusal",
    Finish.FILTER: "refusal",
}


class AnthropicDialect(Dialect):
    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, Provider.ANTHROPIC)

    def routes(self) -> list[BaseRoute]:
        return [
            *AnthropicBatches(self, _whole_message).routes(),
            self.route("/v1/messages", self.messages),
            self.route("/v1/messages/count_tokens", self.count_tokens),
            self.route("/v1/models", self.list_models, "GET"),
            self.route("/v1/models/{name}", self.one_model, "GET"),
            self.fallback(),
        ]

    def key_of(self, request: Request) -> str | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return request.headers.get("x-api-key") or (token if scheme.lower() == "bearer" else None)

    def error(self, refusal: Refusal) -> tuple[int, object]:
        return anthropic_errors.error(refusal)

    def limit_headers(self, snapshot: Snapshot) -> Headers:
        return anthropic_errors.limit_headers(snapshot)

    def common_headers(self, exchange: Exchange) -> Headers:
        return [
            header("request-id", identifier("req_", exchange)),
            header("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
        ]

    def error_frames(self, exchange: Exchange) -> Frames:
        fault = exchange.fault(FaultKind.ERROR_EVENT)
        message = fault.message if fault and fault.message else "Overloaded"
        body = {"type": "error", "error": {"type": "overloaded_error", "message": message}}
        return Frames(
            error=lambda: _event("error", body),
            ping=PING,
            empty_choices=_event("content_block_delta", _text_delta(0, "")),
            missing_choices=_event("a_new_kind_of_event", {"type": "a_new_kind_of_event"}),
            garbled=b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"te\n\n',
        )

    async def messages(self, exchange: Exchange) -> ASGIApp:
        self._check_version(exchange.request)
        body = await exchange.read_json()
        model = exchange.choose_model(body.get("model"))
        reading = read_messages(body, model)
        prompt = reading.prompt
        exchange.read_marks(prompt.question)
        cache = self._cache(exchange, reading.marks)
        # Cache reads are free of the input limit on every current model.
        exchange.admit(prompt, cached_tokens=cache.read)
        ((answer, timing),) = exchange.answers(prompt)
        message_id = identifier("msg_01", exchange, 22)
        writer = MessageWriter(exchange, message_id, prompt.tokens, cache)
        if body.get("stream"):
            return self.stream(exchange, writer.steps(answer, timing), open_s=timing.open_s)
        return self.whole(exchange, writer.whole(answer), at_s=timing.end_s)

    async def count_tokens(self, exchange: Exchange) -> ASGIApp:
        self._check_version(exchange.request)
        body = await exchange.read_json()
        model = exchange.choose_model(body.get("model"))
        reading = read_messages({"max_tokens": 1, **body}, model)
        return self.plain(exchange, {"input_tokens": reading.prompt.tokens})

    async def list_models(self, exchange: Exchange) -> ASGIApp:
        rows = [_model_row(model) for model in self.simulation.models.of(self.provider)]
        return self.plain(
            exchange, {"data": rows, "has_more": False, "first_id": rows[0]["id"], "last_id": rows[-1]["id"]}
        )

    async def one_model(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        model = self.simulation.models.find(self.provider, name)
        if model is None:
            raise Refusal(Reason.UNKNOWN_MODEL, "", model=name)
        return self.plain(exchange, _model_row(model))

    def _check_version(self, request: Request) -> None:
        version = request.headers.get("anthropic-version")
        if version is None:
            raise Refusal(Reason.BAD_VALUE, "anthropic-version: header is required")
        if version != "2023-06-01":
            raise Refusal(Reason.BAD_VALUE, f'anthropic-version: "{version}" is not a valid version')

    def _cache(self, exchange: Exchange, marks: Sequence[Any]) -> CacheUse:
        minimum = exchange.model.cache_minimum_tokens
        if minimum is None or not marks:
            return CacheUse()
        scope = f"{self.provider}/{exchange.account.organisation}/{exchange.model.name}"
        return self.simulation.prompt_cache.explicit(scope, marks, minimum, self.simulation.now_s())


def _whole_message(exchange: RowExchange, prompt: Prompt) -> object:
    ((answer, _),) = exchange.answers(prompt)
    message_id = identifier("msg_01", exchange, 22)
    return MessageWriter(exchange, message_id, prompt.tokens, CacheUse()).whole(answer)


def _model_row(model: ModelProfile) -> dict[str, object]:
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name.replace("-", " ").title(),
        "created_at": "2026-01-01T00:00:00Z",
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
    }


def _event(name: str, data: Mapping[str, object]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), encode(data))


def _text_delta(index: int, text: str) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}


def signature_of(answer: Answer) -> str:
    """Opaque to clients, who only have to send it back."""
    text = "".join(answer.reasoning)[:150]
    return base64.b64encode(text.encode()).decode("ascii") + "=="[: len(text) % 3]


@dataclass(frozen=True, slots=True)
class MessageWriter:
    """One message as events or whole."""

    exchange: Exchange
    message_id: str
    prompt_tokens: int
    cache: CacheUse

    def usage(self, output_tokens: int) -> dict[str, object]:
        """Anthropic's counts: `input_tokens` is what was neither read from the cache nor written to it."""
        cache = self.cache
        return {
            "input_tokens": max(0, self.prompt_tokens - cache.read - cache.written),
            "cache_creation_input_tokens": cache.written,
            "cache_read_input_tokens": cache.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": cache.written - cache.written_long,
                "ephemeral_1h_input_tokens": cache.written_long,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        }

    def _head(self, usage: dict[str, object] | None) -> dict[str, object]:
        head: dict[str, object] = {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.exchange.model.name,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        if usage is not None:
            head["usage"] = usage
        return head

    def whole(self, answer: Answer) -> dict[str, object]:
        content: list[dict[str, object]] = []
        if answer.reasoning:
            thinking = "".join(answer.reasoning)
            content.append({"type": "thinking", "thinking": thinking, "signature": signature_of(answer)})
        if answer.text:
            content.append({"type": "text", "text": "".join(answer.text)})
        for number, call in enumerate(answer.tool_calls):
            content.append(
                {
                    "type": "tool_use",
                    "id": self._tool_id(number),
                    "name": call.name,
                    "input": msgspec.json.decode(call.arguments),
                }
            )
        usage = self._final_usage(self.usage(answer.output_tokens))
        return {
            **self._head(usage),
            "content": content,
            "stop_reason": STOP_REASONS[answer.finish],
            "stop_sequence": answer.stop_sequence,
        }

    def steps(self, answer: Answer, timing: Schedule) -> Iterator[Step]:
        exchange = self.exchange
        missing = exchange.fault(FaultKind.USAGE_MISSING) is not None
        start = {"type": "message_start", "message": self._head(None if missing else self.usage(1))}
        yield Step(timing.open_s, _event("message_start", start))
        blocks = self._blocks(answer, timing)
        for index, (opening, events, closing_s) in enumerate(blocks):
            at_s = events[0].at_s if events else closing_s
            start_block = {"type": "content_block_start", "index": index, "content_block": opening}
            yield Step(min(at_s, timing.open_s) if index == 0 else at_s, _event("content_block_start", start_block))
            if index == 0:
                yield Step(min(at_s, timing.open_s), PING)
            yield from self._deltas(index, str(opening["type"]), events)
            if opening["type"] == "thinking":
                delta = {"type": "signature_delta", "signature": signature_of(answer)}
                data = {"type": "content_block_delta", "index": index, "delta": delta}
                yield Step(closing_s, _event("content_block_delta", data))
            stop = {"type": "content_block_stop", "index": index}
            yield Step(closing_s, _event("content_block_stop", stop))
        yield from self._ending(answer, timing)
        yield Step(timing.end_s, _event("message_stop", {"type": "message_stop"}), is_end=True)

    def _ending(self, answer: Answer, timing: Schedule) -> Iterator[Step]:
        exchange = self.exchange
        details = {"output_tokens_details": {"thinking_tokens": len(answer.reasoning)}}
        delta: dict[str, object] = {
            "type": "message_delta",
            "delta": {"stop_reason": STOP_REASONS[answer.finish], "stop_sequence": answer.stop_sequence},
        }
        usage = self._final_usage({**self.usage(answer.output_tokens), **details})
        if usage is not None:
            delta["usage"] = usage
        for _ in range(2 if exchange.fault(FaultKind.USAGE_TWICE) else 1):
            yield Step(timing.end_s, _event("message_delta", delta))

    def _final_usage(self, usage: dict[str, object]) -> dict[str, object] | None:
        if self.exchange.fault(FaultKind.USAGE_MISSING):
            return None
        return NONSENSE if self.exchange.fault(FaultKind.USAGE_NONSENSE) else usage

    def _tool_id(self, number: int) -> str:
        return f"toolu_01{self.exchange.entry.number:010d}{number:012d}"

    def _blocks(self, answer: Answer, timing: Schedule) -> list[tuple[dict[str, object], Sequence[Event], float]]:
        """(content block as it starts, its events, when it closes)."""
        blocks: list[tuple[dict[str, object], Sequence[Event], float]] = []
        if timing.reasoning:
            opening: dict[str, object] = {"type": "thinking", "thinking": "", "signature": ""}
            blocks.append((opening, timing.reasoning, timing.reasoning[-1].at_s))
        if timing.text or not (timing.reasoning or answer.tool_calls):
            closing_s = timing.text[-1].at_s if timing.text else timing.end_s
            blocks.append(({"type": "text", "text": ""}, timing.text, closing_s))
        start_s = timing.reasoning[-1].at_s if timing.reasoning else timing.open_s
        for number, call in enumerate(answer.tool_calls):
            pieces = [call.arguments[i : i + 8] for i in range(0, len(call.arguments), 8)]
            step_s = (timing.end_s - start_s) / (len(pieces) + 1)
            events = [Event(start_s + step_s * (n + 1), piece, 1) for n, piece in enumerate(pieces)]
            opening = {"type": "tool_use", "id": self._tool_id(number), "name": call.name, "input": {}}
            blocks.append((opening, events, timing.end_s))
        return blocks

    def _deltas(self, index: int, kind: str, events: Sequence[Event]) -> Iterator[Step]:
        name, field = {
            "text": (b"text_delta", b"text"),
            "thinking": (b"thinking_delta", b"thinking"),
            "tool_use": (b"input_json_delta", b"partial_json"),
        }[kind]
        head = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%s","%s":'
            % (index, name, field)
        )
        for at_s, text, tokens in events:
            yield Step(at_s, head + encode(text) + b"}}\n\n", tokens)
