"""Every provider's way of saying no, translated once: status, headers and body in, one of `core.errors` out.

What kind of error it is follows from the provider's own code or type, then from tell-tale words, then from the status.
The message is the provider's own sentence with the place in front, without keys, control codes or web pages. A broken
connection is not here: `transport_errors` knows those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from workbench.core.errors import (
    BadRequest,
    Conflict,
    ContentBlocked,
    ContextOverflow,
    EmptyStream,
    IncompleteStream,
    KeyRejected,
    ModelNotFound,
    Overloaded,
    ProviderDetails,
    ProviderError,
    QuotaSpent,
    RateLimited,
    RequestTooLarge,
    ServerError,
    UnsupportedParameter,
    WrongContentType,
)
from workbench.core.redact import redact
from workbench.core.text import strip_control
from workbench.core.types import Json
from workbench.providers import hints
from workbench.providers.base import Call
from workbench.providers.complaint import Complaint, complaint_in, complaint_of, is_markup
from workbench.providers.transport_errors import Place
from workbench.providers.verdict import Case

Headers = tuple[tuple[str, str], ...]

_SECRETIVE: Final = re.compile("auth|key|token|secret|cookie", re.IGNORECASE)

LONGEST_MESSAGE: Final = 600
"""Characters of a provider's own sentence that are kept."""


def headers_of(response_headers: Iterable[tuple[str, str]]) -> Headers:
    return tuple((name.lower(), value) for name, value in response_headers)


def header(headers: Headers, *names: str) -> str | None:
    """The first of these headers that is there."""
    table = dict(headers)
    return next((table[name] for name in names if name in table), None)


def request_id_of(headers: Headers) -> str | None:
    return header(headers, "x-request-id", "request-id", "x-generation-id", "x-goog-request-id", "cf-ray")


def secrets_in(headers: Headers) -> tuple[str, ...]:
    """Values that sign a request, by the names of their headers."""
    return tuple(value for name, value in headers if _SECRETIVE.search(name))


def clean(text: str, secrets: Iterable[str] = ()) -> str:
    """One harmless line: no control codes, no keys, no more than `LONGEST_MESSAGE` characters."""
    line = " ".join(strip_control(redact(text, secrets)).split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


@dataclass(frozen=True, slots=True, repr=False)
class Witness:
    """Who translates: where the call went, and the secret that must not come back in a message."""

    place: Place
    key: str = ""
    key_variables: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Secrets among the row's own headers."""

    @classmethod
    def of(cls, call: Call) -> Witness:
        return cls(Place.of(call), call.key, call.spec.key_variables, secrets_in(call.spec.headers))

    def refused(self, status: int, headers: Headers, body: bytes, now: datetime) -> ProviderError:
        """The error that a response with an error status stands for."""
        complaint = complaint_in(body)
        if status < 500 and status not in (401, 402, 403, 429) and self._is_no_api(status, headers, body, complaint):
            return self.not_an_api(status, headers, complaint.message)
        return self._judge(Case(complaint, status, headers), now)

    def failed_inside(self, error: Json, headers: Headers, now: datetime) -> ProviderError:
        """The error that an error object inside a 200 answer stands for: the body states the status, or nobody does."""
        return self._judge(Case(complaint_of(error), None, headers), now)

    def not_an_api(self, status: int, headers: Headers, said: str = "") -> WrongContentType:
        """Something answered that does not speak this protocol."""
        what = (header(headers, "content-type") or "no content type").partition(";")[0]
        title = f" ({self.clean(said)})" if said else ""
        details = self.details(
            headers, hint=f"Check the base URL, {self.place.base_url}: OpenAI-compatible ones usually end in /v1."
        )
        details["status"] = status
        return WrongContentType(
            f"{self.place.host} answered {status} with {what}{title}, which is not what {self.place.provider} speaks.",
            **details,
        )

    def cut_off(self, headers: Headers, *, nothing: bool, began: bool) -> IncompleteStream | EmptyStream:
        """An answer whose bytes ended without an end mark."""
        host, details = self.place.host, self.details(headers)
        if nothing:
            return EmptyStream(f"{host} answered 200 and sent nothing.", **details)
        what = "in the middle of its answer" if began else "before its answer began"
        return IncompleteStream(f"{host} stopped {what}, without saying that it had finished.", **details)

    def details(self, headers: Headers = (), *, hint: str = "") -> ProviderDetails:
        """What every error about this call carries."""
        return {**self.place.details(), "headers": headers, "request_id": request_id_of(headers), "hint": hint}

    def check_key(self) -> None:
        """Raise `KeyRejected` for a key that no header can carry: usually one copied together with something else."""
        if not (self.key.isascii() and self.key.isprintable() and self.key == self.key.strip()):
            variables = " or ".join(self.key_variables[:2]) or "where it was set"
            alias = self.place.key_alias or "The key"
            raise KeyRejected(
                f"{alias} for {self.place.provider} holds characters that no key has.",
                **self.details(hint=f"Check {variables} for spaces, line ends and quotation marks."),
            )

    def unwritable(self) -> BadRequest:
        """A text that UTF-8 has no bytes for."""
        return BadRequest(
            "The messages hold half a character (a lone surrogate), which cannot be sent.",
            **self.details(hint="It usually comes from text that was read in a wrong encoding."),
        )

    def clean(self, text: str) -> str:
        return clean(text, [self.key, *self.others])

    @staticmethod
    def _is_no_api(status: int, headers: Headers, body: bytes, complaint: Complaint) -> bool:
        if is_markup(body) or 300 <= status < 400 or status == 405:
            return True
        unsaid = not complaint.words and complaint.message.strip().lower() in ("", "not found", "404 page not found")
        return status == 404 and unsaid

    def _judge(self, case: Case, now: datetime) -> ProviderError:
        verdict = case.verdict()
        alias = self.place.key_alias or "this key"
        variables = " or ".join(self.key_variables[:2]) or "the key"
        parameter = self.clean(case.parameter)
        status = f"{case.status}" if case.stated is not None else "inside its answer"
        said = self.clean(case.complaint.message) or "no explanation"
        message = f"{self.place.provider}, {verdict.title} ({status}): {said}"
        if self.place.model:
            message = f"{self.place.provider} ({self.place.model}), {verdict.title} ({status}): {said}"
        details: ProviderDetails = {
            **self.details(
                case.headers,
                hint=_HINTS[verdict].format(alias=alias, variables=variables, parameter=parameter),
            ),
            "status": case.status if case.stated is not None else case.complaint.status,
            "code": self.clean(case.complaint.code),
            "retry_after_s": self._retry_after_s(case, verdict, now),
            "should_retry": hints.should_retry(case.headers),
        }
        if (request_id := case.complaint.request_id) and not details["request_id"]:
            details["request_id"] = self.clean(request_id)
        if verdict is RateLimited:
            return RateLimited(message, limit=case.limit(), **details)
        if verdict is UnsupportedParameter:
            return UnsupportedParameter(message, parameter=parameter, **details)
        return verdict(message, **details)

    @staticmethod
    def _retry_after_s(case: Case, verdict: type[ProviderError], now: datetime) -> float | None:
        headers = case.headers
        if verdict is not RateLimited:
            # When a limit is whole again says nothing about a server that is broken or busy.
            headers = tuple((name, value) for name, value in headers if name.startswith("retry-after"))
        return hints.retry_after_s(headers, case.complaint.details, case.complaint.message, now)


_HINTS: Final[dict[type[ProviderError], str]] = {
    KeyRejected: "Check {variables}; {alias} is not used again in this run.",
    QuotaSpent: "Add credit, wait for the quota to renew, or use another key; {alias} is not used again in this run.",
    ModelNotFound: "Check the model's name, and that {alias} may use it.",
    ContextOverflow: "Shorten the prompt, or choose a model with a larger context.",
    RequestTooLarge: "Shorten the prompt, lower max_tokens, or use a key with higher limits.",
    ContentBlocked: "Change the prompt; sending it again ends the same way.",
    RateLimited: "Wait, or use a key with higher limits.",
    Overloaded: "Another model may be free now.",
    ServerError: "If it stays, the fault is the provider's.",
    Conflict: "Sending it again may help.",
    UnsupportedParameter: "Leave out {parameter} for this model.",
    BadRequest: "Change the request; sending it again ends the same way.",
}
