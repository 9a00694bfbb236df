"""What was spent and saved, added up from all answers, those of batch jobs included: by model, by day, by session."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from workbench.store.database import Database
from workbench.store.runs import SavedBy


class GroupBy(StrEnum):
    MODEL = "model"
    DAY = "day"
    SESSION = "session"


_EXPRESSIONS = {
    GroupBy.MODEL: "provider || '/' || wire_model",
    # A person's own day, not Greenwich's.
    GroupBy.DAY: "date(ended_s, 'unixepoch', 'localtime')",
    GroupBy.SESSION: "session",
}

_FIGURES = (
    "ended_s",
    "error_title",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_usd",
    "saved_usd",
)

# Only constants of this module are formatted in. A job outlives the sessions that look at it: it counts as its own.
_EVERYTHING = f"""
    SELECT provider, wire_model, session, cached, saved_by, {", ".join(f"answers.{name}" for name in _FIGURES)}
    FROM answers JOIN runs ON runs.id = run_id
    UNION ALL
    SELECT provider, wire_model, 'batch ' || job_id, 0, '{SavedBy.BATCH}',
        {", ".join(f"job_answers.{name}" for name in _FIGURES)}
    FROM job_answers JOIN jobs ON jobs.id = job_id
"""  # noqa: S608 - see the comment above


@dataclass(frozen=True, slots=True)
class UsageTotal:
    group: str
    requests: int
    failed: int
    cache_hits: int
    """Answers that came from the response cache: they count in no other column but `saved_response_cache_usd`."""
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_usd: float | None
    """Sum over the answers with a known price; None when there is not one."""
    unpriced: int
    """Answers whose price is unknown and which are therefore not in `cost_usd`."""
    saved_response_cache_usd: float
    saved_prefix_cache_usd: float
    saved_batch_usd: float

    @property
    def prefix_hit_rate(self) -> float | None:
        """Share of input tokens that the provider read from its own cache; None without input."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else None


async def totals(
    database: Database, by: GroupBy, *, since_s: float | None = None, session: str | None = None
) -> list[UsageTotal]:
    """One row a group, dearest first (days: newest first)."""
    order = '"group" DESC' if by is GroupBy.DAY else "cost_usd DESC NULLS LAST, requests DESC"
    saved = ", ".join(
        f"coalesce(sum(saved_usd) FILTER (WHERE saved_by = '{kind}'), 0.0) AS {name}"
        for kind, name in (
            (SavedBy.RESPONSE_CACHE, "saved_response_cache_usd"),
            (SavedBy.PREFIX_CACHE, "saved_prefix_cache_usd"),
            (SavedBy.BATCH, "saved_batch_usd"),
        )
    )
    live = "NOT cached"
    # Only constants of this module are formatted in; what a caller gives is bound.
    query = f"""
        SELECT {_EXPRESSIONS[by]} AS "group",
            count(*) AS requests,
            count(*) FILTER (WHERE error_title IS NOT NULL) AS failed,
            count(*) FILTER (WHERE cached) AS cache_hits,
            coalesce(sum(input_tokens) FILTER (WHERE {live}), 0) AS input_tokens,
            coalesce(sum(cached_tokens) FILTER (WHERE {live}), 0) AS cached_tokens,
            coalesce(sum(output_tokens) FILTER (WHERE {live}), 0) AS output_tokens,
            coalesce(sum(reasoning_tokens) FILTER (WHERE {live}), 0) AS reasoning_tokens,
            sum(cost_usd) FILTER (WHERE {live}) AS cost_usd,
            count(*) FILTER (WHERE {live} AND cost_usd IS NULL AND error_title IS NULL) AS unpriced,
            {saved}
        FROM ({_EVERYTHING})
        WHERE (:since IS NULL OR ended_s >= :since) AND (:session IS NULL OR session = :session)
        GROUP BY "group" ORDER BY {order}
    """  # noqa: S608 - see the comment above

    def work(connection: sqlite3.Connection) -> list[UsageTotal]:
        rows = connection.execute(query, {"since": since_s, "session": session})
        return [UsageTotal(**dict(row)) for row in rows]

    return await database.read(work)
