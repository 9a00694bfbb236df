"""Why a request is turned down, before any provider has put it in its own words.

One exception for everything that ends a request without an answer. It says *what* is wrong; how that looks on the wire
(status, body, headers) is each dialect's business.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    BAD_JSON = "bad json"
    BAD_VALUE = "bad value"
    MISSING_PARAMETER = "missing parameter"
    UNKNOWN_PARAMETER = "unknown parameter"
    UNSUPPORTED_PARAMETER = "unsupported parameter"
    UNSUPPORTED_VALUE = "unsupported value"
    CONTEXT_OVERFLOW = "context overflow"
    TOO_LARGE = "too large"
    BLOCKED = "blocked"
    NO_KEY = "no key"
    WRONG_KEY = "wrong key"
    FORBIDDEN = "forbidden"
    SPENT = "spent"
    """Out of money: `insufficient_quota` at OpenAI (429), 402 or a billing error elsewhere."""
    UNKNOWN_MODEL = "unknown model"
    UNKNOWN_ROUTE = "unknown route"
    FORBIDDEN_OR_MISSING = "forbidden or missing"
    """Gemini does not tell other people's files from those that never were."""
    METHOD = "method not allowed"
    RATE_REQUESTS = "requests per minute"
    RATE_TOKENS = "tokens per minute"
    RATE_INPUT_TOKENS = "input tokens per minute"
    RATE_OUTPUT_TOKENS = "output tokens per minute"
    RATE_REQUESTS_DAY = "requests per day"
    RATE_TOKENS_DAY = "tokens per day"
    RATE_CONCURRENCY = "concurrent requests"
    RATE_ENQUEUED = "enqueued tokens"
    """Too much waiting in batches."""
    LIMIT_ZERO = "limit zero"
    """A quota of nothing at all, as for a model outside the plan."""
    REQUEST_OVER_LIMIT = "larger than the limit"
    """More tokens in one request than the quota ever holds: waiting will not help."""
    TIMEOUT = "timeout"
    CONFLICT = "conflict"
    SERVER_ERROR = "server error"
    BAD_GATEWAY = "bad gateway"
    UNAVAILABLE = "unavailable"
    OVERLOADED = "overloaded"
    GATEWAY_TIMEOUT = "gateway timeout"

    @property
    def is_rate(self) -> bool:
        """A limit was reached, whatever the provider answers to that."""
        return self.name.startswith("RATE_") or self in (Reason.LIMIT_ZERO, Reason.REQUEST_OVER_LIMIT)


class RetryHint(StrEnum):
    """How a refusal says when to come back. NATIVE is what the provider itself does."""

    NATIVE = "native"
    SECONDS = "seconds"
    MILLISECONDS = "ms"
    DATE = "date"
    TEXT = "text"
    RESET = "reset"
    """Only the provider's own reset headers."""
    NONE = "none"
    ABSURD = "absurd"
    """A Retry-After that no client should believe: minus one, and NaN."""


class Refusal(Exception):
    """Raised anywhere on the way to an answer, rendered once by the dialect."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        parameter: str | None = None,
        model: str = "",
        retry_after_s: float | None = None,
        wait_s: float | None = None,
        limit: int | None = None,
        used: int | None = None,
        requested: int | None = None,
        hint: RetryHint = RetryHint.NATIVE,
        status: int | None = None,
        should_retry: bool | None = None,
        named: bool = True,
        coded: bool = True,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.parameter = parameter
        self.model = model
        self.retry_after_s = retry_after_s
        """What the client is told; None: nothing."""
        self.wait_s = retry_after_s if wait_s is None else wait_s
        """When it would really work."""
        self.limit = limit
        self.used = used
        self.requested = requested
        self.hint = hint
        self.status = status
        """Overrides the dialect's own choice, for the odd servers that answer otherwise."""
        self.should_retry = should_retry
        self.named = named
        """The body may say which limit it was."""
        self.coded = coded
        """The body has an error code beside the message."""
