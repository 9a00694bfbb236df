"""What providers meter of a lane: its buckets, the log of what was admitted, and how long answers really are.

Every request is charged here when it goes out, corrected when its answer is there, and compared with what the server
says remains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workbench.core.errors import LimitKind
from workbench.core.types import Usage
from workbench.engine.admission import TokenCost
from workbench.engine.admitted_log import KINDS, AdmittedLog, Costs
from workbench.engine.bucket import EPSILON, OUTPUT_KINDS, Bucket
from workbench.engine.lane_values import Flight, OutputEstimates
from workbench.engine.limit_headers import MINUTE_S, Reading
from workbench.engine.server_type import ServerType

ABSURD_TOKENS = 100.0
"""A stated limit on tokens below this is taken for nonsense if the answer to a longer prompt states it. Not one that is
merely below that prompt: what a provider has cached may be free."""

Note = Callable[[float, str, float | None, float | None, str], None]
"""Told of every limit that changed: when, which, from what to what, and why."""


class Meters:
    """All dimensions of one lane, those included that nobody has limited yet."""

    __slots__ = ("_charged_ahead", "_limits", "_note", "buckets", "log", "outputs", "paced")

    def __init__(self, note: Note) -> None:
        self.log = AdmittedLog()
        self.buckets = {kind: Bucket(kind, self.log) for kind in KINDS}
        self.paced: list[Bucket] = []
        """The buckets that are not free; always the same list."""
        self.outputs = OutputEstimates()
        self._charged_ahead = 0.0
        """Part of the output that a request allows which some stated limit is charged for when it is sent."""
        self._limits: list[tuple[int, float, Bucket]] = []
        """What a request can be too large for. Output alone is clamped by providers rather than refused."""
        self._note = note

    def price(self, cost: TokenCost, job: str) -> Costs:
        """What to reserve: what the job's answers have come to, but no less than what is charged up front. That is all
        that the answer may take, until a provider with stated limits turns out to charge output at the end."""
        output = self.outputs.expect(job, cost.max_output)
        if self._charged_ahead:
            output = max(output, self._charged_ahead * cost.max_output)
        return 1.0, cost.input + output, float(cost.input), output

    def too_large(self, costs: Costs) -> Bucket | None:
        """The bucket that can never hold this request, however long it waits."""
        for index, limit, bucket in self._limits:
            if costs[index] > limit:
                return bucket
        return None

    def cannot_hold(self, flight: Flight) -> bool:
        """Whether this call takes more than a whole minute gives at a rate that was found: it was sent to see."""
        for bucket in self.paced:
            if bucket.ceiling is not None and flight.costs[bucket.index] > bucket.depth + EPSILON:
                return True
        return False

    def mirror(self, now_s: float, flight: Flight, readings: Sequence[Reading], *, refused: bool) -> None:
        """Take over what the response to this call said about limits. A refused call has been given back already."""
        totals = self.log.totals()
        changed = False
        for reading in readings:
            kind = reading.kind
            bucket = self.buckets[kind]
            limit, server, rate, ahead = bucket.limit, bucket.server, bucket.rate, bucket.ahead
            index = bucket.index
            if not refused and _is_absurd(reading, flight):
                continue
            uncharged = 0.0
            owed = bucket.owed(flight.promised, flight.asked)
            if refused:
                uncharged = flight.costs[index]
                owed -= bucket.owed(flight.costs[3], flight.cost.max_output)
            bucket.mirror(
                now_s,
                reading,
                flight.marks.get(kind),
                uncharged=uncharged,
                owed=owed,
                admitted_since=totals[index] - flight.totals[index] + uncharged,
            )
            if reading.remaining is not None and not refused and not flight.moved:
                bucket.compare(flight.books(index), reading.remaining, reading.reset_s)
            if bucket.rate != rate or bucket.limit != limit or bucket.server != server or bucket.ahead != ahead:
                changed = True
                if bucket.limit != limit:
                    self._note(now_s, f"{kind} {bucket.per}", limit, bucket.limit, "the provider's headers say so")
                elif bucket.server != server and bucket.server == ServerType.WINDOW:
                    self._note(now_s, f"{kind} {bucket.per}", limit, limit, "refills in steps: sending at an even pace")
        if changed:
            self.refresh()

    def correct(self, now_s: float, flight: Flight, usage: Usage | None) -> None:
        """Replace what was reserved by what was used; without usage, the reserve stands."""
        if usage is None:
            return
        _, total, prompt, output = flight.costs
        # Cached input is free of input limits where input is metered apart (Anthropic).
        fresh = usage.input - usage.cached_input
        surplus = (0.0, total - usage.input - usage.output, prompt - fresh, output - usage.output)
        self.log.add(now_s, 0.0, usage.input - prompt, usage.output - output)
        for bucket in self.paced:
            if bucket.index:
                bucket.give_back(now_s, surplus[bucket.index])

    def give_all_back(self, now_s: float, flight: Flight) -> None:
        """What was refused is not charged."""
        self.log.add(now_s, -1.0, -flight.costs[2], -flight.costs[3])
        for bucket in self.paced:
            bucket.give_back(now_s, flight.costs[bucket.index])

    def pin(self, now_s: float, kind: LimitKind, per_minute: float | None) -> None:
        """A person's own limit; None goes back to what is known without one."""
        bucket = self.buckets[kind]
        old = bucket.limit and bucket.limit * MINUTE_S / bucket.period_s
        bucket.pin(now_s, per_minute)
        self.refresh()
        why = "set by hand" if per_minute is not None else "left to the provider"
        self._note(now_s, f"{kind} {bucket.per}", old, bucket.limit, why)

    def start_warm(self, now_s: float, part: float) -> None:
        """Begin with part of what was learned some time ago, and none of what has passed since."""
        self.log.restart()
        for bucket in self.buckets.values():
            bucket.start_warm(now_s, part)
        self.refresh()

    def refresh(self) -> None:
        """Some bucket was limited, set free, or replaced from outside."""
        self.paced[:] = [bucket for bucket in self.buckets.values() if bucket.rate is not None]
        told = (bucket.ahead for bucket in self.paced if bucket.told and bucket.kind in OUTPUT_KINDS)
        self._charged_ahead = max(told, default=0.0)
        self._limits = [
            (bucket.index, bucket.limit, bucket)
            for bucket in self.paced
            if bucket.limit is not None and bucket.kind is not LimitKind.OUTPUT_TOKENS
        ]


def _is_absurd(reading: Reading, flight: Flight) -> bool:
    """Whether this call, which was let in, would not have been under the limit that its answer states. Believed, such a
    limit would let nothing out any more, and so nothing in that could put it right."""
    if reading.limit is None:
        return False
    needed = 1.0 if reading.kind is LimitKind.REQUESTS else min(float(flight.cost.input), ABSURD_TOKENS)
    return (
        reading.kind is not LimitKind.OUTPUT_TOKENS and reading.limit * max(1.0, MINUTE_S / reading.period_s) < needed
    )
