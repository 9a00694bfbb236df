"""Servers on one's own machine: no key, a queue instead of refusals, and each its own way to introduce itself.

Mounted once per flavour, and a vLLM-like one at the root, so that whoever probes the simulator's address finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from workbench.simulator.answers import Answer, Finish, Schedule
from workbench.simulator.chat_reading import read_chat
from workbench.simulator.exchange import Exchange
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.openai import ChatDialect
from workbench.simulator.openai_chat import ChatCall, ChatTraits
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.simulation import Simulation
from workbench.simulator.stream import Step

encode = msgspec.json.encode

OLLAMA_CONTEXT = 4_096
"""What Ollama loads a model with when nobody says otherwise; its OpenAI endpoint gives no way to say otherwise."""


class Flavour(StrEnum):
    VLLM = "vllm"
    OLLAMA = "ollama"
    LLAMA_CPP = "llamacpp"
    LM_STUDIO = "lmstudio"


class LocalDialect(ChatDialect):
    traits = ChatTraits(reasoning_field="reasoning_content", refusal_field=False)
    needs_key = False

    def __init__(self, simulation: Simulation, flavour: Flavour = Flavour.VLLM) -> None:
        super().__init__(simulation, Provider.LOCAL)
        self.flavour = flavour

    def mounts(self, prefix: str) -> list[BaseRoute]:
        """The OpenAI part under `/v1`, and what this kind of server has beside it."""
        beside: list[BaseRoute] = []
        match self.flavour:
            case Flavour.VLLM:
                beside = [
                    self.route("/health", self.health, "GET"),
                    self.route("/version", self.version, "GET"),
                ]
            case Flavour.OLLAMA:
                beside = [
                    self.route("/api/tags", self.tags, "GET"),
                    self.route("/api/ps", self.loaded, "GET"),
                    self.route("/api/version", self.version, "GET"),
                    self.route("/api/show", self.show),
                    self.route("/api/chat", self.native_chat),
                ]
            case Flavour.LLAMA_CPP:
                beside = [
                    self.route("/health", self.health, "GET"),
                    self.route("/props", self.props, "GET"),
                    self.route("/slots", self.slots, "GET"),
                ]
            case Flavour.LM_STUDIO:
                beside = [self.route("/api/v1/models", self.studio_models, "GET")]
        return [Mount(f"{prefix}/v1", routes=self.routes()), Mount(prefix or "/", routes=beside)]

    async def wait_turn(self, exchange: Exchange) -> None:
        await exchange.take_turn(self.simulation.local_slots)

    def usage(self, call: ChatCall, exchange: Exchange) -> dict[str, object]:
        usage = super().usage(call, exchange)
        if self.flavour is Flavour.OLLAMA:
            usage = clipped(usage, OLLAMA_CONTEXT)
        return usage

    async def native_chat(self, exchange: Exchange) -> ASGIApp:
        """Ollama's own endpoint: newline-delimited JSON, and a context that the caller may choose."""
        body = await exchange.read_json()
        model = exchange.choose_model(body.get("model"))
        options = body.get("options") or {}
        prompt = read_chat(_as_chat(body, options), model, strict=False)
        exchange.read_marks(prompt.question)
        exchange.admit(prompt)
        await self.wait_turn(exchange)
        ((answer, timing),) = exchange.answers(prompt)
        counts = clipped(
            {"prompt_tokens": prompt.tokens, "completion_tokens": answer.output_tokens, "total_tokens": 0},
            int(options.get("num_ctx") or OLLAMA_CONTEXT),
        )
        closing = {
            "done": True,
            "done_reason": "length" if answer.finish is Finish.LENGTH else "stop",
            "total_duration": round(timing.end_s * 1e9),
            "load_duration": 0,
            "prompt_eval_count": counts["prompt_tokens"],
            "prompt_eval_duration": round(timing.open_s * 1e9),
            "eval_count": answer.output_tokens,
            "eval_duration": round((timing.end_s - timing.open_s) * 1e9),
        }
        head = {"model": model.name, "created_at": "2026-09-01T00:00:00Z"}
        if body.get("stream", True):
            return self.stream(
                exchange,
                ollama_lines(head, answer, timing, closing),
                open_s=timing.open_s,
                media="application/x-ndjson",
            )
        message = {"role": "assistant", "content": "".join(answer.text), "thinking": "".join(answer.reasoning)}
        return self.whole(exchange, {**head, "message": message, **closing}, at_s=timing.end_s)

    @property
    def chat_models(self) -> list[ModelProfile]:
        return [model for model in self.simulation.models.of(self.provider) if not model.is_embedding]

    def model_row(self, model: ModelProfile) -> dict[str, object]:
        row = {"id": model.name, "object": "model", "created": 1_767_225_600}
        match self.flavour:
            case Flavour.VLLM:
                return {
                    **row,
                    "owned_by": "vllm",
                    "root": model.name,
                    "parent": None,
                    "max_model_len": model.context_tokens,
                }
            case Flavour.OLLAMA:
                return {**row, "owned_by": "library"}
            case Flavour.LLAMA_CPP:
                return {
                    **row,
                    "owned_by": "llamacpp",
                    "meta": {"n_ctx_train": model.context_tokens, "n_params": 8_190_735_360},
                }
            case Flavour.LM_STUDIO:
                return {**row, "owned_by": "organization_owner"}

    async def health(self, exchange: Exchange) -> ASGIApp:
        return self.plain(exchange, {"status": "ok"})

    async def version(self, exchange: Exchange) -> ASGIApp:
        return self.plain(exchange, {"version": "0.14.2" if self.flavour is Flavour.VLLM else "0.13.5"})

    async def tags(self, exchange: Exchange) -> ASGIApp:
        return self.plain(exchange, {"models": [self._tag(model) for model in self.chat_models]})

    async def loaded(self, exchange: Exchange) -> ASGIApp:
        first = self.chat_models[0]
        row = {**self._tag(first), "expires_at": "2026-12-31T00:00:00Z", "size_vram": 5_200_000_000}
        return self.plain(exchange, {"models": [{**row, "context_length": OLLAMA_CONTEXT}]})

    def _tag(self, model: ModelProfile) -> dict[str, object]:
        return {
            "name": model.name,
            "model": model.name,
            "modified_at": "2026-09-01T00:00:00Z",
            "size": 5_200_000_000,
            "digest": "0" * 64,
            "details": {
                "format": "gguf",
                "family": model.name.split("-")[0],
                "parameter_size": "8.2B",
                "quantization_level": "Q4_K_M",
            },
        }

    async def show(self, exchange: Exchange) -> ASGIApp:
        body = await exchange.read_json()
        model = exchange.choose_model(body.get("model") or body.get("name"))
        family = model.name.split("-")[0]
        info = {"general.architecture": family, f"{family}.context_length": model.context_tokens}
        return self.plain(
            exchange, {"details": self._tag(model)["details"], "model_info": info, "capabilities": ["completion"]}
        )

    async def props(self, exchange: Exchange) -> ASGIApp:
        model = self.chat_models[0]
        settings = {"n_ctx": model.context_tokens}
        return self.plain(
            exchange, {"default_generation_settings": settings, "total_slots": 4, "model_path": f"{model.name}.gguf"}
        )

    async def slots(self, exchange: Exchange) -> ASGIApp:
        context = self.chat_models[0].context_tokens
        return self.plain(exchange, [{"id": n, "n_ctx": context, "is_processing": False} for n in range(4)])

    async def studio_models(self, exchange: Exchange) -> ASGIApp:
        rows = [
            {
                "type": "llm",
                "key": model.name,
                "display_name": model.name,
                "max_context_length": model.context_tokens,
                "loaded_instances": [
                    {"id": model.name, "config": {"context_length": min(8_192, model.context_tokens)}}
                ],
            }
            for model in self.chat_models
        ]
        return self.plain(exchange, {"models": rows})


def clipped(usage: dict[str, object], context: int) -> dict[str, object]:
    """A prompt that does not fit is cut without a word; all that shows is a total of exactly the context."""
    prompt, output = usage["prompt_tokens"], usage["completion_tokens"]
    assert isinstance(prompt, int)
    assert isinstance(output, int)
    prompt = min(prompt, max(1, context - output))
    return {**usage, "prompt_tokens": prompt, "total_tokens": prompt + output}


def _as_chat(body: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    limit = options.get("num_predict")
    chat = {
        "messages": body.get("messages"),
        "temperature": options.get("temperature"),
        "seed": options.get("seed"),
        "stop": options.get("stop"),
        "max_tokens": limit if isinstance(limit, int) and limit > 0 else None,
        "tools": body.get("tools"),
    }
    if not isinstance(options, dict):
        raise Refusal(Reason.BAD_VALUE, "options must be an object", parameter="options")
    return {name: value for name, value in chat.items() if value is not None}


def ollama_lines(head: dict[str, str], answer: Answer, timing: Schedule, closing: dict[str, object]) -> Iterator[Step]:
    for field, events in (("thinking", timing.reasoning), ("content", timing.text)):
        for at_s, text, tokens in events:
            message = {"role": "assistant", "content": "", field: text}
            yield Step(at_s, encode({**head, "message": message, "done": False}) + b"\n", tokens)
    final = {**head, "message": {"role": "assistant", "content": ""}, **closing}
    yield Step(timing.end_s, encode(final) + b"\n", is_end=True)
