"""Refusals and limits in OpenAI's words. The hosts that copied its API copied these too, more or less."""

from __future__ import annotations

from workbench.simulator.dialect import header
from workbench.simulator.durations import go_duration
from workbench.simulator.exchange import Snapshot
from workbench.simulator.quota import Dimension
from workbench.simulator.refusal import Reason, Refusal, RetryHint
from workbench.simulator.stream import Headers

_LIMITS = {
    Reason.RATE_REQUESTS: ("requests per min (RPM)", "requests"),
    Reason.RATE_REQUESTS_DAY: ("requests per day (RPD)", "requests"),
    Reason.RATE_TOKENS: ("tokens per min (TPM)", "tokens"),
    Reason.RATE_INPUT_TOKENS: ("tokens per min (TPM)", "tokens"),
    Reason.RATE_OUTPUT_TOKENS: ("tokens per min (TPM)", "tokens"),
    Reason.RATE_TOKENS_DAY: ("tokens per day (TPD)", "tokens"),
}


def body(message: str, kind: str, parameter: str | None = None, code: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def error(refusal: Refusal) -> tuple[int, dict[str, object]]:
    """Status and body."""
    invalid = "invalid_request_error"
    said = refusal.message
    match refusal.reason:
        case Reason.NO_KEY:
            return 401, body(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                invalid,
            )
        case Reason.WRONG_KEY:
            return 401, body(
                f"Incorrect API key provided: {said or 'sim-************dead'}. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                invalid,
                code="invalid_api_key",
            )
        case Reason.FORBIDDEN:
            return 403, body(
                "You have insufficient permissions for this operation.", invalid, code="insufficient_permissions"
            )
        case Reason.SPENT:
            return 429, body(
                "You exceeded your current quota, please check your plan and billing details. For more information on "
                "this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
                "insufficient_quota",
                code="insufficient_quota",
            )
        case Reason.UNKNOWN_MODEL:
            return 404, body(
                f"The model `{refusal.model}` does not exist or you do not have access to it.",
                invalid,
                code="model_not_found",
            )
        case Reason.UNKNOWN_ROUTE:
            return 404, body(said, invalid, code="unknown_url")
        case Reason.METHOD:
            return 405, body(said, invalid, code="method_not_supported")
        case Reason.UNKNOWN_PARAMETER:
            return 400, body(
                f"Unknown parameter: '{refusal.parameter}'.", invalid, refusal.parameter, "unknown_parameter"
            )
        case Reason.UNSUPPORTED_PARAMETER:
            text = said or f"Unsupported parameter: '{refusal.parameter}' is not supported with this model."
            return 400, body(text, invalid, refusal.parameter, "unsupported_parameter" if refusal.coded else None)
        case Reason.UNSUPPORTED_VALUE:
            return 400, body(said, invalid, refusal.parameter, "unsupported_value")
        case Reason.MISSING_PARAMETER:
            return 400, body(
                f"Missing required parameter: '{refusal.parameter}'.",
                invalid,
                refusal.parameter,
                "missing_required_parameter",
            )
        case Reason.BAD_VALUE:
            return 400, body(said, invalid, refusal.parameter, "invalid_value")
        case Reason.BAD_JSON:
            return 400, body(said, invalid)
        case Reason.CONTEXT_OVERFLOW:
            return 400, body(
                f"This model's maximum context length is {refusal.limit} tokens. However, your messages resulted in "
                f"{refusal.requested} tokens. Please reduce the length of the messages.",
                invalid,
                "messages",
                "context_length_exceeded",
            )
        case Reason.TOO_LARGE:
            return 413, body("Request body is too large.", invalid, code="request_too_large")
        case Reason.BLOCKED:
            return 400, body(
                "Invalid prompt: your prompt was flagged as potentially violating our usage policy. Please try again "
                "with a different prompt.",
                invalid,
                code="invalid_prompt",
            )
        case Reason.TIMEOUT:
            return 408, body(said or "Request timed out.", "server_error", code="request_timeout")
        case Reason.CONFLICT:
            return 409, body(said or "The resource was updated by another request.", invalid, code="conflict")
        case Reason.SERVER_ERROR:
            return 500, body(
                said or "The server had an error while processing your request. Sorry about that!", "server_error"
            )
        case Reason.BAD_GATEWAY:
            return 502, body(said or "Bad gateway.", "server_error")
        case Reason.UNAVAILABLE:
            return 503, body(said or "The server is temporarily unable to handle your request.", "server_error")
        case Reason.OVERLOADED:
            return 503, body(
                said or "The engine is currently overloaded, please try again later.", "server_error", code="overloaded"
            )
        case Reason.GATEWAY_TIMEOUT:
            return 504, body(said or "Gateway timeout.", "server_error")
        case _:
            return 429, rate_body(refusal)


def rate_body(refusal: Refusal) -> dict[str, object]:
    code = "rate_limit_exceeded"
    wait = ""
    if refusal.retry_after_s is not None and refusal.hint in (RetryHint.NATIVE, RetryHint.TEXT):
        wait = f" Please try again in {go_duration(refusal.wait_s if refusal.wait_s is not None else 0.0)}."
    if not refusal.named:
        return body(f"Rate limit reached.{wait}", code, code=code)
    where = f"{refusal.model} in organization org-simulated"
    if refusal.reason is Reason.RATE_CONCURRENCY:
        text = f"Too many concurrent requests for {where}: Limit {refusal.limit}. Wait for one of them to finish."
        return body(text, "concurrent_requests", code=code)
    if refusal.reason is Reason.REQUEST_OVER_LIMIT:
        text = (
            f"Request too large for {where} on tokens per min (TPM): Limit {refusal.limit}, Requested "
            f"{refusal.requested}. The input or output tokens must be reduced in order to run successfully."
        )
        return body(text, "tokens", code=code)
    if refusal.reason is Reason.LIMIT_ZERO:
        return body(
            f"Rate limit reached for {where} on requests per day (RPD): Limit 0, Used 0, Requested 1.",
            "requests",
            code=code,
        )
    name, kind = _LIMITS[refusal.reason]
    text = (
        f"Rate limit reached for {where} on {name}: Limit {refusal.limit}, Used {refusal.used}, Requested "
        f"{refusal.requested if kind == 'tokens' else 1}.{wait} Visit https://platform.openai.com/account/rate-limits "
        "to learn more."
    )
    return body(text, kind, code=code)


def limit_headers(snapshot: Snapshot) -> Headers:
    """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; `reset` is the time until everything is back."""
    headers: Headers = []
    for dimension, name in ((Dimension.REQUESTS, "requests"), (Dimension.TOKENS, "tokens")):
        state = snapshot.get(dimension)
        if state is not None:
            headers.append(header(f"x-ratelimit-limit-{name}", state.limit))
            headers.append(header(f"x-ratelimit-remaining-{name}", state.remaining))
            headers.append(header(f"x-ratelimit-reset-{name}", go_duration(state.reset_s)))
    return headers
