"""The demo: settings whose addresses and keys are the simulator's. Everything else is the production path.

It leaves nothing behind: cache, history and state go to a directory that is removed at the end, no variable that holds
a key or an address is looked at, and of the person's settings only three things are kept: how the screen looks and
behaves, the cap on money, and where metrics are served.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import msgspec

from workbench.core.errors import WorkbenchError
from workbench.core.paths import (
    CACHE_DIR_VARIABLE,
    CONFIG_DIR_VARIABLE,
    DATA_DIR_VARIABLE,
    STATE_DIR_VARIABLE,
    Paths,
)
from workbench.core.settings import LimitSettings, ProviderSettings, Settings, TelemetrySettings
from workbench.providers.base import WireFamily
from workbench.providers.catalog import BUILT_IN

DEMO_LINE_UP = ("gpt-5.4", "anthropic/claude-sonnet-4-6", "gemini/gemini-3-flash-preview", "local/qwen3-8b")
"""Four wire families, two of them with reasoning that can be watched."""

USUAL_DAY = "demo"
"""The simulator's profile when nobody asks for another."""

SLOW_DAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "rate-limit": ("gpt-4.1-mini",) * 6,
        "in-flight-cap": ("gpt-4.1-mini",) * 6,
        "slow-model": ("gpt-4.1",) * 3,
        "slow-connection": ("together_ai/Qwen/Qwen3.5-9B",) * 4,
        "stalled-stream": DEMO_LINE_UP,
        "cold-start": ("gpt-4.1", "local/qwen3-8b"),
        "retries": ("gpt-4.1-mini", "gemini/gemini-3-flash-preview"),
        "busy-screen": ("gpt-4.1", "local/qwen3-8b") * 8,
    }
)
"""Profiles of the simulator in which answers are slow for one reason each, and the models that show it."""


def line_up_for(day: str | None) -> tuple[str, ...]:
    """The models to ask on such a day."""
    return SLOW_DAYS.get(day or USUAL_DAY, DEMO_LINE_UP)


_ROOT_PREFIX = "llm-workbench-demo-"

WITH_TLS = "slow-connection"
"""A connection is quick to be accepted; it is the handshake that shows how far away the server is."""


class DemoFailed(WorkbenchError):
    title = "demo"


class RunningSimulator(Protocol):
    """What the demo needs to know of a simulator, in this process or in another."""

    @property
    def base_urls(self) -> Mapping[str, str]: ...

    @property
    def api_key(self) -> str: ...

    @property
    def ca_file(self) -> Path | None: ...


@dataclass(frozen=True, slots=True)
class World:
    """What an engine is opened with: choices, and the environment that it may look at."""

    settings: Settings
    environ: Mapping[str, str]


def demo_world(simulator: RunningSimulator, settings: Settings, root: Path, *, keys: int = 1) -> World:
    """A world in which every provider is `simulator` and every file lies below `root`.

    Args:
        keys: how many there are for each provider, every one an account with limits of its own.
    """
    secrets = simulator.api_key if keys == 1 else tuple(_key(number) for number in range(1, keys + 1))
    rows = {}
    for row in BUILT_IN:
        # One address stands for all that goes through litellm.
        played = "litellm" if row.family is WireFamily.LITELLM else row.name
        if (url := simulator.base_urls.get(played)) is not None:
            rows[row.name] = ProviderSettings(base_url=url, keys=secrets)
    paths = Paths.under(root)
    return World(
        settings=msgspec.structs.replace(
            Settings(
                ui=settings.ui,
                limits=LimitSettings(max_cost_usd=settings.limits.max_cost_usd),
                telemetry=TelemetrySettings(prometheus=settings.telemetry.prometheus),
            ),
            providers=rows,
            lineups={"demo": DEMO_LINE_UP},
            default_lineup="demo",
        ),
        environ={
            CONFIG_DIR_VARIABLE: str(paths.config),
            CACHE_DIR_VARIABLE: str(paths.cache),
            STATE_DIR_VARIABLE: str(paths.state),
            DATA_DIR_VARIABLE: str(paths.data),
            **({"SSL_CERT_FILE": str(simulator.ca_file)} if simulator.ca_file is not None else {}),
        },
    )


def next_key(settings: Settings) -> tuple[str, int]:
    """A key that a demo with these settings has not got yet, and how many it has then.

    To the simulator it is another account, with limits of its own at every provider.
    """
    count = max((len(row.secrets) for row in settings.providers.values()), default=0) + 1
    return _key(count), count


def _key(number: int) -> str:
    """As the simulator knows them: every number is an account."""
    return f"sim-key-{number}"


@asynccontextmanager
async def demo(settings: Settings, day: str | None = None, *, keys: int = 1) -> AsyncIterator[World]:
    """Start a simulator in a process of its own, and stop it at the end. Raises DemoFailed if it does not start."""
    # Imported here since only the demo needs it.
    from workbench.simulator.process import SimulatorFailed, simulator_process

    async with AsyncExitStack() as stack:
        root = stack.enter_context(tempfile.TemporaryDirectory(prefix=_ROOT_PREFIX, ignore_cleanup_errors=True))
        try:
            simulator = await stack.enter_async_context(
                simulator_process(profile=day or USUAL_DAY, tls=day == WITH_TLS)
            )
        except SimulatorFailed as exc:
            raise DemoFailed(f"The demo could not start: {exc}.") from exc
        yield demo_world(simulator, settings, Path(root), keys=keys)


def running_demos() -> Iterator[Paths]:
    """Where the demos that this person has open now keep their files."""
    for root in Path(tempfile.gettempdir()).glob(f"{_ROOT_PREFIX}*"):
        # What somebody else has put there is not looked at; one that has just ended is gone.
        with suppress(OSError):
            if root.stat().st_uid == os.getuid():
                yield Paths.under(root)
