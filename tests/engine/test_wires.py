"""SDKs are imported in a thread, once, and by nobody who does not need them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from scripted import ask, failure, listen

from workbench.core.clock import SystemClock
from workbench.core.errors import ConfigError
from workbench.core.settings import CacheSettings, Settings
from workbench.engine.engine import Engine
from workbench.engine.router import Router
from workbench.engine.wires import Wires
from workbench.providers.base import WireFamily
from workbench.providers.capabilities import ParameterMemory


class Imports:
    """Stands in for importing an SDK: holds its thread until it is told to go on."""

    def __init__(self) -> None:
        self.families: list[WireFamily] = []
        self.threads: set[threading.Thread] = set()
        self.may_end = threading.Event()

    def __call__(self, families: Iterable[WireFamily]) -> None:
        self.families.extend(families)
        self.threads.add(threading.current_thread())
        self.may_end.wait(10)


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> Imports:
    imports = Imports()
    monkeypatch.setattr("workbench.engine.wires.import_sdks", imports)
    return imports


async def test_many_callers_wait_for_one_import_and_one_of_them_may_leave(imports: Imports) -> None:
    wires = Wires({}, SystemClock(), ParameterMemory())
    [target] = Router(Settings(), {}).route("anthropic/claude-sonnet-4-6")
    callers = [asyncio.create_task(wires.adapter_for(target, ask())) for _ in range(5)]
    await asyncio.sleep(0)

    callers[0].cancel()
    imports.may_end.set()
    ready = await asyncio.gather(*callers, return_exceptions=True)
    await wires.aclose()

    assert isinstance(ready[0], asyncio.CancelledError)
    assert len({id(adapter) for adapter in ready[1:]}) == 1
    assert imports.families == [WireFamily.ANTHROPIC]
    assert threading.main_thread() not in imports.threads


async def test_two_sdks_are_never_imported_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = threading.Semaphore(1)
    collisions: list[object] = []

    def load(families: Iterable[WireFamily]) -> None:
        if not inside.acquire(blocking=False):
            collisions.append(families)
        # Gives the other thread its chance to come in.
        threading.Event().wait(0.02)
        inside.release()

    monkeypatch.setattr("workbench.engine.wires.import_sdks", load)
    router = Router(Settings(), {})
    engines = [Wires({}, SystemClock(), ParameterMemory()) for _ in range(2)]
    models = ("anthropic/claude-sonnet-4-6", "gemini/gemini-3-flash", "gpt-5.4", "gpt-4.1")
    targets = [router.route(model)[0] for model in models]

    await asyncio.gather(*(wires.adapter_for(target, ask()) for wires in engines for target in targets))
    for wires in engines:
        await wires.aclose()

    assert collisions == []


async def test_what_cannot_be_imported_is_said_in_the_request_that_needs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def missing(_: Iterable[WireFamily]) -> None:
        raise ModuleNotFoundError("No module named 'openai'")

    monkeypatch.setattr("workbench.engine.wires.import_sdks", missing)
    environ = {"OPENAI_API_KEY": "k", "LLM_CACHE_DIR": str(tmp_path), "LLM_STATE_DIR": str(tmp_path)}

    async with Engine(Settings(cache=CacheSettings(enabled=False)), environ=environ) as engine:
        error = failure(await listen(engine, ask("gpt-5.4")))

    assert isinstance(error, ConfigError)
    assert "What OpenAI needs cannot be imported: No module named 'openai'" in error.message
