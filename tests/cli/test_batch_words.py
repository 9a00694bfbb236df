"""Jobs in words: tables that fit, details, JSON, exit codes, and nothing that a terminal would obey."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from batch_values import NOW_S, job

from workbench.cli.batch_words import details, exit_code, job_as_json, table
from workbench.cli.table import cells
from workbench.jobs.job import Job, JobState

HOSTILE = "\x1b]0;owned\x07two\nlines \x9b31m"


@pytest.mark.parametrize(
    ("jobs", "code"),
    [
        ([], 0),
        ([job(JobState.COMPLETED, done=10)], 0),
        ([job(JobState.COMPLETED, done=10), job(JobState.PARTIAL, done=10, failed=1)], 1),
        ([job(JobState.EXPIRED)], 1),
        ([job(JobState.CANCELLED)], 1),
        ([job(JobState.FAILED, done=0)], 1),
        ([job(JobState.RUNNING), job(JobState.PARTIAL, done=10, failed=1)], 3),
        ([job(JobState.COLLECTING, done=10)], 3),
    ],
)
def test_the_exit_code_says_what_a_script_wants_to_know(jobs: list[Job], code: int) -> None:
    assert exit_code(jobs) == code


def test_a_table_tells_what_matters_of_each_job() -> None:
    text = table([job(failed=1, estimate_usd=0.25), job(JobState.COMPLETED, done=10, cost_usd=0.5)], NOW_S)

    assert [line.split() for line in text.splitlines()] == [
        ["JOB", "MODEL", "STATE", "DONE", "FAILED", "AGE", "COST", "NAME"],
        ["0m4x2k9d3abcde", "gpt-4.1-mini", "running", "3/10", "1", "5m00s", "~$0.250", "rivers"],
        ["0m4x2k9d3abcde", "gpt-4.1-mini", "completed", "10/10", "—", "5m00s", "$0.500", "rivers"],
    ]


@pytest.mark.parametrize("width", [30, 45, 60, 80])
def test_a_table_leaves_out_columns_until_it_fits_and_keeps_the_id_whole(width: int) -> None:
    text = table([job(name="日本の川と湖について" * 3, model="anthropic/claude-haiku-4-5")], NOW_S, width)

    assert all(cells(line) <= max(width, 34) for line in text.splitlines())
    assert all(word in text for word in ("0m4x2k9d3abcde", "running", "3/10"))


def test_details_name_the_provider_s_batch_the_key_s_alias_and_the_errors_by_kind() -> None:
    text = details(job(failed=2, notes=("seed: not known to it, left out.",)), NOW_S, (("rate limit", 2),))

    assert dict(line.split(None, 1) for line in text.splitlines() if not line.startswith("at ")) == {
        "job": "0m4x2k9d3abcde",
        "state": "running, 3/10 rows done, 2 failed",
        "model": "gpt-4.1-mini (openai, key openai#1)",
        "name": "rivers",
        "submitted": text.split("submitted", 1)[1].splitlines()[0].strip(),
        "asked": "12s ago",
        "cost": "—",
        "errors": "2 rate limit",
        "note": "seed: not known to it, left out.",
    }
    assert "openai:1:batch_abc" in text


def test_details_list_the_parts_of_a_job_that_became_several_batches() -> None:
    whole = job()
    parts = (whole.parts[0], replace(whole.parts[0], index=1, batch_id=None, problem="Enqueued token limit reached."))

    lines = details(replace(whole, parts=parts), NOW_S).splitlines()

    assert lines[-2].split()[:3] == ["1", "batch_abc", "running"]
    assert "not submitted yet" in lines[-1]
    assert lines[-1].endswith("Enqueued token limit reached.")


def test_control_codes_and_keys_in_names_and_complaints_never_reach_the_terminal() -> None:
    hostile = job(name=HOSTILE, model=HOSTILE, problem=f"{HOSTILE} sk-abcdefghij0123456789", notes=(HOSTILE,))

    shown = table([hostile], NOW_S) + details(hostile, NOW_S, ((HOSTILE, 1),))

    assert not any(code in shown for code in ("\x1b", "\x9b", "\x07", "owned", "0123456789"))
    assert len(table([hostile], NOW_S).splitlines()) == 2


def test_an_object_holds_everything_and_null_for_what_is_unknown() -> None:
    shown = json.loads(json.dumps(job_as_json(job(problem="sk-abcdefghij0123456789 is dead"))))

    assert (shown["id"], shown["handle"], shown["state"], shown["ended"]) == (
        "0m4x2k9d3abcde",
        "openai:1:batch_abc",
        "running",
        False,
    )
    assert shown["counts"] == {"total": 10, "succeeded": 3, "failed": 0}
    assert shown["cost_usd"] is None
    assert shown["problem"] == "[key hidden] is dead"
    assert [batch["id"] for batch in shown["batches"]] == ["batch_abc"]
