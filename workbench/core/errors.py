"""Everything that can go wrong, as a tree with policy attached. Translated once, at the edge where it happens.

    WorkbenchError
    ├─ ConfigError                 a settings file or an environment variable is wrong
    ├─ UsageError                  the caller asked for something that does not exist
    │  └─ UnknownModel
    ├─ MissingKey                  nothing to sign the request with
    ├─ EngineClosed
    ├─ SomeFailed                  of many requests, some; carries the answers of the others
    ├─ InvalidOutput               an answer that does not fit the schema that was asked for
    ├─ StoreError                  the record of runs cannot be read or written
    ├─ BreakerOpen                 the provider failed often enough that we stopped asking
    └─ ProviderError               something came back, or nothing did
       ├─ BadRequest               400, 413, 422: this request will never work
       │  ├─ UnsupportedParameter
       │  ├─ ContextOverflow
       │  └─ RequestTooLarge       larger than the key's own limit, or than the body may be
       ├─ ContentBlocked           the provider's filter refused the prompt
       ├─ ModelNotFound            404
       ├─ BatchNotFound            404 for a batch: deleted, too old, or another account's
       ├─ KeyRejected              401, 403
       ├─ QuotaSpent               402, insufficient_quota, per-day limits, "limit: 0"
       ├─ RateLimited              429 that passes with time
       ├─ Overloaded               503, 529
       ├─ ServerError              other 5xx, and errors inside a 200 stream
       ├─ Conflict                 408, 409
       ├─ ConnectionFailed         DNS, refused, reset
       │  ├─ OutOfFiles            this process may open no more
       │  └─ TLSFailed
       ├─ TimedOut                 connect, first token, idle or total
       ├─ MalformedResponse        not what the protocol allows
       │  └─ WrongContentType
       ├─ IncompleteStream         ended without its end mark
       └─ EmptyStream              200 and nothing in it

Policy is class data, read by the retry loop, the breaker and the keyring, so that none of them tests names or numbers:
`retryable` (may be sent again before the first token), `breaks` (counts for the circuit breaker), `retires_key`,
`try_other_target` (a fallback chain may go on). A message says what happened, where, and what to do next, and never
contains a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, TypedDict, Unpack

from workbench.core.types import KeyAlias, Result


class WorkbenchError(Exception):
    """Base of all errors that this package raises on purpose."""

    retryable: ClassVar[bool] = False
    breaks: ClassVar[bool] = False
    retires_key: ClassVar[bool] = False
    try_other_target: ClassVar[bool] = False
    title: ClassVar[str] = "error"
    """One or two words for a pane's border or a table cell."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        """What to do next, as one sentence, or empty."""
        self.partial: Result | None = None
        """What had arrived before it went wrong; set when the engine raises an error instead of yielding it."""
        self.others: tuple[WorkbenchError, ...] = ()
        """What the other targets of a fallback chain came to."""

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConfigError(WorkbenchError):
    """Names the file or variable, the key, and what was expected there."""

    title = "configuration"


class UsageError(WorkbenchError):
    title = "usage"


class UnknownModel(UsageError):
    title = "unknown model"


class MissingKey(WorkbenchError):
    title = "no key"
    try_other_target = True

    def __init__(self, provider: str, variables: tuple[str, ...]) -> None:
        super().__init__(
            f"No key for {provider}.",
            hint=f"Set {' or '.join(variables)}, or run with --demo." if variables else "Run with --demo.",
        )
        self.provider = provider
        self.variables = variables


class EngineClosed(WorkbenchError):
    title = "engine closed"


class SomeFailed(WorkbenchError):
    """Raised after everything has ended. `results` has the caller's shape, an error in each failed place."""

    title = "some failed"

    def __init__(self, errors: Sequence[WorkbenchError], results: object) -> None:
        first = errors[0]
        more = f" ({len(errors)} failed; the first is shown)" if len(errors) > 1 else ""
        super().__init__(f"{first.message}{more}", hint=first.hint)
        self.errors = tuple(errors)
        self.results = results


class InvalidOutput(WorkbenchError):
    """Raised after one attempt to have it repaired; `text` is what the model wrote last."""

    title = "invalid output"

    def __init__(self, message: str, *, text: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.text = text


class StoreError(WorkbenchError):
    title = "store"


class BreakerOpen(WorkbenchError):
    title = "circuit breaker"
    try_other_target = True


class LimitKind(StrEnum):
    """Which limit a refusal named. UNKNOWN when the provider did not say."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT_TOKENS = "input tokens"
    OUTPUT_TOKENS = "output tokens"
    CONCURRENCY = "concurrency"
    UNKNOWN = "unknown"


class ProviderDetails(TypedDict, total=False):
    """`ProviderError`'s keywords, for subclasses that add one of their own."""

    hint: str
    provider: str
    model: str
    key_alias: KeyAlias | None
    status: int | None
    code: str
    request_id: str | None
    headers: tuple[tuple[str, str], ...]
    retry_after_s: float | None
    should_retry: bool | None


class ProviderError(WorkbenchError):
    """Something that happened on the way to, at, or from a provider."""

    try_other_target = True
    title = "provider error"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        provider: str = "",
        model: str = "",
        key_alias: KeyAlias | None = None,
        status: int | None = None,
        code: str = "",
        request_id: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        retry_after_s: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider = provider
        self.model = model
        self.key_alias = key_alias
        self.status = status
        self.code = code
        """The provider's own error code or type, as it stands in the body."""
        self.request_id = request_id
        self.headers = headers
        """Response headers, lower-case names; what the limiter reads after a refusal."""
        self.retry_after_s = retry_after_s
        self.should_retry = should_retry
        """The provider's own word (`x-should-retry`); None when it gave none."""

    @property
    def may_retry(self) -> bool:
        return self.retryable if self.should_retry is None else self.should_retry


class BadRequest(ProviderError):
    title = "bad request"
    try_other_target = False


class UnsupportedParameter(BadRequest):
    title = "unsupported parameter"

    def __init__(self, message: str, *, parameter: str, **details: Unpack[ProviderDetails]) -> None:
        super().__init__(message, **details)
        self.parameter = parameter


class ContextOverflow(BadRequest):
    title = "context overflow"
    try_other_target = True


class RequestTooLarge(BadRequest):
    title = "too large"
    try_other_target = True


class ContentBlocked(ProviderError):
    title = "blocked"
    try_other_target = False


class ModelNotFound(ProviderError):
    title = "no such model"


class BatchNotFound(ProviderError):
    title = "no such batch"
    try_other_target = False


class KeyRejected(ProviderError):
    title = "key rejected"
    retires_key = True


class QuotaSpent(ProviderError):
    title = "quota spent"
    retires_key = True


class RateLimited(ProviderError):
    """A refusal that passes with time. Goes back to the head of its lane's queue; not counted as a retry."""

    title = "rate limit"
    retryable = True

    def __init__(
        self, message: str, *, limit: LimitKind = LimitKind.UNKNOWN, **details: Unpack[ProviderDetails]
    ) -> None:
        super().__init__(message, **details)
        self.limit = limit


class Overloaded(ProviderError):
    title = "overloaded"
    retryable = True
    breaks = True


class ServerError(ProviderError):
    title = "server error"
    retryable = True
    breaks = True


class Conflict(ProviderError):
    title = "conflict"
    retryable = True


class ConnectionFailed(ProviderError):
    title = "unreachable"
    retryable = True
    breaks = True


class OutOfFiles(ConnectionFailed):
    """This process may open no more files, of which a connection is one: nobody was asked, and nobody is to blame."""

    title = "no file left"
    breaks = False


class TLSFailed(ConnectionFailed):
    title = "TLS failed"
    retryable = False


class TimeoutKind(StrEnum):
    CONNECT = "connect"
    FIRST_TOKEN = "first token"
    IDLE = "idle"
    TOTAL = "total"


class TimedOut(ProviderError):
    title = "timed out"
    retryable = True
    breaks = True

    def __init__(self, message: str, *, kind: TimeoutKind, **details: Unpack[ProviderDetails]) -> None:
        super().__init__(message, **details)
        self.kind = kind


class MalformedResponse(ProviderError):
    title = "malformed answer"
    breaks = True


class WrongContentType(MalformedResponse):
    title = "not an API"


class IncompleteStream(ProviderError):
    title = "incomplete"
    retryable = True
    breaks = True


class EmptyStream(ProviderError):
    title = "empty answer"
    retryable = True
