"""What is counted for everything, for one model, and for one lane of the limiter. Feeding is O(1) and never waits."""

from __future__ import annotations

from enum import Enum, auto
from typing import Protocol

from workbench.core.clock import NS_PER_S
from workbench.core.events import WaitReason
from workbench.core.sending import Sending
from workbench.core.stats import Percentiles, RateWindow, SketchWindow
from workbench.core.types import CHARACTERS_PER_TOKEN, STALL_S
from workbench.engine.records import IDLE, LaneTraffic, ModelName, Population, RequestRecord, Underway
from workbench.engine.timeline import Timeline

WINDOW_S = 60
"""What percentiles and counts "of the last minute" look back."""
GAUGE_S = 10
"""What a rate looks back: short enough to follow, long enough for answers that come in bursts."""


class Gauge(Enum):
    """Where a request stands now."""

    NOWHERE = auto()
    QUEUED = auto()
    IN_FLIGHT = auto()
    BACKING_OFF = auto()


class OnTheWire(Protocol):
    """A request in flight, as far as a snapshot looks at it."""

    @property
    def admitted_ns(self) -> int | None: ...

    @property
    def sending(self) -> Sending | None: ...

    @property
    def headers_ns(self) -> int | None: ...

    @property
    def last_token_ns(self) -> int | None:
        """None before the first one."""


class Counts:
    """What is counted at every level."""

    def __init__(self) -> None:
        self.by_population = dict.fromkeys(Population, 0)
        self.standing = dict.fromkeys(Gauge, 0)
        self.waiting: dict[WaitReason, int] = {}
        self.waited: dict[WaitReason, RateWindow] = {}
        self.retries = self.refusals = 0
        self.input_tokens = self.cached_input_tokens = self.output_tokens = 0
        self.cost_usd = 0.0
        self.unpriced = 0
        self.unreported = 0
        self.saved_usd = 0.0
        self.ttft = SketchWindow(WINDOW_S)
        self.ttfa = SketchWindow(WINDOW_S)
        self.perceived = SketchWindow(WINDOW_S)
        self.queue = SketchWindow(WINDOW_S)
        self.setup = SketchWindow(WINDOW_S)
        self.connect = SketchWindow(WINDOW_S)
        self.e2e = SketchWindow(WINDOW_S)
        self.recent_refusals = RateWindow(WINDOW_S)
        self.recent_retries = RateWindow(WINDOW_S)
        self.tokens = RateWindow(GAUGE_S)
        """Of output, estimated while it streams."""
        self.timeline = Timeline()

    # -- as it happens -------------------------------------------------------------------------------------------------

    def touch(self) -> None:
        """Something is about to change; called at least where a request enters, waits and ends."""

    def leave(self, gauge: Gauge, now_ns: int) -> None:
        self.standing[gauge] -= 1
        if gauge is Gauge.IN_FLIGHT:
            self.timeline.stand(self.standing[gauge], now_ns)

    def enter(self, gauge: Gauge, now_ns: int) -> None:
        self.touch()
        self.standing[gauge] += 1
        if gauge is Gauge.IN_FLIGHT:
            self.timeline.stand(self.standing[gauge], now_ns)

    def wait(self, reason: WaitReason) -> None:
        self.touch()
        self.waiting[reason] = self.waiting.get(reason, 0) + 1

    def end_wait(self, reason: WaitReason, waited_s: float, now_ns: int) -> None:
        self.waiting[reason] -= 1
        window = self.waited.get(reason)
        if window is None:
            window = self.waited[reason] = RateWindow(WINDOW_S)
        window.add(waited_s, now_ns)

    def first_token(self, ttft_s: float, now_ns: int) -> None:
        self.ttft.add(ttft_s, now_ns)
        self.timeline.first_token(ttft_s, now_ns)

    def stream(self, tokens: float, now_ns: int) -> None:
        self.tokens.add(tokens, now_ns)
        self.timeline.add_tokens(tokens, now_ns)

    def retry(self, now_ns: int) -> None:
        self.retries += 1
        self.recent_retries.add(1, now_ns)

    def refuse(self, now_ns: int) -> None:
        self.refusals += 1
        self.recent_refusals.add(1, now_ns)
        self.timeline.refuse(now_ns)

    def ended(self, record: RequestRecord) -> None:
        self.touch()
        self.by_population[record.population] += 1
        self.saved_usd += record.saved_usd or 0.0
        if record.population in (Population.CACHED, Population.SHARED):
            return
        if record.usage is not None:
            self.input_tokens += record.usage.input
            self.cached_input_tokens += record.usage.cached_input
            self.output_tokens += record.usage.output
        elif record.population is Population.ANSWERED:
            self.unreported += 1
        if record.cost_usd is not None:
            self.cost_usd += record.cost_usd
        elif record.usage is not None or record.population is Population.ANSWERED:
            self.unpriced += 1
        e2e_s = record.timing.e2e_s
        if record.population is Population.ANSWERED and e2e_s is not None and record.timing.done_ns is not None:
            self.e2e.add(e2e_s, record.timing.done_ns)

    # -- as it is looked at --------------------------------------------------------------------------------------------

    def waits_now(self) -> tuple[tuple[WaitReason, int], ...]:
        return tuple((reason, count) for reason, count in self.waiting.items() if count > 0)

    def waits_lately(self, now_ns: int) -> tuple[tuple[WaitReason, float], ...]:
        waited = ((reason, window.total(now_ns)) for reason, window in self.waited.items())
        return tuple((reason, seconds) for reason, seconds in waited if seconds > 0)


class LaneCounts(Counts):
    """What is counted for one model at one provider, or for one lane of the limiter."""

    def __init__(self, name: ModelName) -> None:
        super().__init__()
        self.name = name
        self.tpot = SketchWindow(WINDOW_S)
        self.gaps = SketchWindow(WINDOW_S)
        self._windows = (
            self.ttft,
            self.tpot,
            self.e2e,
            self.gaps,
            self.ttfa,
            self.perceived,
            self.queue,
            self.setup,
            self.connect,
        )
        """In the order in which a snapshot takes them."""
        self.on_the_wire: set[OnTheWire] = set()
        self.characters_per_token = float(CHARACTERS_PER_TOKEN)
        self.output_per_answer: float | None = None
        self.tokens_per_chunk: float | None = None
        self.service_s: float | None = None
        self.usd_per_answer: float | None = None
        self.resting: LaneTraffic | None = None
        """The last snapshot, for as long as nothing happens and until `resting_until_s`."""
        self._spreads: list[Percentiles] = []
        """Of the windows, while it rests."""
        self._spreads_until_s = 0.0
        """Second in which something falls out of one of them; 0 when that has not been looked up."""
        self.resting_until_s = 0.0
        """Second in which time alone may change it; infinity once every window is empty."""
        self._latest: LaneTraffic | None = None
        """The last snapshot, while nothing has begun, waited or ended since."""
        self._latest_ns = 0
        self._latest_is_whole = False
        """Its percentiles are of that moment, too."""

    def touch(self) -> None:
        self.resting = self._latest = None

    def ended(self, record: RequestRecord) -> None:
        super().ended(record)
        usage, done_ns = record.usage, record.timing.done_ns
        if record.population is Population.ANSWERED:
            if record.timing.service_s is not None:
                self.service_s = _drift(self.service_s, record.timing.service_s)
            if record.cost_usd is not None:
                self.usd_per_answer = _drift(self.usd_per_answer, record.cost_usd)
        if record.population is not Population.ANSWERED or usage is None or done_ns is None or usage.output <= 0:
            return
        if (tpot_s := record.timing.tpot_s(usage.output)) is not None:
            self.tpot.add(tpot_s, done_ns)
            self.tokens_per_chunk = _drift(self.tokens_per_chunk, usage.output / max(1, record.chunks))
        if record.chunks > 1:
            self.gaps.add(record.longest_gap_ns / NS_PER_S, done_ns)
        self.output_per_answer = _drift(self.output_per_answer, usage.output)
        # Reasoning that is billed but not shown would make the visible characters look like very short tokens.
        if usage.output >= 16 and not usage.reasoning:
            self.characters_per_token += 0.3 * (record.characters / usage.output - self.characters_per_token)

    def underway(self, now_ns: int) -> Underway:
        """O(in flight), which only a snapshot pays for."""
        if not self.on_the_wire:
            return IDLE
        admitted: list[int] = []
        waits: list[int] = []
        silences: list[int] = []
        unheard = 0
        connecting: list[int] = []
        writing: list[int] = []
        for request in self.on_the_wire:
            since_ns, last_ns = request.admitted_ns, request.last_token_ns
            if since_ns is not None:
                admitted.append(since_ns)
            if last_ns is not None:
                silences.append(now_ns - last_ns)
                continue
            sending = request.sending
            if request.headers_ns is None:
                unheard += 1
            if sending is None or sending.dialled_ns is None:
                waits.append(0 if since_ns is None else now_ns - since_ns)
            elif sending.sent_ns is not None:
                waits.append(now_ns - sending.sent_ns)
            elif sending.connected_ns is not None:
                writing.append(now_ns - sending.connected_ns)
            else:
                connecting.append(now_ns - sending.dialled_ns)
        longest_ns, stalled_ns = max(silences, default=0), STALL_S * NS_PER_S
        return Underway(
            unanswered=len(waits) + len(connecting) + len(writing),
            streaming=len(silences),
            stalled=sum(silence_ns > stalled_ns for silence_ns in silences) if longest_ns > stalled_ns else 0,
            longest_wait_s=max(0, *waits) / NS_PER_S if waits else None,
            longest_silence_s=max(0, longest_ns) / NS_PER_S if silences else None,
            newest_s=max(0, now_ns - max(admitted)) / NS_PER_S if admitted else None,
            unheard=unheard,
            connecting=len(connecting),
            longest_connect_s=max(0, *connecting) / NS_PER_S if connecting else None,
            writing=len(writing),
            longest_write_s=max(0, *writing) / NS_PER_S if writing else None,
        )

    def snapshot(self, now_ns: int, *, times: bool = True, oldest_s: float = 0.0) -> LaneTraffic:
        """A lane at rest gives the same value again and again: a thousand of them cost next to nothing.

        Args:
            times: bring percentiles up to date; without, those of many values are of the last snapshot that did.
            oldest_s: how old a snapshot may be of a lane in which nothing has begun, waited or ended since.
        """
        if self.resting is not None and now_ns // NS_PER_S < self.resting_until_s:
            return self.resting
        will_do = self._latest_is_whole or not times
        if self._latest is not None and will_do and 0 <= now_ns - self._latest_ns < oldest_s * NS_PER_S:
            return self._latest
        if self.resting is None or now_ns // NS_PER_S >= self._spreads_until_s:
            spreads = [window.percentiles(now_ns) if times else window.glance(now_ns) for window in self._windows]
            self._spreads_until_s = 0.0
        else:
            # Untouched, and nothing has fallen out: it is only that rates have changed.
            spreads = self._spreads
        traffic = self._snapshot(now_ns, spreads)
        if times and not any(self.standing.values()):
            self.resting, self._spreads = traffic, spreads
            if not self._spreads_until_s:
                self._spreads_until_s = min(window.changes_at_s for window in self._windows)
            self.resting_until_s = self._changes_at_s(now_ns)
        self._latest, self._latest_ns, self._latest_is_whole = traffic, now_ns, times
        return traffic

    def _changes_at_s(self, now_ns: int) -> float:
        """The next second in which time alone changes a figure; infinity once every window is empty."""
        rates = (self.recent_refusals, self.recent_retries, self.tokens, *self.waited.values())
        if not all(rate.is_empty(now_ns) for rate in rates):
            # Windows lose whole seconds, so within one nothing changes by itself.
            return now_ns // NS_PER_S + 1
        return self._spreads_until_s

    def _snapshot(self, now_ns: int, spreads: list[Percentiles]) -> LaneTraffic:
        count = self.by_population
        ttft, tpot, e2e, gap, ttfa, perceived, queue, setup, connect = spreads
        return LaneTraffic(
            name=self.name,
            in_flight=self.standing[Gauge.IN_FLIGHT],
            queued=self.standing[Gauge.QUEUED],
            answered=count[Population.ANSWERED],
            failed=count[Population.FAILED],
            incomplete=count[Population.INCOMPLETE],
            cancelled=count[Population.CANCELLED],
            cached=count[Population.CACHED] + count[Population.SHARED],
            retries=self.retries,
            refusals=self.refusals,
            refusals_window=round(self.recent_refusals.total(now_ns)),
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            unpriced=self.unpriced,
            ttft_s=ttft,
            tpot_s=tpot,
            e2e_s=e2e,
            gap_s=gap,
            tokens_per_s=self.tokens.per_second(now_ns),
            retries_window=round(self.recent_retries.total(now_ns)),
            ttfa_s=ttfa,
            perceived_s=perceived,
            queue_s=queue,
            setup_s=setup,
            connect_s=connect,
            waiting=self.waits_now(),
            waited_s=self.waits_lately(now_ns),
            underway=self.underway(now_ns),
            unreported=self.unreported,
            tokens_per_chunk=self.tokens_per_chunk,
            backing_off=self.standing[Gauge.BACKING_OFF],
            service_s=self.service_s,
            usd_per_answer=self.usd_per_answer,
        )


def _drift(known: float | None, seen: float) -> float:
    """A running mean in which the last handful of answers count."""
    return seen if known is None else 0.8 * known + 0.2 * seen
