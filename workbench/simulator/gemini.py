"""Gemini's endpoints: generateContent, streamed and whole, embeddings, the list of models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator import gemini_errors
from workbench.simulator.answers import Answer, Event, Finish, Schedule
from workbench.simulator.batch_gemini import GeminiBatches
from workbench.simulator.batch_rows import RowExchange
from workbench.simulator.dialect import Dialect, identifier
from workbench.simulator.exchange import Exchange, Snapshot
from workbench.simulator.faults import FaultKind
from workbench.simulator.gemini_reading import Reading, read_contents, text_of
from workbench.simulator.mangle import Frames
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.openai import embedding, model_delay
from workbench.simulator.prompt import tokens_in
from workbench.simulator.prompt_cache import CacheUse
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.simulation import Simulation
from workbench.simulator.stream import Headers, Step

encode = msgspec.json.encode
MAX_BATCH = 100
"""Texts in one batchEmbedContents."""

FINISH = {
    Finish.STOP: "STOP",
    Finish.STOP_SEQUENCE: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.TOOL: "STOP",
    Finish.REFUSAL: "PROHIBITED_CONTENT",
    Finish.FILTER: "SAFETY",
}


class GeminiDialect(Dialect):
    sends_retry_after = False

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, Provider.GEMINI)
        self._batches = GeminiBatches(self, _whole_answer)

    def routes(self) -> list[BaseRoute]:
        versions = ("/v1beta", "/v1")
        return [
            *self._batches.routes(),
            *(self.route(f"{version}/models", self.list_models, "GET") for version in versions),
            *(self.route(f"{version}/models/{{name}}", self.one_model, "GET") for version in versions),
            *(self.route(f"{version}/models/{{call:path}}", self.call) for version in versions),
            self.fallback(),
        ]

    def key_of(self, request: Request) -> str | None:
        key = request.headers.get("x-goog-api-key") or request.query_params.get("key")
        return key or self._batches.uploader(request)

    def error(self, refusal: Refusal) -> tuple[int, object]:
        return gemini_errors.error(refusal)

    def limit_headers(self, snapshot: Snapshot) -> Headers:
        return []

    def error_frames(self, exchange: Exchange) -> Frames:
        fault = exchange.fault(FaultKind.ERROR_EVENT)
        message = fault.message if fault and fault.message else "The model is overloaded. Please try again later."
        error = {"error": {"code": 503, "message": message, "status": "UNAVAILABLE"}}
        empty = {"candidates": [], "modelVersion": exchange.model.name}
        return Frames(
            error=lambda: b"data: " + encode(error) + b"\n\n",
            empty_choices=b"data: " + encode(empty) + b"\n\n",
            missing_choices=b"data: " + encode({"modelVersion": exchange.model.name}) + b"\n\n",
            garbled=b'data: {"candidates": [{"content": {"par\n\n',
        )

    async def call(self, exchange: Exchange) -> ASGIApp:
        """`models/{model}:{method}`; the model may contain anything but a colon."""
        name, _, method = exchange.request.path_params["call"].rpartition(":")
        match method:
            case "generateContent" | "streamGenerateContent":
                return await self._generate(exchange, name, streams=method == "streamGenerateContent")
            case "embedContent" | "batchEmbedContents":
                return await self._embed(exchange, name, batch=method == "batchEmbedContents")
            case "countTokens":
                body = await exchange.read_json()
                model = exchange.choose_model(name)
                reading = read_contents(body.get("generateContentRequest", body), model)
                return self.plain(exchange, {"totalTokens": reading.prompt.tokens})
            case _:
                raise Refusal(Reason.UNKNOWN_ROUTE, "")

    async def _generate(self, exchange: Exchange, name: str, *, streams: bool) -> ASGIApp:
        body = await exchange.read_json()
        model = exchange.choose_model(name)
        reading = read_contents(body, model)
        prompt = reading.prompt
        exchange.read_marks(prompt.question)
        cache = exchange.cache_use(prompt)
        if exchange.fault(FaultKind.BLOCKED):
            return self._blocked(exchange, reading, streams=streams)
        exchange.admit(prompt, count=reading.candidates)
        answers = exchange.answers(prompt, reading.candidates)
        writer = CandidateWriter(exchange, reading, cache)
        if not streams:
            end_s = max(timing.end_s for _, timing in answers)
            return self.whole(exchange, writer.whole([answer for answer, _ in answers]), at_s=end_s)
        answer, timing = answers[0]
        frames = writer.steps(answer, timing)
        if exchange.request.query_params.get("alt") != "sse":
            frames = as_array(frames)
        return self.stream(exchange, frames, open_s=timing.open_s)

    def _blocked(self, exchange: Exchange, reading: Reading, *, streams: bool) -> ASGIApp:
        """The prompt was stopped by the filter: 200, no candidate, and the reason beside it."""
        tokens = reading.prompt.tokens
        exchange.entry.input_tokens = tokens
        body = {
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": tokens, "totalTokenCount": tokens},
            "modelVersion": exchange.model.name,
            "responseId": identifier("", exchange, 22),
        }
        if not streams:
            return self.whole(exchange, body, at_s=0.0)
        return self.stream(exchange, [Step(0.0, b"data: " + encode(body) + b"\r\n\r\n")], open_s=0.0)

    async def _embed(self, exchange: Exchange, name: str, *, batch: bool) -> ASGIApp:
        body = await exchange.read_json()
        model = exchange.choose_model(name)
        if not model.is_embedding:
            raise Refusal(Reason.UNKNOWN_ROUTE, f"models/{model.name} is not supported for embedContent.")
        requests = body.get("requests") if batch else [body]
        if not isinstance(requests, list) or not requests or len(requests) > MAX_BATCH:
            raise Refusal(
                Reason.BAD_VALUE, f"BatchEmbedContentsRequest.requests: 1 to {MAX_BATCH} requests can be in one batch"
            )
        texts, vectors = [], []
        for request in requests:
            text = text_of(request.get("content"), "content")
            config = request.get("embedContentConfig") or {}
            size = (
                request.get("outputDimensionality") or config.get("outputDimensionality") or model.embedding_dimensions
            )
            texts.append(text)
            vectors.append({"values": embedding(self.simulation.seed, model.name, text, int(size or 1))})
        tokens = sum(map(tokens_in, texts))
        exchange.entry.input_tokens = tokens
        exchange.charge(tokens, 0)
        answer: dict[str, object] = {"embeddings": vectors} if batch else {"embedding": vectors[0]}
        return self.whole(exchange, answer, at_s=model_delay(self.simulation, model))

    async def list_models(self, exchange: Exchange) -> ASGIApp:
        rows = [model_row(model) for model in self.simulation.models.of(self.provider)]
        return self.plain(exchange, {"models": rows})

    async def one_model(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        model = self.simulation.models.find(self.provider, name)
        if model is None:
            raise Refusal(Reason.UNKNOWN_MODEL, "", model=name)
        return self.plain(exchange, model_row(model))


def _whole_answer(exchange: RowExchange, reading: Reading) -> object:
    answers = exchange.answers(reading.prompt, reading.candidates)
    return CandidateWriter(exchange, reading, CacheUse()).whole([answer for answer, _ in answers])


def model_row(model: ModelProfile) -> dict[str, object]:
    methods = ["embedContent", "batchEmbedContents"] if model.is_embedding else ["generateContent", "countTokens"]
    return {
        "name": f"models/{model.name}",
        "version": "001",
        "displayName": model.name.replace("-", " ").title(),
        "inputTokenLimit": model.context_tokens,
        "outputTokenLimit": model.max_output_tokens or 1,
        "supportedGenerationMethods": methods,
        "thinking": model.thinking is not None,
    }


class CandidateWriter:
    """One response as chunks or whole."""

    def __init__(self, exchange: Exchange, reading: Reading, cache: CacheUse) -> None:
        self._exchange = exchange
        self._reading = reading
        self._cache = cache
        self._tail: dict[str, object] = {
            "modelVersion": exchange.model.name,
            "responseId": identifier("", exchange, 22),
        }

    def usage(self, text_tokens: int, thought_tokens: int) -> dict[str, object] | None:
        """Gemini's counts: the prompt's include cached ones, the candidates' exclude thoughts."""
        if self._exchange.fault(FaultKind.USAGE_MISSING):
            return None
        if self._exchange.fault(FaultKind.USAGE_NONSENSE):
            return {"promptTokenCount": -3, "candidatesTokenCount": 99_999_999, "totalTokenCount": 0}
        prompt_tokens = self._reading.prompt.tokens
        usage: dict[str, object] = {"promptTokenCount": prompt_tokens}
        if text_tokens:
            usage["candidatesTokenCount"] = text_tokens
        usage["totalTokenCount"] = prompt_tokens + text_tokens + thought_tokens
        if self._cache.read:
            usage["cachedContentTokenCount"] = self._cache.read
        usage["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": prompt_tokens}]
        if thought_tokens:
            usage["thoughtsTokenCount"] = thought_tokens
        return usage

    def whole(self, answers: list[Answer]) -> dict[str, object]:
        body: dict[str, object] = {"candidates": [self._candidate(i, a) for i, a in enumerate(answers)]}
        text = sum(len(a.text) + a.tool_tokens for a in answers)
        usage = self.usage(text, sum(len(a.reasoning) for a in answers))
        if usage is not None:
            body["usageMetadata"] = usage
        if self._exchange.fault(FaultKind.EMPTY_CHOICES):
            body["candidates"] = []
        if self._exchange.fault(FaultKind.MISSING_CHOICES):
            del body["candidates"]
        return {**body, **self._tail}

    def _candidate(self, index: int, answer: Answer) -> dict[str, object]:
        parts: list[dict[str, object]] = []
        if answer.reasoning and self._reading.shows_thoughts:
            parts.append({"text": "".join(answer.reasoning), "thought": True})
        if answer.text and answer.finish is not Finish.FILTER:
            parts.append({"text": "".join(answer.text)})
        parts.extend(_calls(answer))
        candidate: dict[str, object] = {"finishReason": FINISH[answer.finish], "index": index}
        if parts:
            candidate = {"content": {"parts": parts, "role": "model"}, **candidate}
        return candidate

    def steps(self, answer: Answer, timing: Schedule) -> Iterator[Step]:
        thoughts = 0
        for at_s, text, tokens in timing.reasoning:
            thoughts += tokens
            if self._reading.shows_thoughts:
                yield Step(at_s, self._chunk([{"text": text, "thought": True}], self.usage(0, thoughts)), tokens)
        spoken = 0
        *body, last = timing.text or (Event(timing.end_s, "", 0),)
        for at_s, text, tokens in body:
            spoken += tokens
            yield Step(at_s, self._chunk([{"text": text}], self.usage(spoken, thoughts)), tokens)
        filtered = answer.finish is Finish.FILTER
        parts: list[dict[str, object]] = _calls(answer)
        if last.text and not filtered:
            parts = [{"text": last.text}, *parts]
        usage = self.usage(spoken + last.tokens + answer.tool_tokens, thoughts)
        closing = self._chunk(parts, usage, FINISH[answer.finish])
        yield Step(timing.end_s, closing, last.tokens + answer.tool_tokens, is_end=True)

    def _chunk(
        self, parts: list[dict[str, object]], usage: Mapping[str, Any] | None, finish: str | None = None
    ) -> bytes:
        candidate: dict[str, object] = {}
        if parts:
            candidate["content"] = {"parts": parts, "role": "model"}
        if finish:
            candidate["finishReason"] = finish
        candidate["index"] = 0
        chunk: dict[str, object] = {"candidates": [candidate]}
        if usage is not None:
            chunk["usageMetadata"] = usage
        # The real service ends its lines with CR LF.
        return b"data: " + encode({**chunk, **self._tail}) + b"\r\n\r\n"


def _calls(answer: Answer) -> list[dict[str, object]]:
    return [
        {"functionCall": {"name": call.name, "args": msgspec.json.decode(call.arguments)}} for call in answer.tool_calls
    ]


def as_array(steps: Iterator[Step]) -> Iterator[Step]:
    """Without `alt=sse` the chunks come as the elements of one JSON array."""
    opening, at_s = b"[", 0.0
    for step in steps:
        at_s = step.at_s
        chunk = (step.data or b"").removeprefix(b"data: ").strip()
        yield step._replace(data=opening + chunk)
        opening = b"\n,\r\n"
    yield Step(at_s, b"\n]\n", is_end=True)
