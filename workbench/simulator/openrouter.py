"""OpenRouter: comments while it waits, errors inside the 200, what it cost in the usage."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator import openai_errors
from workbench.simulator.dialect import header, identifier
from workbench.simulator.exchange import Exchange, Snapshot
from workbench.simulator.faults import FaultKind
from workbench.simulator.mangle import Frames
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.openai import ChatDialect
from workbench.simulator.openai_chat import ChatCall, ChatTraits, UsagePlace
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.simulation import Simulation
from workbench.simulator.stream import Headers, Step

encode = msgspec.json.encode

_VARIANTS = frozenset({"floor", "nitro", "free", "online", "thinking", "extended", "exacto"})
PROCESSING = b": OPENROUTER PROCESSING\n\n"
PROCESSING_EVERY_S = 0.4


class OpenRouterDialect(ChatDialect):
    """Comments while it waits, errors inside the 200, what it cost in the usage, errors of its own shape."""

    traits = ChatTraits(
        reasoning_field="reasoning",
        usage=UsagePlace.ALWAYS,
        refusal_field=True,
        role_event=False,
        reasoning_details=True,
    )
    id_prefix = "gen-"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, Provider.OPENROUTER)

    def routes(self) -> list[BaseRoute]:
        own = [
            self.route("/key", self.key_status, "GET"),
            self.route("/credits", self.credits, "GET"),
            self.route("/generation", self.generation, "GET"),
        ]
        return [*own, *super().routes()]

    def limit_headers(self, snapshot: Snapshot) -> Headers:
        """Only on refusals; see `refused`."""
        return []

    def common_headers(self, exchange: Exchange) -> Headers:
        return [header("x-generation-id", identifier(self.id_prefix, exchange))]

    def prepare(self, exchange: Exchange, body: dict[str, Any]) -> None:
        """`vendor/model:variant`: the variant says which upstream to take, not which model."""
        name = body.get("model")
        if isinstance(name, str):
            plain, _, rest = name.partition(":")
            variant, _, fault = rest.partition("!")
            if variant in _VARIANTS:
                body["model"] = f"{plain}!{fault}" if fault else plain
        reasoning = body.get("reasoning")
        if isinstance(reasoning, dict) and body.get("reasoning_effort") is None:
            effort = "none" if reasoning.get("enabled") is False else reasoning.get("effort")
            body["reasoning_effort"] = effort

    def chunk_extra(self, exchange: Exchange) -> tuple[tuple[str, object], ...]:
        return (("provider", exchange.model.owner),)

    def usage(self, call: ChatCall, exchange: Exchange) -> dict[str, object]:
        usage = super().usage(call, exchange)
        cost = cost_usd(exchange.model, call)
        facts: dict[str, object] = {
            "model": exchange.model.name,
            "provider_name": exchange.model.owner,
            "total_cost": cost,
            "tokens_prompt": usage["prompt_tokens"],
            "tokens_completion": usage["completion_tokens"],
            "streamed": call.streams,
            "is_byok": False,
        }
        self.simulation.generations.put(identifier(self.id_prefix, exchange), facts)
        return {**usage, "cost": cost, "is_byok": False, "cost_details": {"upstream_inference_cost": cost}}

    def decorate(self, steps: Iterable[Step], call: ChatCall) -> Iterator[Step]:
        """Signs of life until the first output."""
        waiting = True
        for step in steps:
            if waiting and step.tokens:
                waiting = False
                for number in range(min(50, 1 + int(step.at_s / PROCESSING_EVERY_S))):
                    yield Step(number * PROCESSING_EVERY_S, PROCESSING)
            yield step

    def opens_at(self, call: ChatCall) -> float:
        """Headers come at once; the waiting is done inside the stream."""
        return min(0.05, super().opens_at(call))

    def error_frames(self, exchange: Exchange) -> Frames:
        frames = super().error_frames(exchange)
        fault = exchange.fault(FaultKind.ERROR_EVENT)
        chunk = {
            "id": identifier(self.id_prefix, exchange),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": exchange.model.name,
            "provider": exchange.model.owner,
            "error": {
                "code": (fault and fault.status) or 502,
                "message": (fault and fault.message) or "Provider returned error",
            },
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "error"}],
        }
        return replace(frames, error=lambda: b"data: " + encode(chunk) + b"\n\n", comment=PROCESSING, ping=PROCESSING)

    def error(self, refusal: Refusal) -> tuple[int, object]:
        status, message, metadata = self._words(refusal)
        error: dict[str, object] = {"message": message, "code": status}
        if metadata:
            error["metadata"] = metadata
        return status, {"error": error, "user_id": "user_simulated"}

    def _words(self, refusal: Refusal) -> tuple[int, str, dict[str, object]]:
        match refusal.reason:
            case Reason.NO_KEY:
                return 401, "No auth credentials found", {}
            case Reason.WRONG_KEY:
                return 401, "User not found.", {}
            case Reason.SPENT:
                return 402, "Insufficient credits. Add more using https://openrouter.ai/settings/credits", {}
            case Reason.FORBIDDEN:
                return 403, "This key may not use this model.", {}
            case Reason.BLOCKED:
                metadata: dict[str, object] = {"reasons": ["violence"], "flagged_input": "…", "provider_name": "OpenAI"}
                return 403, "Your input was flagged by moderation.", metadata
            case Reason.UNKNOWN_MODEL:
                return 404, f"No endpoints found for {refusal.model}.", {}
            case Reason.CONTEXT_OVERFLOW:
                text = (
                    f"This endpoint's maximum context length is {refusal.limit} tokens. However, you requested about "
                    f"{refusal.requested} tokens. Please reduce the length of either one."
                )
                return 400, text, {}
            case Reason.TIMEOUT:
                return 408, "Your request timed out.", {}
            case Reason.BAD_GATEWAY | Reason.SERVER_ERROR:
                metadata = {"raw": "upstream error", "provider_name": "OpenAI"}
                return (502 if refusal.reason is Reason.BAD_GATEWAY else 500), "Provider returned error", metadata
            case Reason.UNAVAILABLE | Reason.OVERLOADED:
                return 503, "No instances available.", {}
            case reason if reason.is_rate:
                text = (
                    f"Rate limit exceeded: {refusal.limit} requests per minute." if refusal.named else "Rate limited."
                )
                reset_ms = round((time.time() + (refusal.wait_s or 1.0)) * 1000)
                limits = {
                    "X-RateLimit-Limit": str(refusal.limit),
                    "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": str(reset_ms),
                }
                return 429, text, {"headers": limits, "provider_name": None}
            case _:
                status, body = openai_errors.error(refusal)
                error = body["error"]
                return status, str(error["message"]) if isinstance(error, dict) else "", {}

    def hints(self, refusal: Refusal) -> Headers:
        headers = super().hints(refusal)
        if refusal.reason.is_rate:
            headers += [
                header("x-ratelimit-limit", refusal.limit or 0),
                header("x-ratelimit-remaining", 0),
                header("x-ratelimit-reset", round((time.time() + (refusal.wait_s or 1.0)) * 1000)),
            ]
        return headers

    def model_row(self, model: ModelProfile) -> dict[str, object]:
        parameters = ["max_tokens", "temperature", "top_p", "stop", "seed", "tools", "tool_choice", "response_format"]
        if model.efforts or model.reasoning_tokens:
            parameters += ["reasoning", "include_reasoning"]
        return {
            "id": model.name,
            "canonical_slug": model.name,
            "name": f"{model.owner}: {model.name.rpartition('/')[2]}",
            "created": 1_767_225_600,
            "context_length": model.context_tokens,
            "architecture": {"modality": "text->text", "input_modalities": ["text"], "output_modalities": ["text"]},
            "pricing": {
                "prompt": per_token(model.input_usd),
                "completion": per_token(model.output_usd),
                "request": "0",
                "input_cache_read": per_token(model.cached_usd),
            },
            "top_provider": {
                "context_length": model.context_tokens,
                "max_completion_tokens": model.max_output_tokens,
                "is_moderated": False,
            },
            "supported_parameters": parameters,
        }

    async def key_status(self, exchange: Exchange) -> ASGIApp:
        data = {
            "label": "sim-key",
            "limit": 100,
            "limit_remaining": 87.5,
            "usage": 12.5,
            "is_free_tier": False,
            "rate_limit": {"requests": 2_000, "interval": "60s"},
        }
        return self.plain(exchange, {"data": data})

    async def credits(self, exchange: Exchange) -> ASGIApp:
        return self.plain(exchange, {"data": {"total_credits": 100.0, "total_usage": 12.5}})

    async def generation(self, exchange: Exchange) -> ASGIApp:
        name = exchange.request.query_params.get("id", "")
        known = self.simulation.generations.get(name)
        if known is None:
            raise Refusal(Reason.UNKNOWN_ROUTE, f"Generation {name} not found.")
        return self.plain(exchange, {"data": {"id": name, **known}})


def per_token(usd_per_million: float) -> str:
    return f"{usd_per_million / 1e6:.10f}".rstrip("0").rstrip(".") or "0"


def cost_usd(model: ModelProfile, call: ChatCall) -> float:
    """What the answer costs at the model's prices."""
    output = sum(answer.output_tokens for answer, _ in call.answers)
    fresh = call.prompt.tokens - call.cache.read
    spent = fresh * model.input_usd + call.cache.read * model.cached_usd + output * model.output_usd
    return round(spent / 1e6, 9)
