"""OpenAI's endpoints."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator import openai_errors
from workbench.simulator.answers import rng_for
from workbench.simulator.batch_openai import OpenAIBatches
from workbench.simulator.dialect import Dialect, header, identifier
from workbench.simulator.exchange import Exchange, Snapshot
from workbench.simulator.mangle import Frames
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.openai_chat import (
    OPENAI,
    ChatCall,
    ChatTraits,
    ChunkWriter,
    accept,
    encode,
    usage_of,
    whole_body,
)
from workbench.simulator.openai_responses import ResponseWriter
from workbench.simulator.prompt import Turn, tokens_in
from workbench.simulator.refusal import Reason, Refusal, RetryHint
from workbench.simulator.responses_reading import read_response
from workbench.simulator.simulation import Simulation, StoredResponse
from workbench.simulator.stream import Headers, Step

MAX_INPUTS = 2_048


class ChatDialect(Dialect):
    """Any host that speaks Chat Completions; subclasses say what is special about theirs."""

    traits = ChatTraits()
    strict = False
    id_prefix = "chatcmpl-"

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/chat/completions", self.chat),
            self.route("/models", self.list_models, "GET"),
            self.route("/models/{name:path}", self.one_model, "GET"),
            self.route("/embeddings", self.embeddings),
            self.fallback(),
        ]

    def key_of(self, request: Request) -> str | None:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else None

    def error(self, refusal: Refusal) -> tuple[int, object]:
        return openai_errors.error(refusal)

    def limit_headers(self, snapshot: Snapshot) -> Headers:
        return openai_errors.limit_headers(snapshot)

    def error_frames(self, exchange: Exchange) -> Frames:
        fault = next((fault for fault in exchange.faults if fault.message), None)
        message = fault.message if fault else "The server had an error while processing your request. Sorry about that!"
        error = {"error": {"message": message, "type": "server_error", "param": None, "code": None}}
        head = {"id": "chatcmpl-x", "object": "chat.completion.chunk", "created": 0, "model": exchange.model.name}
        return Frames(
            error=lambda: b"data: " + encode(error) + b"\n\n",
            empty_choices=b"data: " + encode({**head, "choices": []}) + b"\n\n",
            missing_choices=b"data: " + encode(head) + b"\n\n",
        )

    def usage(self, call: ChatCall, exchange: Exchange) -> dict[str, object]:
        return usage_of(call.prompt, (answer for answer, _ in call.answers), call.cache)

    # What a host may add to the common course of things.

    def prepare(self, exchange: Exchange, body: dict[str, Any]) -> None:
        """Change the body before it is read."""

    def chunk_extra(self, exchange: Exchange) -> tuple[tuple[str, object], ...]:
        """Top-level fields of every chunk and of whole answers."""
        return self.traits.chunk_extra

    def decorate(self, steps: Iterable[Step], call: ChatCall) -> Iterable[Step]:
        return steps

    async def wait_turn(self, exchange: Exchange) -> None:
        """Queue, where that is what a full server does."""

    def opens_at(self, call: ChatCall) -> float:
        """When headers leave."""
        return min(timing.open_s for _, timing in call.answers)

    async def chat(self, exchange: Exchange) -> ASGIApp:
        body = await exchange.read_json()
        self.prepare(exchange, body)
        call = accept(exchange, body, strict=self.strict)
        await self.wait_turn(exchange)
        traits = replace(self.traits, chunk_extra=self.chunk_extra(exchange))
        completion_id = identifier(self.id_prefix, exchange)
        usage = self.usage(call, exchange)
        if not call.streams:
            end_s = max(timing.end_s for _, timing in call.answers)
            return self.whole(exchange, whole_body(exchange, call, traits, completion_id, usage), at_s=end_s)
        writer = ChunkWriter(exchange, traits, completion_id, call.options)
        steps = self.decorate(writer.steps(call.prompt, call.answers, usage), call)
        return self.stream(exchange, steps, open_s=self.opens_at(call))

    def model_row(self, model: ModelProfile) -> dict[str, object]:
        return {"id": model.name, "object": "model", "created": 1_767_225_600, "owned_by": model.owner}

    async def list_models(self, exchange: Exchange) -> ASGIApp:
        rows = [self.model_row(model) for model in self.simulation.models.of(self.provider)]
        return self.plain(exchange, {"object": "list", "data": rows})

    async def one_model(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        model = self.simulation.models.find(self.provider, name)
        if model is None:
            raise Refusal(Reason.UNKNOWN_MODEL, "", model=name)
        return self.plain(exchange, self.model_row(model))

    async def embeddings(self, exchange: Exchange) -> ASGIApp:
        body = await exchange.read_json()
        model = exchange.choose_model(body.get("model"))
        if not model.is_embedding:
            raise Refusal(Reason.BAD_VALUE, f"{model.name} is not an embedding model.", parameter="model")
        inputs = _inputs_of(body.get("input"))
        size = _dimensions_of(body.get("dimensions"), model)
        tokens = sum(map(tokens_in, inputs))
        if any(tokens_in(text) > model.context_tokens for text in inputs):
            raise Refusal(Reason.CONTEXT_OVERFLOW, "", model=model.name, limit=model.context_tokens, requested=tokens)
        exchange.entry.input_tokens = tokens
        exchange.charge(tokens, 0)
        vectors = [embedding(self.simulation.seed, model.name, text, size) for text in inputs]
        form = _form_of(body.get("encoding_format"))
        answer = {
            "object": "list",
            "data": [{"object": "embedding", "index": i, "embedding": form(v)} for i, v in enumerate(vectors)],
            "model": model.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }
        return self.whole(exchange, answer, at_s=model_delay(self.simulation, model))


def model_delay(simulation: Simulation, model: ModelProfile) -> float:
    return simulation.profile.pace_of(model).ttft_s


def embedding(seed: int, model: str, text: str, size: int) -> list[float]:
    """A unit vector; texts that share words lie closer together."""
    vector = [0.0] * size
    for word in text.lower().split()[:64] or [""]:
        rng = rng_for("embedding", seed, model, word)
        for _ in range(8):
            vector[rng.randrange(size)] += rng.choice((-1.0, 1.0))
    rng = rng_for("embedding", seed, model, text, "whole")
    vector = [value + rng.uniform(-0.05, 0.05) for value in vector]
    length = sum(value * value for value in vector) ** 0.5
    return [value / length for value in vector]


def _form_of(encoding: object) -> Callable[[list[float]], Any]:
    if encoding == "base64":
        return lambda vector: base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
    if encoding not in (None, "float"):
        raise Refusal(Reason.BAD_VALUE, f"Invalid value: '{encoding}'.", parameter="encoding_format")
    return lambda vector: vector


def _inputs_of(value: object) -> list[str]:
    inputs = [value] if isinstance(value, str) else value
    if not isinstance(inputs, list) or not inputs:
        raise Refusal(Reason.MISSING_PARAMETER, "", parameter="input")
    if len(inputs) > MAX_INPUTS:
        raise Refusal(
            Reason.BAD_VALUE, f"Invalid 'input': array too long. Expected at most {MAX_INPUTS}.", parameter="input"
        )
    if all(isinstance(item, int) for item in inputs):
        return [" ".join(map(str, inputs))]
    if all(isinstance(item, str) and item for item in inputs):
        return inputs
    raise Refusal(Reason.BAD_VALUE, "Invalid 'input': expected a string or non-empty strings.", parameter="input")


def _dimensions_of(value: object, model: ModelProfile) -> int:
    most = model.embedding_dimensions or 1
    if value is None:
        return most
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise Refusal(Reason.BAD_VALUE, f"Invalid 'dimensions': expected 1 to {most}.", parameter="dimensions")
    return value


def _response_frames(writer: ResponseWriter) -> Frames:
    return Frames(
        error=writer.failure,
        empty_choices=b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":""}\n\n',
        missing_choices=b'event: response.something_new\ndata: {"type":"response.something_new"}\n\n',
        garbled=b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","del\n\n',
    )


class OpenAIDialect(ChatDialect):
    traits = OPENAI
    strict = True

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, Provider.OPENAI)

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/responses", self.respond),
            self.route("/responses/{name}", self.stored_response, "GET"),
            *OpenAIBatches(self).routes(),
            *super().routes(),
        ]

    async def respond(self, exchange: Exchange) -> ASGIApp:
        body = await exchange.read_json()
        model = exchange.choose_model(body.get("model"))
        reading = read_response(body, model, self._earlier(body.get("previous_response_id")))
        prompt = reading.prompt
        exchange.read_marks(prompt.question)
        cache = exchange.cache_use(prompt)
        exchange.admit(prompt)
        ((answer, timing),) = exchange.answers(prompt)
        writer = ResponseWriter(exchange, reading, cache, body)
        response = writer.response(answer)
        if body.get("store", True):
            turns = (*prompt.turns, Turn("assistant", "".join(answer.text)))
            self.simulation.responses.put(writer.response_id, StoredResponse(turns, response))
        if not body.get("stream"):
            return self.whole(exchange, response, at_s=timing.end_s)
        return self.stream(
            exchange, writer.steps(answer, timing), open_s=timing.open_s, frames=lambda: _response_frames(writer)
        )

    def _earlier(self, name: object) -> tuple[Turn, ...]:
        if name is None:
            return ()
        stored = self.simulation.responses.get(str(name))
        if stored is None:
            raise Refusal(
                Reason.BAD_VALUE, f"Previous response with id '{name}' not found.", parameter="previous_response_id"
            )
        return stored.turns

    async def stored_response(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.path_params["name"]
        stored = self.simulation.responses.get(name)
        if stored is None:
            raise Refusal(Reason.UNKNOWN_ROUTE, f"Response with id '{name}' not found.")
        return self.plain(exchange, stored.body)

    def hints(self, refusal: Refusal) -> Headers:
        """Milliseconds beside the whole seconds."""
        headers = super().hints(refusal)
        if refusal.hint is RetryHint.NATIVE and refusal.retry_after_s is not None:
            wait_s = refusal.wait_s if refusal.wait_s is not None else refusal.retry_after_s
            headers.append(header("retry-after-ms", math.ceil(wait_s * 1000)))
        return headers

    def common_headers(self, exchange: Exchange) -> Headers:
        took_ms = round((self.simulation.now_s() - exchange.entry.at_s) * 1000)
        return [
            header("x-request-id", identifier("req_", exchange)),
            header("openai-processing-ms", took_ms),
            header("openai-version", "2020-10-01"),
            header("openai-organization", "org-simulated"),
        ]
