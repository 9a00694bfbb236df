"""Are these lanes one account after all? Found out from what remains of a limit after each answer.

If two keys are separate, what remains for one falls by what was sent with it. If they share an account, it also falls
by what was sent with the other: the unexplained part of every lane equals what the others admitted. The same holds for
two models that share a limit. Where the server counts what was used in a minute, what remains stops falling when things
go out of that minute: there, all that it has counted is compared with all that each lane admitted. An inference can be
wrong (somebody else may spend just as much as we do), so a merged lane is watched as well: if more remains than one
account could leave, it is taken apart again, for good.

Pure: looks at lanes every few seconds and says what to do with them; `GroupBoard` does it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from workbench.core.errors import LimitKind
from workbench.engine.lane import Lane
from workbench.engine.server_type import ServerType
from workbench.engine.server_window import Holdings

EVERY_S: Final = 4.0
"""Between two looks."""
MEMORY: Final = 0.87
"""How much of what was seen before counts at each further look: a lane with few answers shows late, and all at once,
what the others have sent."""
SURE: Final = 6
"""Looks that must agree, over those that do not."""
WEIGHT: Final = 2
"""Looks that one at all that a server has counted is worth: it has little noise."""
SURPLUS: Final = 3
"""Looks in a row that must show more than one account could leave."""
TOO_MUCH: Final = 0.3
"""Part of what a merged lane has admitted that must remain beyond that."""
EVIDENCE: Final = {LimitKind.REQUESTS: 5.0, LimitKind.TOKENS: 500.0, LimitKind.INPUT_TOKENS: 500.0}
"""The dimensions to compare, and what each lane must have admitted."""
TOLERANCE: Final = 0.25
"""Part of what the other lanes have sent that may be missing or too much: not every answer says what remains."""
NOISE: Final = 0.05
"""The same of what all of them have sent: a lane with most of the traffic cannot see the rest of it exactly."""
LEFT_OVER: Final = 0.5
"""Part of what the other lanes have sent that may have been used before we came, and could be taken for it."""
UNSETTLED: Final = 0.2
"""Part of what a lane has sent that may still be corrected."""
LARGEST_SEARCH: Final = 5
"""Up to this many lanes every combination is tried; beyond it all of them together, and pairs."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One dimension of one lane: its books since it was first looked at, or a stretch of them."""

    admitted: float
    unexplained: float
    holdings: Holdings | None = None
    """Where the server counts a minute, whose sums they are; the figures of a stretch are means of it then."""
    promised: float = 0.0
    """Part of what was admitted that may not have been charged yet."""
    unknown: float = 0.0
    """What may have been used by those who are gone."""
    quiet: bool = False
    """Too early to be judged."""

    def since(self, before: _Look) -> _Look | None:
        """What has happened since then; None when nothing has."""
        now, then = self.holdings, before.holdings or Holdings()
        if now is None:
            return _Look(self.admitted - before.admitted, self.unexplained - before.unexplained)
        if now.answers <= then.answers:
            return None
        answers, own = now.answers - then.answers, now.own - then.own
        return _Look(
            admitted=own / answers,
            unexplained=(own - (now.used - then.used)) / answers,
            holdings=now,
            promised=(now.promised - then.promised) / answers,
            unknown=now.unknown,
        )

    def after(self, before: _Look, *, quiet: bool) -> _Look:
        """This stretch and those before it, which count less and less. What a server has counted is no such sum.

        `quiet` = some lane has not been heard of, and will show later what happened now.
        """
        if self.holdings is not None or before.holdings is not None:
            return self
        part = 1.0 if quiet else MEMORY
        return _Look(self.admitted + part * before.admitted, self.unexplained + part * before.unexplained, quiet=quiet)


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
        quiet = {kind: any(steps[lane][kind].admitted == 0 for lane in name) for kind in kinds}
        self._seen[name] = {
            lane: {
                kind: steps[lane][kind].after(seen.get(lane, {}).get(kind, _NOTHING), quiet=quiet[kind])
                for kind in kinds
            }
            for lane in name
        }
        return self._seen[name]

    def _twins(self, lanes: Sequence[Lane]) -> Sequence[Lane]:
        agreeing = {name: looks for name, looks in self._agreeing.items() if name <= set(lanes)}
        for name, seen in self._seen.items():
            if len(name) == 1 or name in self._apart:
                continue
            # Few answers are noisy: one look that disagrees takes back one that agreed, not all of them.
            agreeing[name] = max(0, agreeing.get(name, 0) + _verdict(seen))
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
            look = seen[lane][_telling(seen)[0]]
            more_than_one = look.unexplained - look.promised > TOO_MUCH * look.admitted
            self._surplus[lane] = self._surplus.get(lane, 0) + 1 if more_than_one else 0
            if self._surplus[lane] >= SURPLUS:
                del self._surplus[lane]
                return lane
        return None


def _combinations(lanes: list[Lane]) -> Iterable[tuple[Lane, ...]]:
    if len(lanes) <= LARGEST_SEARCH:
        sizes: Iterable[int] = range(2, len(lanes) + 1)
    else:
        sizes = (2, len(lanes))
    return itertools.chain.from_iterable(itertools.combinations(lanes, size) for size in sizes)


def _verdict(seen: dict[Lane, _Looks]) -> int:
    """How many looks this one is worth: negative if these lanes do not explain each other, 0 if nothing tells."""
    changes: list[list[_Look]] = []
    counts: list[list[_Look]] = []
    for kind in _telling(seen):
        looks = [of_lane[kind] for of_lane in seen.values()]
        counted = sum(look.holdings is not None for look in looks)
        if counted == len(looks) and _is_sharp(looks):
            counts.append(looks)
        elif not counted and not any(look.quiet for look in looks):
            changes.append(looks)
    if counts:
        return WEIGHT if all(map(_explain_each_other, counts)) else -WEIGHT
    if changes:
        return 1 if any(map(_explain_each_other, changes)) else -1
    return 0


def _is_sharp(looks: Sequence[_Look]) -> bool:
    """Whether what they have in common could be nothing else: neither what was used before we came, nor the output of
    calls in flight, of which nobody knows when it is charged and when what is too much of it is given back."""
    everything = sum(look.admitted for look in looks)
    return all(
        look.unknown <= LEFT_OVER * (everything - look.admitted) and look.promised <= UNSETTLED * look.admitted
        for look in looks
    )


def _explain_each_other(steps: Sequence[_Look]) -> bool:
    everything = sum(step.admitted for step in steps)
    for step in steps:
        others = everything - step.admitted
        if abs(-step.unexplained - others) > TOLERANCE * others + NOISE * everything:
            return False
    return True


def _telling(seen: dict[Lane, _Looks]) -> list[LimitKind]:
    """The dimensions that tell something, first the one of which these lanes, whose limits are the same, have used
    most. A limit that is hardly used is whole most of the time, and shows nothing then."""
    used: list[tuple[float, LimitKind]] = []
    for kind, least in EVIDENCE.items():
        if any(kind not in looks or looks[kind].admitted < least for looks in seen.values()):
            continue
        limit, *others = {lane.buckets[kind].limit for lane in seen}
        if limit and not others:
            used.append((sum(looks[kind].admitted for looks in seen.values()) / limit, kind))
    return [kind for _, kind in sorted(used, key=lambda pair: pair[0], reverse=True)]


def _since(before: _Looks, now: _Looks) -> _Looks:
    known = {kind: look for kind, look in now.items() if kind in before or look.holdings is not None}
    steps = {kind: look.since(before.get(kind, _NOTHING)) for kind, look in known.items()}
    return {kind: step for kind, step in steps.items() if step is not None}


def _looks(lane: Lane) -> _Looks:
    looks: _Looks = {}
    for bucket in (lane.buckets[kind] for kind in EVIDENCE):
        if not bucket.told or bucket.pinned:
            continue
        books, holdings = bucket.evidence.reconciliation, bucket.evidence.holdings
        if bucket.server != ServerType.WINDOW:
            looks[bucket.kind] = _Look(books.compared, books.unexplained)
        elif holdings.answers:
            looks[bucket.kind] = _Look(books.compared, books.unexplained, replace(holdings))
    return looks
