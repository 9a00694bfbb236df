from __future__ import annotations

import importlib
import inspect
import json
from datetime import UTC, datetime

import pytest

from workbench.core.clock import ManualClock
from workbench.core.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    ContentBlocked,
    ContextOverflow,
    KeyRejected,
    LimitKind,
    ModelNotFound,
    Overloaded,
    ProviderError,
    QuotaSpent,
    RateLimited,
    RequestTooLarge,
    ServerError,
    TimedOut,
    UnsupportedParameter,
    WrongContentType,
)
from workbench.core.types import KeyAlias
from workbench.providers.failures import LONGEST_MESSAGE, Headers, Witness, secrets_in
from workbench.providers.transport_errors import Place, translate

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
KEY = "sk-live-0123456789abcdef"
PLACE = Place("OpenAI", "https://api.openai.com/v1", "gpt-5.4", KeyAlias("openai#2"))
WITNESS = Witness(PLACE, KEY, ("OPENAI_API_KEY", "OPENAI_KEYS"))
JSON_HEADERS: Headers = (("content-type", "application/json"),)


def openai(
    message: str, code: str | None = None, kind: str = "invalid_request_error", param: str | None = None
) -> object:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic(message: str, kind: str) -> object:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_body"}


def gemini(code: int, status: str, message: str, *details: object) -> object:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def quota(name: str, value: str = "50") -> object:
    return {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": name, "quotaValue": value}],
    }


PLAN = "You exceeded your current quota, please check your plan and billing details."


def refused(status: int, body: object, headers: Headers = JSON_HEADERS) -> ProviderError:
    return WITNESS.refused(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(401, openai("Incorrect API key provided", "invalid_api_key"), KeyRejected, id="openai-key"),
        pytest.param(
            403,
            openai("Country not supported", "unsupported_country_region_territory"),
            KeyRejected,
            id="openai-country",
        ),
        pytest.param(
            404,
            openai("The model `x` does not exist or you do not have access to it.", "model_not_found"),
            ModelNotFound,
            id="openai-model",
        ),
        pytest.param(
            403,
            openai("Project does not have access to model `x`", "model_not_found"),
            ModelNotFound,
            id="openai-model-access",
        ),
        pytest.param(429, openai(PLAN, "insufficient_quota", "insufficient_quota"), QuotaSpent, id="openai-quota"),
        pytest.param(
            429,
            openai("Rate limit reached for gpt on requests per day (RPD): Limit 200, Used 200."),
            QuotaSpent,
            id="openai-day",
        ),
        pytest.param(
            429,
            openai(
                "Request too large for gpt-5 on tokens per min (TPM): Limit 1, Requested 2.",
                "rate_limit_exceeded",
                "tokens",
            ),
            RequestTooLarge,
            id="openai-too-large",
        ),
        pytest.param(
            400,
            openai("This model's maximum context length is 8192 tokens.", "context_length_exceeded"),
            ContextOverflow,
            id="openai-context",
        ),
        pytest.param(
            400,
            openai("Your request was rejected by our safety system", "content_policy_violation"),
            ContentBlocked,
            id="openai-policy",
        ),
        pytest.param(
            400,
            openai("Missing required parameter: 'messages'.", "missing_required_parameter", param="messages"),
            BadRequest,
            id="openai-missing",
        ),
        pytest.param(
            503, openai("The engine is currently overloaded", None, "server_error"), Overloaded, id="openai-overloaded"
        ),
        pytest.param(500, openai("The server had an error", None, "server_error"), ServerError, id="openai-server"),
        pytest.param(409, openai("Conflict"), Conflict, id="openai-conflict"),
        pytest.param(408, openai("Request timeout"), Conflict, id="openai-timeout"),
        pytest.param(401, anthropic("invalid x-api-key", "authentication_error"), KeyRejected, id="anthropic-key"),
        pytest.param(402, anthropic("Pay", "billing_error"), QuotaSpent, id="anthropic-billing"),
        pytest.param(
            400,
            anthropic("Your credit balance is too low to access the Anthropic API.", "invalid_request_error"),
            QuotaSpent,
            id="anthropic-credit",
        ),
        pytest.param(403, anthropic("No", "permission_error"), KeyRejected, id="anthropic-permission"),
        pytest.param(404, anthropic("model: claude-9", "not_found_error"), ModelNotFound, id="anthropic-model"),
        pytest.param(
            413,
            anthropic("Request exceeds the maximum size", "request_too_large"),
            RequestTooLarge,
            id="anthropic-size",
        ),
        pytest.param(
            400,
            anthropic("prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
            ContextOverflow,
            id="anthropic-context",
        ),
        pytest.param(529, anthropic("Overloaded", "overloaded_error"), Overloaded, id="anthropic-overloaded"),
        pytest.param(500, anthropic("Overloaded", "overloaded_error"), Overloaded, id="anthropic-overloaded-by-word"),
        pytest.param(500, anthropic("Internal server error", "api_error"), ServerError, id="anthropic-server"),
        pytest.param(
            400,
            gemini(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"}),
            KeyRejected,
            id="gemini-key",
        ),
        pytest.param(403, gemini(403, "PERMISSION_DENIED", "denied"), KeyRejected, id="gemini-permission"),
        pytest.param(
            404,
            gemini(404, "NOT_FOUND", "models/x is not found for API version v1beta"),
            ModelNotFound,
            id="gemini-model",
        ),
        pytest.param(
            429,
            gemini(429, "RESOURCE_EXHAUSTED", PLAN, quota("GenerateRequestsPerMinutePerProject")),
            RateLimited,
            id="gemini-minute",
        ),
        pytest.param(
            429,
            gemini(429, "RESOURCE_EXHAUSTED", PLAN, quota("GenerateRequestsPerDayPerProject")),
            QuotaSpent,
            id="gemini-day",
        ),
        pytest.param(
            429,
            gemini(429, "RESOURCE_EXHAUSTED", PLAN + " limit: 0, model: x", quota("PerMinute", "0")),
            QuotaSpent,
            id="gemini-zero",
        ),
        pytest.param(
            429,
            [gemini(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).")],
            RateLimited,
            id="gemini-list",
        ),
        pytest.param(503, gemini(503, "UNAVAILABLE", "The model is overloaded."), Overloaded, id="gemini-unavailable"),
        pytest.param(503, gemini(503, "RESOURCE_EXHAUSTED", "slow down"), RateLimited, id="gemini-503-is-a-limit"),
        pytest.param(
            400,
            gemini(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (1)."
            ),
            ContextOverflow,
            id="gemini-context",
        ),
        pytest.param(
            402,
            {"error": {"code": 402, "message": "This request requires more credits"}},
            QuotaSpent,
            id="openrouter-credits",
        ),
        pytest.param(
            403,
            {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "y"}}},
            ContentBlocked,
            id="openrouter-moderation",
        ),
        pytest.param(
            400,
            {"error": {"code": 400, "message": "x/y is not a valid model ID"}},
            ModelNotFound,
            id="openrouter-model",
        ),
        pytest.param(
            502,
            {
                "error": {
                    "code": 502,
                    "message": "Provider returned error",
                    "metadata": {"raw": "boom", "provider_name": "Z"},
                }
            },
            ServerError,
            id="openrouter-backend",
        ),
        pytest.param(
            403, {"error": "Your team doesn't have any credits yet.", "code": "forbidden"}, QuotaSpent, id="xai-credits"
        ),
        pytest.param(
            422,
            {"detail": [{"loc": ["body", "temperature"], "msg": "bad", "type": "value_error"}]},
            BadRequest,
            id="fastapi",
        ),
        pytest.param(
            400,
            {
                "object": "error",
                "message": "This model's maximum context length is 4096 tokens",
                "type": "BadRequestError",
                "code": 400,
            },
            ContextOverflow,
            id="vllm-context",
        ),
        pytest.param(
            404, {"error": {"message": "model 'x' not found", "type": "api_error"}}, ModelNotFound, id="ollama-model"
        ),
        pytest.param(
            500,
            {"error": {"code": 500, "message": "too long", "type": "exceed_context_size_error"}},
            ContextOverflow,
            id="llama-cpp-context",
        ),
        pytest.param(404, {"detail": "Not Found"}, WrongContentType, id="wrong-path"),
        pytest.param(404, b"404 page not found", WrongContentType, id="wrong-path-as-text"),
        pytest.param(404, b"<!DOCTYPE html><title>Nothing here</title>", WrongContentType, id="web-page"),
        pytest.param(302, b"", WrongContentType, id="redirect"),
        pytest.param(405, b"", WrongContentType, id="wrong-method"),
        pytest.param(502, b"<html><title>Bad Gateway</title></html>", ServerError, id="proxy-page"),
        pytest.param(429, b"slow down", RateLimited, id="plain-429"),
        pytest.param(418, b"", BadRequest, id="unheard-of-4xx"),
        pytest.param(599, b"", ServerError, id="unheard-of-5xx"),
    ],
)
def test_every_providers_no_is_understood(status: int, body: object, error: type[ProviderError]) -> None:
    refusal = refused(status, body)

    assert type(refusal) is error
    assert refusal.status == status
    assert refusal.hint
    assert refusal.key_alias == "openai#2"


@pytest.mark.parametrize(
    ("message", "kind", "headers", "limit"),
    [
        ("Rate limit reached for gpt on requests per min (RPM): Limit 3", "requests", (), LimitKind.REQUESTS),
        ("Rate limit reached for gpt on tokens per min (TPM): Limit 3", "tokens", (), LimitKind.TOKENS),
        ("slow down", "tokens", (), LimitKind.TOKENS),
        ("This would exceed your rate limit of 50,000 input tokens per minute", "x", (), LimitKind.INPUT_TOKENS),
        ("This would exceed your rate limit of 8,000 output tokens per minute", "x", (), LimitKind.OUTPUT_TOKENS),
        ("Number of concurrent connections has exceeded your rate limit", "x", (), LimitKind.CONCURRENCY),
        ("Too many requests in flight", "x", (), LimitKind.CONCURRENCY),
        ("no", "x", (("x-ratelimit-remaining-tokens", "0"),), LimitKind.TOKENS),
        ("no", "x", (("anthropic-ratelimit-input-tokens-remaining", "0"),), LimitKind.INPUT_TOKENS),
        ("no", "x", (("x-ratelimit-remaining-requests", "0"),), LimitKind.REQUESTS),
        ("no", "x", (("x-ratelimit-remaining-requests", "5"),), LimitKind.UNKNOWN),
    ],
)
def test_a_429_says_which_limit_it_was(message: str, kind: str, headers: Headers, limit: LimitKind) -> None:
    refusal = refused(429, openai(message, None, kind), headers)

    assert isinstance(refusal, RateLimited)
    assert refusal.limit is limit


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        (
            openai(
                "Unsupported parameter: 'max_tokens' is not supported with this model.",
                "unsupported_parameter",
                param="max_tokens",
            ),
            "max_tokens",
        ),
        (
            openai("Unsupported value: 'temperature' does not support 0.2", "unsupported_value", param="temperature"),
            "temperature",
        ),
        (
            openai("Your organization must be verified", "unsupported_value", param="reasoning.summary"),
            "reasoning.summary",
        ),
        (openai("Unrecognized request argument supplied: foo"), "foo"),
        (openai("Unknown parameter: 'bar'.", "unknown_parameter", param="bar"), "bar"),
        (openai("property 'seed' is unsupported"), "seed"),
        (anthropic("top_k: Extra inputs are not permitted", "invalid_request_error"), "top_k"),
        (anthropic("`temperature` is deprecated for this model.", "invalid_request_error"), "temperature"),
        (
            anthropic("`temperature` and `top_p` cannot both be specified for this model.", "invalid_request_error"),
            "top_p",
        ),
        (anthropic("adaptive thinking is not supported on this model", "invalid_request_error"), "thinking"),
        (
            gemini(
                400,
                "INVALID_ARGUMENT",
                "Invalid JSON payload. Unknown name \"presencePenalty\" at 'generation_config': Cannot find field.",
            ),
            "presence_penalty",
        ),
        (gemini(400, "INVALID_ARGUMENT", "Thinking level is not supported for this model."), "thinking_config"),
        (
            {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]},
            "seed",
        ),
    ],
)
def test_a_refused_parameter_is_named_as_the_wire_names_it(body: object, parameter: str) -> None:
    refusal = refused(400, body)

    assert isinstance(refusal, UnsupportedParameter)
    assert refusal.parameter == parameter
    assert parameter in refusal.hint


@pytest.mark.parametrize("param", ["messages[0].role", "model", "input"])
def test_what_makes_the_request_is_never_a_parameter_to_leave_out(param: str) -> None:
    assert type(refused(400, openai("Unsupported value", "unsupported_value", param=param))) is BadRequest


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"error": {"code": 502, "message": "upstream"}}, ServerError),
        ({"error": {"code": 429, "message": "slow"}}, RateLimited),
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, Overloaded),
        ({"error": {"type": "rate_limit_error", "message": "x"}}, RateLimited),
        ({"error": {"code": "server_error", "message": "x"}}, ServerError),
        ({"error": {"code": "rate_limit_exceeded", "message": "x"}}, RateLimited),
        ({"error": {"code": "invalid_prompt", "message": "x"}}, ContentBlocked),
        ({"type": "error", "code": "server_error", "message": "x", "param": None}, ServerError),
        ({"object": "error", "message": "x", "code": 400, "type": "BadRequestError"}, BadRequest),
        ({"error": "something went wrong"}, ServerError),
        ({"error": {"message": "no code at all"}}, ServerError),
    ],
)
def test_an_error_inside_an_answer_goes_by_its_own_code(error: object, expected: type[ProviderError]) -> None:
    failure = WITNESS.failed_inside(error, (), NOW)  # type: ignore[arg-type]  # plain JSON

    assert type(failure) is expected
    assert "inside its answer" in failure.message


def test_a_message_says_where_and_what_to_do_and_hides_what_it_must() -> None:
    said = f"Incorrect API key provided: {KEY}.\x1b[31m Use\na\tgood one.\u202e"

    refusal = refused(401, openai(said, "invalid_api_key"), (*JSON_HEADERS, ("x-request-id", "req_9")))

    assert (
        refusal.message
        == "OpenAI (gpt-5.4), key rejected (401): Incorrect API key provided: [key hidden]. Use a good one."
    )
    assert refusal.hint == "Check OPENAI_API_KEY or OPENAI_KEYS; openai#2 is not used again in this run."
    assert refusal.request_id == "req_9"
    assert refusal.code == "invalid_api_key"
    assert KEY not in repr(WITNESS)


def test_secrets_among_a_rows_own_headers_are_hidden_too() -> None:
    headers: Headers = (("X-Gateway-Token", "tok-0123456789"), ("X-Title", "llm-workbench"))
    witness = Witness(PLACE, KEY, (), secrets_in(headers))

    assert witness.clean("tok-0123456789 for llm-workbench") == "[key hidden] for llm-workbench"


def test_a_message_is_no_novel() -> None:
    assert len(refused(500, openai("x" * 10_000)).message) < LONGEST_MESSAGE + 100


def test_the_routers_message_carries_what_the_provider_behind_it_said() -> None:
    raw = json.dumps({"error": {"message": "out of GPUs"}})
    error = {
        "error": {"code": 502, "message": "Provider returned error", "metadata": {"raw": raw, "provider_name": "Acme"}}
    }

    assert "Provider returned error (Acme: out of GPUs)" in refused(502, error).message


def test_the_request_id_may_stand_in_the_body() -> None:
    assert refused(500, anthropic("x", "api_error")).request_id == "req_body"


def test_waits_are_read_for_limits_from_everywhere_and_for_faults_from_retry_after_alone() -> None:
    resets: Headers = (("x-ratelimit-reset-requests", "6m0s"), ("x-ratelimit-remaining-requests", "0"))

    assert refused(429, openai("x"), resets).retry_after_s == 360
    assert refused(500, openai("x"), resets).retry_after_s is None
    assert refused(503, openai("x"), (*resets, ("retry-after", "3"))).retry_after_s == 3
    assert refused(429, gemini(429, "RESOURCE_EXHAUSTED", "x", {"retryDelay": "45.5s"})).retry_after_s == 45.5
    assert refused(429, openai("Please try again in 20ms.")).retry_after_s == pytest.approx(0.02)


def test_the_providers_own_word_on_retrying_is_kept() -> None:
    assert refused(400, openai("x"), (("x-should-retry", "true"),)).may_retry
    assert not refused(500, openai("x"), (("x-should-retry", "false"),)).may_retry


# -- SDK classes ---------------------------------------------------------------------------------------------------

NOT_OURS = {
    # Raised by parts of the SDKs that this package does not use: parsing helpers, webhooks, websockets, log-ins.
    "LengthFinishReasonError",
    "ContentFilterFinishReasonError",
    "InvalidWebhookSignatureError",
    "SubjectTokenProviderError",
    "WebSocketConnectionClosedError",
    "WebSocketQueueFullError",
    # Bases, and what is raised for bodies that are parsed by the SDK and not here.
    "OpenAIError",
    "APIError",
    "APIResponseValidationError",
}
BY_STATUS = {
    "APIStatusError": (418, BadRequest),
    "BadRequestError": (400, BadRequest),
    "AuthenticationError": (401, KeyRejected),
    "OAuthError": (401, KeyRejected),
    "PermissionDeniedError": (403, KeyRejected),
    "NotFoundError": (404, ModelNotFound),
    "ConflictError": (409, Conflict),
    "UnprocessableEntityError": (422, BadRequest),
    "RateLimitError": (429, RateLimited),
    "InternalServerError": (500, ServerError),
}
WITHOUT_STATUS = {"APIConnectionError": ConnectionFailed, "APITimeoutError": TimedOut}


def error_classes(module: object) -> dict[str, type[Exception]]:
    found = dict(vars(module)).items()
    return {
        name: value
        for name, value in found
        if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, Warning) and name[0] != "_"
    }


def test_every_error_class_of_openai_is_translated() -> None:
    """A new one fails here, so that somebody decides what it means before it reaches a person."""
    classes = error_classes(importlib.import_module("openai"))

    assert classes.keys() - NOT_OURS == BY_STATUS.keys() | WITHOUT_STATUS.keys()
    for name, (status, expected) in BY_STATUS.items():
        assert issubclass(classes[name], classes["APIStatusError"]), name
        assert type(refused(status, openai("x"))) is expected, name
    for name, connection_error in WITHOUT_STATUS.items():
        assert issubclass(classes[name], classes["APIConnectionError"]), name
        cause = {"APIConnectionError": ConnectionRefusedError(), "APITimeoutError": TimeoutError()}[name]
        assert type(translate(cause, PLACE)) is connection_error


def test_every_error_class_of_google_genai_is_accounted_for() -> None:
    """Nothing is sent by this SDK, so the classes that stand for answers can only be raised by a change in it."""
    classes = error_classes(importlib.import_module("google.genai.errors"))

    for_answers = {"APIError", "ClientError", "ServerError", "UnknownApiResponseError", "ContinuationInterruptedError"}
    for_functions = {"UnknownFunctionCallArgumentError", "UnsupportedFunctionError", "FunctionInvocationError"}
    assert classes.keys() == for_answers | for_functions


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BadRequest),
        (401, KeyRejected),
        (403, KeyRejected),
        (404, ModelNotFound),
        (409, Conflict),
        (422, BadRequest),
        (429, RateLimited),
        (500, ServerError),
        (503, Overloaded),
    ],
)
def test_a_status_without_words_still_means_something(status: int, expected: type[ProviderError]) -> None:
    assert type(refused(status, {"error": {"message": "x"}})) is expected


def test_a_clock_in_the_past_is_no_reason_to_fail() -> None:
    now = ManualClock(wall_start=datetime(1970, 1, 1, tzinfo=UTC)).wall()

    assert isinstance(WITNESS.refused(429, (("retry-after", "Sun, 22 Nov 2026 12:00:00 GMT"),), b"", now), RateLimited)
