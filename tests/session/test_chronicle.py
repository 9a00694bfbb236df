"""What a person asked together stands together in the history, whatever came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from workbench.core.clock import ManualClock
from workbench.core.errors import ServerError
from workbench.core.events import Delta, Failed, Finished, Opened, StreamEvent
from workbench.core.types import Channel, FinishReason, Request, Result, Route, Timing
from workbench.session.chronicle import Chronicle
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.recorder import Recorder
from workbench.session.targets import LineUp
from workbench.store.database import Database
from workbench.store.runs import RunKind, Runs


class Provider:
    """Answers one model, fails another, and lets the third begin and never end."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.failed_again = asyncio.Event()
        self.failures = 0

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        route = Route(request.model, "p", request.model, "")
        whole = Result("Yes.", "", FinishReason.STOP, None, None, Timing(0), route)
        yield Opened(0, 0, 0)
        match request.model:
            case "good":
                yield Delta(0, Channel.TEXT, "Yes.")
                yield Finished(0, whole)
            case "bad":
                self.failures += 1
                nothing = Result("", "", FinishReason.INCOMPLETE, None, None, Timing(0), route)
                yield Failed(0, ServerError("broken"), nothing)
                if self.failures == 2:
                    self.failed_again.set()
            case _:
                yield Delta(0, Channel.TEXT, "Half of")
                self.began.set()
                await asyncio.Event().wait()


async def test_answers_failures_and_stopped_ones_of_one_question_are_one_run(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite3")
    clock = ManualClock()
    recorder = Recorder(Runs(database), clock, kind=RunKind.COMPARE)
    provider = Provider()

    async def connect() -> Provider:
        return provider

    async with Comparison(connect, ManualClock(), LineUp.of("good", "bad", "endless")) as comparison:
        comparison.on_ended = Chronicle(recorder).note
        comparison.send(Draft("First?"))
        await provider.began.wait()
        await comparison.settle()
        clock.advance(1.0)
        comparison.retry_failed()
        await provider.failed_again.wait()
        await comparison.settle()
    await asyncio.to_thread(recorder.flush)

    retried, first = await Runs(database).latest()
    _, answers = await Runs(database).get(first.id)
    await database.aclose()
    assert (first.prompt, retried.prompt) == ("First?", "First?")
    assert {(answer.model, answer.text, answer.error_title, answer.finish_reason) for answer in answers} == {
        ("good", "Yes.", None, FinishReason.STOP),
        ("bad", "", "server error", FinishReason.INCOMPLETE),
        ("endless", "Half of", None, FinishReason.CANCELLED),
    }
