"""Prompts by name, every version of them. Saving words that are already the latest version makes no new one."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import Future
from dataclasses import dataclass

from workbench.core.errors import StoreError, UsageError
from workbench.store.database import Database


@dataclass(frozen=True, slots=True)
class Prompt:
    name: str
    version: int
    created_s: float
    system: str
    text: str


class Prompts:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, name: str, text: str, *, now_s: float, system: str = "") -> Prompt:
        """`record`, and wait until it has been written."""
        return await asyncio.wrap_future(self.record(name, text, now_s=now_s, system=system))

    def record(self, name: str, text: str, *, now_s: float, system: str = "") -> Future[Prompt]:
        if not name.strip():
            raise UsageError("A prompt needs a name.")

        def work(connection: sqlite3.Connection) -> Prompt:
            latest = _latest(connection, name)
            if latest is not None and (latest.text, latest.system) == (text, system):
                return latest
            prompt = Prompt(name, latest.version + 1 if latest else 1, now_s, system, text)
            connection.execute(
                "INSERT INTO prompts (name, version, created_s, system, text) VALUES (?, ?, ?, ?, ?)",
                (prompt.name, prompt.version, prompt.created_s, prompt.system, prompt.text),
            )
            return prompt

        return self._database.submit(work)

    async def get(self, name: str, version: int | None = None) -> Prompt:
        """The given version, or the latest. Raises StoreError when there is none."""

        def work(connection: sqlite3.Connection) -> Prompt:
            if version is None:
                prompt = _latest(connection, name)
            else:
                row = connection.execute(
                    "SELECT * FROM prompts WHERE name = ? AND version = ?", (name, version)
                ).fetchone()
                prompt = Prompt(**dict(row)) if row else None
            if prompt is None:
                raise StoreError(f"No prompt {name!r}{f' version {version}' if version else ''} in the store.")
            return prompt

        return await self._database.read(work)

    async def latest(self) -> list[Prompt]:
        """The latest version of each, by name."""

        def work(connection: sqlite3.Connection) -> list[Prompt]:
            # SQLite takes the other columns from the row that has the maximum.
            rows = connection.execute(
                "SELECT name, max(version) AS version, created_s, system, text FROM prompts GROUP BY name ORDER BY name"
            )
            return [Prompt(**dict(row)) for row in rows]

        return await self._database.read(work)

    async def versions(self, name: str) -> list[Prompt]:
        """Oldest first; empty when there is no such prompt."""

        def work(connection: sqlite3.Connection) -> list[Prompt]:
            rows = connection.execute("SELECT * FROM prompts WHERE name = ? ORDER BY version", (name,))
            return [Prompt(**dict(row)) for row in rows]

        return await self._database.read(work)


def _latest(connection: sqlite3.Connection, name: str) -> Prompt | None:
    row = connection.execute("SELECT * FROM prompts WHERE name = ? ORDER BY version DESC LIMIT 1", (name,)).fetchone()
    return Prompt(**dict(row)) if row else None
