"""How much of one limit is left, counted in each of the ways in which providers count.

Pure: every method takes `now_s`, which the quota that owns the meters never lets run backwards.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0


@dataclass(slots=True, eq=False)
class Charge:
    """So much was taken at this moment. Mutable, so that a correction finds the units where they are counted."""

    at_s: float
    amount: float


class Meter(Protocol):
    """One dimension of one account. `remaining` may be negative: debt."""

    limit: float

    def capacity(self) -> float: ...
    def remaining(self, now_s: float) -> float: ...
    def take(self, now_s: float, amount: float) -> Charge: ...
    def give_back(self, now_s: float, charge: Charge, amount: float) -> None: ...
    def reset_s(self, now_s: float) -> float: ...
    def wait_s(self, now_s: float, amount: float) -> float: ...
    def set_limit(self, now_s: float, limit: float) -> None: ...


class Bucket:
    """Refills evenly; holds `depth_s` seconds' worth."""

    def __init__(self, now_s: float, limit: float, depth_s: float) -> None:
        self.limit = limit
        self._depth_s = depth_s
        self._level = self.capacity()
        self._at_s = now_s

    def capacity(self) -> float:
        return self.limit * self._depth_s / MINUTE_S

    def remaining(self, now_s: float) -> float:
        if now_s > self._at_s:
            self._level = min(self.capacity(), self._level + (now_s - self._at_s) * self.limit / MINUTE_S)
            self._at_s = now_s
        return self._level

    def take(self, now_s: float, amount: float) -> Charge:
        self._level = self.remaining(now_s) - amount
        return Charge(now_s, amount)

    def give_back(self, now_s: float, charge: Charge, amount: float) -> None:
        self._level = min(self.capacity(), self.remaining(now_s) + amount)

    def reset_s(self, now_s: float) -> float:
        return self._refill_s(self.capacity() - self.remaining(now_s))

    def wait_s(self, now_s: float, amount: float) -> float:
        return self._refill_s(amount - self.remaining(now_s))

    def _refill_s(self, missing: float) -> float:
        if missing <= 0:
            return 0.0
        return missing * MINUTE_S / self.limit if self.limit > 0 else math.inf

    def set_limit(self, now_s: float, limit: float) -> None:
        level = self.remaining(now_s)
        self.limit = limit
        self._level = min(level, self.capacity())


class FixedWindow:
    """Counts from full period to full period of the server's clock."""

    def __init__(self, limit: float, period_s: float) -> None:
        self.limit = limit
        self._period_s = period_s
        self._window = 0
        self._used = 0.0

    def capacity(self) -> float:
        return self.limit

    def remaining(self, now_s: float) -> float:
        window = math.floor(now_s / self._period_s)
        if window > self._window:
            self._window, self._used = window, 0.0
        return self.limit - self._used

    def take(self, now_s: float, amount: float) -> Charge:
        self.remaining(now_s)
        self._used += amount
        return Charge(now_s, amount)

    def give_back(self, now_s: float, charge: Charge, amount: float) -> None:
        self.remaining(now_s)
        if math.floor(charge.at_s / self._period_s) == self._window:
            self._used = max(0.0, self._used - amount)

    def reset_s(self, now_s: float) -> float:
        self.remaining(now_s)
        return (self._window + 1) * self._period_s - now_s

    def wait_s(self, now_s: float, amount: float) -> float:
        return 0.0 if self.remaining(now_s) >= amount else self.reset_s(now_s)

    def set_limit(self, now_s: float, limit: float) -> None:
        self.limit = limit


class SlidingWindow:
    """Counts the last `period_s` seconds."""

    def __init__(self, limit: float, period_s: float) -> None:
        self.limit = limit
        self._period_s = period_s
        self._charges: deque[Charge] = deque()
        self._used = 0.0

    def capacity(self) -> float:
        return self.limit

    def remaining(self, now_s: float) -> float:
        while self._charges and self._charges[0].at_s <= now_s - self._period_s:
            self._used -= self._charges.popleft().amount
        if not self._charges:
            self._used = 0.0  # sheds the rounding error of many additions
        return self.limit - self._used

    def take(self, now_s: float, amount: float) -> Charge:
        charge = Charge(now_s, amount)
        self._charges.append(charge)
        self._used += amount
        return charge

    def give_back(self, now_s: float, charge: Charge, amount: float) -> None:
        self.remaining(now_s)
        if charge.at_s > now_s - self._period_s:
            charge.amount -= amount
            self._used -= amount

    def reset_s(self, now_s: float) -> float:
        self.remaining(now_s)
        return self._charges[-1].at_s + self._period_s - now_s if self._charges else 0.0

    def wait_s(self, now_s: float, amount: float) -> float:
        missing = amount - self.remaining(now_s)
        if missing <= 0:
            return 0.0
        for charge in self._charges:
            missing -= charge.amount
            if missing <= 0:
                return charge.at_s + self._period_s - now_s
        return self._period_s

    def set_limit(self, now_s: float, limit: float) -> None:
        self.limit = limit
