"""Whether a pasted key works: one word is asked for with it and with no other.

An engine in use would choose among all its keys, and a bad one could hide behind a good one. So a small engine is
opened for the trial alone, on the person's own settings even while the demo is on screen.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from typing import cast

from msgspec.structs import replace

from workbench.core.errors import WorkbenchError
from workbench.core.events import Failed
from workbench.core.settings import CacheSettings, Settings, TelemetrySettings
from workbench.core.types import CacheMode, Message, Params, Request
from workbench.providers.configured import configured_rows
from workbench.session.comparison import Streams

TRY_S = 30.0
"""How long a pasted key's provider may take to answer one word."""

OpenAlone = Callable[[Settings, Mapping[str, str]], AbstractAsyncContextManager[Streams]]


async def try_key(
    provider: str, secret: str, model: str, settings: Settings, environ: Mapping[str, str], open_alone: OpenAlone
) -> WorkbenchError | None:
    """Ask a model for a word with this key of all keys; the error, or None if it answered."""
    words = (Message.user("Reply with the word: yes"),)
    request = Request(model, words, Params(max_tokens=16), CacheMode.OFF, deadline_s=TRY_S)
    try:
        async with (
            open_alone(*only_with(provider, secret, settings, environ)) as engine,
            aclosing(engine.stream(request)) as events,
        ):
            async for event in events:
                if isinstance(event, Failed):
                    return event.error
    except WorkbenchError as error:
        return error
    return None


def only_with(
    provider: str, secret: str, settings: Settings, environ: Mapping[str, str]
) -> tuple[Settings, Mapping[str, str]]:
    """Settings and environment in which the provider has this key only, and nothing is cached or told."""
    others = {name for row in configured_rows(settings, environ) if row.name == provider for name in row.key_variables}
    row = replace(settings.provider(provider), keys=(secret,))
    alone = replace(
        settings,
        providers={**settings.providers, provider: row},
        cache=CacheSettings(enabled=False),
        # The engine in use has its metrics served at that address.
        telemetry=TelemetrySettings(),
    )
    return alone, {name: value for name, value in environ.items() if name not in others}


async def engine_opener() -> OpenAlone:
    """Opens real engines. Imported in a thread: that takes longer than a frame."""
    engine_module = await asyncio.to_thread(importlib.import_module, "workbench.engine.engine")

    def open_alone(settings: Settings, environ: Mapping[str, str]) -> AbstractAsyncContextManager[Streams]:
        return cast("AbstractAsyncContextManager[Streams]", engine_module.Engine(settings, environ=environ))

    return open_alone
