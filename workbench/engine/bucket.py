"""One metered dimension of one lane: how fast units may be spent, and how many there are right now.

A bucket is *free* (nobody named a limit and nobody refused: not paced), *told* (the limit stands in the headers and the
level mirrors `remaining`) or *learned* (paced at a rate found from refusals, growing along a cubic curve until the next
one). A told bucket that is refused all the same — somebody else spends the same account — learns below its limit.

Pure: every method takes `now_s`, seconds on any monotonic scale. `Lane` guarantees that it never runs backwards.
"""

from __future__ import annotations

from typing import Final

import msgspec

from workbench.core.errors import LimitKind
from workbench.engine.admitted_log import KINDS, AdmittedLog
from workbench.engine.charging import Books
from workbench.engine.even_pace import EvenPace
from workbench.engine.evidence import Evidence
from workbench.engine.lane_state import Pinnable
from workbench.engine.limit_headers import DAY_S, MINUTE_S, Reading
from workbench.engine.rate_search import BETA, GROWS_EVERY_S, RateSearch
from workbench.engine.server_type import ServerJudge, ServerType

OUTPUT_KINDS: Final = (LimitKind.TOKENS, LimitKind.OUTPUT_TOKENS)
BURST_S: Final = 2.0
"""Depth of a bucket whose real depth is unknown: conforms to windows and to limits quantised to a second alike."""
MARGIN: Final = 0.01
"""Part of a told limit that is never spent: covers the flight time of a request."""
IN_USE_S: Final = 2.0
"""A rate that has held something back this recently is in use."""
OWN_FILL: Final = 0.9
"""Part of a limit that we must have used ourselves to have used it up."""
EPSILON: Final = 1e-6
SLOWEST_REQUESTS, SLOWEST_TOKENS = 0.01, 5.0
"""Per second: less is never searched for."""

_PERIODS: Final = {1.0: "second", MINUTE_S: "minute", DAY_S: "day"}


class Mark(msgspec.Struct, frozen=True):
    """A bucket as it stood when a request was sent: what the server's answer to it is compared with."""

    at_s: float
    level: float
    corrections: float


class Bucket(Pinnable):
    __slots__ = (
        "_log",
        "at_s",
        "blocked_s",
        "ceiling",
        "corrections",
        "depth",
        "even_pace",
        "evidence",
        "index",
        "judge",
        "kind",
        "largest",
        "level",
        "limit",
        "period_s",
        "rate",
        "search",
        "server",
    )

    FLOATS = (
        "limit",
        "period_s",
        "rate",
        "level",
        "depth",
        "at_s",
        "ceiling",
        "blocked_s",
        "corrections",
        "largest",
        "judge.even_since_s",
        *(f"search.{name}" for name in RateSearch.FLOATS),
        *(f"even_pace.{name}" for name in EvenPace.FLOATS),
        "evidence.reconciliation.ahead",
    )
    COUNTS = ("server", "judge.votes", "judge.day_votes", "even_pace.overruns")

    def __init__(self, kind: LimitKind, log: AdmittedLog) -> None:
        super().__init__()
        self.kind = kind
        self.index = KINDS.index(kind)
        self.limit: float | None = None
        """Units per `period_s` as the provider (or a person) states it."""
        self.period_s = 60.0
        self.rate: float | None = None
        """Units per second at present; None while free."""
        self.level = 0.0
        self.depth = 0.0
        self.at_s = 0.0
        """Time of `level`; may lie ahead of now, then nothing accrues until it has come."""
        self.ceiling: float | None = None
        """The rate at which the last refusal came; None while nothing has been learned."""
        self.blocked_s = float("-inf")
        """Until when this bucket last made a request wait."""
        self.corrections = 0.0
        """Sum of everything mirrored so far, so that a late answer is not corrected twice."""
        self.server = ServerType.UNKNOWN
        self.judge = ServerJudge()
        self.largest = 1.0
        self.evidence = Evidence(log, self.index)
        self._log = log
        self.search = RateSearch(log, self.index)
        self.even_pace = EvenPace()

    # -- spending -------------------------------------------------------------------------------------------------

    @property
    def told(self) -> bool:
        return self.limit is not None

    @property
    def per(self) -> str:
        """What its limit is stated for: a minute, nearly always."""
        return f"per {_PERIODS.get(self.period_s, f'{self.period_s:g} s')}"

    @property
    def ahead(self) -> float:
        """Part of the output that a request allows which the server charges when it is sent."""
        return self.evidence.reconciliation.ahead

    @property
    def pace(self) -> float:
        """The rate that the stated limit allows."""
        assert self.limit is not None
        return self.limit / self.period_s * (self.even_pace.share if self.server == ServerType.WINDOW else 1.0)

    def wait_s(self, now_s: float, cost: float, reserve: float) -> float:
        """Seconds until `cost` fits while the fraction `reserve` stays untouched; 0.0 if it does now."""
        rate = self.rate
        if rate is None:
            return 0.0
        if now_s > self.at_s:
            self.refill(now_s)
        depth = self.depth
        spare = reserve
        if self.ceiling is None and self.limit is not None and self.server != ServerType.WINDOW:
            spare += MARGIN
        needed = cost + spare * depth
        if needed > depth:
            needed = depth
        missing = needed - self.level
        if missing <= EPSILON:
            return 0.0
        wait_s = max(self.at_s - now_s, 0.0) + missing / rate
        self.blocked_s = now_s + wait_s  # nobody asks again before
        return wait_s

    def take(self, now_s: float, cost: float) -> Mark:
        if now_s > self.at_s:
            self.refill(now_s)
        self.level -= cost
        if self.ceiling is not None and self.rate is not None:
            # More than a minute's worth is refused, or shows that the rate is higher: no debt to wait for.
            self.level = max(self.level, -self.period_s * self.rate)
        self.largest = cost if cost > self.largest else max(1.0, self.largest * 0.999)
        return Mark(now_s, self.level, self.corrections)

    def give_back(self, now_s: float, amount: float) -> None:
        """Return what was reserved and not used; a negative amount charges what was used beyond the reserve."""
        if self.rate is not None:
            self.refill(now_s)
            self.level = min(self.depth, self.level + amount)

    def owed(self, promised: float, asked: float) -> float:
        """What the server will only charge at the end of calls in flight, which may have `asked` tokens of output at
        most, and for which `promised` have been reserved here."""
        return promised - self.ahead * asked if self.kind in OUTPUT_KINDS else 0.0

    def refill(self, now_s: float) -> None:
        elapsed_s = now_s - self.at_s
        if elapsed_s <= 0 or self.rate is None:
            return
        if self.ceiling is not None:
            self._grow(now_s)
        self.level = min(self.depth, self.level + elapsed_s * self.rate)
        self.at_s = now_s

    def level_at(self, now_s: float) -> float:
        """What `refill` would make of the level, without doing it."""
        return min(self.depth, self.level + max(0.0, now_s - self.at_s) * (self.rate or 0.0))

    def used(self, now_s: float) -> float:
        """Units admitted in the last minute."""
        return max(0.0, self._log.since(now_s, now_s - MINUTE_S, self.index)[0])

    def hold_until(self, until_s: float) -> None:
        """A refusal: what was saved is gone, and nothing accrues during the pause. Mirrored levels know better."""
        if self.rate is None or (self.told and self.ceiling is None):
            return
        self.level = min(self.level, 0.0)
        self.at_s = max(self.at_s, until_s)

    # -- learning -------------------------------------------------------------------------------------------------

    def cut(self, now_s: float, *, hinted: bool) -> bool:
        """The server refused because of this dimension. False when there is too little history to find a rate in.

        `hinted` = it said how long to wait.
        """
        if self._filled_its_window(now_s):
            self.even_pace.overrun(now_s)
            self.search.cut_short = False
            self.rate = self.pace
            self.level = min(self.level, 0.0)
            return True
        found = self.search.found(now_s, self.rate, hinted=hinted)
        if found is None:
            return False
        found = max(found, SLOWEST_REQUESTS if self.kind is LimitKind.REQUESTS else SLOWEST_TOKENS)
        requests, _ = self._log.since(now_s, now_s - MINUTE_S, 0)
        units, _ = self._log.since(now_s, now_s - MINUTE_S, self.index)
        self.search.compare(found, units / requests if requests > 0 and units > 0 else self.largest)
        self.learn(now_s, found)
        return True

    def _filled_its_window(self, now_s: float) -> bool:
        """Refused at the very end of a window that we filled ourselves: what calls in flight hold in reserve did not
        fit on top. A little slower is enough, since nobody else is spending this account."""
        if self.limit is None or self.server != ServerType.WINDOW or self.ceiling is not None:
            return False
        if now_s - self.even_pace.since_s < self.period_s:
            return False
        units, elapsed_s = self._log.since(now_s, now_s - self.period_s, self.index)
        return elapsed_s > 0.9 * self.period_s and units > OWN_FILL * self.limit

    def learn(self, now_s: float, ceiling: float) -> None:
        """Pace below `ceiling` from now on, and creep up to it and beyond."""
        self.ceiling = ceiling
        self.rate = ceiling * BETA
        self.at_s = now_s
        self.search.begin(now_s)
        self.level = min(self.level, 0.0)
        self._set_depth()

    def _grow(self, now_s: float) -> None:
        if now_s - self.search.grown_s < GROWS_EVERY_S:
            return
        assert self.ceiling is not None
        assert self.rate is not None
        self.rate = self.search.grown(now_s, self.rate, self.ceiling, held_back=now_s - self.blocked_s <= IN_USE_S)
        if self.told and self.rate >= self.pace:
            self.rate, self.ceiling = self.pace, None
        self._set_depth()

    # -- mirroring ------------------------------------------------------------------------------------------------

    def mirror(
        self,
        now_s: float,
        reading: Reading,
        mark: Mark | None,
        *,
        uncharged: float,
        owed: float,
        admitted_since: float,
    ) -> None:
        """Take over what a response said. `mark` is this bucket just after that request was sent, `uncharged` what the
        server did not charge of it (all, when it was refused), `owed` what it will charge later for the calls that were
        in flight, `admitted_since` what has been admitted after it."""
        if self.pinned or reading.limit is None:
            return
        verdict = self.judge.hear(now_s, reading, self.server, self.period_s)
        if verdict is not None:
            self.period_s = verdict.period_s
            self._become(now_s, verdict.server)
        if reading.limit != self.limit or self.rate is None:
            self._take_limit(now_s, reading, admitted_since + owed)
            return
        if mark is None or reading.remaining is None:
            return
        self.refill(now_s)
        if self.server == ServerType.WINDOW or self.ceiling is not None:
            # The level paces us; it is not a copy of the server's.
            if now_s - mark.at_s >= self.period_s:
                return  # all that it speaks of has been given back since
            left = reading.remaining - owed
            if self.ceiling is None:
                left += self._given_back(mark.at_s, now_s) - admitted_since
            self.level = min(self.level, left)
            if self.ceiling is None and self.even_pace.regain(now_s):
                self.rate = self.pace
                self._set_depth()
            return
        error = reading.remaining - owed - mark.level - uncharged - (self.corrections - mark.corrections)
        if -1.0 < error < 0.0:
            return  # they say whole numbers: part of one may be left as well
        step = error if error < 0 else 0.5 * error  # too little is believed at once, too much by halves
        self.level = min(self.depth, self.level + step)
        self.corrections += step

    def _given_back(self, from_s: float, to_s: float) -> float:
        """What a server whose window slides has given back of our own. A pause of ours comes round as one of this."""
        before, after = self._log.at(from_s - self.period_s, self.index), self._log.at(to_s - self.period_s, self.index)
        return 0.0 if before is None or after is None else max(0.0, after - before)

    def compare(self, books: Books, remaining: float, reset_s: float | None) -> None:
        """Take note of what remained after a request that was let in, beside the books as they stood when it was
        sent."""
        if self.limit is not None:
            in_steps = self.server == ServerType.WINDOW
            self.evidence.compare(
                books, remaining, reset_s, limit=self.limit, period_s=self.period_s, in_steps=in_steps
            )

    def _take_limit(self, now_s: float, reading: Reading, admitted_since: float) -> None:
        assert reading.limit is not None
        first = self.rate is None
        self.limit = reading.limit
        self.even_pace.restart()
        if self.server == ServerType.UNKNOWN:
            self.period_s = reading.period_s
            if reading.spoken:
                self.server = ServerType.WINDOW  # no header will ever tell us the level
        self.ceiling = None
        self.rate = self.pace
        self._set_depth()
        if first:
            remaining = reading.limit if reading.remaining is None else reading.remaining
            self.level = min(self.depth, remaining - admitted_since)
            self.at_s = now_s
        else:
            self.level = min(self.level, self.depth)

    def _become(self, now_s: float, server: ServerType) -> None:
        self.server = server
        self.even_pace.since_s = now_s
        if server == ServerType.WINDOW:
            self.evidence.reconciliation.forget()
        if self.rate is None or self.limit is None:
            return
        self.rate = min(self.rate, self.pace) if self.ceiling is not None else self.pace
        self._set_depth()

    def start_warm(self, now_s: float, part: float) -> None:
        """Begin again, some time later, with part of what was learned. A limit that was told will be told again."""
        if self.aside is not None:
            known = Bucket(self.kind, self._log)
            known.restore(self.aside)
            known.start_warm(now_s, part)
            self.aside = known.export()
            return
        learned = self.rate if self.ceiling is not None else None
        largest, ahead = self.largest, self.ahead
        self.restore(Bucket(self.kind, self._log).export())
        self.largest = largest
        self.evidence.reconciliation.ahead = ahead
        if learned is not None:
            self.learn(now_s, part * learned)

    def pin(self, now_s: float, limit: float | None) -> None:
        """A person's own limit per minute; None goes back to what was known before there was one, or has become known
        to other processes since."""
        if limit is None:
            self._unpin(now_s)
            return
        self.set_aside()
        first = self.rate is None
        self.limit, self.period_s, self.ceiling = limit, 60.0, None
        self.rate = self.pace
        self._set_depth()
        self.level = self.depth if first else min(self.level, self.depth)
        self.at_s = max(self.at_s, now_s)

    def _unpin(self, now_s: float) -> None:
        known = self.let_go()
        if known is None:
            return
        level = self.level_at(now_s)
        self.restore(known)
        # Nothing was saved up meanwhile. Nothing was learned either: a rate that nobody used has not grown.
        self.level, self.at_s = min(self.level, level), max(self.at_s, now_s)

    def _set_depth(self) -> None:
        assert self.rate is not None
        if self.limit is not None and self.ceiling is None and self.server != ServerType.WINDOW:
            self.depth = self.limit
        else:
            # A server forgets after a minute: waiting longer for room is in vain, however large the request.
            self.depth = max(min(self.largest, self.period_s * self.rate), BURST_S * self.rate)
        self.level = min(self.level, self.depth)
