"""Batch jobs as they are written down: what was to be sent, how far it got, what came back, and who is following it.

A job's state follows from its parts' and is stored nowhere else. Every change of a job or a part counts `revision` up,
which is how other processes notice. A row's question and its answer stand apart: an answer may be written twice, by a
download that was broken off and begun again, and is the same afterwards.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from workbench.store.database import Database
from workbench.store.job_records import AnswerRecord, JobRecord, PartRecord, RowRecord, StoredJob, StoredRow

Values = Mapping[str, Any]

_JOB: Final = tuple(field.name for field in fields(JobRecord))
_PART: Final = tuple(field.name for field in fields(PartRecord))
_ROW: Final = tuple(field.name for field in fields(RowRecord))
_ANSWER: Final = tuple(field.name for field in fields(AnswerRecord))

# Only names of this module's own fields are ever formatted into SQL; values are bound.
_INSERT_ROW: Final = f"INSERT INTO job_rows (job_id, {', '.join(_ROW)}) VALUES (?{', ?' * len(_ROW)})"  # noqa: S608 - see above
_INSERT_ANSWER: Final = (
    f"INSERT OR REPLACE INTO job_answers (job_id, {', '.join(_ANSWER)}) VALUES (?{', ?' * len(_ANSWER)})"  # noqa: S608 - see above
)
_COLUMNS: Final = [f"q.{name} AS q_{name}" for name in _ROW] + [f"a.{name} AS a_{name}" for name in _ANSWER]
_ROWS: Final = (
    f"SELECT {', '.join(_COLUMNS)}"  # noqa: S608 - see above
    " FROM job_rows q LEFT JOIN job_answers a ON a.job_id = q.job_id AND a.wire_id = q.wire_id WHERE q.job_id = :job"
)

CONDITIONS: Final = {
    "all": "",
    "succeeded": " AND a.wire_id IS NOT NULL AND a.error_title IS NULL",
    "failed": " AND a.error_title IS NOT NULL",
    "open": " AND a.wire_id IS NULL",
}


class JobStore:
    """The jobs of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ---- writing

    async def add(self, job: JobRecord) -> None:
        await self._database.write(lambda connection: _insert(connection, "jobs", _JOB, job))

    async def add_rows(self, job_id: str, rows: Sequence[RowRecord]) -> None:
        values = [(job_id, *(getattr(row, name) for name in _ROW)) for row in rows]
        await self._database.write(lambda connection: connection.executemany(_INSERT_ROW, values))

    async def add_parts(self, job_id: str, parts: Sequence[PartRecord], values: Values) -> None:
        """The moment at which a job is written down as a whole: its parts, and what is now known of it."""

        def work(connection: sqlite3.Connection) -> None:
            for part in parts:
                _insert(connection, "job_parts", _PART, part)
            _update_job(connection, job_id, values)

        await self._database.write(work)

    async def change_job(self, job_id: str, values: Values) -> None:
        await self._database.write(lambda connection: _update_job(connection, job_id, values))

    async def change_part(self, job_id: str, position: int, values: Values, *, only_in: Sequence[str] = ()) -> None:
        """`only_in`: leave a part alone that is in another state than these by now."""

        def work(connection: sqlite3.Connection) -> None:
            if only_in:
                state = "SELECT state FROM job_parts WHERE job_id = ? AND position = ?"
                found = connection.execute(state, (job_id, position)).fetchone()
                if found is None or found[0] not in only_in:
                    return
            _update_part(connection, job_id, position, values)

        await self._database.write(work)

    async def add_answers(self, job_id: str, answers: Sequence[AnswerRecord], *, make_rows: bool = False) -> None:
        """Written again, an answer replaces itself. `make_rows` where rows are known by their answers only."""
        values = [(job_id, *(getattr(answer, name) for name in _ANSWER)) for answer in answers]

        def work(connection: sqlite3.Connection) -> None:
            if make_rows:
                _add_unknown_rows(connection, job_id, answers)
            connection.executemany(_INSERT_ANSWER, values)

        await self._database.write(work)

    async def end_part(
        self, job_id: str, position: int, open_rows: AnswerRecord, values: Callable[[int, int], Values]
    ) -> None:
        """The last word on a part: rows without an answer get `open_rows`, counts and costs are what was written.

        Args:
            values: what else is to be changed, by how many rows succeeded and failed.
        """

        def work(connection: sqlite3.Connection) -> None:
            _answer_open_rows(connection, job_id, position, open_rows)
            succeeded, failed, cost_usd, saved_usd = connection.execute(
                "SELECT count(*) FILTER (WHERE error_title IS NULL), count(*) FILTER (WHERE error_title IS NOT NULL),"
                " sum(cost_usd), sum(saved_usd) FROM job_answers WHERE job_id = ? AND part = ?",
                (job_id, position),
            ).fetchone()
            counted = {"succeeded": succeeded, "failed": failed, "cost_usd": cost_usd, "saved_usd": saved_usd}
            _update_part(connection, job_id, position, {**counted, **values(succeeded, failed)})

        await self._database.write(work)

    async def put_in_order(self, job_id: str, key: Callable[[str], Any]) -> None:
        """Number the rows of an imported job anew, by their ids."""

        def work(connection: sqlite3.Connection) -> None:
            ids = [row[0] for row in connection.execute("SELECT wire_id FROM job_rows WHERE job_id = ?", (job_id,))]
            ids.sort(key=key)
            # Twice, since a position may be taken once only at any moment.
            connection.execute("UPDATE job_rows SET position = -1 - position WHERE job_id = ?", (job_id,))
            connection.executemany(
                "UPDATE job_rows SET position = ? WHERE job_id = ? AND wire_id = ?",
                [(place, job_id, wire_id) for place, wire_id in enumerate(ids)],
            )

        await self._database.write(work)

    async def forget(self, job_id: str) -> None:
        await self._database.write(lambda connection: connection.execute("DELETE FROM jobs WHERE id = ?", (job_id,)))

    # ---- who follows a job

    async def take(self, job_id: str, owner: str, now_s: float, until_s: float, gone: Callable[[str], bool]) -> bool:
        """Become the one who follows a job; False while somebody else is, whom `gone` does not know to be dead."""

        def work(connection: sqlite3.Connection) -> bool:
            found = connection.execute("SELECT owner, owner_until_s FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if found is None:
                return False
            held = found["owner"] not in ("", owner) and found["owner_until_s"] > now_s
            if held and not gone(found["owner"]):
                return False
            connection.execute("UPDATE jobs SET owner = ?, owner_until_s = ? WHERE id = ?", (owner, until_s, job_id))
            return True

        return await self._database.write(work)

    async def renew(self, owner: str, until_s: float) -> frozenset[str]:
        """The jobs that are still this owner's, for longer now. What ran out meanwhile may be somebody else's."""

        def work(connection: sqlite3.Connection) -> frozenset[str]:
            connection.execute("UPDATE jobs SET owner_until_s = ? WHERE owner = ?", (until_s, owner))
            return frozenset(row[0] for row in connection.execute("SELECT id FROM jobs WHERE owner = ?", (owner,)))

        return await self._database.write(work)

    async def release(self, owner: str, job_id: str | None = None) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE jobs SET owner = '', owner_until_s = 0 WHERE owner = ? AND (? IS NULL OR id = ?)",
                (owner, job_id, job_id),
            )

        await self._database.write(work)

    # ---- reading

    async def all(self) -> list[StoredJob]:
        """Newest first."""
        return await self._database.read(lambda connection: _jobs(connection, "1", ()))

    async def open(self) -> list[StoredJob]:
        """Jobs with a part that has not ended, or still without parts; newest first."""
        where = (
            "id IN (SELECT job_id FROM job_parts WHERE NOT over)"
            " OR (ended_s IS NULL AND id NOT IN (SELECT job_id FROM job_parts))"
        )
        return await self._database.read(lambda connection: _jobs(connection, where, ()))

    async def get(self, job_id: str) -> StoredJob | None:
        found = await self._database.read(lambda connection: _jobs(connection, "id = ?", (job_id,)))
        return found[0] if found else None

    async def beginning_with(self, prefix: str) -> list[StoredJob]:
        return await self._database.read(
            lambda connection: _jobs(connection, "id >= ? AND id < ? || '~' LIMIT 3", (prefix, prefix))
        )

    async def with_batch(self, batch_id: str) -> list[StoredJob]:
        where = "id IN (SELECT job_id FROM job_parts WHERE batch_id = ?)"
        return await self._database.read(lambda connection: _jobs(connection, where, (batch_id,)))

    async def retries_of(self, job_id: str) -> list[StoredJob]:
        return await self._database.read(lambda connection: _jobs(connection, "retry_of = ?", (job_id,)))

    def failed_rows(self, job_id: str, slice_rows: int = 500) -> Iterator[RowRecord]:
        """In input order, read as they are consumed. Blocks: for a worker thread."""
        query = f"{_ROWS}{CONDITIONS['failed']} AND q.position > :after ORDER BY q.position LIMIT :limit"
        position = -1
        while True:
            values = {"job": job_id, "limit": slice_rows, "after": position}
            found = self._database.read_sync(lambda connection: _found_rows(connection, query, values))  # noqa: B023 - used at once
            if not found:
                return
            for record, _ in found:
                position = record.position
                yield record

    async def revisions(self) -> dict[str, int]:
        def work(connection: sqlite3.Connection) -> dict[str, int]:
            return {row[0]: row[1] for row in connection.execute("SELECT id, revision FROM jobs")}

        return await self._database.read(work)

    async def page(self, job_id: str, only: str, offset: int, limit: int) -> list[StoredRow]:
        """`offset` counts rows that pass `only`, one of `CONDITIONS`."""
        # Positions have no gaps, so the index leads to a page of all rows; others are counted out from the first one.
        start = " AND q.position >= :offset" if only == "all" else ""
        query = f"{_ROWS}{CONDITIONS[only]}{start} ORDER BY q.position LIMIT :limit{'' if start else ' OFFSET :offset'}"
        values = {"job": job_id, "limit": limit, "offset": offset}
        return await self._database.read(lambda connection: _found_rows(connection, query, values))

    async def after(
        self, job_id: str, only: str, position: int, limit: int, *, part: int | None = None
    ) -> list[StoredRow]:
        """The next rows after a position: what reads many of them, however far, costs the same for each."""
        query = (
            f"{_ROWS}{CONDITIONS[only]} AND q.position > :after AND (:part IS NULL OR q.part = :part)"
            " ORDER BY q.position LIMIT :limit"
        )
        values = {"job": job_id, "limit": limit, "after": position, "part": part}
        return await self._database.read(lambda connection: _found_rows(connection, query, values))

    def questions(self, job_id: str, wire_ids: Sequence[str]) -> dict[str, RowRecord]:
        """Rows by their ids on the wire. Blocks: for a worker thread."""
        query = f"SELECT {', '.join(_ROW)} FROM job_rows WHERE job_id = ? AND wire_id = ?"  # noqa: S608 - see above

        def work(connection: sqlite3.Connection) -> dict[str, RowRecord]:
            found = (connection.execute(query, (job_id, wire_id)).fetchone() for wire_id in wire_ids)
            return {row["wire_id"]: RowRecord(**dict(row)) for row in found if row is not None}

        return self._database.read_sync(work)

    async def error_counts(self, job_id: str) -> list[tuple[str, int]]:
        def work(connection: sqlite3.Connection) -> list[tuple[str, int]]:
            found = connection.execute(
                "SELECT error_title, count(*) AS n FROM job_answers WHERE job_id = ? AND error_title IS NOT NULL"
                " GROUP BY error_title ORDER BY n DESC, error_title",
                (job_id,),
            )
            return [(row[0], row[1]) for row in found]

        return await self._database.read(work)


def _insert(connection: sqlite3.Connection, table: str, columns: Sequence[str], record: object) -> None:
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608 - see above
        [getattr(record, name) for name in columns],
    )


def _update_job(connection: sqlite3.Connection, job_id: str, values: Values) -> None:
    changes = "".join(f", {name} = :{name}" for name in values if name in _JOB)
    connection.execute(f"UPDATE jobs SET revision = revision + 1{changes} WHERE id = :key", {**values, "key": job_id})  # noqa: S608 - see above


def _update_part(connection: sqlite3.Connection, job_id: str, position: int, values: Values) -> None:
    changes = ", ".join(f"{name} = :{name}" for name in values if name in _PART)
    connection.execute(
        f"UPDATE job_parts SET {changes} WHERE job_id = :key AND position = :place",  # noqa: S608 - see above
        {**values, "key": job_id, "place": position},
    )
    _update_job(connection, job_id, {})


def _add_unknown_rows(connection: sqlite3.Connection, job_id: str, answers: Sequence[AnswerRecord]) -> None:
    (place,) = connection.execute("SELECT count(*) FROM job_rows WHERE job_id = ?", (job_id,)).fetchone()
    known = "SELECT 1 FROM job_rows WHERE job_id = ? AND wire_id = ?"
    for answer in answers:
        if connection.execute(known, (job_id, answer.wire_id)).fetchone() is None:
            connection.execute(_INSERT_ROW, (job_id, place, answer.part, answer.wire_id, answer.wire_id, "[]", "{}"))
            place += 1


def _answer_open_rows(connection: sqlite3.Connection, job_id: str, part: int, answer: AnswerRecord) -> None:
    columns = [name for name in _ANSWER if name not in ("wire_id", "part")]
    connection.execute(
        f"INSERT INTO job_answers (job_id, wire_id, part, {', '.join(columns)})"  # noqa: S608 - see above
        f" SELECT q.job_id, q.wire_id, q.part, {', '.join(f':{name}' for name in columns)} FROM job_rows q"
        " LEFT JOIN job_answers a ON a.job_id = q.job_id AND a.wire_id = q.wire_id"
        " WHERE q.job_id = :job AND q.part = :part AND a.wire_id IS NULL",
        {**{name: getattr(answer, name) for name in columns}, "job": job_id, "part": part},
    )


def _jobs(connection: sqlite3.Connection, where: str, values: Sequence[str]) -> list[StoredJob]:
    order = "" if "LIMIT" in where else " ORDER BY created_s DESC, id DESC"
    jobs = connection.execute(f"SELECT {', '.join(_JOB)} FROM jobs WHERE {where}{order}", values).fetchall()  # noqa: S608 - see above
    return [(_job(row), _parts_of(connection, row["id"])) for row in jobs]


def _job(row: sqlite3.Row) -> JobRecord:
    values = dict(row)
    return JobRecord(
        **values | {"imported": bool(values["imported"]), "cancel_asked": bool(values["cancel_asked"])},
    )


def _parts_of(connection: sqlite3.Connection, job_id: str) -> tuple[PartRecord, ...]:
    query = f"SELECT {', '.join(_PART)} FROM job_parts WHERE job_id = ? ORDER BY position"  # noqa: S608 - see above
    return tuple(PartRecord(**dict(row) | {"over": bool(row["over"])}) for row in connection.execute(query, (job_id,)))


def _found_rows(connection: sqlite3.Connection, query: str, values: Values) -> list[StoredRow]:
    return [_stored_row(row) for row in connection.execute(query, values)]


def _stored_row(row: sqlite3.Row) -> StoredRow:
    question = RowRecord(**{name: row[f"q_{name}"] for name in _ROW})
    if row["a_wire_id"] is None:
        return question, None
    return question, AnswerRecord(**{name: row[f"a_{name}"] for name in _ANSWER})
