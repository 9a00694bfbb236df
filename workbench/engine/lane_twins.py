"""Are these lanes one account after all? Found out from what remains of a limit after each answer.

If two keys are separate, what remains for one falls by what was sent with it. If they share an account, it also falls
by what was sent with the other: the unexplained part of every lane equals what the others admitted. The same holds for
two models that share a limit. An inference can be wrong (somebody else may spend just as much as we do), so a merged
lane is watched as well: if more remains than one account could leave, it is taken apart again, for good.

Pure: looks at lanes every few seconds and says what to do with them; `Dispatcher` does it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from workbench.core.errors import LimitKind
from workbench.engine.lane import Lane

EVERY_S: Final = 8.0
MEMORY: Final = 0.75
"""How much of what was seen before counts at each further look: a lane with few answers shows late, and all at once,
what the others have sent."""
SURE: Final = 3
"""Looks that must agree, over those that do not."""
EVIDENCE: Final = {LimitKind.REQUESTS: 5.0, LimitKind.TOKENS: 500.0, LimitKind.INPUT_TOKENS: 500.0}
"""The dimensions to compare, and what each lane must have admitted."""
TOLERANCE: Final = 0.25
"""Part of what the other lanes have sent that may be missing or too much: not every answer says what remains."""
NOISE: Final = 0.05
"""The same of what all of them have sent: a lane with most of the traffic cannot see the rest of it exactly."""
LARGEST_SEARCH: Final = 5
"""Up to this many lanes every combination is tried; beyond it all of them together, and pairs."""


@dataclass(frozen=True, slots=True)
class _Look:
    admitted: float
    unexplained: float

    def plus(self, other: _Look, part: float) -> _Look:
        return _Look(self.admitted + part * other.admitted, self.unexplained + part * other.unexplained)


_Looks = dict[LimitKind, _Look]
_NOTHING: Final = _Look(0.0, 0.0)


class TwinWatch:
    """Watches the lanes of one provider."""

    def __init__(self) -> None:
        self._last: dict[Lane, _Looks] = {}
        self._seen: dict[frozenset[Lane], dict[Lane, _Looks]] = {}
        """What every lane of a group has spent over the same looks, lately."""
        self._agreeing: dict[frozenset[Lane], int] = {}
        self._surplus: dict[Lane, int] = {}
        self._apart: set[frozenset[Lane]] = set()
        self._next_s = 0.0

    def due(self, now_s: float) -> bool:
        return now_s >= self._next_s

    def look(self, lanes: Sequence[Lane], now_s: float) -> tuple[Sequence[Lane], Lane | None]:
        """Lanes to be merged into the first of them, if any; and a merged lane to be taken apart, if any."""
        self._next_s = now_s + EVERY_S
        looks = {lane: _looks(lane) for lane in lanes}
        steps = {lane: _since(self._last.get(lane, {}), looks[lane]) for lane in lanes}
        self._last = looks
        before, self._seen = self._seen, {}
        telling = [lane for lane in lanes if _telling(self._remember(before, (lane,), steps))]
        for group in _combinations(telling):
            self._remember(before, group, steps)
        return self._twins(lanes), self._overmerged(telling)

    def keep_apart(self, lanes: Iterable[Lane]) -> None:
        self._apart.add(frozenset(lanes))

    def _remember(
        self, before: dict[frozenset[Lane], dict[Lane, _Looks]], group: Iterable[Lane], steps: dict[Lane, _Looks]
    ) -> dict[Lane, _Looks]:
        name = frozenset(group)
        seen = before.get(name, {})
        kinds = set(EVIDENCE).intersection(*(steps[lane] for lane in name))
        self._seen[name] = {
            lane: {kind: steps[lane][kind].plus(seen.get(lane, {}).get(kind, _NOTHING), MEMORY) for kind in kinds}
            for lane in name
        }
        return self._seen[name]

    def _twins(self, lanes: Sequence[Lane]) -> Sequence[Lane]:
        agreeing = {name: looks for name, looks in self._agreeing.items() if name <= set(lanes)}
        for name, seen in self._seen.items():
            kind = _telling(seen) if len(name) > 1 and name not in self._apart else None
            if kind is None:
                continue
            # Few answers are noisy: one look that disagrees takes back one that agreed, not all of them.
            agree = _explain_each_other([steps[kind] for steps in seen.values()])
            agreeing[name] = max(0, agreeing.get(name, 0) + (1 if agree else -1))
        self._agreeing = agreeing
        sure = [name for name, looks in agreeing.items() if looks >= SURE]
        if not sure:
            return ()
        largest = max(sure, key=len)
        return [lane for lane in lanes if lane in largest]

    def _overmerged(self, lanes: Sequence[Lane]) -> Lane | None:
        for lane in lanes:
            if not lane.parts:
                continue
            seen = self._seen[frozenset((lane,))]
            kind = _telling(seen)
            assert kind is not None
            more_than_one = seen[lane][kind].unexplained > 0.3 * seen[lane][kind].admitted
            self._surplus[lane] = self._surplus.get(lane, 0) + 1 if more_than_one else 0
            if self._surplus[lane] >= SURE:
                del self._surplus[lane]
                return lane
        return None


def _combinations(lanes: list[Lane]) -> Iterable[tuple[Lane, ...]]:
    if len(lanes) <= LARGEST_SEARCH:
        sizes: Iterable[int] = range(2, len(lanes) + 1)
    else:
        sizes = (2, len(lanes))
    return itertools.chain.from_iterable(itertools.combinations(lanes, size) for size in sizes)


def _explain_each_other(steps: Sequence[_Look]) -> bool:
    everything = sum(step.admitted for step in steps)
    for step in steps:
        others = everything - step.admitted
        if abs(-step.unexplained - others) > TOLERANCE * others + NOISE * everything:
            return False
    return True


def _telling(seen: dict[Lane, _Looks]) -> LimitKind | None:
    """The dimension that tells most: the one of which these lanes, whose limits are the same, have used most. A limit
    that is hardly used is whole most of the time, and shows nothing then."""
    best, most_used = None, 0.0
    for kind, least in EVIDENCE.items():
        if any(kind not in looks or looks[kind].admitted < least for looks in seen.values()):
            continue
        limit, *others = {lane.buckets[kind].limit for lane in seen}
        used = sum(looks[kind].admitted for looks in seen.values()) / limit if limit else 0.0
        if not others and used > most_used:
            best, most_used = kind, used
    return best


def _since(before: _Looks, now: _Looks) -> _Looks:
    return {kind: look.plus(before[kind], -1.0) for kind, look in now.items() if kind in before}


def _looks(lane: Lane) -> _Looks:
    buckets = (lane.buckets[kind] for kind in EVIDENCE)
    return {
        bucket.kind: _Look(bucket.reconciliation.compared, bucket.reconciliation.unexplained)
        for bucket in buckets
        if bucket.told and not bucket.pinned
    }
