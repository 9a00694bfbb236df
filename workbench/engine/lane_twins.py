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
from workbench.engine.bucket import Bucket
from workbench.engine.lane import Lane

EVERY_S: Final = 8.0
SURE: Final = 3
"""Looks that must agree, over those that do not."""
EVIDENCE: Final = 5.0
"""Requests, or hundreds of tokens, that each lane must have admitted between two looks."""
LARGEST_SEARCH: Final = 5
"""Up to this many lanes every combination is tried; beyond it all of them together, and pairs."""


@dataclass(frozen=True, slots=True)
class _Look:
    admitted: float
    unexplained: float


class TwinWatch:
    """Watches the lanes of one provider."""

    def __init__(self) -> None:
        self._last: dict[Lane, _Look] = {}
        self._spent: dict[Lane, _Look] = {}
        self._agreeing: dict[frozenset[Lane], int] = {}
        self._surplus: dict[Lane, int] = {}
        self._apart: set[frozenset[Lane]] = set()
        self._next_s = 0.0

    def due(self, now_s: float) -> bool:
        return now_s >= self._next_s

    def look(self, lanes: Sequence[Lane], now_s: float) -> tuple[Sequence[Lane], Lane | None]:
        """Lanes to be merged into the first of them, if any; and a merged lane to be taken apart, if any."""
        self._next_s = now_s + EVERY_S
        spent = self._spent = {lane: step for lane in lanes if (step := self._step(lane)) is not None}
        self._last = {lane: look for lane in lanes if (look := _look(lane)) is not None}
        return self._twins(spent), self._overmerged(spent)

    def keep_apart(self, lanes: Iterable[Lane]) -> None:
        self._apart.add(frozenset(lanes))

    def _step(self, lane: Lane) -> _Look | None:
        before, now = self._last.get(lane), _look(lane)
        if before is None or now is None:
            return None
        # A handful of answers is noisy, so half of what was seen before counts as well.
        earlier = self._spent.get(lane, _Look(0.0, 0.0))
        return _Look(
            now.admitted - before.admitted + earlier.admitted / 2,
            now.unexplained - before.unexplained + earlier.unexplained / 2,
        )

    def _twins(self, spent: dict[Lane, _Look]) -> Sequence[Lane]:
        agreeing = {name: looks for name, looks in self._agreeing.items() if name <= spent.keys()}
        for group in _combinations([lane for lane, step in spent.items() if step.admitted >= _evidence(lane)]):
            name = frozenset(group)
            if name in self._apart or not _same_limit(group):
                continue
            # Few answers are noisy: one look that disagrees takes back one that agreed, not all of them.
            agree = _explain_each_other([spent[lane] for lane in group])
            agreeing[name] = max(0, agreeing.get(name, 0) + (1 if agree else -1))
        self._agreeing = agreeing
        sure = [name for name, looks in agreeing.items() if looks >= SURE]
        if not sure:
            return ()
        largest = max(sure, key=len)
        return [lane for lane in spent if lane in largest]

    def _overmerged(self, spent: dict[Lane, _Look]) -> Lane | None:
        for lane, step in spent.items():
            if not lane.parts or step.admitted < _evidence(lane):
                continue
            more_than_one = step.unexplained > 0.3 * step.admitted
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
        if not 0.7 * others <= -step.unexplained <= 1.3 * others:
            return False
    return True


def _same_limit(lanes: Sequence[Lane]) -> bool:
    buckets = [_telling_bucket(lane) for lane in lanes]
    return len({(bucket.kind, bucket.limit) if bucket is not None else None for bucket in buckets}) == 1


def _telling_bucket(lane: Lane) -> Bucket | None:
    """The dimension to compare: requests where there is a limit on them, since each counts exactly one."""
    for kind in (LimitKind.REQUESTS, LimitKind.TOKENS, LimitKind.INPUT_TOKENS):
        bucket = lane.buckets[kind]
        if bucket.told and not bucket.pinned:
            return bucket
    return None


def _evidence(lane: Lane) -> float:
    bucket = _telling_bucket(lane)
    return EVIDENCE if bucket is None or bucket.kind is LimitKind.REQUESTS else EVIDENCE * 100


def _look(lane: Lane) -> _Look | None:
    bucket = _telling_bucket(lane)
    return None if bucket is None else _Look(bucket.reconciliation.compared, bucket.reconciliation.unexplained)
