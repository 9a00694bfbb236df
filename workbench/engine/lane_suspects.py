"""Requests that keep being refused while smaller ones pass: perhaps larger than the limit that nobody told us.

Left alone, such a request would sit at the head of the queue for ever and take every retry's turn. But one that is lost
because the limiter took it for too large is worse, so it is given its chance first: nothing else is sent over its lane
until what was used of the last minute is next to nothing. What is refused even then, twice, each time with a smaller
one let in right after it with as many in flight, is too large: no count of requests or tokens per minute that it would
fit into explains that; once is enough where more than a whole minute gives would be needed at a rate that was found by
then. Nothing is believed of a request that is no larger than one that has passed since, or than half
of what passed in one minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from workbench.core.errors import LimitKind
from workbench.engine.admission import Ticket, TokenCost
from workbench.engine.limit_headers import MINUTE_S

if TYPE_CHECKING:
    from workbench.engine.lane import Lane
    from workbench.engine.lane_values import Flight

TRACKED: Final = 64
TRUSTED: Final = 2
"""Refusals of one request that are taken for what they seem to be."""
PATIENT: Final = 3
"""Refusals after which others go first for a while, whatever they were for: an engine gives up after a dozen."""
LARGER: Final = 2
"""Times as large as anything that has been let in: only then may its size be the reason."""
REST_S: Final = 10.0
"""The first time; doubled for each further refusal."""
LONGEST_REST_S: Final = 60.0
TRIALS: Final = 2
QUIET: Final = (0.1, 0.02)
"""Most that may have been used in the minute before each trial, in parts of what the request needs."""
QUIET_REQUESTS: Final = 0.5
"""The same for the number of requests, in parts of what it was in a minute before."""
CONFIRMED_S: Final = 120.0
"""How long a size that was found too large makes up for the trials of those that are no smaller."""
SIZELESS: Final = (LimitKind.CONCURRENCY, LimitKind.REQUESTS)
"""What a small request takes as much of as a large one."""
REQUESTS, TOKENS = 0, 1
"""Dimensions of the log."""


@dataclass(slots=True, eq=False)
class Suspicion:
    """Of one request at one lane."""

    lane: Lane
    since_s: float
    size: int = 0
    refusals: int = 0
    outdone: int = 0
    """Refusals after which a smaller one was let in."""
    trials: int = 0
    """Those of them that came while it was quiet."""
    last: Flight | None = None
    """The call that was refused last, while none smaller has been let in after it."""
    landed_s: float = 0.0
    """When that was."""
    quiet: bool = False
    """Next to nothing had been used before that one."""
    beyond: bool = False
    """It takes more than a whole minute gives at the rate that was found."""
    set_aside: bool = False
    """That one was put down to its size: others are not held back, so it must not come back at once."""
    requests: float = 0.0
    """In the minute before a trial was asked for."""
    minute: int = 0
    passed: float = 0.0
    """Tokens of what was let in in that minute."""
    most_passed: float = 0.0

    @property
    def is_large(self) -> bool:
        return self.size >= LARGER * self.lane.largest and self.size > self.most_passed / 2

    def refused(self, flight: Flight, now_s: float, size: int) -> None:
        self.refusals += 1
        self.size = max(self.size, size)
        self.beyond = self.lane.meters.cannot_hold(flight)
        self.quiet = not flight.moved and self._is_quiet(
            flight.totals[REQUESTS] - 1.0, flight.totals[TOKENS] - flight.costs[TOKENS], flight.sent_s - MINUTE_S
        )
        self.requests = 0.0
        self.last, self.landed_s = flight, now_s

    def outdone_by(self, flight: Flight) -> bool:
        """Whether this smaller one was let in where this request had just been refused, with no fewer in flight."""
        minute = int(flight.sent_s / MINUTE_S)
        if minute > self.minute:
            self.minute, self.passed = minute, 0.0
        if minute == self.minute:
            self.passed += flight.costs[TOKENS]
            self.most_passed = max(self.most_passed, self.passed)
        last = self.last
        if last is None or flight.sent_s < self.landed_s or flight.in_flight < last.in_flight:
            return False
        self.last = None
        self.outdone += 1
        self.trials += self.quiet
        return True

    def quiet_from_s(self, now_s: float) -> float:
        """When a trial may begin if nothing else is sent until then."""
        log = self.lane.log
        requests, tokens = log.totals()[REQUESTS], log.totals()[TOKENS]
        self.requests = max(self.requests, requests - (log.at(now_s - MINUTE_S, REQUESTS) or 0.0))
        for second in range(int(MINUTE_S)):
            if self._is_quiet(requests, tokens, now_s + second - MINUTE_S):
                return now_s + second
        return now_s + MINUTE_S

    def _is_quiet(self, requests: float, tokens: float, from_s: float) -> bool:
        """Whether that much more than at that time, a minute earlier, is next to nothing."""
        log = self.lane.log
        then, then_tokens = log.at(from_s, REQUESTS), log.at(from_s, TOKENS)
        if then is None or then_tokens is None:
            return False
        usual = max(self.requests, then - (log.at(from_s - MINUTE_S, REQUESTS) or then))
        few = requests - then <= QUIET_REQUESTS * usual
        return few and tokens - then_tokens <= QUIET[min(self.trials, TRIALS - 1)] * self.size + 1.0


class Suspects:
    """Of one group. A request comes back as a new ticket, so it is recognised by its job and its prompt's size."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, int], dict[Lane, Suspicion]] = {}
        """Nearly always empty."""
        self._trials: dict[Lane, tuple[Suspicion, float]] = {}
        """Lanes that are kept quiet: for which request, and how long at most."""
        self._found: dict[Lane, tuple[int, float]] = {}
        """The smallest size that was found too large, and when."""

    def refused(self, ticket: Ticket, flight: Flight, now_s: float, kind: LimitKind) -> bool:
        """Count a refusal; True when it says more about the size of this request than about the limit that it names."""
        if kind in SIZELESS:
            return False
        mark = (ticket.job, ticket.cost.input)
        if mark not in self.seen and len(self.seen) >= TRACKED:
            del self.seen[next(iter(self.seen))]
        lanes = self.seen.setdefault(mark, {})
        suspicion = lanes.get(flight.lane)
        if suspicion is None:
            suspicion = lanes[flight.lane] = Suspicion(flight.lane, now_s, minute=int(now_s / MINUTE_S))
        undecided = self._undecided(flight.lane, now_s)
        suspicion.refused(flight, now_s, _size(ticket.cost))
        again = suspicion.refusals > TRUSTED
        # Where one after the other is refused, it is not their size.
        odd = ((again and suspicion.quiet) or flight.lane.meters.cannot_hold(flight)) and not undecided
        suspicion.set_aside = odd or (again and suspicion.outdone > 0)
        return suspicion.set_aside

    def accepted(self, ticket: Ticket, flight: Flight, now_s: float) -> None:
        """This one was let in."""
        lane, size = flight.lane, _size(ticket.cost)
        if lane in self._found and size >= self._found[lane][0]:
            del self._found[lane]
        for mark, lanes in list(self.seen.items()):
            suspicion = lanes.get(lane)
            if suspicion is None or flight.sent_s < suspicion.since_s:
                continue
            if size >= suspicion.size:
                del lanes[lane]
                if not lanes:
                    del self.seen[mark]
            elif suspicion.outdone_by(flight) and self._failed_all(suspicion, lanes):
                smallest, _ = self._found.get(lane, (suspicion.size, 0.0))
                self._found[lane] = min(smallest, suspicion.size), now_s

    def too_large(self, ticket: Ticket, lane: Lane, now_s: float) -> bool:
        """Whether this request has been found to be larger than the limit of this lane."""
        lanes = self._of(ticket)
        suspicion = lanes.get(lane)
        if suspicion is None or _size(ticket.cost) < suspicion.size:
            return False
        if self._failed_all(suspicion, lanes):
            return True
        smallest, found_s = self._found.get(lane, (suspicion.size + 1, 0.0))
        confirmed = suspicion.size >= smallest and now_s - found_s < CONFIRMED_S
        return confirmed and suspicion.is_large and suspicion.outdone > 0

    def rest_s(self, ticket: Ticket, *, others: bool) -> float:
        """For how long others should go first, now that it comes back refused; `others` = there are some."""
        lanes, refusals = self._of(ticket), ticket.attempt - 1
        suspected = any(s.set_aside or self._wants_trial(s, lanes) for s in lanes.values())
        if not suspected and (not others or refusals < PATIENT):
            return 0.0
        return min(LONGEST_REST_S, REST_S * 2.0 ** max(0, refusals - PATIENT))

    def trial_s(self, ticket: Ticket, lanes: Sequence[Lane], now_s: float) -> float | None:
        """When to look again whether it may go, if it has to have a trial first: its lane is kept quiet for it from now
        on. None if it may go now. A request that is under suspicion on all of `lanes` is tried on the first."""
        known = self._of(ticket)
        if not all(lane in known and self._wants_trial(known[lane], known) for lane in lanes):
            return None
        for lane in lanes:
            trial = self._trials.get(lane)
            if trial is not None and trial[0] is known[lane]:
                return None  # it begins now
            if (trial is not None and now_s < trial[1]) or self._undecided(lane, now_s):
                continue
            from_s = known[lane].quiet_from_s(now_s)
            self._trials[lane] = known[lane], from_s + MINUTE_S
            return from_s if from_s > now_s else None
        return now_s + REST_S

    def refusals(self, ticket: Ticket, lane: Lane) -> int:
        """How often this request has been refused there."""
        suspicion = self._of(ticket).get(lane)
        return 0 if suspicion is None else suspicion.refusals

    def avoids(self, ticket: Ticket, lane: Lane) -> bool:
        """Whether another lane should be asked first."""
        lanes = self._of(ticket)
        return lane in lanes and self._wants_trial(lanes[lane], lanes)

    def quiet_s(self, ticket: Ticket, lane: Lane, now_s: float) -> float:
        """Seconds for which this request must leave a lane to the trial of another; 0.0 if it need not."""
        trial = self._trials.get(lane)
        if trial is None or self._of(ticket).get(lane) is trial[0]:
            return 0.0
        return max(0.0, trial[1] - now_s)

    def over(self, ticket: Ticket) -> None:
        """Its trial has begun, or it will not come back: others may go on."""
        if self._trials:
            lanes = self._of(ticket)
            for lane in [lane for lane, (suspicion, _) in self._trials.items() if lanes.get(lane) is suspicion]:
                del self._trials[lane]

    def _wants_trial(self, suspicion: Suspicion, lanes: Mapping[Lane, Suspicion]) -> bool:
        if suspicion.outdone == 0 or suspicion.size <= suspicion.most_passed / 2:
            return False
        outdone = sum(other.outdone for other in lanes.values())
        return outdone >= TRUSTED and not self._failed_all(suspicion, lanes)

    def _failed_all(self, suspicion: Suspicion, lanes: Mapping[Lane, Suspicion]) -> bool:
        """Two trials in all, of which one was here; one where the rate that was found says the same."""
        if not suspicion.is_large or not suspicion.trials:
            return False
        return suspicion.beyond or sum(other.trials for other in lanes.values()) >= TRIALS

    def _undecided(self, lane: Lane, now_s: float) -> bool:
        """Something was refused there just now, and it is not known yet what becomes of others."""
        known = (suspicions.get(lane) for suspicions in self.seen.values())
        return any(s is not None and s.last is not None and now_s - s.landed_s < REST_S for s in known)

    def _of(self, ticket: Ticket) -> Mapping[Lane, Suspicion]:
        return self.seen.get((ticket.job, ticket.cost.input), {}) if ticket.attempt > 1 else {}


def _size(cost: TokenCost) -> int:
    return cost.input + cost.max_output
