"""Everything that one running simulator knows: clock, accounts, faults, caches, the record of what it was asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from workbench.simulator.accounts import Accounts
from workbench.simulator.batch_book import BatchBook
from workbench.simulator.faults import FaultBook, FaultRule
from workbench.simulator.journal import Journal
from workbench.simulator.models import ModelIndex, all_models
from workbench.simulator.pacing import Pacer
from workbench.simulator.profiles import ServerProfile
from workbench.simulator.prompt import Turn
from workbench.simulator.prompt_cache import PromptCache

T = TypeVar("T")


class Shelf(dict[str, T]):
    """Keeps the last few things that were put there."""

    def put(self, name: str, thing: T, keep: int = 500) -> None:
        self[name] = thing
        while len(self) > keep:
            del self[next(iter(self))]


@dataclass(frozen=True, slots=True)
class StoredResponse:
    turns: tuple[Turn, ...]
    """The conversation up to its answer."""
    body: dict[str, object]


class Simulation:
    """State of one simulator. Belongs to the loop that serves it.

    `time_scale` multiplies every latency (0.1 is ten times as fast, 0 is at once). Quotas run on the real clock
    whatever it is, because the clients' idea of a minute does too.
    """

    def __init__(
        self,
        profile: ServerProfile,
        *,
        seed: int = 0,
        time_scale: float = 1.0,
        coalesce_s: float = 0.0,
        models: ModelIndex | None = None,
    ) -> None:
        self.profile = profile
        self.seed = seed
        self.time_scale = time_scale
        self.coalesce_s = coalesce_s
        self.models = models or ModelIndex(all_models())
        self.accounts = Accounts(profile.quotas)
        self.faults = FaultBook(seed)
        self.prompt_cache = PromptCache()
        self.journal = Journal()
        self.local_slots = asyncio.Semaphore(profile.local_slots)
        self.rate_headers = True
        """False hides every limit header, whatever the quotas say."""
        self.responses = Shelf[StoredResponse]()
        """For `previous_response_id`."""
        self.generations = Shelf[dict[str, object]]()
        """What OpenRouter answers about finished generations."""
        self.batches = BatchBook(profile.batches, self.now_s)
        self._asked: Counter[bytes] = Counter()
        self._pacers: set[Pacer] = set()
        self._loop = asyncio.get_running_loop()
        self._start_s = self._loop.time()
        self.reset()

    def now_s(self) -> float:
        """Real seconds since the simulator started: the clock of quotas, caches and the journal."""
        return self._loop.time() - self._start_s

    def reset(self, *, rules: Iterable[FaultRule] | None = None) -> None:
        """As if just started, except for the clock."""
        self.accounts.reset()
        self.prompt_cache.clear()
        self.journal.reset()
        self._asked.clear()
        self.responses.clear()
        self.generations.clear()
        self.batches = BatchBook(self.profile.batches, self.now_s)
        self.rate_headers = True
        self.faults = FaultBook(self.seed, [replace(rule) for rule in (rules or self.profile.faults)])

    def occurrence(self, fingerprint: bytes) -> int:
        """How often this very question was asked before; always 0 where the profile does not vary repeats."""
        if not self.profile.varies_repeats:
            return 0
        self._asked[fingerprint] += 1
        return self._asked[fingerprint] - 1

    def pacer(self) -> Pacer:
        pacer = Pacer(self._loop, self.time_scale, self.profile.beat_s * self.time_scale)
        self._pacers.add(pacer)
        return pacer

    def release(self, pacer: Pacer) -> None:
        self._pacers.discard(pacer)

    def stop(self) -> None:
        """End every answer under way."""
        for pacer in self._pacers:
            pacer.stop()
