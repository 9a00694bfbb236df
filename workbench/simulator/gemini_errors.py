"""Refusals in Google's words: status names, typed details, and no header about limits at all."""

from __future__ import annotations

from workbench.simulator.refusal import Reason, Refusal, RetryHint

TYPE = "type.googleapis.com/google.rpc."
_QUOTAS = {
    Reason.RATE_REQUESTS: (
        "generate_content_paid_tier_requests",
        "GenerateRequestsPerMinutePerProjectPerModel-PaidTier",
    ),
    Reason.RATE_TOKENS: (
        "generate_content_paid_tier_input_token_count",
        "GenerateContentPaidTierInputTokensPerModelPerMinute",
    ),
    Reason.RATE_REQUESTS_DAY: (
        "generate_content_paid_tier_requests",
        "GenerateRequestsPerDayPerProjectPerModel-PaidTier",
    ),
    Reason.RATE_TOKENS_DAY: (
        "generate_content_paid_tier_input_token_count",
        "GenerateContentPaidTierInputTokensPerModelPerDay",
    ),
    Reason.LIMIT_ZERO: ("generate_content_free_tier_requests", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
}


def error(refusal: Refusal) -> tuple[int, dict[str, object]]:
    code, status, message, details = _words(refusal)
    body: dict[str, object] = {"code": code, "message": message, "status": status}
    if details:
        body["details"] = details
    return code, {"error": body}


def _words(refusal: Refusal) -> tuple[int, str, str, list[dict[str, object]]]:
    said = refusal.message
    match refusal.reason:
        case Reason.NO_KEY:
            return (
                403,
                "PERMISSION_DENIED",
                (
                    "Method doesn't allow unregistered callers (callers without established identity). Please use API "
                    "Key or other form of API consumer identity to call this API."
                ),
                [],
            )
        case Reason.WRONG_KEY:
            return (
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                [_info("API_KEY_INVALID")],
            )
        case Reason.FORBIDDEN:
            return (
                403,
                "PERMISSION_DENIED",
                "Permission denied: Consumer 'api_key:sim' has been suspended.",
                [_info("CONSUMER_SUSPENDED")],
            )
        case Reason.FORBIDDEN_OR_MISSING:
            return 403, "PERMISSION_DENIED", said, []
        case Reason.UNKNOWN_MODEL:
            return (
                404,
                "NOT_FOUND",
                (
                    f"models/{refusal.model} is not found for API version v1beta, or is not supported for "
                    "generateContent. Call ListModels to see the list of available models and their supported methods."
                ),
                [],
            )
        case Reason.UNKNOWN_ROUTE | Reason.METHOD:
            return 404, "NOT_FOUND", said or "Requested entity was not found.", []
        case Reason.MISSING_PARAMETER | Reason.UNSUPPORTED_PARAMETER:
            return 400, "INVALID_ARGUMENT", said or f'Unknown name "{refusal.parameter}": Cannot find field.', []
        case Reason.BAD_JSON:
            return 400, "INVALID_ARGUMENT", f"Invalid JSON payload received. {said}", []
        case Reason.CONTEXT_OVERFLOW:
            return (
                400,
                "INVALID_ARGUMENT",
                (
                    f"The input token count ({refusal.requested}) exceeds the maximum number of tokens allowed "
                    f"({refusal.limit})."
                ),
                [],
            )
        case Reason.TOO_LARGE:
            return 413, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", []
        case Reason.TIMEOUT:
            return 408, "DEADLINE_EXCEEDED", said or "The request timed out.", []
        case Reason.CONFLICT:
            return 409, "ABORTED", said or "The operation was aborted.", []
        case Reason.SERVER_ERROR:
            return (
                500,
                "INTERNAL",
                said
                or "An internal error has occurred. Please retry or report in "
                "https://developers.generativeai.google/guide/troubleshooting",
                [],
            )
        case Reason.BAD_GATEWAY:
            return 502, "INTERNAL", said or "Bad gateway.", []
        case Reason.UNAVAILABLE:
            return 503, "UNAVAILABLE", said or "The service is currently unavailable.", []
        case Reason.OVERLOADED:
            return 503, "UNAVAILABLE", said or "The model is overloaded. Please try again later.", []
        case Reason.GATEWAY_TIMEOUT:
            return 504, "DEADLINE_EXCEEDED", said or "The request timed out. Please try again.", []
        case reason if reason.is_rate or reason is Reason.SPENT:
            return _exhausted(refusal)
        case _:
            return 400, "INVALID_ARGUMENT", said or "Request contains an invalid argument.", []


def _info(reason: str) -> dict[str, object]:
    return {
        "@type": f"{TYPE}ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }


def _exhausted(refusal: Refusal) -> tuple[int, str, str, list[dict[str, object]]]:
    reason = Reason.LIMIT_ZERO if refusal.reason is Reason.SPENT else refusal.reason
    limit = 0 if reason is Reason.LIMIT_ZERO else refusal.limit
    waits = refusal.retry_after_s is not None and refusal.hint in (RetryHint.NATIVE, RetryHint.TEXT)
    wait = f"{refusal.wait_s or 0.0:.9f}".rstrip("0").rstrip(".") + "s"
    details: list[dict[str, object]] = []
    if reason is Reason.RATE_ENQUEUED:
        message = f"Batch enqueued tokens limit of {limit} reached for {refusal.model}. Wait for batches to end."
    elif reason is Reason.RATE_CONCURRENCY or not refusal.named:
        message = "Resource has been exhausted (e.g. check quota)."
        if reason is Reason.RATE_CONCURRENCY and refusal.named:
            message = "Too many concurrent requests. Resource has been exhausted (e.g. check quota)."
    else:
        metric, quota = _QUOTAS.get(reason, _QUOTAS[Reason.RATE_TOKENS])
        metric = f"generativelanguage.googleapis.com/{metric}"
        message = (
            "You exceeded your current quota, please check your plan and billing details. For more information on this "
            "error, head to: https://ai.google.dev/gemini-api/docs/rate-limits. \n"
            f"* Quota exceeded for metric: {metric}, limit: {limit}, model: {refusal.model}"
        )
        violation: dict[str, object] = {
            "quotaMetric": metric,
            "quotaId": quota,
            "quotaDimensions": {"location": "global", "model": refusal.model},
        }
        if limit:
            violation["quotaValue"] = str(limit)
        details.append({"@type": f"{TYPE}QuotaFailure", "violations": [violation]})
        link = {
            "description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
        }
        details.append({"@type": f"{TYPE}Help", "links": [link]})
    if waits:
        message += f"\nPlease retry in {wait}."
        if refusal.hint is RetryHint.NATIVE:
            details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": wait})
    return 429, "RESOURCE_EXHAUSTED", message, details
