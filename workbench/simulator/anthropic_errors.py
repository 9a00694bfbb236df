"""Refusals and limits in Anthropic's words."""

from __future__ import annotations

from workbench.simulator.dialect import header
from workbench.simulator.durations import rfc3339
from workbench.simulator.exchange import Snapshot
from workbench.simulator.quota import Dimension
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.stream import Headers

_LIMITS = {
    Reason.RATE_REQUESTS: "requests per minute",
    Reason.RATE_TOKENS: "tokens per minute",
    Reason.RATE_INPUT_TOKENS: "input tokens per minute",
    Reason.RATE_OUTPUT_TOKENS: "output tokens per minute",
    Reason.RATE_REQUESTS_DAY: "requests per day",
    Reason.RATE_TOKENS_DAY: "tokens per day",
    Reason.LIMIT_ZERO: "requests per minute",
}


def error(refusal: Refusal) -> tuple[int, dict[str, object]]:
    status, kind, message = _words(refusal)
    return status, {"type": "error", "error": {"type": kind, "message": message}}


def _words(refusal: Refusal) -> tuple[int, str, str]:
    said = refusal.message
    match refusal.reason:
        case Reason.NO_KEY:
            return 401, "authentication_error", "x-api-key header is required"
        case Reason.WRONG_KEY:
            return 401, "authentication_error", "invalid x-api-key"
        case Reason.FORBIDDEN:
            return 403, "permission_error", "Your API key does not have permission to use the specified resource."
        case Reason.SPENT:
            return (
                402,
                "billing_error",
                (
                    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to "
                    "upgrade or purchase credits."
                ),
            )
        case Reason.UNKNOWN_MODEL:
            return 404, "not_found_error", f"model: {refusal.model}"
        case Reason.UNKNOWN_ROUTE | Reason.METHOD:
            return 404, "not_found_error", "Not Found"
        case Reason.MISSING_PARAMETER:
            return 400, "invalid_request_error", f"{refusal.parameter}: Field required"
        case Reason.UNSUPPORTED_PARAMETER:
            return 400, "invalid_request_error", said or f"{refusal.parameter}: Extra inputs are not permitted"
        case Reason.CONTEXT_OVERFLOW:
            return (
                400,
                "invalid_request_error",
                f"prompt is too long: {refusal.requested} tokens > {refusal.limit} maximum",
            )
        case Reason.TOO_LARGE:
            return 413, "request_too_large", "Request exceeds the maximum allowed number of bytes."
        case Reason.BLOCKED:
            return 400, "invalid_request_error", "Output blocked by content filtering policy"
        case Reason.TIMEOUT:
            return 408, "timeout_error", said or "Request timed out"
        case Reason.CONFLICT:
            return 409, "invalid_request_error", said or "Conflict"
        case Reason.SERVER_ERROR:
            return 500, "api_error", said or "Internal server error"
        case Reason.BAD_GATEWAY:
            return 502, "api_error", said or "Bad gateway"
        case Reason.UNAVAILABLE:
            return 503, "api_error", said or "Service unavailable"
        case Reason.OVERLOADED:
            return 529, "overloaded_error", said or "Overloaded"
        case Reason.GATEWAY_TIMEOUT:
            return 504, "timeout_error", said or "Request timed out"
        case reason if reason.is_rate:
            return 429, "rate_limit_error", _rate_message(refusal)
        case _:
            return 400, "invalid_request_error", said


def _rate_message(refusal: Refusal) -> str:
    if refusal.reason is Reason.RATE_CONCURRENCY:
        return (
            "Number of concurrent connections has exceeded your rate limit. Please try again later or "
            "contact sales at https://www.anthropic.com/contact-sales to discuss your options for a rate "
            "limit increase."
        )
    if refusal.reason is Reason.RATE_ENQUEUED:
        return (
            f"This batch would exceed your organization's limit of {refusal.limit:,} tokens enqueued in Message "
            f"Batches (model: {refusal.model}). Please wait until batches under way have ended."
        )
    if not refusal.named:
        return "This request would exceed your account's rate limit. Please try again later."
    if refusal.reason is Reason.REQUEST_OVER_LIMIT:
        return (
            f"This request of {refusal.requested} tokens is larger than your organization's rate limit of "
            f"{refusal.limit:,} input tokens per minute and can never succeed. Please reduce the prompt length."
        )
    name = _LIMITS.get(refusal.reason, "requests per minute")
    return (
        f"This request would exceed the rate limit for your organization (00000000-0000-4000-8000-000000000000) of "
        f"{refusal.limit:,} {name} (model: {refusal.model}). For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage. Please reduce "
        "the prompt length or the maximum tokens requested, or try again later."
    )


def limit_headers(snapshot: Snapshot) -> Headers:
    """`anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`.

    `tokens` is whichever of the two token limits is closer to its end, as the provider has it.
    """
    named = [
        (Dimension.REQUESTS, "requests"),
        (Dimension.INPUT_TOKENS, "input-tokens"),
        (Dimension.OUTPUT_TOKENS, "output-tokens"),
    ]
    states = [(name, snapshot[dimension]) for dimension, name in named if dimension in snapshot]
    tokens = [state for name, state in states if name.endswith("tokens")]
    if Dimension.TOKENS in snapshot:
        tokens.append(snapshot[Dimension.TOKENS])
    if tokens:
        states.append(("tokens", min(tokens, key=lambda state: state.remaining / max(1, state.limit))))
    headers: Headers = []
    for name, state in states:
        headers.append(header(f"anthropic-ratelimit-{name}-limit", state.limit))
        headers.append(header(f"anthropic-ratelimit-{name}-remaining", state.remaining))
        headers.append(header(f"anthropic-ratelimit-{name}-reset", rfc3339(state.reset_s)))
    return headers
