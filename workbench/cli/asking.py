"""One prompt to one model, whose answer streams, or to several at once: what `run` does without a file.

While an answer is awaited, a line on standard error says what for, and counts down where the limiter knows how long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from workbench.cli.answers import Answer, Output, error_line, figures_of
from workbench.cli.ticking import ticking
from workbench.core.errors import WorkbenchError
from workbench.core.events import Admitted, Delta, Failed, Finished, Queued, Retrying
from workbench.core.text import strip_control
from workbench.core.types import Channel, Request, Result
from workbench.session.structured import Structurer
from workbench.session.waiting import wait_facts, waiting

if TYPE_CHECKING:
    from workbench.cli.recording import OpenRun
    from workbench.core.schema import OutputSchema
    from workbench.engine.engine import Engine


async def ask_one(engine: Engine, request: Request, output: Output, history: OpenRun) -> bool:
    """Stream the answer as it comes."""
    answer = Answer(request.model, None)
    held_up: Queued | Retrying | None = None

    def count_down() -> None:
        if held_up is not None:
            output.status(_held_up(held_up))

    try:
        async with ticking(count_down), aclosing(engine.stream(request)) as events:
            async for event in events:
                held_up = event if isinstance(event, (Queued, Retrying)) else None
                match event:
                    case Delta(channel=Channel.TEXT, text=text):
                        output.status("")
                        output.piece(text)
                    case Delta(channel=Channel.REASONING):
                        output.status("thinking …")
                    case Admitted():
                        output.status(f"waiting for {event.route.wire_model} …")
                    case Queued() | Retrying():
                        count_down()
                    case Finished(result=result):
                        answer = Answer(request.model, result)
                    case Failed(error=error, partial=partial):
                        answer = Answer(request.model, partial, error)
                    case _:
                        pass
    except WorkbenchError as exc:
        answer = Answer(request.model, None, exc)
    finally:
        output.end()
    history.add(0, request, answer.result, answer.error)
    if answer.error is not None:
        output.note(error_line(answer))
        return False
    _footnotes(output, answer)
    return True


def _held_up(event: Queued | Retrying) -> str:
    """`waiting: requests per minute · goes in 12 s · 3 ahead`."""
    reason, facts = wait_facts(event, time.monotonic_ns())
    return " · ".join([f"waiting: {reason}", *facts])


def _footnotes(output: Output, answer: Answer) -> None:
    if answer.result is not None:
        for remark in answer.result.notes:
            output.footnote(remark)
        output.footnote(f"{answer.model} · {figures_of(answer.result)}")


async def ask_for_object(
    engine: Engine, request: Request, output: Output, history: OpenRun, schema: OutputSchema
) -> bool:
    """Standard output gets JSON that fits, or nothing: a text that does not goes with the reason to standard error."""
    async with ticking(lambda: output.status(_held_up_there(engine) or f"waiting for {request.model} …")):
        answer = await _answer(engine, request, history, 0, schema)
    output.status("")
    if answer.error is not None:
        if answer.text:
            output.note(strip_control(answer.text.strip("\n")))
        output.note(error_line(answer))
        return False
    output.piece(answer.text)
    output.end()
    _footnotes(output, answer)
    return True


async def ask_all(
    engine: Engine,
    requests: Sequence[Request],
    output: Output,
    history: OpenRun,
    schema: OutputSchema | None,
    *,
    as_json: bool,
) -> bool:
    """Ask at once, print each as it finishes."""
    show = output.json_line if as_json else output.whole
    left = len(requests)
    printing = False
    all_answered = True

    def say_what_is_missing() -> None:
        if not printing:
            output.status(_missing(left, len(requests), _held_up_there(engine)))

    async with ticking(say_what_is_missing), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_answer(engine, request, history, position, schema))
            for position, request in enumerate(requests)
        ]
        for finished in asyncio.as_completed(tasks):
            answer = await finished
            left -= 1
            all_answered &= answer.error is None
            output.status("")
            printing = True
            # In a thread: a reader that is slow to take our output must not make the others' clocks late.
            await asyncio.to_thread(show, answer)
            printing = False
            say_what_is_missing()
    output.status("")
    return all_answered


def _missing(left: int, of: int, held_up: str) -> str:
    if not left:
        return ""
    answers = f"{left} answers" if left == of else f"{left} of {of} answers"
    return f"{answers} to come · {held_up}" if held_up else f"waiting for {answers} …"


def _held_up_there(engine: Engine) -> str:
    """`3 waiting: requests per minute, next in 12 s`; empty while nothing waits."""
    waits = waiting(engine.statistics(times=False))
    return "" if waits is None else waits.words(time.monotonic_ns())


async def _answer(
    engine: Engine, request: Request, history: OpenRun, position: int, schema: OutputSchema | None
) -> Answer:

    def rejected(result: Result) -> None:
        history.add(position, request, result)

    try:
        if schema is None:
            answer = Answer(request.model, await engine.complete(request))
        else:
            found = await Structurer().ask(engine.complete, request, schema, on_rejected=rejected)
            answer = Answer(request.model, found.result, held=True, value=found.value)
    except WorkbenchError as exc:
        answer = Answer(request.model, exc.partial, exc, held=schema is not None)
    history.add(position, request, answer.result, answer.error)
    return answer
