"""Chat Completions: OpenAI's own, and the frame that its imitators fill in their own ways."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import msgspec

from workbench.simulator.answers import Answer, Event, Finish, Schedule
from workbench.simulator.chat_reading import count_of, read_chat
from workbench.simulator.exchange import Exchange
from workbench.simulator.faults import FaultKind
from workbench.simulator.models import Reasoning
from workbench.simulator.prompt import Prompt
from workbench.simulator.prompt_cache import CacheUse
from workbench.simulator.stream import Step

encode = msgspec.json.encode
DONE = b"data: [DONE]\n\n"
NONSENSE: dict[str, object] = {"prompt_tokens": -5, "completion_tokens": 99_999_999_999, "total_tokens": 0}
OBFUSCATION = tuple("".join(chr(97 + (i * 7 + j * 11) % 26) for j in range(1 + i % 11)) for i in range(16))

FINISH = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOL: "tool_calls",
    Finish.REFUSAL: "stop",
    Finish.FILTER: "content_filter",
}


class UsagePlace(Enum):
    """Where a host puts the token counts of a stream."""

    ASKED = auto()
    """In an event of their own, if `stream_options.include_usage` asks for it."""
    ALWAYS = auto()
    """In an event of their own."""
    ON_LAST = auto()
    """On the event that ends the choice."""
    ON_EVERY = auto()
    NOWHERE = auto()


@dataclass(frozen=True, slots=True)
class ChatTraits:
    """How one host's chunks differ from OpenAI's."""

    reasoning_field: str | None = None
    """None: reasoning is counted and not shown."""
    usage: UsagePlace = UsagePlace.ASKED
    obfuscates: bool = False
    refusal_field: bool = True
    """A refusal has a field of its own."""
    role_event: bool = True
    """An event with the role and no content comes first."""
    chunk_extra: tuple[tuple[str, object], ...] = ()
    """Top-level fields of every chunk and of whole answers."""
    reasoning_details: bool = False
    """OpenRouter repeats reasoning in a list of typed pieces."""


OPENAI = ChatTraits(obfuscates=True, chunk_extra=(("service_tier", "default"), ("system_fingerprint", "fp_5179a3e5c2")))


def usage_of(prompt: Prompt, answers: Iterable[Answer], cache: CacheUse) -> dict[str, object]:
    """OpenAI's token counts: the prompt's include cached ones, the completion's include reasoning."""
    answers = list(answers)
    output = sum(answer.output_tokens for answer in answers)
    prompt_details: dict[str, object] = {"cached_tokens": cache.read, "audio_tokens": 0}
    if prompt.model.cache_writes:
        prompt_details["cache_write_tokens"] = cache.written
    return {
        "prompt_tokens": prompt.tokens,
        "completion_tokens": output,
        "total_tokens": prompt.tokens + output,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": {
            "reasoning_tokens": sum(len(answer.reasoning) for answer in answers),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def message_of(answer: Answer, traits: ChatTraits, exchange: Exchange) -> dict[str, object]:
    """The message of a whole answer."""
    text: str | None = "".join(answer.text)
    reasoning = "".join(answer.reasoning)
    message: dict[str, object] = {"role": "assistant", "content": text}
    if exchange.model.reasoning is Reasoning.TAGGED and reasoning:
        message["content"] = f"<think>\n{reasoning}\n</think>\n\n{text}"
    elif traits.reasoning_field and reasoning:
        message[traits.reasoning_field] = reasoning
    if traits.refusal_field:
        message["refusal"] = None
        message["annotations"] = []
        if answer.finish is Finish.REFUSAL:
            message["content"], message["refusal"] = None, text
    if answer.tool_calls:
        message["content"] = None
        message["tool_calls"] = [
            {"id": call_id(exchange, index), "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for index, c in enumerate(answer.tool_calls)
        ]
    return message


def call_id(exchange: Exchange, index: int) -> str:
    return f"call_{exchange.entry.number:08d}{index:04d}simulated"


class ChunkWriter:
    """Turns schedules into `data:` events. One per response."""

    def __init__(self, exchange: Exchange, traits: ChatTraits, completion_id: str, options: Mapping[str, Any]) -> None:
        self._exchange = exchange
        self._traits = traits
        self._place = _usage_place(exchange, traits, bool(options.get("include_usage")))
        self._null_usage = self._place is UsagePlace.ASKED
        self._obfuscates = traits.obfuscates and options.get("include_obfuscation", True)
        self._head: dict[str, object] = {
            "id": completion_id,
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": exchange.model.name,
            **dict(traits.chunk_extra),
        }
        self._head_bytes = encode(self._head)[:-1]

    def steps(self, prompt: Prompt, answers: list[tuple[Answer, Schedule]], usage: dict[str, object]) -> Iterator[Step]:
        if self._exchange.fault(FaultKind.USAGE_NONSENSE):
            usage = NONSENSE
        choices = [self._choice(index, answer, timing, usage) for index, (answer, timing) in enumerate(answers)]
        end_s = max(timing.end_s for _, timing in answers)
        yield from choices[0] if len(choices) == 1 else heapq.merge(*choices, key=lambda step: step.at_s)
        if self._place in (UsagePlace.ASKED, UsagePlace.ALWAYS):
            for _ in range(2 if self._exchange.fault(FaultKind.USAGE_TWICE) else 1):
                yield Step(end_s, self.frame([], usage))
        yield Step(end_s, DONE, is_end=True)

    def frame(self, choices: list[object], usage: object = None, **extra: object) -> bytes:
        """Any chunk, the slow way."""
        chunk = {**self._head, "choices": choices, **extra}
        if usage is not None or self._null_usage:
            chunk["usage"] = usage
        return b"data: " + encode(chunk) + b"\n\n"

    def _choice(self, index: int, answer: Answer, timing: Schedule, usage: dict[str, object]) -> Iterator[Step]:
        traits = self._traits
        first_s = (*timing.reasoning, *timing.text)[0].at_s if timing.reasoning or timing.text else timing.end_s
        if traits.role_event:
            opening: dict[str, object] = {"role": "assistant", "content": ""}
            if traits.refusal_field:
                opening["refusal"] = None
            yield Step(min(first_s, timing.open_s), self.frame([_open_choice(index, opening)]))
        tagged = self._exchange.model.reasoning is Reasoning.TAGGED and timing.reasoning
        if tagged:
            yield from self._deltas(index, "content", [Event(first_s, "<think>\n", 1)], usage)
            yield from self._deltas(index, "content", timing.reasoning, usage)
            close_s = timing.reasoning[-1].at_s
            yield from self._deltas(index, "content", [Event(close_s, "\n</think>\n\n", 1)], usage)
        elif traits.reasoning_field is not None:
            yield from self._deltas(index, traits.reasoning_field, timing.reasoning, usage)
        refuses = answer.finish is Finish.REFUSAL and traits.refusal_field
        yield from self._deltas(index, "refusal" if refuses else "content", timing.text, usage)
        if answer.tool_calls:
            yield from self._tool_calls(index, answer, timing)
        closing = _open_choice(index, {}, FINISH[answer.finish])
        on_last = self._place in (UsagePlace.ON_LAST, UsagePlace.ON_EVERY)
        yield Step(timing.end_s, self.frame([closing], usage if on_last else None))

    def _deltas(self, index: int, field: str, events: Iterable[Event], usage: dict[str, object]) -> Iterator[Step]:
        """The hot path: everything but the text itself is put together once."""
        details = b',"reasoning_details":[{"type":"reasoning.text","text":' if self._has_details(field) else b""
        prefix = b'data: %s,"choices":[{"index":%d,"delta":{"%s":' % (self._head_bytes, index, field.encode())
        if not self._traits.role_event:
            prefix = prefix.replace(b'"delta":{', b'"delta":{"role":"assistant",')
        suffix = b'},"logprobs":null,"finish_reason":null}]' + (b',"usage":null' if self._null_usage else b"")
        if self._place is UsagePlace.ON_EVERY:
            yield from self._counted(prefix, suffix, events, usage)
            return
        if self._obfuscates:
            tails = [b'%s,"obfuscation":"%s"}\n\n' % (suffix, text.encode()) for text in OBFUSCATION]
        else:
            tails = [suffix + b"}\n\n"] * 16
        for number, (at_s, text, tokens) in enumerate(events):
            data = encode(text)
            if details:
                data = b'%s%s%s,"format":"unknown","index":0}]' % (data, details, data)
            yield Step(at_s, prefix + data + tails[number & 15], tokens)

    def _has_details(self, field: str) -> bool:
        return self._traits.reasoning_details and field == self._traits.reasoning_field

    def _counted(
        self, prefix: bytes, suffix: bytes, events: Iterable[Event], usage: dict[str, object]
    ) -> Iterator[Step]:
        """Running counts on every chunk."""
        prompt_tokens = usage["prompt_tokens"]
        so_far = 0
        for at_s, text, tokens in events:
            so_far += tokens
            counts = {"prompt_tokens": prompt_tokens, "completion_tokens": so_far, "total_tokens": so_far}
            yield Step(at_s, b'%s%s%s,"usage":%s}\n\n' % (prefix, encode(text), suffix, encode(counts)), tokens)

    def _tool_calls(self, index: int, answer: Answer, timing: Schedule) -> Iterator[Step]:
        at_s = timing.reasoning[-1].at_s if timing.reasoning else timing.open_s
        for number, call in enumerate(answer.tool_calls):
            opening = {
                "index": number,
                "id": call_id(self._exchange, number),
                "type": "function",
                "function": {"name": call.name, "arguments": ""},
            }
            yield Step(at_s, self.frame([_open_choice(index, {"tool_calls": [opening]})]), 1)
            pieces = [call.arguments[i : i + 6] for i in range(0, len(call.arguments), 6)]
            step_s = (timing.end_s - at_s) / (len(pieces) + 1)
            for count, piece in enumerate(pieces, 1):
                delta = {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
                yield Step(at_s + step_s * count, self.frame([_open_choice(index, delta)]), 1)


def _open_choice(index: int, delta: Mapping[str, object], finish: str | None = None) -> dict[str, object]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _usage_place(exchange: Exchange, traits: ChatTraits, asked: bool) -> UsagePlace:
    if exchange.fault(FaultKind.USAGE_MISSING):
        return UsagePlace.NOWHERE
    if exchange.fault(FaultKind.USAGE_ON_LAST):
        return UsagePlace.ON_LAST
    if exchange.fault(FaultKind.USAGE_ON_EVERY):
        return UsagePlace.ON_EVERY
    if exchange.fault(FaultKind.USAGE_TWICE, FaultKind.USAGE_NONSENSE) and traits.usage is not UsagePlace.ON_LAST:
        return UsagePlace.ALWAYS
    return UsagePlace.NOWHERE if traits.usage is UsagePlace.ASKED and not asked else traits.usage


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A Chat request that was let in."""

    prompt: Prompt
    answers: list[tuple[Answer, Schedule]]
    cache: CacheUse
    options: Mapping[str, Any]
    streams: bool


def accept(exchange: Exchange, body: Mapping[str, Any], *, strict: bool) -> ChatCall:
    """Everything between the body and the answer."""
    model = exchange.choose_model(body.get("model"))
    prompt = read_chat(body, model, strict=strict)
    exchange.read_marks(prompt.question)
    count = count_of(body)
    cache = exchange.cache_use(prompt)
    exchange.admit(prompt, count=count)
    options = body.get("stream_options")
    return ChatCall(
        prompt,
        exchange.answers(prompt, count),
        cache,
        options if isinstance(options, dict) else {},
        bool(body.get("stream")),
    )


def whole_body(
    exchange: Exchange, call: ChatCall, traits: ChatTraits, completion_id: str, usage: object
) -> dict[str, object]:
    body: dict[str, object] = {
        "id": completion_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": exchange.model.name,
        **dict(traits.chunk_extra),
        "choices": [
            {
                "index": index,
                "message": message_of(answer, traits, exchange),
                "logprobs": None,
                "finish_reason": FINISH[answer.finish],
            }
            for index, (answer, _) in enumerate(call.answers)
        ],
        "usage": NONSENSE if exchange.fault(FaultKind.USAGE_NONSENSE) else usage,
    }
    if exchange.fault(FaultKind.USAGE_MISSING):
        del body["usage"]
    if exchange.fault(FaultKind.EMPTY_CHOICES):
        body["choices"] = []
    if exchange.fault(FaultKind.MISSING_CHOICES):
        del body["choices"]
    return body
