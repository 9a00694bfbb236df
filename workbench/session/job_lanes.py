"""A row of a batch as a lane: what one model answered, in the shape that panes show and comparisons go on from."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.core.errors import WorkbenchError
from workbench.core.events import Failed, Finished
from workbench.core.types import Channel, FinishReason, Request, Result, Role, Route, Timing
from workbench.jobs.job import Job, JobRow, RowAnswer
from workbench.session.lane import Lane, Turn
from workbench.session.numbers import Meter
from workbench.session.targets import LineUp, Target


class RowFailed(WorkbenchError):
    """A row that came back from its provider as an error."""

    title = "failed row"


def question(row: JobRow) -> str:
    """The last thing that was asked in it; empty where the prompts are not known."""
    return next((message.text for message in reversed(row.messages) if message.role is Role.USER), "")


def line_up_of(found: Sequence[tuple[Job, JobRow]]) -> LineUp:
    line_up = LineUp()
    for job, row in found:
        line_up = line_up.add(Target(job.model or job.provider, row.params))
    return line_up


def fill(lanes: Sequence[Lane], found: Sequence[tuple[Job, JobRow]]) -> None:
    """Give every lane of `line_up_of(found)` its row as a conversation of one turn; none while the row is open."""
    for lane, (job, row) in zip(lanes, found, strict=True):
        turn = turn_of(job, row)
        lane.restore((turn,) if turn is not None else ())


def turn_of(job: Job, row: JobRow) -> Turn | None:
    """The row as a turn that is over; None while it is open."""
    answer = row.answer
    if answer is None:
        return None
    request = Request(job.model or job.provider, row.messages, row.params)
    turn = Turn(question(row), request, Meter(0))
    for channel, text in ((Channel.REASONING, answer.reasoning), (Channel.TEXT, answer.text)):
        if text:
            # Not through the meter: a batch has no rate, and no time to its first token.
            turn.pieces.append((channel, text))
    result = _result(job, row, answer)
    if answer.error is not None:
        turn.apply(Failed(0, RowFailed(f"{answer.error.title}: {answer.error.message}"), result))
    else:
        turn.apply(Finished(0, result))
    return turn


def _result(job: Job, row: JobRow, answer: RowAnswer) -> Result:
    return Result(
        text=answer.text,
        reasoning=answer.reasoning,
        finish_reason=answer.finish_reason or FinishReason.INCOMPLETE,
        usage=answer.usage,
        cost_usd=row.cost_usd,
        timing=Timing(0, done_ns=0),
        route=Route(job.model, job.provider, job.model, ""),
        key_alias=job.key_alias,
        request_id=answer.request_id,
        tool_calls=answer.tool_calls,
    )
