"""The history, as commands write it: opened beside the engine, closed behind the last answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from workbench.core.clock import SystemClock
from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths
from workbench.core.types import Message, Params, Request, Result
from workbench.session.recorder import Recorder, open_recorder
from workbench.store.runs import RunKind

if TYPE_CHECKING:
    from workbench.demo import World


@dataclass(frozen=True, slots=True)
class OpenRun:
    """One run that answers are added to; adding does nothing where no history is wanted."""

    recorder: Recorder | None = None
    run_id: str | None = None

    def add(self, position: int, request: Request, result: Result | None, error: WorkbenchError | None = None) -> None:
        if self.recorder is not None and result is not None:
            self.recorder.add(self.run_id, position, request, result, error)

    async def room(self) -> None:
        if self.recorder is not None:
            await self.recorder.room()


@asynccontextmanager
async def recording(
    world: World, messages: tuple[Message, ...], params: Params, *, name: str = "", is_prompt: bool = True
) -> AsyncIterator[OpenRun]:
    """A run of the shell's, as `Recorder.open_run` opens it.

    Trouble with the store is a line on standard error and never stops anything.
    """

    def warn(sentence: str) -> None:
        click.echo(sentence, err=True)

    recorder = await asyncio.to_thread(
        open_recorder,
        world.settings,
        Paths.from_environment(world.environ),
        SystemClock(),
        kind=RunKind.SHELL,
        on_trouble=warn,
    )
    if recorder is None:
        yield OpenRun()
        return
    try:
        yield OpenRun(recorder, recorder.open_run(messages, params, name=name, is_prompt=is_prompt))
    finally:
        await asyncio.to_thread(recorder.close)
