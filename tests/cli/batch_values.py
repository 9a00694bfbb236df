"""Jobs as values, for tests of what is shown of them."""

from __future__ import annotations

import io
from typing import Any

from workbench.core.types import KeyAlias
from workbench.jobs.job import Job, JobCounts, JobPart, JobState

NOW_S = 1_790_000_000.0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def job(state: JobState = JobState.RUNNING, *, failed: int = 0, done: int = 3, total: int = 10, **more: Any) -> Job:
    """Of one part unless there are `parts`, submitted five minutes ago."""
    counts = JobCounts(total, done - failed, failed)
    part = JobPart(0, state, "batch_abc", total, counts, last_poll_s=NOW_S - 12, next_poll_s=NOW_S + 48)
    values: dict[str, Any] = {
        "id": "0m4x2k9d3abcde",
        "name": "rivers",
        "model": "gpt-4.1-mini",
        "provider": "openai",
        "key_alias": KeyAlias("openai#1"),
        "group": None,
        "state": state,
        "counts": counts,
        "parts": (part,),
        "created_s": NOW_S - 300,
    }
    return Job(**(values | more))
