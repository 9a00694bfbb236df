"""The store: what is written comes back, from several processes, and every way a file can be wrong has its sentence."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.core.errors import ServerError, StoreError, UsageError
from workbench.core.types import FinishReason, KeyAlias, Message, Params, Result, Route, Timing, Usage
from workbench.store import migrations
from workbench.store.conversations import Conversations
from workbench.store.database import Database
from workbench.store.job_records import AnswerRecord, JobRecord, RowRecord
from workbench.store.jobs import JobStore
from workbench.store.prompts import Prompts
from workbench.store.runs import RunKind, Runs, SavedBy
from workbench.store.usage import GroupBy, totals

ROUTE = Route(spec="gpt-5.4", provider="openai", wire_model="gpt-5.4", base_url="http://127.0.0.1/v1")
S = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "workbench.sqlite3"


@pytest.fixture
async def database(path: Path):
    store = Database(path)
    yield store
    await store.aclose()


def result(text: str = "Bees see ultraviolet.", *, cost: float | None = 0.01, cached: bool = False) -> Result:
    return Result(
        text=text,
        reasoning="They have three receptors.",
        finish_reason=FinishReason.STOP,
        usage=Usage(input=100, cached_input=40, output=21, reasoning=8),
        cost_usd=cost,
        timing=Timing(
            submitted_ns=5 * S,
            admitted_ns=6 * S,
            sent_ns=6 * S,
            first_token_ns=7 * S,
            last_token_ns=9 * S,
            done_ns=9 * S,
        ),
        route=ROUTE,
        key_alias=KeyAlias("openai#2"),
        cached=cached,
        notes=("temperature dropped",),
        saved_usd=0.02 if cached else None,
    )


async def start(runs: Runs, prompt: str = "What do bees see?", *, now_s: float = 1000.0, session: str = "s1") -> str:
    run_id, written = runs.start(
        now_s=now_s, session=session, kind=RunKind.COMPARE, prompt=prompt, params=Params(temperature=0.2)
    )
    await asyncio.wrap_future(written)
    return run_id


async def add(runs: Runs, run_id: str, answer: Result, **options) -> None:
    await asyncio.wrap_future(runs.add(run_id, answer, **options)[1])


async def test_an_answer_comes_back_with_its_figures(database: Database):
    runs = Runs(database)
    run_id = await start(runs)

    await add(runs, run_id, result(), position=0, now_s=1009.0, params=Params(seed=7))
    run, (answer,) = await runs.get(run_id)

    assert (run.prompt, run.params, run.kind) == ("What do bees see?", {"temperature": 0.2}, RunKind.COMPARE)
    assert (answer.text, answer.reasoning) == ("Bees see ultraviolet.", "They have three receptors.")
    assert (answer.ttft_s, answer.tpot_s, answer.queue_s, answer.e2e_s) == (1.0, 0.1, 1.0, 4.0)
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens, answer.cost_usd) == (100, 40, 21, 0.01)
    stamps = {"admitted": S, "sent": S, "first_token": 2 * S, "last_token": 4 * S, "done": 4 * S}
    assert answer.timing == stamps | {"retry_wait": 0, "stamp_error": 0, "ttft_error": 0, "stalled": 0}
    assert (answer.notes, answer.params, answer.key_alias) == (("temperature dropped",), {"seed": 7}, "openai#2")


async def test_a_failed_answer_keeps_its_partial_text_and_its_error(database: Database):
    runs = Runs(database)
    run_id = await start(runs)
    partial = Result("Half of", "", FinishReason.INCOMPLETE, None, None, Timing(0), ROUTE)

    await add(runs, run_id, partial, position=0, now_s=1001.0, error=ServerError("It broke.", hint="Try again."))
    _, (answer,) = await runs.get(run_id)

    assert (answer.text, answer.error_title, answer.error_message) == (
        "Half of",
        "server error",
        "It broke. Try again.",
    )
    assert (answer.cost_usd, answer.input_tokens, answer.ttft_s) == (None, None, None)


async def test_search_finds_words_of_prompts_and_answers_once_per_run(database: Database):
    runs = Runs(database)
    bees = await start(runs, "What do bees see?")
    moths = await start(runs, "And moths?", now_s=1001.0)
    await add(runs, bees, result("Bees see café colours, bees do."), position=0, now_s=1002.0)
    await add(runs, moths, result("Moths see in the dark."), position=0, now_s=1002.0)

    assert [hit.run.id for hit in await runs.search("bee")] == [bees]
    assert [hit.run.id for hit in await runs.search("CAFE")] == [bees]
    assert {hit.run.id for hit in await runs.search("see")} == {bees, moths}
    assert "«dark»" in (await runs.search("dark"))[0].excerpt
    assert await runs.search("  ") == []


@pytest.mark.parametrize("query", ['"', "a*b", "NEAR(", "text:x", "-", "AND OR", "'; DROP TABLE runs; --"])
async def test_no_query_is_a_syntax_error(database: Database, query: str):
    await start(Runs(database))

    assert isinstance(await Runs(database).search(query), list)


async def test_texts_can_be_kept_out_of_the_file(database: Database, path: Path):
    runs = Runs(database, keep_text=False)
    run_id = await start(runs, "a very secret prompt")

    await add(runs, run_id, result("a very secret answer"), position=0, now_s=1.0, error=ServerError("quotes secret"))
    _, (answer,) = await runs.get(run_id)

    assert (answer.text, answer.reasoning, answer.output_tokens) == (None, None, 21)
    assert await runs.search("secret") == []
    await database.aclose()
    for file in path.parent.iterdir():
        assert b"secret" not in file.read_bytes(), file


async def test_a_run_is_found_by_the_beginning_of_its_id(database: Database):
    runs = Runs(database)
    run_id = await start(runs)

    assert (await runs.get(run_id[:12]))[0].id == run_id
    with pytest.raises(StoreError, match="No run 'zzz'"):
        await runs.get("zzz")


async def test_an_ambiguous_beginning_is_refused(database: Database):
    runs = Runs(database)
    first, second = await start(runs), await start(runs)
    assert first[:9] == second[:9]

    with pytest.raises(StoreError, match="several runs"):
        await runs.get(first[:9])


async def test_deleting_a_run_forgets_its_words(database: Database):
    runs = Runs(database)
    run_id = await start(runs)
    await add(runs, run_id, result(), position=0, now_s=1.0)

    await runs.delete(run_id)

    assert (await runs.latest(), await runs.search("bees")) == ([], [])
    assert await database.read(lambda c: c.execute("SELECT count(*) FROM answers").fetchone()[0]) == 0


async def test_totals_keep_live_and_cached_and_failed_apart(database: Database):
    runs = Runs(database)
    run_id = await start(runs)
    await add(runs, run_id, result(), position=0, now_s=1000.0)
    await add(runs, run_id, result(cost=None), position=1, now_s=1001.0)
    await add(runs, run_id, result(cached=True, cost=0.0), position=2, now_s=1002.0)
    await add(runs, run_id, result(), position=3, now_s=1003.0, error=ServerError("x"))
    await add(runs, run_id, result(), position=4, now_s=1004.0, saved_by=SavedBy.BATCH)

    (total,) = await totals(database, GroupBy.MODEL)

    assert (total.group, total.requests, total.failed, total.cache_hits) == ("openai/gpt-5.4", 5, 1, 1)
    assert (total.input_tokens, total.cached_tokens, total.output_tokens) == (400, 160, 84)
    assert total.cost_usd == pytest.approx(0.03)
    assert (total.unpriced, total.saved_response_cache_usd, total.saved_batch_usd) == (1, 0.02, 0.0)
    assert total.prefix_hit_rate == 0.4


async def test_savings_by_either_cache_and_by_batch_stand_apart(database: Database):
    runs = Runs(database)
    run_id = await start(runs)
    await add(runs, run_id, result(cached=True, cost=0.0), position=0, now_s=1000.0)
    await add(runs, run_id, replace(result(), prefix_saved_usd=0.003), position=1, now_s=1001.0)
    await add(runs, run_id, replace(result(), saved_usd=0.005), position=2, now_s=1002.0, saved_by=SavedBy.BATCH)

    (total,) = await totals(database, GroupBy.MODEL)

    assert (total.saved_response_cache_usd, total.saved_prefix_cache_usd, total.saved_batch_usd) == (0.02, 0.003, 0.005)


async def test_what_batch_jobs_cost_and_saved_is_added_up_with_the_rest(database: Database):
    runs, jobs = Runs(database), JobStore(database)
    run_id = await start(runs)
    await add(runs, run_id, result(), position=0, now_s=1000.0)
    await jobs.add(JobRecord("j1", 1000.0, "gpt-5.4", "openai", "gpt-5.4", ""))
    await jobs.add_rows("j1", [RowRecord(0, 0, "a", "a", "[]", "{}"), RowRecord(1, 0, "b", "b", "[]", "{}")])
    good = AnswerRecord(
        wire_id="a",
        part=0,
        ended_s=1001.0,
        text="Yes.",
        reasoning="",
        tool_calls="",
        finish_reason="stop",
        error_title=None,
        error_message=None,
        error_code=None,
        input_tokens=10,
        cached_tokens=0,
        written_tokens=0,
        output_tokens=5,
        reasoning_tokens=0,
        usage_source="provider",
        cost_usd=0.005,
        saved_usd=0.005,
        request_id=None,
    )
    bad = replace(good, wire_id="b", error_title="expired", cost_usd=None, saved_usd=None)
    await jobs.add_answers("j1", [good, bad])

    (total,) = await totals(database, GroupBy.MODEL)
    by_session = await totals(database, GroupBy.SESSION)

    assert (total.group, total.requests, total.failed) == ("openai/gpt-5.4", 3, 1)
    assert (total.cost_usd, total.saved_batch_usd) == (pytest.approx(0.015), pytest.approx(0.005))
    assert {one.group for one in by_session} == {"s1", "batch j1"}


async def test_totals_of_unpriced_answers_are_unknown_and_not_zero(database: Database):
    runs = Runs(database)
    run_id = await start(runs)
    await add(runs, run_id, result(cost=None), position=0, now_s=1000.0)

    assert [total.cost_usd for total in await totals(database, GroupBy.SESSION)] == [None]
    assert await totals(database, GroupBy.DAY, since_s=2000.0) == []


async def test_conversations_keep_every_turn_in_order(database: Database):
    conversations = Conversations(database)
    first = (Message.system("Be brief."), Message.user("Hello there, bees"), Message.assistant("Hi."))

    key = await conversations.save(first, model="gpt-5.4", now_s=1.0)
    longer = (*first, Message.user("More"))
    assert await conversations.save(longer, model="gpt-5.4", now_s=2.0, conversation_id=key) == key

    stored = await conversations.get(key)
    assert (stored.messages, stored.title, stored.updated_s) == (longer, "Hello there, bees", 2.0)
    assert [conversation.id for conversation in await conversations.latest()] == [key]
    await conversations.delete(key)
    with pytest.raises(StoreError, match="No conversation"):
        await conversations.get(key)


async def test_a_prompt_gets_a_new_version_only_when_its_words_change(database: Database):
    prompts = Prompts(database)

    versions = [(await prompts.save("bees", text, now_s=1.0)).version for text in ("a", "a", "b")]

    assert versions == [1, 1, 2]
    assert (await prompts.get("bees")).text == "b"
    assert (await prompts.get("bees", 1)).text == "a"
    assert [prompt.version for prompt in await prompts.versions("bees")] == [1, 2]
    assert [(prompt.name, prompt.text) for prompt in await prompts.latest()] == [("bees", "b")]
    with pytest.raises(UsageError):
        await prompts.save("  ", "x", now_s=1.0)


async def test_one_failing_write_takes_no_other_with_it(database: Database):
    def insert(name: str):
        return lambda c: c.execute("INSERT INTO prompts VALUES (?, 1, 0, '', 'x')", (name,))

    outcomes = await asyncio.gather(
        database.write(insert("a")), database.write(insert("a")), database.write(insert("b")), return_exceptions=True
    )

    assert isinstance(outcomes[1], StoreError)
    assert [prompt.name for prompt in await Prompts(database).latest()] == ["a", "b"]


async def test_writes_of_one_instant_share_a_commit(database: Database):
    release = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: sqlite3.Connection) -> None:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()

    held = database.submit(hold)
    rows = [
        database.submit(lambda c, i=i: c.execute("INSERT INTO prompts VALUES (?, 1, 0, '', 'x')", (str(i),)))
        for i in range(100)
    ]
    release.set()
    await asyncio.gather(*(asyncio.wrap_future(future) for future in [held, *rows]))

    assert database.statistics().commits <= 3


async def test_closing_writes_what_was_queued_and_refuses_what_comes_after(path: Path):
    database = Database(path)
    futures = [
        database.submit(lambda c, i=i: c.execute("INSERT INTO prompts VALUES (?, 1, 0, '', 'x')", (str(i),)))
        for i in range(50)
    ]

    database.close()

    assert all(future.done() and future.exception() is None for future in futures)
    with pytest.raises(StoreError, match="is closed"):
        database.submit(lambda c: None)


def test_the_file_and_its_directory_are_private(path: Path):
    Database(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


_WRITER = """
import sys
from pathlib import Path
from workbench.store.database import Database
database = Database(Path(sys.argv[1]))
for i in range(200):
    row = (sys.argv[2], i)
    database.submit(lambda c, row=row: c.execute("INSERT INTO prompts VALUES (?, ?, 0, '', 'x')", row)).result()
database.close()
"""


async def test_two_workbenches_write_one_store_at_once(path: Path):
    writers = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", _WRITER, str(path), name) for name in ("a", "b", "c")
    ]
    assert [await writer.wait() for writer in writers] == [0, 0, 0]

    database = Database(path)
    counts = database.read_sync(lambda c: c.execute("SELECT name, count(*) FROM prompts GROUP BY name").fetchall())
    database.close()

    assert [tuple(row) for row in counts] == [("a", 200), ("b", 200), ("c", 200)]


_KILLED = """
import os, signal, sys
from pathlib import Path
from workbench.store.database import Database
database = Database(Path(sys.argv[1]))
for i in range(20):
    database.submit(lambda c, i=i: c.execute("INSERT INTO prompts VALUES ('k', ?, 0, '', 'x')", (i,))).result()
print("written", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_committed_survives_a_kill(path: Path):
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(path)], capture_output=True, check=False)
    assert killed.stdout == b"written\n"

    database = Database(path)
    count = database.read_sync(lambda c: c.execute("SELECT count(*) FROM prompts").fetchone()[0])
    database.close()

    assert count == 20


def test_a_store_from_a_newer_version_is_left_alone(path: Path):
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(migrations.STEPS) + 1}")
    connection.close()

    with pytest.raises(StoreError, match=r"newer version.*Upgrade"):
        Database(path)


def test_an_older_store_is_brought_forward_with_its_rows(path: Path, monkeypatch: pytest.MonkeyPatch):
    path.parent.mkdir(parents=True)
    monkeypatch.setattr(migrations, "STEPS", migrations.STEPS[:1])
    first = Database(path)
    first.submit(
        lambda c: c.execute("INSERT INTO runs (id, created_s, session, kind) VALUES ('r', 1, 's', 'run')")
    ).result()
    first.close()
    monkeypatch.undo()

    database = Database(path)
    names = database.read_sync(lambda c: [row["id"] for row in c.execute("SELECT id FROM runs")])
    database.close()

    assert names == ["r"]


def test_a_file_that_is_no_database_is_named(path: Path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is a letter to my aunt " * 100)

    with pytest.raises(StoreError, match="damaged"):
        Database(path)


def test_a_store_that_another_process_is_creating_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch):
    path.parent.mkdir(parents=True)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE half (x)")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        other.execute("ROLLBACK")

    monkeypatch.setattr("workbench.store.database.time.sleep", pause)

    Database(path).close()
    other.close()

    assert len(pauses) == 1


async def test_a_store_locked_by_another_program_says_so(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workbench.store.database.BUSY_S", 0.05)
    database = Database(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreError, match="locked by another program"):
        await database.write(lambda c: None)

    other.execute("ROLLBACK")
    other.close()
    await database.write(lambda c: c.execute("INSERT INTO prompts VALUES ('a', 1, 0, '', 'x')"))
    await database.aclose()


async def test_a_full_disk_is_named_and_what_was_written_before_stays(database: Database):
    runs = Runs(database)
    await start(runs, "Kept?")
    await database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchall())

    with pytest.raises(StoreError, match=r"The disk that holds .* is full"):
        await start(runs, "One too many? " * 5_000)

    assert [run.prompt for run in await runs.latest()] == ["Kept?"]
