"""What an error body says, whatever shape it came in.

OpenAI, its imitators, OpenRouter, Anthropic, Gemini, FastAPI and plain text all carry the same few things under
different names. Reading them apart happens here and nowhere else; what they mean is for `failures` to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from workbench.core.decoding import NOT_JSON
from workbench.core.types import Json

LARGEST_BODY: Final = 256 * 1024
"""Bytes of an error body that are looked at."""
LONGEST_SENTENCE: Final = 4096
"""Characters of what it says that are: dozens of expressions are held against it, on the loop, and whoever echoes a
whole prompt has said before that what is wrong with it."""
LONGEST_NAME: Final = 200
"""Characters of a code or of a parameter's name."""


@dataclass(frozen=True, slots=True)
class Complaint:
    message: str
    words: frozenset[str] = frozenset()
    """Code, type, status and reasons, in lower case: what a provider's own documentation calls the error."""
    code: str = ""
    """The most telling of the words, as it stands in the body."""
    param: str = ""
    status: int | None = None
    """An HTTP status that the body itself states."""
    request_id: str | None = None
    quotas: tuple[str, ...] = ()
    """Gemini's quota names and values, such as `GenerateRequestsPerDayPerProjectPerModel-FreeTier=50`."""
    details: Json = None
    """Gemini's `details` list, for the retry delay in it."""


_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_MARKUP: Final = re.compile(rb"\s*(?:<!doctype|<html|<\?xml|<head|<body)", re.IGNORECASE)


def is_markup(body: bytes) -> bool:
    """True for a web page, which no API sends: a proxy, a login page or a wrong address answered."""
    return _MARKUP.match(body[:200]) is not None


def complaint_in(body: bytes) -> Complaint:
    """Read an error body; an empty message when there is nothing to read."""
    body = body[:LARGEST_BODY]
    if is_markup(body):
        title = _TITLE.search(_bounded(body.decode("utf-8", "replace")))
        return Complaint(title[1].strip() if title else "a web page")
    try:
        return complaint_of(msgspec.json.decode(body))
    except NOT_JSON:
        return Complaint(_bounded(body.decode("utf-8", "replace").strip()))


def complaint_of(decoded: Json) -> Complaint:
    """Read an error that is already decoded: the whole body, or the `error` object of a stream's chunk."""
    while isinstance(decoded, list | tuple):
        decoded = decoded[0] if decoded else None
    if not isinstance(decoded, Mapping):
        return Complaint("" if decoded is None else _bounded(str(decoded)))
    outer = decoded
    inner = outer.get("error") or outer.get("errors") or outer.get("detail")
    if isinstance(inner, list | tuple):
        inner = _first_problem(inner)
    if isinstance(inner, str):
        inner = {"message": inner}
    error: Mapping[str, Json] = inner if isinstance(inner, Mapping) else outer
    return _read(error, outer)


def _read(error: Mapping[str, Json], outer: Mapping[str, Json]) -> Complaint:
    names = [error.get("code"), error.get("type"), error.get("status"), outer.get("code"), *_reasons(error)]
    texts = [name for name in names if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name != "error"]
    numbers = [name for name in names if isinstance(name, int) and not isinstance(name, bool) and 400 <= name < 600]
    numbers += [int(text) for text in texts if text.isdecimal() and 400 <= int(text) < 600]
    telling = [text for text in texts if not text.isdecimal()]
    request_id = outer.get("request_id") or error.get("request_id")
    return Complaint(
        message=_bounded(_message(error, outer)),
        words=frozenset(text.lower() for text in telling),
        code=telling[0] if telling else "",
        param=param if isinstance(param := error.get("param"), str) and len(param) <= LONGEST_NAME else "",
        status=numbers[0] if numbers else None,
        request_id=request_id if isinstance(request_id, str) else None,
        quotas=tuple(_quotas(error)),
        details=error.get("details"),
    )


def _bounded(text: str) -> str:
    return text[:LONGEST_SENTENCE]


def _message(error: Mapping[str, Json], outer: Mapping[str, Json]) -> str:
    for table in (error, outer):
        for name in ("message", "msg", "error_description", "description", "error"):
            if isinstance(text := table.get(name), str) and text:
                return text + _upstream(error)
    return ""


def _upstream(error: Mapping[str, Json]) -> str:
    """What the provider behind a router said: its own message is often only "Provider returned error"."""
    metadata = error.get("metadata")
    if not isinstance(metadata, Mapping):
        return ""
    who, raw = metadata.get("provider_name"), metadata.get("raw")
    if not isinstance(raw, str) or not raw:
        return f" ({who})" if isinstance(who, str) and who else ""
    said = complaint_in(raw.encode()).message or raw
    return f" ({who}: {said})" if isinstance(who, str) and who else f" ({said})"


def _reasons(error: Mapping[str, Json]) -> Iterable[str]:
    """Machine-readable reasons that stand deeper in the body."""
    for detail in _tables(error.get("details")):
        if isinstance(reason := detail.get("reason"), str):
            yield reason
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping):
        if isinstance(kind := metadata.get("error_type"), str):
            yield kind
        if "flagged_input" in metadata or metadata.get("reasons"):
            yield "moderation"


def _quotas(error: Mapping[str, Json]) -> Iterable[str]:
    for detail in _tables(error.get("details")):
        for violation in _tables(detail.get("violations")):
            name = violation.get("quotaId") or violation.get("quotaMetric")
            if isinstance(name, str):
                yield f"{name}={violation.get('quotaValue', '')}"


def _tables(value: Json) -> list[Mapping[str, Json]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def _first_problem(problems: Iterable[Json]) -> Json:
    """FastAPI's list of what is wrong with a body: the first one, with the place it is at as its parameter."""
    for problem in problems:
        if not isinstance(problem, Mapping):
            return str(problem)
        place = problem.get("loc")
        names = [name for name in place if isinstance(name, str) and name != "body"] if isinstance(place, list) else []
        said = problem.get("msg") or problem.get("message")
        where = ".".join(names)
        return {
            "message": f"{where}: {said}" if where else str(said),
            "type": problem.get("type"),
            "param": where,
        }
    return None
