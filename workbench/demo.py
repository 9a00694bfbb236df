"""The demo: settings whose addresses and keys are the simulator's. Everything else is the production path.

It leaves nothing behind: cache, history and state go to a directory that is removed at the end, no variable that holds
a key or an address is looked at, and of the person's settings only how the screen looks and behaves is kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from workbench.core.paths import (
    CACHE_DIR_VARIABLE,
    CONFIG_DIR_VARIABLE,
    DATA_DIR_VARIABLE,
    STATE_DIR_VARIABLE,
    Paths,
)
from workbench.core.settings import ProviderSettings, Settings

DEMO_LINE_UP = ("gpt-5.4", "anthropic/claude-sonnet-4-6", "gemini/gemini-3-flash", "local/qwen3-8b")
"""Four wire families, two of them with reasoning that can be watched."""


class RunningSimulator(Protocol):
    """What the demo needs to know of a simulator, in this process or in another."""

    @property
    def base_urls(self) -> Mapping[str, str]: ...

    @property
    def api_key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class World:
    """What an engine is opened with: choices, and the environment that it may look at."""

    settings: Settings
    environ: Mapping[str, str]


def demo_world(simulator: RunningSimulator, settings: Settings, root: Path) -> World:
    """A world in which every provider is `simulator` and every file lies below `root`."""
    rows = {name: ProviderSettings(base_url=url, keys=simulator.api_key) for name, url in simulator.base_urls.items()}
    paths = Paths.under(root)
    return World(
        settings=msgspec.structs.replace(
            Settings(ui=settings.ui),
            providers=rows,
            lineups={"demo": DEMO_LINE_UP},
            default_lineup="demo",
        ),
        environ={
            CONFIG_DIR_VARIABLE: str(paths.config),
            CACHE_DIR_VARIABLE: str(paths.cache),
            STATE_DIR_VARIABLE: str(paths.state),
            DATA_DIR_VARIABLE: str(paths.data),
        },
    )


@asynccontextmanager
async def demo(settings: Settings) -> AsyncIterator[World]:
    """Start a simulator in a process of its own, and stop it at the end."""
    # Imported here since only the demo needs it.
    from workbench.simulator.process import simulator_process

    with tempfile.TemporaryDirectory(prefix="llm-workbench-demo-", ignore_cleanup_errors=True) as root:
        async with simulator_process(profile="demo") as simulator:
            yield demo_world(simulator, settings, Path(root))
