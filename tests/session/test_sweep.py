"""A sweep asks every row once, whatever happened before, and stops for money."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.core.errors import ServerError, UsageError
from workbench.core.schema import schema_from
from workbench.core.types import FinishReason, Request, Result, Route, Timing, Usage
from workbench.engine.budget import Budget, BudgetStats
from workbench.jobs.rows import RowReader
from workbench.session.sheet import Sheet
from workbench.session.sweep import Sweep, SweepRun, SweepTally


def answer(request: Request, *, cost: float = 0.01) -> Result:
    usage = Usage(input=1, output=2)
    route = Route(request.model, "p", request.model, "")
    return Result(request.messages[-1].text, "", FinishReason.STOP, usage, cost, Timing(0), route)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "in.txt"
    file.write_text("".join(f"row {number}\n" for number in range(20)))
    return file


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


async def run(sweep: Sweep, output: Path, complete=None, *, retry_failed: bool = False, **options) -> SweepTally:
    async def answered(request: Request) -> Result:
        await asyncio.sleep(0)
        return answer(request)

    total = sweep.survey(skip_bad=True).requests
    with Sheet(output, resume=True, retry_failed=retry_failed) as sheet:
        sheet.forget_changed(sweep.keys())
        return await SweepRun(
            sweep,
            sheet,
            complete or answered,
            total=total,
            as_json=lambda request, outcome: {
                "model": request.model,
                "error": None if isinstance(outcome, Result) else "failed",
            },
            **options,
        ).run()


def names(output: Path) -> list[tuple[str, str, int]]:
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    return sorted((row["id"], row["model"], row["sample"]) for row in rows)


def objects(output: Path) -> list[object]:
    return [json.loads(row)["object"] for row in output.read_text().splitlines()]


async def test_every_row_is_asked_of_every_model_as_often_as_wanted(source: Path, output: Path) -> None:
    tally = await run(Sweep(source, RowReader(), ("a", "b"), samples=2, in_flight=3), output)

    assert len(set(names(output))) == len(names(output)) == 80
    assert (tally.done, tally.total, tally.failed, tally.output_tokens) == (80, 80, 0, 160)
    assert tally.cost_usd == pytest.approx(0.8)


@pytest.mark.parametrize("after", [1, 7, 19])
async def test_a_run_that_was_broken_off_goes_on_where_it_was(source: Path, output: Path, after: int) -> None:
    asked = 0

    async def breaking(request: Request) -> Result:
        nonlocal asked
        asked += 1
        if asked > after:
            raise ZeroDivisionError  # a fault of ours ends everything at once, as a kill would
        return answer(request)

    sweep = Sweep(source, RowReader(), ("a",), in_flight=1)
    with pytest.raises(ExceptionGroup):
        await run(sweep, output, breaking)
    tally = await run(sweep, output)

    assert names(output) == sorted((str(line), "a", 0) for line in range(1, 21))
    assert tally.done == 20
    assert tally.kept >= after - 1


async def test_failed_rows_count_as_ended_until_they_are_asked_again(source: Path, output: Path) -> None:
    async def failing(request: Request) -> Result:
        if "7" in request.messages[0].text:
            raise ServerError("broken")
        return answer(request)

    sweep = Sweep(source, RowReader(), ("a",))
    first = await run(sweep, output, failing)
    second = await run(sweep, output)
    third = await run(sweep, output, retry_failed=True)

    assert (first.failed, second.kept, third.kept, third.failed) == (2, 20, 18, 0)
    assert len(names(output)) == 20


async def test_an_edited_row_is_asked_again_and_stands_once(source: Path, output: Path) -> None:
    edited = source.read_text().replace("row 3\n", "row three\n")  # noqa: ASYNC240 - nothing else runs
    sweep = Sweep(source, RowReader(), ("a",))
    await run(sweep, output)
    source.write_text(edited)  # noqa: ASYNC240 - nothing else runs

    tally = await run(sweep, output)

    assert (tally.kept, len(names(output))) == (19, 20)


async def test_at_the_cap_a_run_stops_and_can_go_on(source: Path, output: Path) -> None:
    asked: list[BudgetStats] = []

    async def stop(stats: BudgetStats) -> None:
        asked.append(stats)

    sweep = Sweep(source, RowReader(), ("a",), in_flight=2)
    first = await run(sweep, output, budget=Budget(0.05), on_cap=stop)
    second = await run(sweep, output)

    assert first.capped
    assert 5 <= first.done <= 6
    assert len(asked) == 1
    assert (second.capped, second.done, len(names(output))) == (False, 20, 20)


async def test_what_starts_together_is_not_paid_for_before_the_cap_is_looked_at(source: Path, output: Path) -> None:
    async def stop(stats: BudgetStats) -> None:
        return None

    tally = await run(Sweep(source, RowReader(), ("a", "b"), in_flight=32), output, budget=Budget(0.05), on_cap=stop)

    assert tally.capped
    # A cent each: the cap, and what the two models had under way when it was reached.
    assert tally.cost_usd <= 0.05 + 2 * 0.01 + 1e-9


async def test_a_model_without_a_price_holds_nobody_up_for_long(source: Path, output: Path) -> None:
    running = most = 0

    async def unpriced(request: Request) -> Result:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return replace(answer(request), cost_usd=None)

    tally = await run(Sweep(source, RowReader(), ("a",), in_flight=4), output, unpriced, budget=Budget(0.05))

    assert (tally.done, tally.unpriced, most) == (20, 20, 4)


async def test_a_raised_cap_lets_the_same_run_go_on(source: Path, output: Path) -> None:
    async def more(stats: BudgetStats) -> float:
        return stats.spent_usd + 0.05

    tally = await run(Sweep(source, RowReader(), ("a",), in_flight=4), output, budget=Budget(0.05), on_cap=more)

    assert (tally.done, tally.capped) == (20, False)


def test_bad_rows_are_quoted_before_anything_is_sent(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "a"}\n{"promt": "b"}\nnonsense\n')
    sweep = Sweep(source, RowReader(), ("a",))

    with pytest.raises(UsageError) as caught:
        sweep.survey(skip_bad=False)

    assert "2 bad rows:\n  line 2: neither" in str(caught.value)
    assert "--skip-bad" in str(caught.value)
    assert [row.line for row in sweep.survey(skip_bad=True).bad] == [2, 3]


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("\n\n")

    with pytest.raises(UsageError, match="has no rows"):
        Sweep(source, RowReader(), ("a",)).survey(skip_bad=True)


async def test_an_answer_that_had_to_be_repaired_costs_both_calls(source: Path, output: Path) -> None:
    wanted = schema_from({"type": "object", "required": ["name"]})

    async def second_time_right(request: Request) -> Result:
        repaired = len(request.messages) > 1
        return replace(answer(request), text='{"name": "Po"}' if repaired else "Po")

    budget = Budget(100.0)
    tally = await run(Sweep(source, RowReader(), ("a",), schema=wanted), output, second_time_right, budget=budget)

    assert (tally.done, tally.failed, tally.output_tokens) == (20, 0, 80)
    assert tally.cost_usd == pytest.approx(budget.statistics().spent_usd) == pytest.approx(0.4)
    assert objects(output) == [{"name": "Po"}] * 20
