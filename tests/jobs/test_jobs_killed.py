"""A process that dies at the worst moments: the next one finishes its job, and no row is lost or paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jobs_kit import A_WHILE_S, AT_ONCE, SLOW, WAIT_S, World, environment, rows_in

from workbench.jobs.job import Job, JobState

ROWS = 12

Kill = Callable[..., None]


@pytest.fixture(scope="module")
def victims() -> Iterator[subprocess.Popen[str]]:
    here = Path(__file__).parent
    with subprocess.Popen(
        [sys.executable, str(here / "jobs_victim.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=here,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def kill(victims: subprocess.Popen[str], world: World) -> Kill:
    """Submit `ROWS` rows, in batches of six, by a process that is killed at a point of its work on the nth of them."""

    def run(provider: str, point: str, nth: int = 1) -> None:
        assert victims.stdin is not None
        assert victims.stdout is not None
        errand = {
            "provider": provider,
            "point": point,
            "nth": nth,
            "rows": ROWS,
            "database": str(world.database),
            "environ": environment(world.simulator.base_urls, world.root),
        }
        victims.stdin.write(json.dumps(errand) + "\n")
        victims.stdin.flush()
        assert victims.stdout.readline() == "killed\n"

    return run


async def finished(world: World) -> tuple[Job, list[str]]:
    """What a new process makes of the one job that is there: the job, and the questions that have an answer."""
    async with world.desk() as desk:
        [job] = await desk.jobs()
        job = await desk.wait(job.id, timeout_s=WAIT_S)
        rows = await rows_in(desk, job)
    return job, [row.messages[0].text for row in rows if row.answer and row.answer.text]


def expect_everything_once(world: World, provider: str, job: Job, answered: list[str]) -> None:
    assert job.state is JobState.COMPLETED, job
    assert answered == [f"Name river number {number}." for number in range(ROWS)]
    assert not list((world.database.parent / "batches").iterdir())
    assert world.paid_rows(provider) == sorted(f"{job.id}-{number}" for number in range(ROWS))


POINTS = (
    "before upload",
    "after upload",
    "before create",
    "after create",
    "while polling",
    "while downloading",
    "while writing",
)


@pytest.mark.parametrize("point", POINTS)
async def test_no_row_is_lost_or_paid_twice(world: World, kill: Kill, point: str):
    if point == "while polling":
        world.pace(SLOW)

    kill("openai", point)
    if point == "while polling":
        world.skip(A_WHILE_S)
    job, answered = await finished(world)

    expect_everything_once(world, "openai", job, answered)


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "together"])
async def test_a_batch_that_nobody_heard_of_is_found_at_every_provider(world: World, kill: Kill, provider: str):
    kill(provider, "after create", nth=2)

    job, answered = await finished(world)

    expect_everything_once(world, provider, job, answered)


async def test_a_batch_that_does_not_say_what_it_holds_is_waited_for_and_not_sent_again(world: World, kill: Kill):
    world.pace(SLOW)
    kill("anthropic", "after create")

    async with world.desk() as desk:
        [job] = await desk.jobs()
        await desk.poll_now(job.id)
        waiting = await desk.job(job.id)
    sent_meanwhile = len(world.batches("anthropic"))
    world.pace(AT_ONCE)
    world.skip(A_WHILE_S)
    job, answered = await finished(world)

    assert "nothing is sent twice meanwhile" in waiting.parts[0].problem
    assert sent_meanwhile == 2
    expect_everything_once(world, "anthropic", job, answered)


async def test_rows_that_were_still_being_read_are_not_sent_and_the_job_says_so(world: World, kill: Kill):
    kill("openai", "while reading")

    job, answered = await finished(world)

    assert (job.state, answered) == (JobState.FAILED, [])
    assert "Nothing was sent" in job.problem
    assert world.batches("openai") == []


async def test_files_of_a_process_that_died_are_removed_by_the_next(world: World, kill: Kill):
    kill("openai", "while reading")
    left = list((world.database.parent / "batches").iterdir())

    await finished(world)
    async with world.desk():
        pass

    assert left
    assert not list((world.database.parent / "batches").iterdir())
