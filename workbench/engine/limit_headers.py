"""What a response says about limits: per dimension the limit, what remains of it, and when it is whole again.

Reads the header families of OpenAI (Azure, Groq, Cerebras, DigitalOcean), Anthropic, Together (per second), SambaNova
and OpenRouter, and the sentences in which OpenAI and Gemini put numbers into a refusal. Limits per day are left out:
they are not paced, and a spent one retires the key. Whatever is not a sensible number counts as not said, because a bad
header must never park a key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

import msgspec

from workbench.core.errors import LimitKind

Headers = Sequence[tuple[str, str]]

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
_LARGEST: Final = 1e12
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNIT_S: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DIGITS: Final = frozenset("0123456789.")
_EPOCH_S: Final = 1e9
_EPOCH_MS: Final = 1e11
_KINDS: Final = {
    "requests": LimitKind.REQUESTS,
    "tokens": LimitKind.TOKENS,
    "input-tokens": LimitKind.INPUT_TOKENS,
    "output-tokens": LimitKind.OUTPUT_TOKENS,
}
_FIELDS: Final = frozenset({"limit", "remaining", "reset"})
_OPENAI_SENTENCE: Final = re.compile(
    r"\b(?:requests|tokens) per min \((RPM|TPM)\).*?Limit:? ([\d,.]+)(?:.*?Used:? ([\d,.]+))?", re.DOTALL
)
_GEMINI_SENTENCE: Final = re.compile(r"Quota exceeded for metric: \S*?(requests|token_count|tokens)\b\D*?limit: (\d+)")


class Reading(msgspec.Struct, frozen=True):
    """One dimension as the server states it. Fields are None where it said nothing, or nothing sensible."""

    kind: LimitKind
    limit: float | None
    remaining: float | None
    reset_s: float | None = None
    """Seconds from the response until the whole limit is free again."""
    period_s: float = MINUTE_S
    spoken: bool = False
    """From the sentence of a refusal: successes of this provider will say nothing."""


class HeaderLayout:
    """Which of a response's headers are about limits, and what each says: the same for every response that has the same
    headers, as nearly all of a provider's have."""

    __slots__ = ("_about", "_columns")

    def __init__(self, names: Sequence[str]) -> None:
        self._about = [n for n, name in enumerate(names) if "limit" in name or name.startswith("retry-after")]
        found: dict[tuple[LimitKind, float], dict[str, int]] = {}
        for n, name in enumerate(names):
            if (place := _place(name)) is not None:
                dimension, field = place
                found.setdefault(dimension, {})[field] = n
        # `x-ratelimit-limit` alone: per second where a token limit stands beside it (Together)
        unsaid_s = MINUTE_S
        if (LimitKind.TOKENS, 1.0) in found:
            unsaid_s = 1.0
            # It says that limit twice; the other name means a minute everywhere else.
            found.pop((LimitKind.TOKENS, MINUTE_S), None)
        self._columns = [
            (kind, period_s or unsaid_s, at["limit"], at.get("remaining"), at.get("reset"))
            for (kind, period_s), at in found.items()
            if "limit" in at
        ]

    def excerpt(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        """Those about limits, and about how long to wait."""
        return tuple([headers[n] for n in self._about])

    def readings(self, headers: Headers, wall_s: float) -> tuple[Reading, ...]:
        """`wall_s` is the time of the response as Unix time, for resets that are dates."""
        readings: list[Reading] = []
        for kind, period_s, limit_at, remaining_at, reset_at in self._columns:
            limit = _amount(headers[limit_at][1])
            remaining = None if remaining_at is None else _amount(headers[remaining_at][1])
            if not limit or (remaining is not None and remaining > limit):
                continue  # Azure's Responses API sends -1 and 0
            reset_s = None if reset_at is None else parse_reset(headers[reset_at][1], wall_s)
            readings.append(Reading(kind, limit, remaining, reset_s, period_s))
        return tuple(readings)


def layout_of(headers: Headers) -> HeaderLayout:
    """For headers with lower-case names."""
    return _layout(tuple([name for name, _ in headers]))


_layout = lru_cache(maxsize=256)(HeaderLayout)  # it takes several times as long as the reading itself


def parse_limit_headers(headers: Headers, wall_s: float) -> tuple[Reading, ...]:
    """The readings in a response's headers, as of the Unix time `wall_s`."""
    return layout_of(headers).readings(headers, wall_s)


def parse_refusal(message: str) -> Reading | None:
    """Limit and remainder from the sentence of a refusal, for providers that send no headers with it.

    "Rate limit reached for gpt-4o … on tokens per min (TPM): Limit 30000, Used 29500, Requested 900." and
    "Quota exceeded for metric: …/generate_content_free_tier_requests, limit: 15".
    """
    if match := _OPENAI_SENTENCE.search(message):
        kind = LimitKind.REQUESTS if match[1] == "RPM" else LimitKind.TOKENS
        limit, used = _amount(match[2].strip(".,")), _amount((match[3] or "").strip(".,"))
        if limit:
            return Reading(kind, limit, None if used is None else max(0.0, limit - used), spoken=True)
    if match := _GEMINI_SENTENCE.search(message):
        kind = LimitKind.REQUESTS if match[1] == "requests" else LimitKind.INPUT_TOKENS
        if limit := _amount(match[2]):
            return Reading(kind, limit, 0.0, spoken=True)
    return None


def parse_reset(text: str | None, wall_s: float) -> float | None:
    """Seconds until a reset, from a Go duration ("6m0s", "20ms"), seconds, Unix time in s or ms, or an RFC 3339 date.

    None for anything else, for what is already over by more than a second, and for more than a day from now.
    """
    if text is None or not (text := text.strip()):
        return None
    seconds = _seconds(text, wall_s)
    if seconds is None or not -1.0 <= seconds <= DAY_S:
        return None
    return max(0.0, seconds)


def _seconds(text: str, wall_s: float) -> float | None:
    if text[-1] in _DIGITS:
        number = _number(text)
        if number is not None:
            if number >= _EPOCH_MS:
                return number / 1000.0 - wall_s
            return number - wall_s if number >= _EPOCH_S else number
    elif text[-1] == "s":  # nearly all of them: a quarter of the time that the expression takes
        amount, unit_s = (text[:-2], 1e-3) if text[-2:-1] == "m" else (text[:-1], 1.0)
        if amount.replace(".", "", 1).isdecimal():
            return float(amount) * unit_s
    parts = _DURATION.findall(text)
    if parts and "".join(amount + unit for amount, unit in parts) == text:
        return float(sum(float(amount) * _UNIT_S[unit] for amount, unit in parts))
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return None
    return date.timestamp() - wall_s if date.tzinfo is not None else None


def _place(name: str) -> tuple[tuple[LimitKind, float], str] | None:
    """Dimension with its period, and field, that a header name stands for. A period of 0.0: the name does not say."""
    if name.startswith("anthropic-ratelimit-"):
        kind, _, field = name.removeprefix("anthropic-ratelimit-").rpartition("-")
        return ((_KINDS[kind], MINUTE_S), field) if kind in _KINDS and field in _FIELDS else None
    if name.startswith("x-tokenlimit-"):
        field = name.removeprefix("x-tokenlimit-")
        return ((LimitKind.TOKENS, 1.0), field) if field in _FIELDS else None
    for prefix in ("x-ratelimit-", "ratelimit-"):
        if name.startswith(prefix):
            field, _, kind = name.removeprefix(prefix).partition("-")
            if field not in _FIELDS:
                return None
            if not kind:
                return (LimitKind.REQUESTS, 0.0), field
            kind = kind.removesuffix("-minute")
            return ((_KINDS[kind], MINUTE_S), field) if kind in _KINDS else None
    return None


def _number(text: str) -> float | None:
    if not text or text[-1] not in _DIGITS:
        return None  # a duration or a date, or "nan" and "inf", which float() would take
    try:
        return float(text)
    except ValueError:
        return None


def _amount(text: str | None) -> float | None:
    """A count of requests or tokens; None unless it is a number from 0 to 10¹²."""
    if text is None:
        return None
    if text.isdecimal() and text.isascii():
        count = float(text)
        return count if count <= _LARGEST else None
    number = _number(text.strip().replace(",", ""))
    return number if number is not None and 0 <= number <= _LARGEST else None
