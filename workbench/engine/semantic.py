"""The semantic cache, for those who ask for it: a question that was asked before in other words.

Only questions to one model, after the same system text and conversation and with the same parameters, are compared, by
the cosine of their embeddings. What is kept here is the vector of a question and the key of its answer; the answer
itself is the response cache's, and so are its age and its end.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
from array import array
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Final, TypeVar

from workbench.core.errors import ConfigError, WorkbenchError
from workbench.core.forking import ForkSafeThreads
from workbench.core.paths import private_directory
from workbench.core.settings import CacheSettings
from workbench.core.types import Request, Role
from workbench.engine.router import Target
from workbench.engine.stored_answer import cache_key
from workbench.providers.fitting import fit

T = TypeVar("T")

COMPARED: Final = 256
"""The latest questions of one scope: 25 ms of work in a thread, for vectors of 1,536 numbers."""

LONGEST_QUESTION: Final = 20_000
"""Characters. Longer ones say too much for one vector to tell them apart."""

_LOCK_S: Final = 0.2
"""How long another process that writes is waited for."""

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS questions (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, answer TEXT NOT NULL UNIQUE, vector BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS questions_by_scope ON questions (scope, id);
"""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its vector, of length 1, in the scope that it may be compared in."""

    scope: str
    vector: array[float]


@dataclass(frozen=True, slots=True)
class Near:
    answer: str
    """The key of an answer in the response cache."""
    similarity: float
    """Cosine, 1 for the same direction."""


class SemanticCache:
    """One engine's view of the questions on disk. Nothing that goes wrong here fails a request."""

    def __init__(
        self,
        file: Path,
        settings: CacheSettings,
        embed: Callable[[str], Awaitable[tuple[float, ...]]],
        tell: Callable[[str, str, str], None],
    ) -> None:
        """`embed` may raise WorkbenchErrors; `tell(topic, text, hint)` is for what a person should know once."""
        self._file = file
        self._settings = settings
        self._embed = embed
        self._tell = tell
        self._connection: sqlite3.Connection | None = None
        # One thread, which alone touches the connection.
        self._thread = ForkSafeThreads(max_workers=1, thread_name_prefix="semantic-cache")

    async def question(self, request: Request, target: Target) -> Question | None:
        """The request's question, embedded; None when it has none to compare, or it could not be embedded."""
        *before, last = request.messages
        if last.role is not Role.USER or not last.text.strip() or len(last.text) > LONGEST_QUESTION:
            return None
        try:
            vector = await self._embed(last.text)
        except WorkbenchError as exc:
            self._tell("semantic-embedding", f"The semantic cache cannot embed questions: {exc}", "")
            return None
        body = fit(target.spec, target.route.wire_model, request.params).body
        family = f"semantic {self._settings.semantic_model}"
        scope = cache_key(target.route, tuple(before), body, request.sample, family=family)
        return Question(scope, _of_length_one(vector))

    async def nearest(self, question: Question) -> Near | None:
        """The question most like this one, when it is like enough."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._attempt, lambda open_: self._nearest(open_, question))

    def add(self, question: Question, answer: str) -> None:
        """Keep a question with the key of its answer, soon."""
        values = (question.scope, answer, question.vector.tobytes())
        self._submit("INSERT OR REPLACE INTO questions (scope, answer, vector) VALUES (?, ?, ?)", *values)

    def forget(self, answer: str) -> None:
        """Its answer is gone."""
        self._submit("DELETE FROM questions WHERE answer = ?", answer)

    def clear(self) -> None:
        self._submit("DELETE FROM questions")

    async def aclose(self) -> None:
        self._thread.submit(self._close)
        await asyncio.to_thread(self._thread.shutdown)

    def _submit(self, statement: str, *values: str | bytes) -> None:
        self._thread.submit(self._attempt, lambda open_: open_.execute(statement, values))

    # -- in the thread -------------------------------------------------------------------------------------------------

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        try:
            return work(self._open())
        except (sqlite3.Error, OSError, ConfigError, ValueError) as exc:
            self._tell(
                "semantic-cache",
                f"The semantic cache in {self._file} cannot be used: {exc}.",
                "Everything works without it; remove the file to begin anew.",
            )
            return None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            private_directory(self._file.parent)
            self._file.touch(mode=0o600)
            connection = sqlite3.connect(self._file, isolation_level=None, timeout=_LOCK_S)
            try:
                connection.executescript(_TABLE)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _nearest(self, connection: sqlite3.Connection, question: Question) -> Near | None:
        rows = connection.execute(
            "SELECT answer, vector FROM questions WHERE scope = ? ORDER BY id DESC LIMIT ?", (question.scope, COMPARED)
        )
        found = [Near(answer, _cosine(question.vector, array("f", vector))) for answer, vector in rows]
        best = max(found, key=lambda near: near.similarity, default=None)
        return best if best is not None and best.similarity >= self._settings.semantic_threshold else None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _of_length_one(vector: Sequence[float]) -> array[float]:
    length = math.hypot(*vector)
    return array("f", (value / length for value in vector)) if length else array("f", vector)


def _cosine(first: array[float], second: array[float]) -> float:
    """Of vectors of length 1. Others than the provider's own size are like nothing."""
    return sum(map(mul, first, second)) if len(first) == len(second) else 0.0
