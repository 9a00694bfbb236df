"""What a person asked together stands together in the history, whatever came of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from workbench.core.clock import ManualClock
from workbench.core.errors import ServerError
from workbench.core.events import Delta, Failed, Finished, Opened, StreamEvent
from workbench.core.types import Channel, FinishReason, Message, Request, Result, Route, Timing
from workbench.session.chronicle import Chronicle
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.lane import Lane, Turn
from workbench.session.recorder import Recorder
from workbench.session.targets import LineUp
from workbench.store.conversations import Conversations
from workbench.store.database import Database
from workbench.store.prompts import Prompts
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


class Echo:
    """Answers every question at once, with the number of messages that it was sent."""

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        text = f"answer to {len(request.messages)}"
        yield Opened(0, 0, 0)
        yield Delta(0, Channel.TEXT, text)
        route = Route(request.model, "p", request.model, "")
        yield Finished(0, Result(text, "", FinishReason.STOP, None, None, Timing(0), route))


async def converse(database: Database, *, keep_text: bool = True) -> None:
    """Two lanes asked twice, then once from the start."""

    async def connect() -> Echo:
        return Echo()

    clock = ManualClock()
    recorder = Recorder(
        Runs(database, keep_text=keep_text),
        clock,
        kind=RunKind.COMPARE,
        conversations=Conversations(database) if keep_text else None,
        prompts=Prompts(database) if keep_text else None,
    )
    ended = asyncio.Event()
    async with Comparison(connect, ManualClock(), LineUp.of("a", "b")) as comparison:
        chronicle = Chronicle(recorder)

        def note(lane: Lane, turn: Turn, result: Result) -> None:
            chronicle.note(lane, turn, result)
            if not any(lane.state.is_running for lane in comparison.lanes):
                ended.set()

        comparison.on_ended = note
        for draft in (Draft("First?", "Be brief."), Draft("And then?", "Be brief.")):
            ended.clear()
            comparison.send(draft)
            await ended.wait()
            clock.advance(1.0)
        comparison.start_over()
        ended.clear()
        comparison.send(Draft("Anew?"))
        await ended.wait()
    await asyncio.to_thread(recorder.flush)


async def test_a_follow_up_keeps_each_lanes_conversation_with_its_recorded_answers(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite3")

    await converse(database)

    conversations = Conversations(database)
    kept = [await conversations.get(one.id) for one in await conversations.latest()]
    anew, second, first = await Runs(database).latest()
    before = {run.prompt: await conversations.before_answers(run.id) for run in (anew, second, first)}
    _, answers = await Runs(database).get(second.id)
    await database.aclose()
    assert {one.model for one in kept} == {"a", "b"}
    said = ["Be brief.", "First?", "answer to 2", "And then?", "answer to 4"]
    assert [[message.text for message in one.messages] for one in kept] == [said, said]
    assert (before["Anew?"], before["First?"]) == ({}, {})
    earlier = (Message.user("First?"), Message.assistant("answer to 2"))
    assert before["And then?"] == {answer.id: earlier for answer in answers}


async def test_forgetting_a_run_forgets_the_conversations_that_it_stands_in(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite3")
    await converse(database)

    first = (await Runs(database).latest())[-1]
    await Runs(database).delete(first.id)

    assert await Conversations(database).latest() == []
    await database.aclose()


async def test_the_prompt_that_begins_a_conversation_is_kept_and_follow_ups_are_not(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite3")

    await converse(database)

    prompts = await Prompts(database).latest()
    await database.aclose()
    assert [(prompt.name, prompt.version, prompt.system) for prompt in prompts] == [
        ("Anew?", 1, ""),
        ("First?", 1, "Be brief."),
    ]


async def test_no_word_of_a_conversation_reaches_a_store_that_keeps_no_text(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite3")

    await converse(database, keep_text=False)

    runs = await Runs(database).latest()
    await database.aclose()
    assert len(runs) == 3
    stored = await asyncio.to_thread(all_bytes, tmp_path)
    assert not any(word in stored for word in (b"First?", b"And then?", b"answer to", b"Be brief."))


def all_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())
