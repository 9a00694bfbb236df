"""How a lane's counters moved: one-second moments of the last five minutes, and the whole run in ever wider ones.

Feeding is O(1): each call touches the moment of the current second, and a second in which nothing happened takes no
room. The run is kept in at most `RUN_MOMENTS` moments, which double their width whenever they would become more. Read
it as a `Series`: columns of equal length, ready to be drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from workbench.core.clock import NS_PER_S
from workbench.core.stats import Percentiles, PutAway, Sketch

RECENT_S = 300
RUN_MOMENTS = 240
TREND_S = 10
"""A point of the TTFT curves looks back this far, or as far as the point itself is wide."""


class Span(StrEnum):
    """How far back a chart looks."""

    MINUTE = "60 s"
    FIVE_MINUTES = "5 min"
    RUN = "run"

    @property
    def seconds(self) -> int | None:
        """None for the whole run."""
        return {Span.MINUTE: 60, Span.FIVE_MINUTES: RECENT_S}.get(self)


@dataclass(frozen=True, slots=True)
class Series:
    """Columns of equal length, oldest first, one entry per `step_s`; the second under way is left out.

    Shorter than was asked for while the run is young, empty before anything happened.
    """

    ends_s: int
    """Monotonic second at which the last entry ends; entry -1-k ends `k * step_s` earlier (the last may be shorter)."""
    step_s: int
    in_flight: tuple[int, ...] = ()
    """The most at once within the step."""
    limit: tuple[int | None, ...] = ()
    """In flight at most, as the limiter allowed it at the step's end; None while it has never been known."""
    tokens_per_s: tuple[float, ...] = ()
    """Output, an estimate by characters, over the wall time of the step, idle seconds included."""
    ttft_p50_s: tuple[float | None, ...] = ()
    """Of the answers that began in the last ten seconds or in the step, whichever is longer; None if none did."""
    ttft_p95_s: tuple[float | None, ...] = ()
    """None below 20 samples."""
    refusals: tuple[int, ...] = ()
    """429s and their relatives within the step: a count, not a rate."""

    def __len__(self) -> int:
        return len(self.in_flight)


class Moment:
    """What happened within one stretch of time."""

    __slots__ = ("level", "limit", "peak", "refusals", "tokens", "ttft")

    def __init__(self, level: int = 0, limit: int | None = None) -> None:
        self.peak = self.level = level
        """In flight: the most, and at the end."""
        self.limit = limit
        self.tokens = 0.0
        self.refusals = 0
        self.ttft: Sketch | PutAway | None = None

    def put_away(self) -> None:
        """Nothing more happens in it but to be looked at."""
        if isinstance(self.ttft, Sketch):
            self.ttft = PutAway(self.ttft)

    def absorb(self, later: Moment) -> None:
        """Become the stretch that ends with `later`."""
        self.peak = max(self.peak, later.peak)
        self.level, self.limit = later.level, later.limit
        self.tokens += later.tokens
        self.refusals += later.refusals
        if later.ttft is not None:
            self.spread().merge(later.ttft)

    def spread(self) -> Sketch:
        """Of its TTFTs, to be added to."""
        if not isinstance(self.ttft, Sketch):
            before, self.ttft = self.ttft, Sketch()
            if before is not None:
                self.ttft.merge(before)
        return self.ttft


class Timeline:
    """One lane's, or everything's. Stamps that run backwards count for the latest second that was seen."""

    __slots__ = ("_current", "_recent", "_run", "_second", "_start", "_trends", "_width")

    def __init__(self) -> None:
        self._recent: dict[int, Moment] = {}
        """Closed seconds in which something happened, oldest first, and the current one."""
        self._current = Moment()
        self._second = self._start = -1
        self._run: dict[int, Moment] = {}
        self._width = 1
        self._trends: dict[int, Percentiles] = {}

    @property
    def limit(self) -> int | None:
        return self._current.limit

    # -- feeding -------------------------------------------------------------------------------------------------------

    def stand(self, in_flight: int, now_ns: int, limit: int | None = None) -> None:
        """So many are in flight from now on; `limit` is left as it was where None."""
        moment = self._at(now_ns)
        moment.level = in_flight
        if in_flight > moment.peak:
            moment.peak = in_flight
        if limit is not None:
            moment.limit = limit

    def add_tokens(self, tokens: float, now_ns: int) -> None:
        self._at(now_ns).tokens += tokens

    def refuse(self, now_ns: int) -> None:
        self._at(now_ns).refusals += 1

    def first_token(self, ttft_s: float, now_ns: int) -> None:
        self._at(now_ns).spread().add(ttft_s)

    def _at(self, now_ns: int) -> Moment:
        second = now_ns // NS_PER_S
        if second > self._second:
            self._turn(second)
        return self._current

    def _turn(self, second: int) -> None:
        """A new second has begun."""
        if self._start < 0:
            self._start = second
        else:
            self._keep(self._second, self._current)
            self._current.put_away()
        self._second = second
        self._current = self._recent[second] = Moment(self._current.level, self._current.limit)
        # The newest of those that are too old stays: it has the level at which the window begins.
        seconds = [stamp for stamp in self._recent if stamp <= second - RECENT_S - TREND_S]
        for stamp in seconds[:-1]:
            del self._recent[stamp]

    def _keep(self, second: int, moment: Moment) -> None:
        """Add a closed second to the whole run."""
        while (index := (second - self._start) // self._width) >= RUN_MOMENTS:
            self._width *= 2
            self._run, narrow = {}, self._run
            for number, kept in narrow.items():
                _fold(self._run, number // 2, kept)
            for wide in self._run.values():
                wide.put_away()
        if index not in self._run and self._run:
            next(reversed(self._run.values())).put_away()
        _fold(self._run, index, moment)

    # -- reading -------------------------------------------------------------------------------------------------------

    def series(self, span: Span, now_ns: int, points: int = 120) -> Series:
        """At most `points` entries. Costs a few milliseconds at the most; ask once a second."""
        now_s = max(now_ns // NS_PER_S, self._second)
        seconds = span.seconds
        if self._start < 0:
            return Series(now_s, 1)
        if seconds is None:
            return self._whole_run(now_s, points)
        step = -(-seconds // max(1, points))
        first = max(self._start, now_s - seconds) // step
        # Of those before the window the newest alone counts: it has the level at which the window begins.
        since = max((at for at in self._recent if at < first * step), default=first * step)
        moments = _steps(((at, moment) for at, moment in self._recent.items() if since <= at < now_s), step)
        return self._columns(moments, range(first, -(-now_s // step)), step, 0, now_s)

    def _whole_run(self, now_s: int, points: int) -> Series:
        width = self._width
        last = now_s - self._start
        while last > width * max(1, points):
            width *= 2
        closed = _steps(self._run.items(), width // self._width)
        if self._second < now_s:
            _fold(closed, (self._second - self._start) // width, self._current)
        return self._columns(closed, range(-(-last // width)), width, self._start, now_s)

    def _columns(self, moments: dict[int, Moment], steps: range, step: int, origin: int, now_s: int) -> Series:
        before = [number for number in moments if number < steps.start]
        last = moments[max(before)] if before else Moment()
        shown: list[Moment] = []
        for number in steps:
            found = moments.get(number)
            last = found if found is not None else Moment(last.level, last.limit)
            shown.append(last)
        ends = [min(origin + (number + 1) * step, now_s) for number in steps]
        spans = [end - max(origin + number * step, self._start) for number, end in zip(steps, ends, strict=True)]
        if step >= TREND_S:
            trends = [Percentiles() if m.ttft is None else m.spread().percentiles() for m in shown]
        else:
            trends = [self._trend(end) for end in ends]
        return Series(
            ends_s=now_s,
            step_s=step,
            in_flight=tuple(moment.peak for moment in shown),
            limit=tuple(moment.limit for moment in shown),
            tokens_per_s=tuple(m.tokens / max(1, span) for m, span in zip(shown, spans, strict=True)),
            ttft_p50_s=tuple(trend.p50 for trend in trends),
            ttft_p95_s=tuple(trend.p95 for trend in trends),
            refusals=tuple(moment.refusals for moment in shown),
        )

    def _trend(self, end_s: int) -> Percentiles:
        """Of the ten seconds before this one; remembered, because a closed second does not change."""
        known = self._trends.get(end_s)
        if known is None:
            if len(self._trends) > 2 * RECENT_S:
                self._trends.clear()
            sketch = Sketch()
            for second in range(end_s - TREND_S, end_s):
                moment = self._recent.get(second)
                if moment is not None and moment.ttft is not None:
                    sketch.merge(moment.ttft)
            known = self._trends[end_s] = sketch.percentiles()
        return known


def _steps(moments: Iterable[tuple[int, Moment]], step: int) -> dict[int, Moment]:
    """The same in steps of `step` numbers each."""
    wide: dict[int, Moment] = {}
    for number, moment in moments:
        _fold(wide, number // step, moment)
    return wide


def _fold(into: dict[int, Moment], number: int, moment: Moment) -> None:
    kept = into.get(number)
    if kept is None:
        kept = into[number] = Moment(moment.level, moment.limit)
    kept.absorb(moment)
