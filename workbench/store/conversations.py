"""Conversations: each lane's own line of turns, as it was sent."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import Future
from dataclasses import dataclass

from workbench.core.errors import StoreError
from workbench.core.types import Message, Role
from workbench.store.database import Database
from workbench.store.ids import new_id


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    created_s: float
    updated_s: float
    model: str
    title: str
    messages: tuple[Message, ...] = ()


class Conversations:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(
        self,
        messages: tuple[Message, ...],
        *,
        model: str,
        now_s: float,
        conversation_id: str | None = None,
        answer_ids: tuple[str | None, ...] = (),
    ) -> str:
        """`record`, and wait until it has been written; returns the id."""
        key, written = self.record(
            messages, model=model, now_s=now_s, conversation_id=conversation_id, answer_ids=answer_ids
        )
        await asyncio.wrap_future(written)
        return key

    def record(
        self,
        messages: tuple[Message, ...],
        *,
        model: str,
        now_s: float,
        conversation_id: str | None = None,
        answer_ids: tuple[str | None, ...] = (),
    ) -> tuple[str, Future[None]]:
        """Store all turns so far, replacing what was stored under the id: the id at once, and when it has been written.

        `answer_ids`: the recorded answer that each message is, as far as it is one. The title is the first words.
        """
        key = conversation_id or new_id(now_s)
        title = next((" ".join(message.text.split())[:80] for message in messages if message.role is Role.USER), "")
        padded = (*answer_ids, *[None] * (len(messages) - len(answer_ids)))

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO conversations (id, created_s, updated_s, model, title)"
                " VALUES (:id, :now, :now, :model, :title)"
                " ON CONFLICT (id) DO UPDATE SET updated_s = :now, model = :model, title = :title",
                {"id": key, "now": now_s, "model": model, "title": title},
            )
            connection.execute("DELETE FROM turns WHERE conversation_id = ?", (key,))
            connection.executemany(
                "INSERT INTO turns (conversation_id, position, role, text, answer_id) VALUES (?, ?, ?, ?, ?)",
                [
                    (key, position, message.role, message.text, answer_id)
                    for position, (message, answer_id) in enumerate(zip(messages, padded, strict=True))
                ],
            )

        return key, self._database.submit(work)

    async def before_answers(self, run_id: str) -> dict[str, tuple[Message, ...]]:
        """What had been said in a run's conversations before each of its answers, by the answer's id.

        Answers to a conversation's first question are not in it.
        """

        def work(connection: sqlite3.Connection) -> dict[str, tuple[Message, ...]]:
            rows = connection.execute(
                "SELECT last.answer_id, turns.role, turns.text FROM answers"
                " JOIN turns AS last ON last.answer_id = answers.id"
                " JOIN turns ON turns.conversation_id = last.conversation_id AND turns.position < last.position - 1"
                " WHERE answers.run_id = ? AND turns.role != ? ORDER BY last.answer_id, turns.position",
                (run_id, Role.SYSTEM),
            )
            said: dict[str, list[Message]] = {}
            for answer_id, role, text in rows:
                said.setdefault(answer_id, []).append(Message(Role(role), text))
            return {answer_id: tuple(messages) for answer_id, messages in said.items()}

        return await self._database.read(work)

    async def get(self, conversation_id: str) -> Conversation:
        """With its messages. Raises StoreError when there is none of that id."""

        def work(connection: sqlite3.Connection) -> Conversation:
            row = connection.execute("SELECT * FROM conversations WHERE id = ?", (conversation_id,)).fetchone()
            if row is None:
                raise StoreError(f"No conversation {conversation_id!r} in the store.")
            turns = connection.execute(
                "SELECT role, text FROM turns WHERE conversation_id = ? ORDER BY position", (conversation_id,)
            )
            return Conversation(**dict(row), messages=tuple(Message(Role(role), text) for role, text in turns))

        return await self._database.read(work)

    async def latest(self, *, limit: int = 50) -> list[Conversation]:
        """Latest first, without their messages."""

        def work(connection: sqlite3.Connection) -> list[Conversation]:
            rows = connection.execute("SELECT * FROM conversations ORDER BY updated_s DESC LIMIT ?", (limit,))
            return [Conversation(**dict(row)) for row in rows]

        return await self._database.read(work)

    async def delete(self, conversation_id: str) -> None:
        await self._database.write(
            lambda connection: connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
        )
