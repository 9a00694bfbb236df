"""What lies in the response cache, for people who want to look, tidy up or take it elsewhere. Blocking throughout."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from workbench.core.errors import WorkbenchError
from workbench.engine.shelf import Shelf, open_fanout
from workbench.engine.stored_answer import StoredAnswer

_DELETE_TRIES = 20


class CacheUnusable(WorkbenchError):
    title = "cache"


@contextmanager
def open_holdings(directory: Path, size_mb: int) -> Iterator[Holdings]:
    """Raises CacheUnusable when the directory cannot be opened, read or written."""
    try:
        holdings = Holdings(directory, size_mb)
        try:
            yield holdings
        finally:
            holdings.close()
    except (sqlite3.Error, OSError) as exc:
        raise CacheUnusable(f"The response cache in {directory} cannot be used: {exc}.") from exc


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    answer: StoredAnswer
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HoldingStats:
    entries: int
    unreadable: int
    """Entries that are not ours, or from a version with other fields: misses when asked for."""
    size_bytes: int
    oldest_s: float | None
    newest_s: float | None
    """Epoch seconds; None when empty."""
    worth_usd: float
    """What asking for everything again would cost, as far as prices are known."""
    by_model: tuple[tuple[str, int], ...]
    """Most entries first."""


class Holdings:
    """An open cache directory. Other processes may use it meanwhile."""

    def __init__(self, directory: Path, size_mb: int) -> None:
        """Raises ConfigError, OSError or sqlite3.Error when it cannot be opened."""
        self._shelf: Shelf = open_fanout(directory, size_mb * 1_000_000)
        self._decoder = msgspec.json.Decoder(StoredAnswer)

    def entries(self) -> Iterator[Entry]:
        """One at a time, in no useful order; unreadable ones are left out."""
        for key in self._shelf:
            entry = self._entry(key)
            if entry is not None:
                yield entry

    def statistics(self) -> HoldingStats:
        count = unreadable = 0
        oldest_s = newest_s = None
        worth_usd = 0.0
        models: Counter[str] = Counter()
        for key in self._shelf:
            entry = self._entry(key)
            if entry is None:
                unreadable += 1
                continue
            stored_s = entry.answer.stored_at_s
            count += 1
            oldest_s = stored_s if oldest_s is None else min(oldest_s, stored_s)
            newest_s = stored_s if newest_s is None else max(newest_s, stored_s)
            worth_usd += entry.answer.cost_usd or 0.0
            models[entry.answer.model or "unknown"] += 1
        by_model = tuple(models.most_common())
        return HoldingStats(count, unreadable, self._shelf.volume(), oldest_s, newest_s, worth_usd, by_model)

    def prune(self, unwanted: Callable[[Entry], bool]) -> int:
        """Delete what `unwanted` says, and everything unreadable; how many are gone."""
        gone = 0
        for key in list(self._shelf):
            entry = self._entry(key)
            if entry is None or unwanted(entry):
                gone += self._delete(key)
        return gone

    def clear(self) -> int:
        return self._shelf.clear()

    def close(self) -> None:
        self._shelf.close()

    def _entry(self, key: str) -> Entry | None:
        data = self._shelf.get(key)
        try:
            return None if data is None else Entry(key, self._decoder.decode(data), len(data))
        except (msgspec.DecodeError, TypeError):
            return None

    def _delete(self, key: str) -> bool:
        # Each try waits a few milliseconds for another process's lock.
        return any(self._shelf.delete(key) for _ in range(_DELETE_TRIES))
