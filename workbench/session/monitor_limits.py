"""A lane's limits as a person sets them: the lines to fill in, and what was written in them as changes. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from workbench.core.errors import LimitKind, UsageError
from workbench.engine.limiter_stats import DimensionStats, LaneStats
from workbench.session import figures
from workbench.session.limit_words import window_cause

_ALWAYS = (LimitKind.REQUESTS, LimitKind.TOKENS)
_WHERE_KNOWN = (LimitKind.INPUT_TOKENS, LimitKind.OUTPUT_TOKENS)
"""Few providers count these apart: a line for them only where this one does."""

_TIMES = {"k": 1e3, "m": 1e6}


@dataclass(frozen=True, slots=True)
class LimitLine:
    kind: LimitKind
    """CONCURRENCY for calls in flight; otherwise so much per minute."""
    value: str
    """What a person has set; empty while the limit is left to itself."""
    expected: str
    """What holds, or would hold, without."""

    @property
    def name(self) -> str:
        return "in flight" if self.kind is LimitKind.CONCURRENCY else f"{self.kind}/min"


@dataclass(frozen=True, slots=True)
class LimitChange:
    kind: LimitKind
    to: float | None
    """None leaves it to itself again."""

    def __str__(self) -> str:
        what = "in flight" if self.kind is LimitKind.CONCURRENCY else f"{self.kind}/min"
        return f"{what} left to itself" if self.to is None else f"{figures.units(self.to)} {what}"


def limit_lines(lane: LaneStats) -> tuple[LimitLine, ...]:
    """One for each limit that can be set, with what holds now."""
    known = {dimension.kind: dimension for dimension in lane.dimensions}
    window = LimitLine(
        LimitKind.CONCURRENCY,
        str(lane.window) if lane.window_pinned else "",
        "empty: it adapts again" if lane.window_pinned else f"{lane.window} now, {window_cause(lane)}",
    )
    kinds = (*_ALWAYS, *(kind for kind in _WHERE_KNOWN if kind in known))
    return window, *(_paced(kind, known.get(kind)) for kind in kinds)


def _paced(kind: LimitKind, found: DimensionStats | None) -> LimitLine:
    if found is None:
        return LimitLine(kind, "", "none stated, none learned")
    if found.pinned:
        limit = found.pace if found.limit is None else found.limit
        return LimitLine(kind, f"{limit:.12g}", "empty: what the provider says, or what was learned")
    origin = "learned from refusals" if found.learned else "stated by the provider"
    return LimitLine(kind, "", f"{figures.units(found.pace)} now, {origin}")


def changes(lines: Sequence[LimitLine], written: Mapping[str, str]) -> tuple[LimitChange, ...]:
    """What is to be done so that the limits are as written. Raises UsageError that names the line."""
    return tuple(_changes(lines, written))


def _changes(lines: Sequence[LimitLine], written: Mapping[str, str]) -> Iterator[LimitChange]:
    for line in lines:
        text = written[line.name].strip()
        if text == line.value:
            continue
        if not text:
            yield LimitChange(line.kind, None)
            continue
        number = _number(text)
        whole = line.kind is LimitKind.CONCURRENCY
        if number is None or number <= 0 or (whole and (number < 1 or number != int(number))):
            expected = "a whole number from 1 on" if whole else "a number above 0, such as 500, 30k or 2M"
            raise UsageError(f"{line.name}: expected {expected}, or nothing, not {text!r}.")
        yield LimitChange(line.kind, number)


def _number(text: str) -> float | None:
    """`30,000`, `30_000`, `30k`, `2M`; None for what is no finite number."""
    plain = text.lower().replace(",", "").replace("_", "").replace(" ", "")
    times = _TIMES.get(plain[-1:], 1.0)
    try:
        number = float(plain if times == 1.0 else plain[:-1]) * times
    except ValueError:
        return None
    return number if math.isfinite(number) else None
