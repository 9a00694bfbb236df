"""The response cache on real directories: what is kept, what is not, and everything that may be wrong with a disk."""

from __future__ import annotations

import asyncio
import gc
import pickle
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.core.clock import ManualClock
from workbench.core.settings import CacheSettings
from workbench.core.types import FinishReason, Message, Params, Result, Route, Timing, Usage
from workbench.engine.cache import BEHIND, ResponseCache
from workbench.engine.shelf import Shelf, open_fanout
from workbench.engine.stored_answer import cache_key, may_store

ROUTE = Route("gpt-5.4", "openai", "gpt-5.4", "https://api.openai.com/v1")
ASKED = (Message.system("Be brief."), Message.user("Why is the sky blue?"))
ANSWER = Result(
    text="Rayleigh scattering. 🌌\u2028",
    reasoning="short",
    finish_reason=FinishReason.STOP,
    usage=Usage(input=20, output=5, reasoning=2),
    cost_usd=0.001,
    timing=Timing(submitted_ns=100, sent_ns=150, first_token_ns=400, done_ns=900),
    route=ROUTE,
    request_id="req_1",
    notes=("temperature: left out.",),
)


class Told:
    def __init__(self) -> None:
        self.topics: list[str] = []

    def __call__(self, topic: str, text: str, hint: str) -> None:
        self.topics.append(topic)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def cache(tmp_path: Path, clock: ManualClock, told: Told) -> AsyncIterator[ResponseCache]:
    cache = ResponseCache(tmp_path / "responses", CacheSettings(), clock, told)
    await cache.open()
    yield cache
    await cache.aclose()


async def reopened(tmp_path: Path, clock: ManualClock, told: Told, **settings: Any) -> ResponseCache:
    """As another process would see it: nothing in memory."""
    cache = ResponseCache(tmp_path / "responses", CacheSettings(**settings), clock, told)
    await cache.open()
    return cache


async def test_an_answer_comes_back_whole_after_a_restart(
    cache: ResponseCache, tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    cache.put("k", ANSWER)
    await cache.aclose()

    again = await reopened(tmp_path, clock, told)
    found = again.get("k")
    await again.aclose()

    assert found is not None
    assert (found.text, found.reasoning, found.finish_reason) == (ANSWER.text, "short", FinishReason.STOP)
    assert (found.usage, found.cost_usd, found.notes) == (ANSWER.usage, 0.001, ANSWER.notes)
    assert found.timing == Timing(submitted_ns=0, sent_ns=50, first_token_ns=300, done_ns=800)
    assert found.stored_at_s == clock.wall().timestamp()


async def test_a_fresh_answer_is_there_at_once(cache: ResponseCache) -> None:
    assert cache.get("k") is None
    cache.put("k", ANSWER)

    assert cache.get("k") is not None
    assert (cache.statistics().hits, cache.statistics().misses) == (1, 1)


async def test_the_directory_is_readable_by_its_owner_alone(cache: ResponseCache, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "responses").stat().st_mode) == 0o700


async def test_a_large_answer_goes_to_a_file_and_comes_back(
    cache: ResponseCache, tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    long = replace(ANSWER, text="ab" * 100_000)
    cache.put("k", long)
    await cache.aclose()

    again = await reopened(tmp_path, clock, told)
    found = again.get("k")
    await again.aclose()

    assert list((tmp_path / "responses").rglob("*.val"))
    assert found is not None
    assert found.text == long.text


@pytest.mark.parametrize(("age_s", "is_hit"), [(59.0, True), (61.0, False)])
async def test_an_answer_ages_when_it_is_read(
    cache: ResponseCache, tmp_path: Path, clock: ManualClock, told: Told, age_s: float, is_hit: bool
) -> None:
    cache.put("k", ANSWER)
    await cache.aclose()
    again = await reopened(tmp_path, clock, told, ttl_s=60.0)

    clock.advance(age_s)
    found = again.get("k")
    await again.aclose()

    assert (found is not None) is is_hit


def shard_rows(directory: Path) -> list[Path]:
    return sorted(directory.glob("*/cache.db"))


def tamper(directory: Path, mode: int, value: bytes, filename: str | None = None) -> None:
    for path in shard_rows(directory):
        connection = sqlite3.connect(path)
        connection.execute("UPDATE Cache SET mode = ?, value = ?, filename = ?", (mode, value, filename))
        connection.commit()
        connection.close()


class Bomb:
    """Unpickling this would end the test run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.exit, ("a pickle was opened",))


@pytest.mark.parametrize(
    ("mode", "value"),
    [(4, pickle.dumps(Bomb())), (1, b"\x00not json"), (1, b'{"text": 3}'), (1, b'"just text"'), (1, b"")],
    ids=["pickle", "noise", "wrong shape", "wrong type", "empty"],
)
async def test_a_corrupt_entry_is_a_miss_and_is_written_over(
    cache: ResponseCache, tmp_path: Path, clock: ManualClock, told: Told, mode: int, value: bytes
) -> None:
    cache.put("k", ANSWER)
    await cache.aclose()
    tamper(tmp_path / "responses", mode, value)

    again = await reopened(tmp_path, clock, told)
    assert again.get("k") is None
    again.put("k", ANSWER)
    await again.aclose()
    last = await reopened(tmp_path, clock, told)
    found = last.get("k")
    await last.aclose()

    assert found is not None
    assert told.topics == []


async def test_an_entry_cannot_point_outside_the_directory(
    cache: ResponseCache, tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    cache.put("k", ANSWER)
    await cache.aclose()
    (tmp_path / "outside.val").write_bytes(b'{"text": "stolen"}')
    tamper(tmp_path / "responses", 2, b"", "../../outside.val")

    again = await reopened(tmp_path, clock, told)
    found = again.get("k")
    await again.aclose()

    assert found is None


async def test_keys_and_values_of_other_types_are_refused(tmp_path: Path) -> None:
    shelf: Any = open_fanout(tmp_path / "shelf", 1_000_000)

    with pytest.raises(TypeError):
        shelf.set(("a", "tuple"), b"x")
    with pytest.raises(TypeError):
        shelf.set("k", {"a": "dict"})
    shelf.close()


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
async def test_a_file_that_is_no_database_leaves_a_cache_that_works_in_memory(
    tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    broken = tmp_path / "responses" / "000" / "cache.db"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"this is not sqlite" * 1000)

    cache = await reopened(tmp_path, clock, told)
    cache.put("k", ANSWER)
    found = cache.get("k")
    await cache.aclose()
    # diskcache leaves the connection on which its constructor failed to the collector; from Python 3.13 on that is a
    # warning, which must come here and not in whatever test runs when the collector does.
    gc.collect()

    assert found is not None
    assert told.topics == ["cache-closed"]


async def test_a_file_in_the_directory_s_place_is_told_and_harmless(
    tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    (tmp_path / "responses").write_text("in the way")

    cache = await reopened(tmp_path, clock, told)
    missing = cache.get("k")
    await cache.aclose()

    assert missing is None
    assert told.topics == ["cache-closed"]


async def test_a_lock_that_passes_loses_no_write(cache: ResponseCache, tmp_path: Path, told: Told) -> None:
    locks = [sqlite3.connect(path, isolation_level=None) for path in shard_rows(tmp_path / "responses")]
    for lock in locks:
        lock.execute("BEGIN IMMEDIATE")
    cache.put("k", ANSWER)
    assert cache.get("k") is not None

    for lock in locks:
        lock.rollback()
        lock.close()
    await cache.aclose()

    assert cache.statistics().stored == 1
    assert told.topics == []


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.engine.cache._FIRST_PAUSE_S", 0.0)


class FailingShelf:
    """A disk that is full, or a lock that is never given back."""

    def __init__(self, outcome: Exception | bool) -> None:
        self._outcome = outcome
        self.tries = 0

    def get(self, key: str) -> Any:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return None

    def set(self, key: str, value: bytes) -> bool:
        self.tries += 1
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def clear(self) -> int:
        return 0

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("outcome", "topics"),
    [
        (OSError(28, "No space left on device"), {"cache-unreadable", "cache-unwritable"}),
        (sqlite3.OperationalError("attempt to write a readonly database"), {"cache-unreadable", "cache-unwritable"}),
        (False, {"cache-unwritable"}),
    ],
    ids=["full", "read-only", "locked"],
)
@pytest.mark.usefixtures("no_pauses")
async def test_a_disk_that_takes_nothing_costs_no_answer(
    tmp_path: Path, clock: ManualClock, told: Told, outcome: Exception | bool, topics: set[str]
) -> None:
    shelf: Shelf = FailingShelf(outcome)
    cache = ResponseCache(tmp_path, CacheSettings(), clock, told, open_shelf=lambda *_: shelf)
    await cache.open()

    cache.get("other")
    for n in range(3):
        cache.put(f"k{n}", ANSWER)
    found = [cache.get(f"k{n}") for n in range(3)]
    await cache.aclose()

    assert None not in found
    assert set(told.topics) == topics
    assert (cache.statistics().failed, cache.statistics().pending) == (3, 0)


@pytest.mark.usefixtures("no_pauses")
async def test_after_one_lock_that_never_ended_later_writes_do_not_wait_for_it(
    tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    shelf = FailingShelf(False)
    cache = ResponseCache(tmp_path, CacheSettings(), clock, told, open_shelf=lambda *_: shelf)
    await cache.open()

    for n in range(5):
        cache.put(f"k{n}", ANSWER)
    await cache.aclose()

    assert shelf.tries == 8 + 4


async def test_clearing_forgets_memory_and_disk(
    cache: ResponseCache, tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    cache.put("a", ANSWER)
    cache.put("b", ANSWER)

    removed = await cache.clear()

    assert removed == 2
    assert cache.get("a") is None


async def test_a_closed_cache_still_answers_from_memory_and_writes_nothing(cache: ResponseCache) -> None:
    await cache.aclose()

    cache.put("k", ANSWER)

    assert cache.get("k") is not None
    assert cache.statistics().pending == 0


async def test_memory_is_bounded_by_number_and_by_size(cache: ResponseCache) -> None:
    for n in range(400):
        cache._memory.put(f"k{n}", stored("x"))
    assert len(cache._memory) == 256

    cache._memory.put("huge", stored("y" * 7_999_000))
    cache._memory.put("more", stored("z" * 7_000))

    assert len(cache._memory) == 1


def stored(text: str) -> Any:
    from workbench.engine.stored_answer import StoredAnswer

    return StoredAnswer.of(replace(ANSWER, text=text, reasoning=""), 0.0)


# -- keys and what may be kept -----------------------------------------------------------------------------------------


def test_a_key_is_the_same_for_the_same_question_and_in_every_process() -> None:
    one = cache_key(ROUTE, ASKED, {"temperature": 0.5, "max_tokens": 9}, 0)
    two = cache_key(replace(ROUTE, base_url=ROUTE.base_url + "/"), ASKED, {"max_tokens": 9, "temperature": 0.5}, 0)

    assert one == two == "0fddf9b45167f902cd6fcb3973284aa2286380e8c5a5769874b520a36c0293ed"


@pytest.mark.parametrize(
    "other",
    [
        cache_key(replace(ROUTE, provider="openrouter"), ASKED, {}, 0),
        cache_key(replace(ROUTE, base_url="http://127.0.0.1:30000/v1"), ASKED, {}, 0),
        cache_key(replace(ROUTE, wire_model="gpt-5.5"), ASKED, {}, 0),
        cache_key(ROUTE, ASKED[1:], {}, 0),
        cache_key(ROUTE, (Message.user("Be brief."), ASKED[1]), {}, 0),
        cache_key(ROUTE, ASKED, {"reasoning": {"effort": "low"}}, 0),
        cache_key(ROUTE, ASKED, {}, 1),
        cache_key(ROUTE, ASKED, {}, 0, family="openai-chat"),
    ],
    ids=["provider", "base URL", "model", "messages", "roles", "parameters", "sample", "family"],
)
def test_whatever_decides_the_answer_decides_the_key(other: str) -> None:
    assert cache_key(ROUTE, ASKED, {}, 0) != other


@pytest.mark.parametrize(
    ("reason", "params", "kept"),
    [
        (FinishReason.STOP, Params(), True),
        (FinishReason.TOOL_CALL, Params(), True),
        (FinishReason.LENGTH, Params(max_tokens=5), True),
        (FinishReason.LENGTH, Params(), False),
        (FinishReason.REFUSAL, Params(), False),
        (FinishReason.CONTENT_FILTER, Params(), False),
        (FinishReason.CANCELLED, Params(), False),
        (FinishReason.TIMED_OUT, Params(), False),
        (FinishReason.INCOMPLETE, Params(), False),
    ],
)
def test_only_whole_answers_are_kept(reason: FinishReason, params: Params, kept: bool) -> None:
    assert may_store(replace(ANSWER, finish_reason=reason), params) is kept


def test_empty_and_replayed_answers_are_not_kept() -> None:
    assert not may_store(replace(ANSWER, text=""), Params())
    assert not may_store(replace(ANSWER, cached=True), Params())


async def test_a_slow_disk_is_not_waited_for(
    tmp_path: Path, clock: ManualClock, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.engine.cache.OPENING_S", 0.01)
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(directory: Path, size: int) -> Shelf:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return FailingShelf(True)

    cache = ResponseCache(tmp_path, CacheSettings(), clock, told, open_shelf=slow)

    await cache.open()
    assert cache.get("k") is None
    gate.set()
    await cache.aclose()

    assert told.topics == ["cache-slow"]
    assert cache.statistics().is_open


class StandingShelf(FailingShelf):
    """A disk that takes nothing until it is told to go on."""

    def __init__(self) -> None:
        super().__init__(True)
        self.may_go_on = threading.Event()

    def set(self, key: str, value: bytes) -> bool:
        self.may_go_on.wait()
        return super().set(key, value)


async def behind(tmp_path: Path, clock: ManualClock, told: Told) -> tuple[ResponseCache, StandingShelf]:
    """A cache with one write more on its way than is left unattended."""
    shelf = StandingShelf()
    cache = ResponseCache(tmp_path, CacheSettings(), clock, told, open_shelf=lambda *_: shelf)
    await cache.open()
    for n in range(BEHIND + 1):
        cache.put(f"k{n}", ANSWER)
    return cache, shelf


async def test_whoever_asks_for_more_waits_for_writes_that_are_far_behind(
    tmp_path: Path, clock: ManualClock, told: Told
) -> None:
    cache, shelf = await behind(tmp_path, clock, told)

    waiting = [asyncio.ensure_future(cache.keep_up()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiting)
    shelf.may_go_on.set()
    await asyncio.gather(*waiting)

    assert cache.statistics().pending == 0
    await cache.keep_up()
    await cache.aclose()
    assert told.topics == []


async def test_a_disk_that_has_stopped_is_waited_for_once(
    tmp_path: Path, clock: ManualClock, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.engine.cache.KEEP_UP_S", 0.01)
    cache, shelf = await behind(tmp_path, clock, told)

    await cache.keep_up()
    # Not the second time, however long a wait would be.
    monkeypatch.setattr("workbench.engine.cache.KEEP_UP_S", 3_600.0)
    await cache.keep_up()

    shelf.may_go_on.set()
    await cache.aclose()
    assert cache.statistics().stored == BEHIND + 1


async def test_what_a_stopped_disk_has_waiting_for_it_is_bounded(
    tmp_path: Path, clock: ManualClock, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.engine.cache._MOST_PENDING", BEHIND + 1)
    cache, shelf = await behind(tmp_path, clock, told)

    cache.put("one too many", ANSWER)

    assert cache.get("one too many") is not None
    assert (cache.statistics().pending, cache.statistics().failed) == (BEHIND + 1, 1)
    assert told.topics == ["cache-unwritable"]
    shelf.may_go_on.set()
    await cache.aclose()
