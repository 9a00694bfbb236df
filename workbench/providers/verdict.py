"""What kind of error a complaint is: the provider's own words first, then tell-tale sentences, then the status.

Pure: a `Case` in, an error class, a limit and a parameter name out. The lists hold what the providers' documentation
and their live answers call things; a new spelling of an old error is one more word here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from workbench.core.errors import (
    BadRequest,
    Conflict,
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
    UnsupportedParameter,
)
from workbench.providers.complaint import Complaint


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SPENT: Final = _words(
    "insufficient_quota billing_hard_limit_reached billing_not_active billing_error insufficient_credits "
    "insufficient_balance insufficient_funds payment_required credit_balance_too_low credit_limit_exceeded"
)
_OVERFLOW: Final = _words(
    "context_length_exceeded exceed_context_size_error context_window_exceeded contextwindowexceedederror "
    "model_context_window_exceeded prompt_too_long"
)
_LARGE: Final = _words("request_too_large payload_too_large")
_BLOCKED: Final = _words(
    "content_policy_violation content_filter contentpolicyviolationerror moderation moderation_blocked "
    "invalid_prompt bio_policy image_content_policy_violation responsibleaipolicyviolation"
)
_NO_MODEL: Final = _words(
    "model_not_found model_not_available not_found_error unsupported_model model_not_supported notfounderror not_found"
)
_BAD_KEY: Final = _words(
    "invalid_api_key authentication_error permission_error account_deactivated api_key_invalid unauthorized "
    "unauthenticated permission_denied invalid_authentication authenticationerror permissiondeniederror "
    "unsupported_country_region_territory"
)
_PARAMETER: Final = _words("unsupported_parameter unknown_parameter unsupported_value unsupportedparamserror")
_LIMITED: Final = _words("rate_limit_exceeded rate_limit_error rate_limit too_many_requests resource_exhausted")
_BUSY: Final = _words("overloaded_error overloaded engine_overloaded slow_down unavailable service_unavailable")
_INVALID: Final = _words("invalid_request_error bad_request badrequesterror invalid_argument")

_USUAL_STATUS: Final = (
    (_LIMITED, 429),
    (_BUSY, 529),
    (_BAD_KEY, 401),
    (_NO_MODEL, 404),
    (_INVALID | _BLOCKED | _OVERFLOW | _PARAMETER, 400),
)


def _says(*patterns: str) -> Callable[[str], bool]:
    found = re.compile("|".join(patterns), re.IGNORECASE)
    return lambda text: found.search(text) is not None


_says_spent: Final = _says(
    r"credit balance is too low", r"insufficient (?:credits|funds|balance|quota)", r"insufficient_quota",
    r"(?:does(?:n't| not) have|no|out of) (?:any |enough )?credits?\b", r"requires more credits",
    r"exceeded your current quota", r"\bper[-_ ]day\b", r"\b[rt]pd\b", r"daily (?:token |request )?(?:limit|quota)",
    r"spend(?:ing)? (?:limit|cap)",
)  # fmt: skip
_says_zero: Final = _says(r"\blimit: 0(?!\.?\d)", r"(?:\bof|exceeded:) 0 (?:input |output )?(?:requests|tokens) per")
_says_overflow: Final = _says(
    r"maximum context length", r"context (?:length|window|size)", r"prompt is too long", r"input is too long",
    r"input token count .* exceeds", r"exceeds the (?:maximum|max) number of tokens",
    r"longer than the model'?s? context", r"reduce the length of the (?:messages|prompt|input)",
    r"too many (?:input )?tokens in (?:the )?(?:prompt|request)", r"inputs` tokens \+ `max_new_tokens` must be",
)  # fmt: skip
_says_large: Final = _says(r"request too large", r"payload too large", r"request (?:entity|body) (?:is )?too large")
_says_blocked: Final = _says(
    r"content (?:management )?policy", r"usage polic", r"safety (?:system|polic|filter)", r"flagged (?:as|for|by)",
    r"content[_ ]filter",
)  # fmt: skip
_says_no_model: Final = _says(
    r"model [^ ]* ?(?:does not exist|not found|is not found)", r"models?/\S+ is not found", r"not a valid model",
    r"unknown model", r"no such model", r"does not have access to (?:the )?model", r"model .{1,80} not found",
    r"model .{1,80} does not exist", r"unable to access .{0,20}model",
)  # fmt: skip
_says_bad_key: Final = _says(r"api[- ]key not valid", r"invalid (?:api[- ]key|x-api-key)", r"incorrect api key")

_NEVER_LEFT_OUT: Final = _words("model messages input contents system prompt instructions tools stream")
"""Parameters without which the request would be another one."""

_SCHEMA_CARRIERS: Final = re.compile(
    r"response_?format|response_(?:json_)?schema|response_mime_type|json_schema|text\.format|output_config\.format"
    r"|output_format",
    re.IGNORECASE,
)
"""Where a schema travels. An answer without it would be another answer; whoever asked must be told."""


def may_be_left_out(parameter: str) -> bool:
    """False for a parameter without which the request would be another one."""
    if _SCHEMA_CARRIERS.match(parameter):
        return False
    return re.split(r"[.\[]", parameter)[0] not in _NEVER_LEFT_OUT


_NAME: Final = r"(?<![\w.])[`'\"]?([A-Za-z_][\w.]*)[`'\"]?"
"""Begins where a word does: tried at every letter of a long one, it would take the square of its length."""
_THING: Final = r"(?:parameter|argument|value|field)(?:s|\(s\))?"
_PARAMETER_SENTENCES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"thinking (?:level|budget) is not supported|thinking_?(?:level|budget) and thinking_?", "thinking_config"),
        (r"adaptive thinking is not supported|thinking is not supported|thinking\.\w+: ", "thinking"),
        (r"`?temperature`? and `?top_p`? cannot both be specified", "top_p"),
        (r"unknown name \"(\w+)\" at ", ""),
        (
            rf"(?:unsupported|unknown|unrecognized|unexpected) (?:request )?{_THING}(?: supplied)?:? {_NAME}",
            "",
        ),
        (rf"(?:^|: ){_NAME}: extra inputs are not permitted", ""),
        (rf"(?:^|: ){_NAME} is deprecated for this model", ""),
        (rf"{_NAME} is not supported (?:by|with|for|on|in) (?:this|the) model", ""),
        (rf"property {_NAME} is (?:un|not )supported", ""),
        (rf"(?:parameter|argument) {_NAME} (?:is|are) (?:not (?:supported|allowed|permitted)|unsupported)", ""),
        (rf"does not support (?:the )?(?:parameters?|arguments?):? ?\[?{_NAME}", ""),
    )
)
"""Sentences that name a parameter a model does not take; the name is the first group, or stands beside the pattern."""

_DAY: Final = re.compile(r"per_?day", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Case:
    """One complaint with its circumstances."""

    complaint: Complaint
    stated: int | None
    """The response's status; None inside a stream, where the response had said 200."""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def status(self) -> int:
        """The best guess at a status: the response's, the body's own, or what the words usually come with."""
        if self.stated is not None:
            return self.stated
        if self.complaint.status is not None:
            return self.complaint.status
        return next((status for group, status in _USUAL_STATUS if self.complaint.words & group), 500)

    @property
    def parameter(self) -> str:
        """The parameter that is complained about, as the wire names it; empty when none is, or when it is essential."""
        named = self.complaint.words & (_PARAMETER | {"extra_forbidden"})
        name = self.complaint.param if named else ""
        for sentence, fixed in _PARAMETER_SENTENCES:
            if not name and (found := sentence.search(self.complaint.message)):
                name = fixed or _snake(found[1])
        return name if may_be_left_out(name) else ""

    def verdict(self) -> type[ProviderError]:
        words, message, status = self.complaint.words, self.complaint.message, self.status
        if words & _SPENT or status == 402 or self._is_spent():
            return QuotaSpent
        if status == 429 or words & {"resource_exhausted"}:
            return RequestTooLarge if words & _LARGE or _says_large(message) else RateLimited
        if status == 529 or words & _BUSY or status == 503:
            return Overloaded
        if status >= 500 and not words & _OVERFLOW:
            return ServerError
        if status in (408, 409, 425):
            return Conflict
        return self._client_error()

    def _client_error(self) -> type[ProviderError]:
        words, message, status = self.complaint.words, self.complaint.message, self.status
        if words & _OVERFLOW or (status in (400, 413, 422) and _says_overflow(message)):
            return ContextOverflow
        if words & _LARGE or status == 413:
            return RequestTooLarge
        if words & _BLOCKED or (status in (400, 403) and _says_blocked(message)):
            return ContentBlocked
        if status == 404 or words & _NO_MODEL or _says_no_model(message):
            return ModelNotFound
        if status in (401, 403) or words & _BAD_KEY or _says_bad_key(message):
            return KeyRejected
        return UnsupportedParameter if self.parameter else BadRequest

    def _is_spent(self) -> bool:
        """A quota that no wait of this run outlives: a day's, or one of zero."""
        message, quotas = self.complaint.message, self.complaint.quotas
        if quotas or "resource_exhausted" in self.complaint.words:
            # Gemini's sentence speaks of plan and billing whatever the quota is; its name says which one it was.
            return any(_DAY.search(quota) or quota.endswith("=0") for quota in quotas) or _says_zero(message)
        return self.status in (400, 403, 429) and (_says_spent(message) or _says_zero(message))

    def limit(self) -> LimitKind:
        """Which limit a 429 was about: what the provider calls it, or the one whose header stands at zero."""
        for text in (self.complaint.message, *self.complaint.quotas):
            if (kind := _limit_in_words(text)) is not LimitKind.UNKNOWN:
                return kind
        for word, kind in _LIMIT_NAMES.items():
            if word in self.complaint.words:
                return kind
        for name, value in self.headers:
            if "remaining" in name and value.strip() in ("0", "0.0"):
                kind = _limit_in_header(name)
                if kind is not LimitKind.UNKNOWN:
                    return kind
        return LimitKind.UNKNOWN


_LIMIT_NAMES: Final = {"requests": LimitKind.REQUESTS, "tokens": LimitKind.TOKENS}
_CONCURRENT: Final = re.compile(
    r"concurren|simultaneous|parallel requests|in[- ]flight|at the same time", re.IGNORECASE
)
_LIMIT_PHRASES: Final = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        (LimitKind.INPUT_TOKENS, r"input[ _-]?tokens?(?: count)?[ _-]?per|\bitpm\b|input_token_count"),
        (LimitKind.OUTPUT_TOKENS, r"output[ _-]?tokens?(?: count)?[ _-]?per|\botpm\b|output_token_count"),
        (LimitKind.TOKENS, r"tokens?[ _-]?per|\btpm\b|token rate limit"),
        (LimitKind.REQUESTS, r"requests?[ _-]?per|\brpm\b|\brps\b|\bqps\b|request rate limit"),
    )
)


def _limit_in_words(text: str) -> LimitKind:
    """The limit that a sentence names first: what follows is often advice about another one."""
    if _CONCURRENT.search(text):
        return LimitKind.CONCURRENCY
    places = [(found.start(), kind) for kind, phrase in _LIMIT_PHRASES if (found := phrase.search(text))]
    return min(places, default=(0, LimitKind.UNKNOWN), key=lambda place: place[0])[1]


def _limit_in_header(name: str) -> LimitKind:
    if "input-tokens" in name:
        return LimitKind.INPUT_TOKENS
    if "output-tokens" in name:
        return LimitKind.OUTPUT_TOKENS
    if "tokens" in name:
        return LimitKind.TOKENS
    return LimitKind.REQUESTS if "requests" in name else LimitKind.UNKNOWN


def _snake(name: str) -> str:
    """`presencePenalty` as `presence_penalty`: Gemini complains in one spelling and is asked in the other."""
    return re.sub(r"(?<=[a-z0-9])[A-Z]", lambda match: f"_{match[0]}", name).lower()
