"""Writes runs to the store behind the caller's back: never waits, never fails a request, says once what is wrong.

Whoever sends something, a screen, the shell or a library call, opens a run and adds each answer as it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from workbench.core.clock import Clock
from workbench.core.errors import StoreError, WorkbenchError
from workbench.core.paths import Paths
from workbench.core.settings import Settings
from workbench.core.types import Message, Params, Request, Result, Role
from workbench.store.conversations import Conversations
from workbench.store.database import Database
from workbench.store.ids import new_id
from workbench.store.prompts import Prompts
from workbench.store.runs import RunKind, Runs

_MOST_PENDING = 2_000
"""Writes that may wait for the disk before `room` makes whoever sends them wait too: some megabytes of answers."""


_NAME_LENGTH = 60
"""Characters of a prompt's first line that name it, where nothing else does."""


def open_recorder(
    settings: Settings, paths: Paths, clock: Clock, *, kind: RunKind, on_trouble: Callable[[str], None] | None = None
) -> Recorder | None:
    """A recorder on this person's store, to be closed; None when the settings want none or the store cannot be opened,
    which `on_trouble` is told. Touches the disk: not on an event loop."""
    if not settings.history.enabled:
        return None
    try:
        database = Database(paths.database)
    except WorkbenchError as exc:
        if on_trouble is not None:
            on_trouble(f"The history is not being written: {exc}")
        return None
    keeps = settings.history.keep_text
    return Recorder(
        Runs(database, keep_text=keeps),
        clock,
        kind=kind,
        on_trouble=on_trouble,
        close=database.close,
        # They are nothing but words.
        conversations=Conversations(database) if keeps else None,
        prompts=Prompts(database) if keeps else None,
    )


class Recorder:
    """One session's line to the store."""

    def __init__(
        self,
        runs: Runs,
        clock: Clock,
        *,
        kind: RunKind,
        session: str | None = None,
        on_trouble: Callable[[str], None] | None = None,
        close: Callable[[], None] | None = None,
        conversations: Conversations | None = None,
        prompts: Prompts | None = None,
    ) -> None:
        """Args:
        on_trouble: called with a sentence the first time that something could not be written, on any thread.
        conversations: where follow-ups are kept; None keeps none.
        prompts: where versions of prompts are kept; as above.
        """
        self._runs = runs
        self._conversations = conversations
        self._prompts = prompts
        self._clock = clock
        self._kind = kind
        self.session = session or new_id(clock.wall().timestamp())
        self._on_trouble = on_trouble
        self._told = False
        self._close = close
        self._pending: set[Future[Any]] = set()
        self._latest: Future[Any] | None = None

    def open_run(
        self, messages: tuple[Message, ...], params: Params, *, name: str = "", is_prompt: bool = True
    ) -> str | None:
        """The run's id, or None when the store takes nothing any more. The prompt is the last thing the user said.

        A prompt that begins a conversation is kept as a version of the one of that name, which is the run's, or its own
        first line.

        Args:
            is_prompt: False when what stands for the prompt was not written by anybody.
        """
        prompt, system = _words_of(messages)
        try:
            run_id, written = self._runs.start(
                now_s=self._now_s(),
                session=self.session,
                kind=self._kind,
                prompt=prompt,
                system=system,
                params=params,
                name=name,
            )
        except StoreError as exc:
            self._tell(exc)
            return None
        self._watch(written)
        if is_prompt and sum(message.role is Role.USER for message in messages) == 1:
            self._keep_version(name, prompt, system)
        return run_id

    def _keep_version(self, name: str, prompt: str, system: str) -> None:
        first_line = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
        called = name or first_line[:_NAME_LENGTH]
        if self._prompts is None or not called:
            return
        try:
            self._watch(self._prompts.record(called, prompt, now_s=self._now_s(), system=system))
        except StoreError as exc:
            self._tell(exc)

    def add(
        self, run_id: str | None, position: int, request: Request, result: Result, error: WorkbenchError | None = None
    ) -> str | None:
        """One target's answer, or what it had come to when it failed: its id, or None as for `open_run`."""
        if run_id is None:
            return None
        try:
            answer_id, written = self._runs.add(
                run_id,
                result,
                position=position,
                now_s=self._now_s(),
                params=request.params,
                sample=request.sample,
                error=error,
            )
        except StoreError as exc:
            self._tell(exc)
            return None
        self._watch(written)
        return answer_id

    def keep_conversation(
        self,
        messages: tuple[Message, ...],
        model: str,
        *,
        answer_ids: tuple[str | None, ...],
        conversation_id: str | None = None,
    ) -> str | None:
        """All that was said so far, in place of what was kept of it before: its id, or None where it is not kept."""
        if self._conversations is None:
            return None
        try:
            key, written = self._conversations.record(
                messages, model=model, now_s=self._now_s(), conversation_id=conversation_id, answer_ids=answer_ids
            )
        except StoreError as exc:
            self._tell(exc)
            return None
        self._watch(written)
        return key

    def add_alone(self, request: Request, result: Result, error: WorkbenchError | None = None) -> None:
        """A request that belongs to no line-up: a run of its own."""
        prompt, system = _words_of(request.messages)
        try:
            written = self._runs.add_alone(
                result,
                now_s=self._now_s(),
                session=self.session,
                kind=self._kind,
                prompt=prompt,
                system=system,
                params=request.params,
                sample=request.sample,
                error=error,
            )
        except StoreError as exc:
            self._tell(exc)
            return
        self._watch(written)

    async def room(self) -> None:
        """Wait while far more has been added than written: answers from a cache come faster than a disk takes them."""
        if len(self._pending) > _MOST_PENDING and self._latest is not None:
            # It is written last, so everything before it has been by then. What went wrong with it has been told.
            written = asyncio.wrap_future(self._latest)
            written.add_done_callback(lambda future: future.cancelled() or future.exception())
            await asyncio.wait([written])

    def close(self) -> None:
        """Write what is pending and let go of the store. Blocks."""
        if self._close is not None:
            self._close()

    def flush(self, timeout_s: float = 5.0) -> None:
        """Wait until everything so far has been written. Blocks: not for an event loop."""
        wait(tuple(self._pending), timeout_s)

    def _now_s(self) -> float:
        return self._clock.wall().timestamp()

    def _watch(self, written: Future[Any]) -> None:
        self._latest = written
        self._pending.add(written)
        written.add_done_callback(self._written)

    def _written(self, future: Future[Any]) -> None:
        self._pending.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        if not self._told and self._on_trouble is not None:
            self._told = True
            self._on_trouble(f"The history is not being written: {error}")


def _words_of(messages: tuple[Message, ...]) -> tuple[str, str]:
    """What the user said last, and the system text."""
    prompt = next((message.text for message in reversed(messages) if message.role is Role.USER), "")
    return prompt, next((message.text for message in messages if message.role is Role.SYSTEM), "")
