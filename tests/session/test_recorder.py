"""Recording never stands in the way: it writes what ends, and says once when it cannot."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

from workbench.core.clock import ManualClock
from workbench.core.errors import ServerError
from workbench.core.types import FinishReason, Message, Params, Request, Result, Route, Timing
from workbench.session.recorder import Recorder
from workbench.store.database import Database
from workbench.store.runs import RunKind, Runs

REQUEST = Request(
    model="m", messages=(Message.system("Be kind."), Message.user("Old"), Message.assistant("x"), Message.user("New"))
)
RESULT = Result("Yes.", "", FinishReason.STOP, None, None, Timing(0), Route("m", "p", "w", ""))


async def test_a_line_ups_answers_stand_in_one_run(tmp_path: Path):
    database = Database(tmp_path / "store.sqlite3")
    runs = Runs(database)
    recorder = Recorder(runs, ManualClock(), kind=RunKind.COMPARE)

    run_id = recorder.open_run(REQUEST.messages, Params(seed=1))
    recorder.add(run_id, 0, REQUEST, RESULT)
    recorder.add(run_id, 1, REQUEST, RESULT, ServerError("broken"))
    recorder.flush()

    (run,) = await runs.latest()
    _, answers = await runs.get(run.id)
    assert (run.prompt, run.system, run.session, run.params) == ("New", "Be kind.", recorder.session, {"seed": 1})
    assert [(answer.position, answer.error_title) for answer in answers] == [(0, None), (1, "server error")]
    await database.aclose()


def test_a_store_that_cannot_be_written_is_told_once(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("workbench.store.database.BUSY_S", 0.02)
    path = tmp_path / "store.sqlite3"
    database = Database(path)
    told: list[str] = []
    recorder = Recorder(Runs(database), ManualClock(), kind=RunKind.LIBRARY, on_trouble=told.append)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    for _ in range(3):
        recorder.add_alone(REQUEST, RESULT)
        recorder.flush()
    other.execute("ROLLBACK")
    other.close()
    database.close()
    recorder.add_alone(REQUEST, RESULT)

    assert len(told) == 1
    assert "locked by another program" in told[0]


async def test_whoever_adds_faster_than_the_disk_takes_it_is_made_to_wait(tmp_path: Path):
    database = Database(tmp_path / "store.sqlite3")
    recorder = Recorder(Runs(database), ManualClock(), kind=RunKind.LIBRARY)
    writing, go_on = threading.Event(), threading.Event()

    def stand_still(_: sqlite3.Connection) -> None:
        writing.set()
        go_on.wait(60)

    database.submit(stand_still)
    writing.wait(60)
    recorder.add_alone(REQUEST, RESULT)
    await asyncio.wait_for(recorder.room(), 60)
    for _ in range(2_001):
        recorder.add_alone(REQUEST, RESULT)
    waiting = asyncio.create_task(recorder.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    go_on.set()
    await waiting

    assert database.statistics().waiting == 0
    await database.aclose()
