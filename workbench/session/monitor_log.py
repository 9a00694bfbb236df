"""The monitor's log: refusals, cuts, probes, failures, stalls and changes by hand, newest first, each with its reason.

Put together from what others keep anyway: the limiter's and the breakers' histories, the notices, the attempts that
failed, and the records of requests that ended. Built again only when one of these has changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from workbench.core.clock import NS_PER_S
from workbench.core.text import strip_control
from workbench.core.types import STALL_S
from workbench.engine.admission import Outcome
from workbench.engine.breaker import CircuitChange, CircuitState, CircuitStats
from workbench.engine.lane_values import GROWING, Change
from workbench.engine.records import AttemptRecord, Population, RequestRecord
from workbench.session import figures
from workbench.session.monitor import Statistics

T = TypeVar("T")

LENGTH = 500
"""Entries that are kept; failures are remembered for as many."""

STORM_GAP_S: Final = 2.0
"""Failures of one kind that follow each other no later than this are told together,"""
STORM_S: Final = 10.0
"""as far as the first of them is no older than this."""

LONGEST: Final = 600
"""Characters of what was said: some providers put their whole documentation into it."""


class Kind(StrEnum):
    REFUSED = "429"
    FAILED = "error"
    CUT_OFF = "cut off"
    STALL = "stall"
    PAUSE = "pause"
    LIMIT = "limit"
    KEY = "key"
    BREAKER = "breaker"
    NOTICE = "note"


BAD = frozenset({Kind.REFUSED, Kind.FAILED, Kind.CUT_OFF, Kind.STALL})


@dataclass(frozen=True, slots=True)
class Entry:
    at_ns: int
    """When it happened; of several that are told together, when the first did."""
    kind: Kind
    where: str
    text: str

    def continues(self, other: Entry) -> bool:
        """Whether it is the same one, of which there may be more to tell by now."""
        return (self.at_ns, self.kind, self.where) == (other.at_ns, other.kind, other.where)


@dataclass(frozen=True, slots=True)
class _Failure:
    attempt: AttemptRecord
    given_up: bool = False
    """Its request has ended with it. Not known before that has."""

    @property
    def kind(self) -> Kind:
        if self.attempt.outcome is Outcome.REFUSED:
            return Kind.REFUSED
        return Kind.FAILED if self.attempt.first_token_ns is None else Kind.CUT_OFF

    @property
    def alike(self) -> tuple[str, str, int | None]:
        """What those have in common that may be told together."""
        return _where(self.attempt), self.attempt.error, self.attempt.status


class MonitorLog:
    def __init__(self) -> None:
        self._failures: dict[int, _Failure] = {}
        """By their attempt's identity: a record has the very attempts that were noted before."""
        self._others: deque[Entry] = deque(maxlen=LENGTH)
        self._last_record: RequestRecord | None = None
        self._last_failure: AttemptRecord | None = None
        self._learned = 0
        """Grows with every failure and stall that is new, or of which more is known."""
        self._seen: object = None
        self.entries: tuple[Entry, ...] = ()
        """Newest first."""

    def read(
        self, statistics: Statistics, records: Sequence[RequestRecord], failures: Sequence[AttemptRecord] = ()
    ) -> bool:
        """Take in what is new; whether anything was.

        Args:
            records: the requests that ended last.
            failures: the attempts that failed last, told at once where their requests' records come minutes later.
        """
        for attempt in _new(failures, self._last_failure):
            self._last_failure = attempt
            self._keep(_Failure(attempt))
        for record in _new(records, self._last_record):
            self._last_record = record
            self._learn(record)
        history = statistics.limits.history if statistics.limits is not None else ()
        circuits = tuple(circuit.history[-1:] for circuit in statistics.circuits)
        seen = (history[-1:], self._learned, circuits, len(statistics.notices))
        if seen == self._seen:
            return False
        self._seen = seen
        entries = [
            *_told_together(self._failures.values()),
            *self._others,
            *map(_changed, history),
            *(_moved(circuit, change) for circuit in statistics.circuits for change in circuit.history),
            *(Entry(notice.at_ns, Kind.NOTICE, notice.topic, str(notice)) for notice in statistics.notices),
        ]
        # Of what happened at one moment, the last comes first as well.
        entries.reverse()
        entries.sort(key=lambda entry: entry.at_ns, reverse=True)
        self.entries = tuple(entries[:LENGTH])
        return True

    def _keep(self, failure: _Failure) -> None:
        self._failures[id(failure.attempt)] = failure
        self._learned += 1
        if len(self._failures) > LENGTH:
            del self._failures[next(iter(self._failures))]

    def _learn(self, record: RequestRecord) -> None:
        """What became of its attempts, and what else went wrong with it."""
        ended_ns = record.timing.done_ns or record.timing.submitted_ns
        failed = record.population is Population.FAILED
        if failed and not record.attempts:
            self._tell(Entry(ended_ns, Kind.FAILED, record.model, f"{record.error}: never sent"))
        for attempt in record.attempts:
            given_up = failed and attempt is record.attempts[-1]
            unknown = id(attempt) not in self._failures and record.population is not Population.CANCELLED
            if attempt.error and (given_up or unknown):
                self._keep(_Failure(attempt, given_up))
        if record.longest_gap_ns > STALL_S * NS_PER_S:
            silent = figures.seconds(record.longest_gap_ns / NS_PER_S)
            where = _where(record.attempts[-1]) if record.attempts else record.model
            self._tell(Entry(ended_ns, Kind.STALL, where, f"silent for {silent} in the middle of an answer"))

    def _tell(self, entry: Entry) -> None:
        self._others.append(entry)
        self._learned += 1


def _new(found: Sequence[T], last: T | None) -> list[T]:
    """Those that come after `last`, oldest first."""
    new: list[T] = []
    for one in reversed(found):
        if one is last:
            break
        new.append(one)
    new.reverse()
    return new


def _told_together(failures: Iterable[_Failure]) -> list[Entry]:
    """An entry for each, but a storm of those that are alike has one, which counts them."""
    storms: list[list[_Failure]] = []
    under_way: dict[object, list[_Failure]] = {}
    for failure in sorted(failures, key=lambda one: one.attempt.ended_ns):
        key, at_ns = (failure.kind, failure.alike), failure.attempt.ended_ns
        storm = under_way.get(key)
        if (
            storm is None
            or at_ns - storm[-1].attempt.ended_ns > STORM_GAP_S * NS_PER_S
            or at_ns - storm[0].attempt.ended_ns > STORM_S * NS_PER_S
        ):
            storm = under_way[key] = []
            storms.append(storm)
        storm.append(failure)
    return [_failed(storm[0]) if len(storm) == 1 else _failed_together(storm) for storm in storms]


def _failed(failure: _Failure) -> Entry:
    attempt = failure.attempt
    which = f", attempt {attempt.number}" if attempt.number > 1 else ""
    end = ", given up" if failure.given_up else ""
    text = f"{_what(attempt)}{which}{end}{_words(attempt)}"
    return Entry(attempt.ended_ns, failure.kind, _where(attempt), text)


def _failed_together(storm: Sequence[_Failure]) -> Entry:
    """`12 refusals in 3 s: rate limit (429), 2 given up: …`, with the words of the last."""
    first, last = storm[0], storm[-1]
    took = figures.countdown(max(1.0, (last.attempt.ended_ns - first.attempt.ended_ns) / NS_PER_S))
    given_up = sum(failure.given_up for failure in storm)
    end = f", {given_up} given up" if given_up else ""
    text = f"{len(storm)} {_PLURALS[first.kind]} in {took}: {_what(last.attempt)}{end}{_words(last.attempt)}"
    return Entry(first.attempt.ended_ns, first.kind, _where(last.attempt), text)


_PLURALS: Final = {Kind.REFUSED: "refusals", Kind.FAILED: "failures", Kind.CUT_OFF: "answers cut off"}


def _what(attempt: AttemptRecord) -> str:
    return attempt.error if attempt.status is None else f"{attempt.error} ({attempt.status})"


def _words(attempt: AttemptRecord) -> str:
    said = " ".join(strip_control(attempt.said[:LONGEST]).split())
    # Most begin with who refused, and in which two words, which the entry says itself.
    _, _, words = said.partition(f"{_what(attempt)}: ")
    return f": {words or said}" if said else ""


def _where(attempt: AttemptRecord) -> str:
    """The lane's name, as far as an attempt knows it."""
    return f"{attempt.key_alias or attempt.route.provider} · {attempt.route.wire_model}"


def _changed(change: Change) -> Entry:
    at_ns = round(change.at_s * NS_PER_S)
    match change.what:
        case "pause":
            length = "" if change.new is None else f"nothing is sent for {figures.countdown(change.new)}: "
            return Entry(at_ns, Kind.PAUSE, change.lane, f"{length}{change.why}")
        case "key" | "lane" | "sharing":
            return Entry(at_ns, Kind.KEY, change.lane, change.why)
        case _:
            why = "it holds, so more is tried" if change.why == GROWING else change.why
            return Entry(at_ns, Kind.LIMIT, change.lane, f"{change_name(change)} {change_amounts(change)}: {why}")


def change_name(change: Change) -> str:
    return "in-flight limit" if change.what == "window" else change.what


def change_amounts(change: Change) -> str:
    """`16 → 8`; a dash for what was, or is, not limited."""
    return f"{_amount(change.old)} → {_amount(change.new)}"


def _amount(value: float | None) -> str:
    if value is None:
        return figures.UNKNOWN
    return figures.quantity(round(value)) if value >= 100 else f"{value:.3g}"


def _moved(circuit: CircuitStats, change: CircuitChange) -> Entry:
    state = "closed" if change.new is CircuitState.CLOSED else change.new.value
    return Entry(change.at_ns, Kind.BREAKER, circuit.provider, f"{state}: {change.why}")
