"""Runs and their answers: what was asked, of whom, and what came of it.

A run is one prompt put to a line-up; an answer is one target's reply to it, a failed one included. Texts can be kept
out (`history.keep_text = false`): the figures are still recorded, the words never reach the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgspec

from workbench.core.errors import StoreError, WorkbenchError
from workbench.core.types import STAMPS, FinishReason, Params, Result, Timing
from workbench.store.database import Database
from workbench.store.ids import new_id
from workbench.store.usage_columns import usage_columns


class RunKind(StrEnum):
    COMPARE = "compare"
    SHELL = "run"
    LIBRARY = "library"
    BATCH = "batch"


class SavedBy(StrEnum):
    """What made an answer cheaper than its list price. Shown apart, since they are different decisions."""

    RESPONSE_CACHE = "response cache"
    PREFIX_CACHE = "prefix cache"
    BATCH = "batch"


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    created_s: float
    """Epoch seconds."""
    session: str
    kind: RunKind
    name: str
    system: str | None
    """None when texts are not kept, empty when there was none."""
    prompt: str | None
    params: dict[str, Any]
    starred: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One row of `answers`; see `Result` for what the figures mean. None = unknown."""

    id: str
    run_id: str
    position: int
    sample: int
    ended_s: float
    model: str
    provider: str
    wire_model: str
    key_alias: str | None
    params: dict[str, Any]
    finish_reason: FinishReason
    text: str | None
    reasoning: str | None
    error_title: str | None
    error_message: str | None
    ttft_s: float | None
    ttfa_s: float | None
    tpot_s: float | None
    queue_s: float | None
    service_s: float | None
    e2e_s: float | None
    timing: dict[str, int]
    """Stamps in ns since submission, those that exist; `metrics` has their meaning."""
    input_tokens: int | None
    cached_tokens: int | None
    written_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    usage_source: str | None
    cost_usd: float | None
    saved_usd: float | None
    saved_by: SavedBy | None
    cached: bool
    attempts: int
    request_id: str | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """One run that a search found, with the words around the find."""

    run: Run
    excerpt: str
    """The match stands between « and »."""


_ANSWER_COLUMNS = tuple(Answer.__dataclass_fields__)
_INSERT_ANSWER = "INSERT OR REPLACE INTO answers ({}) VALUES ({})".format(  # noqa: S608 - our own field names
    ", ".join(_ANSWER_COLUMNS), ", ".join(f":{column}" for column in _ANSWER_COLUMNS)
)


class Runs:
    """The runs of one store. `keep_text=False` records figures and no words."""

    def __init__(self, database: Database, *, keep_text: bool = True) -> None:
        self._database = database
        self._keep_text = keep_text

    def start(
        self,
        *,
        now_s: float,
        session: str,
        kind: RunKind,
        prompt: str,
        system: str = "",
        params: Params | None = None,
        name: str = "",
    ) -> tuple[str, Future[None]]:
        """Record that a prompt was put to a line-up: the run's id at once, and when it has been written."""
        run = self._run(prompt, system, now_s=now_s, session=session, kind=kind, params=params or Params(), name=name)
        return run.id, self._database.submit(lambda connection: _insert_run(connection, run))

    def add(
        self,
        run_id: str,
        result: Result,
        *,
        position: int,
        now_s: float,
        params: Params | None = None,
        sample: int = 0,
        error: WorkbenchError | None = None,
        saved_by: SavedBy | None = None,
    ) -> tuple[str, Future[None]]:
        """Record one target's answer, or what it had come to when it failed; as `start`."""
        answer = self._kept(_answer_from(run_id, result, position, now_s, params or Params(), sample, error, saved_by))
        return answer.id, self._database.submit(lambda connection: _insert_answer(connection, answer))

    def add_alone(
        self,
        result: Result,
        *,
        now_s: float,
        session: str,
        kind: RunKind,
        prompt: str,
        system: str,
        params: Params,
        sample: int = 0,
        error: WorkbenchError | None = None,
    ) -> Future[None]:
        """Record a run with its one answer: as `start` and `add`, at half their cost."""
        run = self._run(prompt, system, now_s=now_s, session=session, kind=kind, params=params)
        answer = self._kept(_answer_from(run.id, result, 0, now_s, params, sample, error))

        def work(connection: sqlite3.Connection) -> None:
            _insert_run(connection, run)
            _insert_answer(connection, answer)

        return self._database.submit(work)

    def _run(
        self, prompt: str, system: str, *, now_s: float, session: str, kind: RunKind, params: Params, name: str = ""
    ) -> Run:
        return Run(
            id=new_id(now_s),
            created_s=now_s,
            session=session,
            kind=kind,
            name=name,
            system=system if self._keep_text else None,
            prompt=prompt if self._keep_text else None,
            params=dict(params.as_dict()),
        )

    def _kept(self, answer: Answer) -> Answer:
        if self._keep_text:
            return answer
        # A provider's error message may quote the prompt; its title says enough.
        return replace(answer, text=None, reasoning=None, error_message=None)

    async def latest(self, *, limit: int = 50, before_s: float | None = None, session: str | None = None) -> list[Run]:
        """Newest first."""

        def work(connection: sqlite3.Connection) -> list[Run]:
            rows = connection.execute(
                "SELECT * FROM runs WHERE (:before IS NULL OR created_s < :before)"
                " AND (:session IS NULL OR session = :session) ORDER BY created_s DESC, id DESC LIMIT :limit",
                {"before": before_s, "session": session, "limit": limit},
            )
            return [_run(row) for row in rows]

        return await self._database.read(work)

    async def get(self, run_id: str) -> tuple[Run, list[Answer]]:
        """A run by its id or an unambiguous beginning of it. Raises StoreError when there is none, or several."""

        def work(connection: sqlite3.Connection) -> tuple[Run, list[Answer]]:
            run = _one_run(connection, run_id)
            rows = connection.execute("SELECT * FROM answers WHERE run_id = ? ORDER BY position, sample", (run.id,))
            return run, [_answer(row) for row in rows]

        return await self._database.read(work)

    async def search(self, query: str, *, limit: int = 50) -> list[Hit]:
        """Runs of which the prompt or one answer holds all words of `query`, best first; beginnings of words match."""
        words = [word for word in query.replace('"', " ").split() if any(letter.isalnum() for letter in word)]
        if not words:
            return []
        expression = " ".join(f'"{word}"*' for word in words)

        def work(connection: sqlite3.Connection) -> list[Hit]:
            # `snippet` and `rank` do not survive a GROUP BY, so a run that was found in several places is folded here.
            places = connection.execute(
                "SELECT run_id, snippet(found, 2, '«', '»', '…', 24) FROM found WHERE found MATCH ? ORDER BY rank",
                (expression,),
            )
            excerpts: dict[str, str] = {}
            for run_id, excerpt in places:
                if len(excerpts) == limit:
                    break
                excerpts.setdefault(run_id, excerpt)
            return [Hit(_one_run(connection, run_id), excerpt) for run_id, excerpt in excerpts.items()]

        return await self._database.read(work)

    async def star(self, run_id: str, *, starred: bool) -> None:
        await self._database.write(
            lambda connection: connection.execute("UPDATE runs SET starred = ? WHERE id = ?", (starred, run_id))
        )

    async def delete(self, run_id: str) -> None:
        """Forget a run, its answers, the conversations they stand in and what the search knows of them."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "DELETE FROM conversations WHERE id IN (SELECT conversation_id FROM turns"
                " JOIN answers ON answers.id = turns.answer_id WHERE answers.run_id = ?)",
                (run_id,),
            )
            connection.execute("DELETE FROM found WHERE run_id = ?", (run_id,))
            connection.execute("DELETE FROM runs WHERE id = ?", (run_id,))

        await self._database.write(work)


def _insert_run(connection: sqlite3.Connection, run: Run) -> None:
    connection.execute(
        "INSERT INTO runs (id, created_s, session, kind, name, system, prompt, params, starred)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
        (run.id, run.created_s, run.session, run.kind, run.name, run.system, run.prompt, _json(run.params)),
    )
    words = "\n".join(part for part in (run.name, run.system, run.prompt) if part)
    _make_findable(connection, run.id, "prompt", words)


def _insert_answer(connection: sqlite3.Connection, answer: Answer) -> None:
    values = {column: getattr(answer, column) for column in _ANSWER_COLUMNS}
    values |= {"params": _json(answer.params), "timing": _json(answer.timing), "notes": _json(answer.notes)}
    connection.execute(_INSERT_ANSWER, values)
    _make_findable(connection, answer.run_id, answer.model, answer.text or "")


def _make_findable(connection: sqlite3.Connection, run_id: str, place: str, words: str) -> None:
    if words:
        connection.execute("INSERT INTO found (run_id, place, text) VALUES (?, ?, ?)", (run_id, place, words))


def _one_run(connection: sqlite3.Connection, run_id: str) -> Run:
    rows = connection.execute(
        "SELECT * FROM runs WHERE id >= :id AND id < :id || '~' ORDER BY id LIMIT 3", {"id": run_id}
    ).fetchall()
    if not rows:
        raise StoreError(f"No run {run_id!r} in the history.", hint="`llm-workbench history list` shows their names.")
    if len(rows) > 1 and rows[0]["id"] != run_id:
        raise StoreError(f"{run_id!r} is the beginning of several runs.", hint="Give more of its name.")
    return _run(rows[0])


def _run(row: sqlite3.Row) -> Run:
    return Run(
        id=row["id"],
        created_s=row["created_s"],
        session=row["session"],
        kind=RunKind(row["kind"]),
        name=row["name"],
        system=row["system"],
        prompt=row["prompt"],
        params=msgspec.json.decode(row["params"]),
        starred=bool(row["starred"]),
    )


def _answer(row: sqlite3.Row) -> Answer:
    values = dict(row)
    values |= {
        "params": msgspec.json.decode(row["params"]),
        "timing": msgspec.json.decode(row["timing"]),
        "notes": tuple(msgspec.json.decode(row["notes"])),
        "finish_reason": FinishReason(row["finish_reason"]),
        "saved_by": SavedBy(row["saved_by"]) if row["saved_by"] else None,
        "cached": bool(row["cached"]),
    }
    return Answer(**values)


def _answer_from(
    run_id: str,
    result: Result,
    position: int,
    now_s: float,
    params: Params,
    sample: int,
    error: WorkbenchError | None,
    saved_by: SavedBy | None = None,
) -> Answer:
    usage, timing = result.usage, result.timing
    saved_usd, by = _saving(result)
    return Answer(
        id=new_id(now_s),
        run_id=run_id,
        position=position,
        sample=sample,
        ended_s=now_s,
        model=result.route.spec,
        provider=result.route.provider,
        wire_model=result.route.wire_model,
        key_alias=result.key_alias,
        params=dict(params.as_dict()),
        finish_reason=result.finish_reason,
        text=result.text,
        reasoning=result.reasoning,
        error_title=error.title if error else None,
        error_message=str(error) if error else None,
        ttft_s=timing.ttft_s,
        ttfa_s=timing.ttfa_s,
        tpot_s=timing.tpot_s(usage.output) if usage else None,
        queue_s=timing.queue_s,
        service_s=timing.service_s,
        e2e_s=timing.e2e_s,
        timing=_stamps(timing),
        **usage_columns(usage),
        cost_usd=result.cost_usd,
        saved_usd=saved_usd,
        saved_by=saved_by or by,
        cached=result.cached,
        attempts=result.attempts,
        request_id=result.request_id,
        notes=result.notes,
    )


def _saving(result: Result) -> tuple[float | None, SavedBy | None]:
    """How much an answer was below its list price, and why. An answer that was not asked for saved all of it."""
    if result.saved_usd is not None:
        return result.saved_usd, SavedBy.RESPONSE_CACHE if result.cached and result.saved_usd else None
    if result.prefix_saved_usd:
        return result.prefix_saved_usd, SavedBy.PREFIX_CACHE
    return None, None


def _stamps(timing: Timing) -> dict[str, int]:
    """Monotonic stamps mean nothing in another process, so they are kept relative to the submission."""
    stamps = {name: getattr(timing, f"{name}_ns") for name in STAMPS}
    return {name: stamp - timing.submitted_ns for name, stamp in stamps.items() if stamp is not None} | {
        "retry_wait": timing.retry_wait_ns,
        "stamp_error": timing.stamp_error_ns,
        "ttft_error": timing.ttft_error_ns,
        "stalled": timing.stalled_ns,
    }


def _json(value: dict[str, Any] | dict[str, int] | Sequence[str]) -> str:
    return msgspec.json.encode(value).decode()
