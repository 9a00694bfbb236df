"""The hosts that copied Chat Completions, each with the differences that its clients stumble over."""

from __future__ import annotations

import time

import msgspec
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from workbench.simulator import openai_errors
from workbench.simulator.batch_together import TogetherBatches
from workbench.simulator.dialect import header
from workbench.simulator.exchange import Exchange, Snapshot
from workbench.simulator.models import ModelProfile, Provider
from workbench.simulator.openai import ChatDialect
from workbench.simulator.openai_chat import ChatCall, ChatTraits, UsagePlace
from workbench.simulator.quota import Dimension
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.simulation import Simulation
from workbench.simulator.stream import Headers

encode = msgspec.json.encode


class TogetherDialect(ChatDialect):
    """Limits per second; the list of models is a bare array; usage rides on the last chunk."""

    traits = ChatTraits(reasoning_field="reasoning", usage=UsagePlace.ON_LAST, refusal_field=False)
    id_prefix = "o"

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, Provider.TOGETHER)

    def routes(self) -> list[BaseRoute]:
        return [*TogetherBatches(self).routes(), *super().routes()]

    def limit_headers(self, snapshot: Snapshot) -> Headers:
        headers: Headers = []
        requests, tokens = snapshot.get(Dimension.REQUESTS), snapshot.get(Dimension.TOKENS)
        if requests is not None:
            per_second = max(1, requests.limit // 60)
            headers += [
                header("x-ratelimit-limit", per_second),
                header("x-ratelimit-remaining", min(per_second, requests.remaining)),
                header("x-ratelimit-reset", 1),
            ]
        if tokens is not None:
            per_second = max(1, tokens.limit // 60)
            remaining = min(per_second, tokens.remaining)
            for name in ("x-ratelimit-{}-tokens", "x-tokenlimit-{}"):
                headers += [
                    header(name.format("limit"), per_second),
                    header(name.format("remaining"), remaining),
                ]
        return headers

    def error(self, refusal: Refusal) -> tuple[int, object]:
        invalid = "invalid_request_error"
        match refusal.reason:
            case Reason.NO_KEY | Reason.WRONG_KEY:
                text = (
                    "Invalid API key provided. You can find your API key at https://api.together.xyz/settings/api-keys."
                )
                return 401, openai_errors.body(text, invalid, code="invalid_api_key")
            case Reason.SPENT:
                text = (
                    "Credit limit exceeded, please navigate to https://api.together.xyz/settings/billing to upgrade "
                    "your plan."
                )
                return 402, openai_errors.body(text, "credit_limit", code="credit_limit_exceeded")
            case Reason.UNKNOWN_MODEL:
                text = (
                    f"Unable to access model {refusal.model}. Please visit https://api.together.ai/models to view the "
                    "list of supported models."
                )
                return 404, openai_errors.body(text, invalid, code="model_not_available")
            case Reason.CONTEXT_OVERFLOW:
                text = (
                    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= "
                    f"{refusal.limit + 1 if refusal.limit else 1}. "
                    f"Given: {refusal.requested} `inputs` tokens and 0 `max_new_tokens`"
                )
                return 422, openai_errors.body(text, invalid)
            case Reason.OVERLOADED:
                text = "The server is overloaded, please try again later."
                return 503, openai_errors.body(text, "service_unavailable", code="service_unavailable")
            case Reason.RATE_REQUESTS | Reason.RATE_TOKENS if refusal.named:
                per_second = (refusal.limit or 0) / 60
                what, unit = ("request", "QPS") if refusal.reason is Reason.RATE_REQUESTS else ("token", "TPS")
                text = (
                    f"Request was rejected due to {what} rate limiting. The maximum rate limit for this model is "
                    f"{per_second:g} {unit}. See details: https://docs.together.ai/docs/rate-limits"
                )
                return 429, openai_errors.body(text, "model_rate_limit", code="rate_limit")
            case _:
                return openai_errors.error(refusal)

    async def list_models(self, exchange: Exchange) -> ASGIApp:
        return self.plain(exchange, [self.model_row(model) for model in self.simulation.models.of(self.provider)])

    def model_row(self, model: ModelProfile) -> dict[str, object]:
        return {
            "id": model.name,
            "object": "model",
            "created": 1_767_225_600,
            "type": "embedding" if model.is_embedding else "chat",
            "display_name": model.name.rpartition("/")[2].replace("-", " "),
            "organization": model.owner,
            "context_length": model.context_tokens,
            "pricing": {"hourly": 0, "input": model.input_usd, "output": model.output_usd, "base": 0, "finetune": 0},
        }


class SambaNovaDialect(ChatDialect):
    """Minute and day limits on every answer, resets as points in time, speeds beside the token counts."""

    traits = ChatTraits(reasoning_field="reasoning_content", refusal_field=False)
    id_prefix = ""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, Provider.SAMBANOVA)

    def limit_headers(self, snapshot: Snapshot) -> Headers:
        names = (
            (Dimension.REQUESTS, "requests"),
            (Dimension.REQUESTS_PER_DAY, "requests-day"),
            (Dimension.TOKENS, "tokens"),
            (Dimension.TOKENS_PER_DAY, "tokens-day"),
        )
        headers: Headers = []
        for dimension, name in names:
            state = snapshot.get(dimension)
            if state is not None:
                headers += [
                    header(f"x-ratelimit-limit-{name}", state.limit),
                    header(f"x-ratelimit-remaining-{name}", state.remaining),
                    header(f"x-ratelimit-reset-{name}", round(time.time() + state.reset_s)),
                ]
        return headers

    def error(self, refusal: Refusal) -> tuple[int, object]:
        match refusal.reason:
            case Reason.NO_KEY | Reason.WRONG_KEY:
                return 401, openai_errors.body("Invalid API key", "authentication_error", code="invalid_api_key")
            case Reason.SPENT:
                text = "Payment required: add a payment method at https://cloud.sambanova.ai/plans/billing."
                return 402, openai_errors.body(text, "billing_error", code="payment_required")
            case Reason.UNKNOWN_MODEL:
                text = f"Model not found: {refusal.model}"
                return 404, openai_errors.body(text, "invalid_request_error", "model", "model_not_found")
            case Reason.RATE_REQUESTS | Reason.RATE_REQUESTS_DAY | Reason.RATE_TOKENS_DAY if refusal.named:
                unit = "day" if refusal.reason is not Reason.RATE_REQUESTS else "minute"
                what = "tokens" if refusal.reason is Reason.RATE_TOKENS_DAY else "requests"
                text = f"Rate limit exceeded: {refusal.limit} {what} per {unit} for {refusal.model}."
                return 429, openai_errors.body(text, "rate_limit_error", code="rate_limit_exceeded")
            case _:
                return openai_errors.error(refusal)

    def usage(self, call: ChatCall, exchange: Exchange) -> dict[str, object]:
        usage = super().usage(call, exchange)
        answer, timing = call.answers[0]
        scale = self.simulation.time_scale
        span_s = max(1e-6, timing.end_s * scale)
        first_s = (*timing.reasoning, *timing.text)[0].at_s * scale if timing.reasoning or timing.text else span_s
        speed = answer.output_tokens / span_s
        return {
            **usage,
            "completion_tokens_per_sec": round(speed, 2),
            "completion_tokens_after_first_per_sec": round(answer.output_tokens / max(1e-6, span_s - first_s), 2),
            "total_tokens_per_sec": round((answer.output_tokens + call.prompt.tokens) / span_s, 2),
            "time_to_first_token": round(first_s, 4),
            "total_latency": round(span_s, 4),
            "is_last_response": True,
            "start_time": time.time(),
            "end_time": time.time() + span_s,
        }


class LiteLLMDialect(ChatDialect):
    """Any OpenAI-shaped host, for clients that come through litellm."""

    traits = ChatTraits(reasoning_field="reasoning_content", refusal_field=False)

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation, Provider.LITELLM)
