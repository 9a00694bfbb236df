"""The Responses API: typed events with sequence numbers, reasoning summaries, incomplete and failed endings."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from workbench.simulator.answers import Answer, Event, Finish, Schedule
from workbench.simulator.dialect import identifier
from workbench.simulator.exchange import Exchange
from workbench.simulator.faults import FaultKind
from workbench.simulator.openai_chat import OBFUSCATION, call_id
from workbench.simulator.prompt_cache import CacheUse
from workbench.simulator.responses_reading import Reading
from workbench.simulator.stream import Step

encode = msgspec.json.encode
TWO_PARTS_FROM = 24
"""Events of reasoning from which the summary comes in two parts."""

_INCOMPLETE = {Finish.LENGTH: "max_output_tokens", Finish.FILTER: "content_filter"}


class ResponseWriter:
    """One response as events or whole."""

    def __init__(self, exchange: Exchange, reading: Reading, cache: CacheUse, body: Mapping[str, Any]) -> None:
        self._exchange = exchange
        self._reading = reading
        self._cache = cache
        self._number = 0
        options = body.get("stream_options")
        self._obfuscates = not (isinstance(options, Mapping) and options.get("include_obfuscation") is False)
        self.response_id = identifier("resp_", exchange, 40)
        reasoning = body.get("reasoning") or {}
        self._head: dict[str, object] = {
            "id": self.response_id,
            "object": "response",
            "created_at": int(time.time()),
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "max_tool_calls": None,
            "model": exchange.model.name,
            "parallel_tool_calls": True,
            "previous_response_id": body.get("previous_response_id"),
            "prompt_cache_key": body.get("prompt_cache_key"),
            "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
            "safety_identifier": body.get("safety_identifier"),
            "service_tier": "default",
            "store": body.get("store", True),
            "temperature": body.get("temperature", 1.0),
            "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": body.get("tool_choice") or "auto",
            "tools": body.get("tools") or [],
            "top_logprobs": 0,
            "top_p": body.get("top_p", 1.0),
            "truncation": "disabled",
            "user": None,
            "metadata": body.get("metadata") or {},
        }

    # --- whole

    def response(self, answer: Answer) -> dict[str, object]:
        incomplete = _INCOMPLETE.get(answer.finish)
        return {
            **self._head,
            "status": "incomplete" if incomplete else "completed",
            "incomplete_details": {"reason": incomplete} if incomplete else None,
            "output": self._output(answer, final=True),
            "usage": self._usage(answer),
        }

    def _usage(self, answer: Answer) -> dict[str, object] | None:
        exchange = self._exchange
        if exchange.fault(FaultKind.USAGE_MISSING):
            return None
        if exchange.fault(FaultKind.USAGE_NONSENSE):
            return {"input_tokens": -5, "output_tokens": 99_999_999_999, "total_tokens": 0}
        prompt_tokens = self._reading.prompt.tokens
        written = self._cache.written if exchange.model.cache_writes else 0
        return {
            "input_tokens": prompt_tokens,
            "input_tokens_details": {"cached_tokens": self._cache.read, "cache_write_tokens": written},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": len(answer.reasoning)},
            "total_tokens": prompt_tokens + answer.output_tokens,
        }

    def _output(self, answer: Answer, *, final: bool) -> list[dict[str, object]]:
        items: list[dict[str, object]] = []
        if answer.reasoning:
            parts = ["".join(e.text for e in part) for part in self._summary(_as_events(answer.reasoning))]
            items.append(self._reasoning_item(parts, final=final))
        for number, call in enumerate(answer.tool_calls):
            items.append(self._call_item(number, call.name, call.arguments, "completed"))
        if answer.text or not answer.tool_calls:
            status = "incomplete" if answer.finish in _INCOMPLETE else "completed"
            if answer.text or answer.finish not in _INCOMPLETE:
                items.append(self._message_item([_part(answer.finish, "".join(answer.text))], status))
        return items

    def _reasoning_item(self, parts: Sequence[str], *, final: bool) -> dict[str, object]:
        item: dict[str, object] = {
            "id": self._item_id("rs_"),
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text} for text in parts],
        }
        if self._reading.encrypts:
            # What item.done carries is not what completed carries; only the latter is good for another turn.
            secret = f"{self.response_id}:{'final' if final else 'draft'}".encode()
            item["encrypted_content"] = base64.b64encode(secret).decode("ascii")
        return item

    def _message_item(self, content: list[dict[str, object]], status: str) -> dict[str, object]:
        return {
            "id": self._item_id("msg_"),
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _call_item(self, number: int, name: str, arguments: str, status: str) -> dict[str, object]:
        return {
            "id": self._item_id(f"fc_{number}"),
            "type": "function_call",
            "status": status,
            "arguments": arguments,
            "call_id": call_id(self._exchange, number),
            "name": name,
        }

    def _item_id(self, prefix: str) -> str:
        return identifier(prefix, self._exchange, 40)

    def _summary(self, events: Sequence[Event]) -> list[Sequence[Event]]:
        """The parts of the reasoning summary: three fifths of what was thought, in one part or two."""
        if not self._reading.summarises:
            return []
        events = events[: max(1, len(events) * 3 // 5)]
        if len(events) < TWO_PARTS_FROM:
            return [events]
        return [events[: len(events) // 2], events[len(events) // 2 :]]

    # --- streamed

    def _event(self, kind: str, **fields: object) -> bytes:
        data = encode({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)

    def steps(self, answer: Answer, timing: Schedule) -> Iterator[Step]:
        start = {**self._head, "status": "in_progress", "output": [], "usage": None}
        yield Step(timing.open_s, self._event("response.created", response=start))
        yield Step(timing.open_s, self._event("response.in_progress", response=start))
        index = 0
        if answer.reasoning:
            yield from self._reasoning_steps(timing)
            index += 1
        for number, call in enumerate(answer.tool_calls):
            yield from self._call_steps(index, number, call.name, call.arguments, timing)
            index += 1
        if answer.text or (not answer.tool_calls and answer.finish not in _INCOMPLETE):
            yield from self._message_steps(index, answer, timing)
        kind = "response.incomplete" if answer.finish in _INCOMPLETE else "response.completed"
        yield Step(timing.end_s, self._event(kind, response=self.response(answer)), is_end=True)

    def failure(self) -> bytes:
        """The event that ends a response which went wrong after its 200. Takes the number of the one it replaces."""
        self._number -= 1
        fault = self._exchange.fault(FaultKind.ERROR_EVENT)
        message = (fault and fault.message) or "An error occurred while processing your request."
        code = "rate_limit_exceeded" if fault and fault.status == 429 else "server_error"
        if fault and fault.hint == "error":
            return self._event("error", code=code, message=message, param=None)
        response = {
            **self._head,
            "status": "failed",
            "error": {"code": code, "message": message},
            "output": [],
            "usage": None,
        }
        return self._event("response.failed", response=response)

    def _reasoning_steps(self, timing: Schedule) -> Iterator[Step]:
        events = timing.reasoning
        first_s, last_s = events[0].at_s, events[-1].at_s
        item = self._item_id("rs_")
        opening = self._reasoning_item([], final=False)
        yield Step(first_s, self._event("response.output_item.added", output_index=0, item=opening))
        texts = []
        for number, part in enumerate(self._summary(events)):
            place: dict[str, object] = {"item_id": item, "output_index": 0, "summary_index": number}
            empty = {"type": "summary_text", "text": ""}
            yield Step(part[0].at_s, self._event("response.reasoning_summary_part.added", **place, part=empty))
            yield from self._deltas("response.reasoning_summary_text.delta", place, part)
            text = "".join(event.text for event in part)
            texts.append(text)
            done = {"type": "summary_text", "text": text}
            yield Step(part[-1].at_s, self._event("response.reasoning_summary_text.done", **place, text=text))
            yield Step(part[-1].at_s, self._event("response.reasoning_summary_part.done", **place, part=done))
        closing = self._reasoning_item(texts, final=False)
        yield Step(last_s, self._event("response.output_item.done", output_index=0, item=closing))

    def _call_steps(self, index: int, number: int, name: str, arguments: str, timing: Schedule) -> Iterator[Step]:
        start_s = timing.reasoning[-1].at_s if timing.reasoning else timing.open_s
        item = self._call_item(number, name, "", "in_progress")
        yield Step(start_s, self._event("response.output_item.added", output_index=index, item=item))
        place: dict[str, object] = {"item_id": item["id"], "output_index": index}
        pieces = [arguments[i : i + 6] for i in range(0, len(arguments), 6)]
        step_s = (timing.end_s - start_s) / (len(pieces) + 1)
        events = [Event(start_s + step_s * (n + 1), piece, 1) for n, piece in enumerate(pieces)]
        kind = "response.function_call_arguments"
        yield from self._deltas(f"{kind}.delta", place, events)
        yield Step(timing.end_s, self._event(f"{kind}.done", **place, name=name, arguments=arguments))
        closing = self._call_item(number, name, arguments, "completed")
        yield Step(timing.end_s, self._event("response.output_item.done", output_index=index, item=closing))

    def _message_steps(self, index: int, answer: Answer, timing: Schedule) -> Iterator[Step]:
        first_s = timing.text[0].at_s if timing.text else timing.end_s
        refuses = answer.finish is Finish.REFUSAL
        opening = self._message_item([], "in_progress")
        yield Step(first_s, self._event("response.output_item.added", output_index=index, item=opening))
        place: dict[str, object] = {"item_id": opening["id"], "output_index": index, "content_index": 0}
        empty = _part(answer.finish, "")
        yield Step(first_s, self._event("response.content_part.added", **place, part=empty))
        text = "".join(answer.text)
        if refuses:
            yield from self._deltas("response.refusal.delta", place, timing.text)
            yield Step(timing.end_s, self._event("response.refusal.done", **place, refusal=text))
        else:
            yield from self._deltas("response.output_text.delta", {**place, "logprobs": []}, timing.text)
            yield Step(timing.end_s, self._event("response.output_text.done", **place, logprobs=[], text=text))
        done = _part(answer.finish, text)
        yield Step(timing.end_s, self._event("response.content_part.done", **place, part=done))
        status = "incomplete" if answer.finish in _INCOMPLETE else "completed"
        closing = self._message_item([done], status)
        yield Step(timing.end_s, self._event("response.output_item.done", output_index=index, item=closing))

    def _deltas(self, kind: str, place: Mapping[str, object], events: Sequence[Event]) -> Iterator[Step]:
        """The hot path: only the number and the text change."""
        head = b'event: %s\ndata: {"type":"%s",' % (kind.encode(), kind.encode())
        tail = b"," + encode(place)[1:-1]
        if self._obfuscates:
            tails = [b'%s,"obfuscation":"%s"}\n\n' % (tail, text.encode()) for text in OBFUSCATION]
        else:
            tails = [tail + b"}\n\n"] * len(OBFUSCATION)
        for at_s, text, tokens in events:
            number = self._number
            self._number += 1
            data = b'%s"sequence_number":%d,"delta":%s%s' % (head, number, encode(text), tails[number % len(tails)])
            yield Step(at_s, data, tokens)


def _part(finish: Finish, text: str) -> dict[str, object]:
    if finish is Finish.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _as_events(tokens: Sequence[str]) -> list[Event]:
    return [Event(0.0, token, 1) for token in tokens]
