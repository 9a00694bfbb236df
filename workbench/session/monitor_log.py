"""The monitor's log: refusals, cuts, probes, failures, stalls and changes by hand, newest first, each with its reason.

Put together from what others keep anyway: the limiter's and the breakers' histories, the notices, and the records of
requests that ended. Built again only when one of these has changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from workbench.core.clock import NS_PER_S
from workbench.core.types import STALL_S
from workbench.engine.admission import Outcome
from workbench.engine.breaker import CircuitChange, CircuitState, CircuitStats
from workbench.engine.lane_values import GROWING, Change
from workbench.engine.records import AttemptRecord, Population, RequestRecord
from workbench.session import figures
from workbench.session.monitor import Statistics

LENGTH = 500
"""Entries that are kept; failures are remembered for as many."""


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
    kind: Kind
    where: str
    text: str


class MonitorLog:
    def __init__(self) -> None:
        self._failures: deque[Entry] = deque(maxlen=LENGTH)
        self._last_record: RequestRecord | None = None
        self._seen: object = None
        self.entries: tuple[Entry, ...] = ()
        """Newest first."""

    def read(self, statistics: Statistics, records: Sequence[RequestRecord]) -> bool:
        """Take in what is new; whether anything was."""
        self._learn(records)
        history = statistics.limits.history if statistics.limits is not None else ()
        newest = self._failures[-1] if self._failures else None
        circuits = tuple(circuit.history[-1:] for circuit in statistics.circuits)
        seen = (history[-1:], newest, circuits, len(statistics.notices))
        if seen == self._seen:
            return False
        self._seen = seen
        entries = [
            *self._failures,
            *map(_changed, history),
            *(_moved(circuit, change) for circuit in statistics.circuits for change in circuit.history),
            *(Entry(notice.at_ns, Kind.NOTICE, notice.topic, str(notice)) for notice in statistics.notices),
        ]
        # Of what happened at one moment, the last comes first as well.
        entries.reverse()
        entries.sort(key=lambda entry: entry.at_ns, reverse=True)
        self.entries = tuple(entries[:LENGTH])
        return True

    def _learn(self, records: Sequence[RequestRecord]) -> None:
        """The failures among the records that were not there the last time."""
        new: list[RequestRecord] = []
        for record in reversed(records):
            if record is self._last_record:
                break
            new.append(record)
        if new:
            self._last_record = new[0]
        for record in reversed(new):
            self._failures.extend(_failures(record))


def _failures(record: RequestRecord) -> Iterable[Entry]:
    if record.population is Population.FAILED and not record.attempts:
        ended_ns = record.timing.done_ns or record.timing.submitted_ns
        yield Entry(ended_ns, Kind.FAILED, record.model, f"{record.error}: never sent")
    for attempt in record.attempts:
        if attempt.error and record.population is not Population.CANCELLED:
            yield _failed(record, attempt)
    if record.longest_gap_ns > STALL_S * NS_PER_S:
        silent = figures.seconds(record.longest_gap_ns / NS_PER_S)
        ended_ns = record.timing.done_ns or record.timing.submitted_ns
        where = _where(record.attempts[-1]) if record.attempts else record.model
        yield Entry(ended_ns, Kind.STALL, where, f"silent for {silent} in the middle of an answer")


def _failed(record: RequestRecord, attempt: AttemptRecord) -> Entry:
    is_last = attempt is record.attempts[-1]
    kind = Kind.FAILED
    if attempt.outcome is Outcome.REFUSED:
        kind = Kind.REFUSED
    elif is_last and record.population is Population.INCOMPLETE:
        kind = Kind.CUT_OFF
    status = "" if attempt.status is None else f" ({attempt.status})"
    which = f", attempt {attempt.number}" if len(record.attempts) > 1 else ""
    end = ": given up" if is_last and record.population is Population.FAILED else ""
    return Entry(attempt.ended_ns, kind, _where(attempt), f"{attempt.error}{status}{which}{end}")


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
