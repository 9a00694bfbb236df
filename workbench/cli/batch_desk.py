"""The job desk, opened for one command: beside an engine, on this person's store or on the demo's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from workbench.core.errors import UsageError
from workbench.core.paths import Paths

if TYPE_CHECKING:
    from workbench.cli.invocation import Invocation
    from workbench.core.settings import Settings
    from workbench.jobs.desk import JobDesk


@asynccontextmanager
async def opened_desk(settings: Settings, environ: Mapping[str, str], *, track: bool = False) -> AsyncIterator[JobDesk]:
    """Raises ConfigError and StoreError."""
    from workbench.engine.engine import Engine
    from workbench.jobs.desk import JobDesk

    database = Paths.from_environment(environ).database
    async with Engine(settings, environ=environ) as engine, JobDesk(engine, database, track=track) as desk:
        yield desk


def at_the_desk(
    invoked: Invocation, work: Callable[[JobDesk], Awaitable[int]], *, track: bool = False, makes_store: bool = False
) -> int:
    """The exit code of what is done there. Raises UsageError where nothing is stored yet: looking makes no store."""
    if not (makes_store or invoked.paths().database.exists()):
        raise UsageError(
            "There are no batch jobs yet.", hint="Submit some: llm-workbench batch submit prompts.jsonl -m MODEL"
        )

    async def run() -> int:
        async with opened_desk(invoked.settings(), invoked.environ, track=track) as desk:
            return await work(desk)

    return asyncio.run(run())
