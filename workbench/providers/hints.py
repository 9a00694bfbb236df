"""How long a refusal asks us to wait, wherever it says so. Pure: headers, body details, message and the time go in.

Providers say it in seven places and five notations, some of them wrong. The most deliberate word wins; a hint that is
absurd (negative, not a number, more than an hour) counts as not given, because a bad hint must not park a key.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

from workbench.core.types import Json

Headers: TypeAlias = tuple[tuple[str, str], ...]

LONGEST_S: Final = 3600.0
"""A longer wait than this is not a hint but a spent quota, or nonsense."""

_UNITS: Final = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6,
    "ms": 1e-3, "msec": 1e-3, "msecs": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
# Longest first: "20ms" is 20 milliseconds and not 20 minutes and a stray s.
_UNIT: Final = "|".join(sorted(_UNITS, key=len, reverse=True))
_PART: Final = rf"(\d+(?:\.\d*)?|\.\d+)\s*({_UNIT})(?![a-zµμ])"
_PARTS: Final = re.compile(_PART, re.IGNORECASE)
_DURATION: Final = re.compile(rf"\s*(?:{_PART}[\s,]*(?:and\s+)?)+", re.IGNORECASE)
_SENTENCE: Final = re.compile(
    r"(?:try(?:ing)?\s+again|retry(?:ing)?(?:\s+(?:your|the|this)\s+request)?|wait)\s+(?:in|after|for|at\s+least|about)?\s*"
    rf"((?:{_PART}[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)

_EPOCH_S: Final = 1e9
_EPOCH_MS: Final = 1e12


def retry_after_s(headers: Headers, details: Json, message: str, now: datetime) -> float | None:
    """Seconds to wait before trying again, or None when nobody says.

    `headers` have lower-case names. `details` is the list of that name in a Gemini error, or None. In order:
    `retry-after-ms`, `retry-after` (seconds or HTTP date), `x-ratelimit-reset-*`, `anthropic-ratelimit-*-reset`,
    `RetryInfo.retryDelay`, and "try again in 20ms" in the message.
    """
    table = dict(headers)
    for found in (
        _scaled(table.get("retry-after-ms"), 1e-3),
        _seconds_or_date(table.get("retry-after"), now),
        _reset(table, now, _openai_dimension),
        _reset(table, now, _anthropic_dimension),
        _retry_info(details),
        duration_in(message),
    ):
        if found is not None and 0.0 <= found <= LONGEST_S:
            return found
    return None


def should_retry(headers: Headers) -> bool | None:
    """The provider's own word on it (`x-should-retry`), which overrules any table; None when it gave none."""
    return {"true": True, "false": False}.get(dict(headers).get("x-should-retry", "").strip().lower())


def parse_duration(text: str) -> float | None:
    """Seconds in "20ms", "6m0s", "1m30.951s", "1h2m3s", "27.4 seconds"; None unless the whole text is a duration."""
    return _sum(text) if _DURATION.fullmatch(text) else None


def duration_in(message: str) -> float | None:
    """The wait that a sentence asks for: "Please try again in 20ms", "retry in 27.4s", "wait 2 minutes"."""
    match = _SENTENCE.search(message)
    return None if match is None else _sum(match[1])


def _sum(text: str) -> float:
    return sum(float(amount) * _UNITS[unit.lower()] for amount, unit in _PARTS.findall(text))


def _scaled(text: str | None, factor: float) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value * factor if math.isfinite(value) else None


def _seconds_or_date(text: str | None, now: datetime) -> float | None:
    if text is None:
        return None
    seconds = _scaled(text, 1.0)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the year 99999999999
        return parse_duration(text)
    # RFC 9110 dates are in GMT, whether or not the sender says so.
    return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()


def _moment(text: str, now: datetime) -> float | None:
    """Seconds until a reset: a Go duration, seconds, Unix time in s or ms, or an RFC 3339 date."""
    number = _scaled(text, 1.0)
    if number is not None:
        if number >= _EPOCH_MS:
            return number / 1000 - now.timestamp()
        return number - now.timestamp() if number >= _EPOCH_S else number
    if (duration := parse_duration(text)) is not None:
        return duration
    try:
        date = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()


_Dimension: TypeAlias = Callable[[str], tuple[str, str] | None]
"""From a header's name to (dimension, field), or None when it is another family's."""


def _openai_dimension(name: str) -> tuple[str, str] | None:
    for prefix in ("x-ratelimit-", "ratelimit-"):
        if name.startswith(prefix):
            field, _, dimension = name.removeprefix(prefix).partition("-")
            return dimension, field
    return None


def _anthropic_dimension(name: str) -> tuple[str, str] | None:
    if not name.startswith("anthropic-ratelimit-"):
        return None
    dimension, _, field = name.removeprefix("anthropic-ratelimit-").rpartition("-")
    return dimension, field


def _reset(table: Mapping[str, str], now: datetime, dimension_of: _Dimension) -> float | None:
    """When the exhausted dimension is full again; when none says that it is exhausted, the soonest of all.

    A reset is the time until a bucket is *full*, so of several the shortest is the least exaggerated.
    """
    resets: dict[str, float] = {}
    spent: set[str] = set()
    for name, value in table.items():
        place = dimension_of(name)
        if place is None:
            continue
        dimension, field = place
        if field == "reset" and (wait := _moment(value, now)) is not None and 0.0 <= wait <= LONGEST_S:
            resets[dimension] = wait
        elif field == "remaining" and _scaled(value, 1.0) == 0.0:
            spent.add(dimension)
    exhausted = [wait for dimension, wait in resets.items() if dimension in spent]
    if exhausted:
        return max(exhausted)
    return min(resets.values(), default=None)


def _retry_info(details: Json) -> float | None:
    for detail in _tables(details):
        delay = detail.get("retryDelay") or detail.get("retry_delay")
        if isinstance(delay, str):
            return parse_duration(delay)
    return None


def _tables(value: Json) -> Iterator[Mapping[str, Json]]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        yield from (item for item in value if isinstance(item, Mapping))
