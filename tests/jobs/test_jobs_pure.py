"""The decisions of batch jobs that need neither a clock nor a provider."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.errors import UsageError
from workbench.jobs.collect import natural
from workbench.jobs.finding import batch_of, provider_of
from workbench.jobs.job import Job, JobCounts, JobPart, JobState, state_of
from workbench.jobs.pace import Pace
from workbench.jobs.split import Splitter
from workbench.jobs.tracker import owner_is_gone, owner_of_this_process
from workbench.providers.batch import BatchLimits
from workbench.providers.batch_lines import FileLines
from workbench.providers.batch_rows import LinesFile

# -- splitting ---------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(600, 1_200),
)
def test_no_part_is_larger_than_the_limits_and_no_row_is_left_out(sizes: list[int], rows: int, body: int):
    splitter = Splitter(BatchLimits(rows, body, 400))

    places = [splitter.place(size) for size in sizes]

    assert places == sorted(places)
    assert splitter.rows == [places.count(part) for part in range(len(splitter.rows))]
    assert max(splitter.rows) <= rows
    for part in range(len(splitter.rows)):
        assert sum(size + 1 for size, place in zip(sizes, places, strict=True) if place == part) <= body


@given(st.lists(st.integers(1, 400), min_size=2, max_size=60), st.integers(1, 12), st.integers(600, 1_200))
def test_a_part_is_closed_only_when_the_next_row_would_not_fit(sizes: list[int], rows: int, body: int):
    splitter = Splitter(BatchLimits(rows, body, 400))

    places = [splitter.place(size) for size in sizes]

    for number in range(1, len(sizes)):
        if places[number] != places[number - 1]:
            before = [size + 1 for size, place in zip(sizes, places, strict=True) if place == places[number - 1]]
            assert len(before) == rows or sum(before) + sizes[number] + 1 + 64 > body


# -- waiting -----------------------------------------------------------------------------------------------------------


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(), st.one_of(st.none(), st.floats(0, 1e4, allow_nan=False)))
def test_a_wait_is_never_shorter_than_the_first_nor_than_the_hint(
    previous_s: float, age_s: float, seed: int, hint_s: float | None
):
    wait_s = Pace().next_s(previous_s, age_s, Random(seed), hint_s=hint_s)

    assert wait_s >= max(5.0, hint_s or 0.0)


@given(st.floats(0, 1e6), st.integers())
def test_young_jobs_are_asked_after_every_minute_and_old_ones_every_five(previous_s: float, seed: int):
    pace = Pace()

    young, old = (pace.next_s(previous_s, age_s, Random(seed)) for age_s in (10.0, 90_000.0))

    assert young <= 60.0
    assert old <= 300.0


@given(st.integers())
def test_waits_grow_from_seconds_to_minutes(seed: int):
    rng, wait_s = Random(seed), 5.0
    waits = [wait_s := Pace().next_s(wait_s, 90_000.0, rng) for _ in range(200)]

    assert waits[0] <= 15.0
    assert max(waits) > 200.0


# -- states ------------------------------------------------------------------------------------------------------------

S = JobState


@pytest.mark.parametrize(
    ("parts", "succeeded", "expected"),
    [
        ((), 0, S.PREPARING),
        ((S.SUBMITTING, S.RUNNING), 0, S.SUBMITTING),
        ((S.QUEUED, S.QUEUED), 0, S.QUEUED),
        ((S.QUEUED, S.COMPLETED), 5, S.RUNNING),
        ((S.COLLECTING, S.COMPLETED), 5, S.COLLECTING),
        ((S.CANCELLING, S.RUNNING), 0, S.CANCELLING),
        ((S.COMPLETED, S.COMPLETED), 10, S.COMPLETED),
        ((S.COMPLETED, S.FAILED), 5, S.PARTIAL),
        ((S.FAILED, S.FAILED), 0, S.FAILED),
        ((S.EXPIRED, S.COMPLETED), 7, S.EXPIRED),
        ((S.CANCELLED, S.EXPIRED), 7, S.CANCELLED),
    ],
)
def test_a_jobs_state_follows_from_its_parts(parts: tuple[JobState, ...], succeeded: int, expected: JobState):
    assert state_of(parts, JobCounts(10, succeeded, 0)) is expected


def test_a_job_of_one_batch_is_called_by_it_and_one_of_several_by_our_own_name():
    def job(*batch_ids: str) -> Job:
        parts = tuple(JobPart(n, S.QUEUED, name, 1, JobCounts(1)) for n, name in enumerate(batch_ids))
        return Job("0abc", "", "gpt", "openai", "openai#2", None, S.QUEUED, JobCounts(1), parts, 0.0)  # type: ignore[arg-type]  # an alias is a str

    assert job("batch_1").handle == "openai:2:batch_1"
    assert job("batch_1", "batch_2").handle == "0abc"


# -- ids ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai:2:batch_abc123", ("openai", 2, "batch_abc123")),
        ("gemini:1:batches/x-1", ("gemini", 1, "batches/x-1")),
        ("batch_abc123", ("openai", 1, "batch_abc123")),
        ("msgbatch_01", ("anthropic", 1, "msgbatch_01")),
        ("batches/abc", ("gemini", 1, "batches/abc")),
        ("3f2a9c1e-0000-4000-8000-00000000abcd", ("together", 1, "3f2a9c1e-0000-4000-8000-00000000abcd")),
        ("0ktx3", None),
    ],
)
def test_an_id_tells_its_provider(text: str, expected: tuple[str, int, str] | None):
    assert batch_of(text) == expected


@pytest.mark.parametrize("text", ["whatever", "openrouter:1:batch_x"])
def test_an_id_that_tells_none_is_refused_with_an_example_or_the_names(text: str):
    with pytest.raises(UsageError, match=r"openai:1:batch_abc123|openai, anthropic"):
        provider_of(text)


def test_rows_of_other_programs_are_put_into_the_order_of_their_numbers():
    assert sorted(["request-10", "request-9", "request-1"], key=natural) == ["request-1", "request-9", "request-10"]


# -- lines on disk -----------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(min_size=1, max_size=50).filter(lambda line: b"\n" not in line), min_size=1, max_size=30))
def test_lines_on_disk_are_those_in_memory(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]):
    path = tmp_path_factory.mktemp("lines") / "lines"
    path.write_bytes(b"".join(line + b"\n" for line in lines))

    on_disk = FileLines(path, len(lines))
    sent = LinesFile(on_disk)

    assert (list(on_disk), len(on_disk), on_disk[0], on_disk[-1]) == (lines, len(lines), lines[0], lines[-1])
    assert (sent.size, sent.read()) == (path.stat().st_size, path.read_bytes())


# -- leases ------------------------------------------------------------------------------------------------------------


def test_this_process_is_not_gone_and_one_that_never_was_is():
    mine = owner_of_this_process()
    place, _, rest = mine.partition("|")
    # Above the highest number that Linux gives a process.
    dead = f"{place}|{2**22 + 1}|{rest.rpartition('|')[2]}"

    assert not owner_is_gone(mine)
    assert owner_is_gone(dead)
    assert not owner_is_gone(dead.replace(place, "another machine"))


def test_a_desk_is_imported_without_a_heavy_library():
    code = "import sys, workbench.jobs.desk; print(*{'openai', 'google.genai', 'litellm', 'httpx'} & {*sys.modules})"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
