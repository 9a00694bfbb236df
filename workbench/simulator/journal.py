"""What the simulator was asked and what became of it: the record that tests count by."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

KEPT = 2_000
"""Requests kept one by one; the counters go on for ever."""
KEPT_BODIES = 200


class Ending(StrEnum):
    OPEN = "open"
    """Still under way."""
    COMPLETED = "completed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    """The client left."""
    BROKEN = "broken"
    """Cut short on purpose."""
    STOPPED = "stopped"
    """The simulator was stopped meanwhile."""


@dataclass(slots=True)
class Entry:
    """One request."""

    number: int
    at_s: float
    """Since the simulator started."""
    provider: str
    endpoint: str
    http_version: str
    connection: str
    """The client's address and port: equal for requests on one connection."""
    key: str = ""
    model: str = ""
    stream: bool = False
    status: int = 0
    """0 when the connection was broken before an answer."""
    reason: str = ""
    faults: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    """Produced, whether or not the client stayed to hear them."""
    ending: Ending = Ending.OPEN
    took_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    """Without the ones that carry the key."""
    body: Any = None
    """As it was decoded; kept for the last 200 requests."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counters of everything that matches a filter."""

    requests: int
    by_status: dict[int, int]
    by_ending: dict[str, int]
    in_flight: int
    peak_in_flight: int
    connections: int
    input_tokens: int
    output_tokens: int


class Journal:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._with_body: deque[Entry] = deque()
        self._count = 0
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._everything = _Group()
        self._open: dict[int, tuple[_Group, _Group]] = {}

    def open(self, *, at_s: float, provider: str, endpoint: str, http_version: str, connection: str) -> Entry:
        self._count += 1
        entry = Entry(self._count, at_s, provider, endpoint, http_version, connection)
        self._entries.append(entry)
        return entry

    def identify(self, entry: Entry) -> None:
        """Called once, when provider, model and key are as well known as they will be."""
        groups = self._open[id(entry)] = self._groups_of(entry)
        for group in groups:
            group.enter(entry)

    def keep_body(self, entry: Entry, body: object) -> None:
        entry.body = body
        self._with_body.append(entry)
        if len(self._with_body) > KEPT_BODIES:
            self._with_body.popleft().body = None

    def close(self, entry: Entry, ending: Ending, at_s: float) -> None:
        if entry.ending is not Ending.OPEN:
            return
        entry.ending = ending
        entry.took_s = at_s - entry.at_s
        # Requests from before a reset belong to no group any more.
        for group in self._open.pop(id(entry), ()):
            group.leave(entry)

    def entries(self) -> list[Entry]:
        """Oldest first."""
        return list(self._entries)

    def tally(self) -> Tally:
        return self._everything.tally()

    def tallies(self) -> dict[tuple[str, str, str], Tally]:
        """By provider, model and key."""
        return {place: group.tally() for place, group in self._groups.items()}

    def _groups_of(self, entry: Entry) -> tuple[_Group, _Group]:
        place = (entry.provider, entry.model, entry.key)
        group = self._groups.get(place)
        if group is None:
            group = self._groups[place] = _Group()
        return self._everything, group


@dataclass(slots=True)
class _Group:
    requests: int = 0
    in_flight: int = 0
    peak: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    by_status: Counter[int] = field(default_factory=Counter)
    by_ending: Counter[str] = field(default_factory=Counter)
    connections: set[str] = field(default_factory=set)

    def enter(self, entry: Entry) -> None:
        self.requests += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.connections.add(entry.connection)

    def leave(self, entry: Entry) -> None:
        self.in_flight -= 1
        self.by_status[entry.status] += 1
        self.by_ending[entry.ending] += 1
        self.input_tokens += entry.input_tokens
        self.output_tokens += entry.output_tokens

    def tally(self) -> Tally:
        return Tally(
            self.requests,
            dict(self.by_status),
            dict(self.by_ending),
            self.in_flight,
            self.peak,
            len(self.connections),
            self.input_tokens,
            self.output_tokens,
        )
