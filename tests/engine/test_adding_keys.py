"""A key that is added while requests wait: they go over it, and nothing is interrupted."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

from scripted import ask

from workbench.core.events import Finished, Queued
from workbench.core.settings import ProviderSettings, Settings
from workbench.core.types import Result
from workbench.demo import demo_world, next_key
from workbench.engine.engine import Engine
from workbench.simulator.accounts import authenticate
from workbench.simulator.server import SimulatorThread


async def test_what_waits_for_one_key_goes_over_the_key_that_is_added(tmp_path: Path) -> None:
    with SimulatorThread("fast") as simulator:
        settings = Settings(
            providers={"openai": ProviderSettings(base_url=simulator.base_urls["openai"], keys="sim-key-1")}
        )
        environ = {"LLM_CACHE_DIR": str(tmp_path), "LLM_STATE_DIR": str(tmp_path)}
        async with Engine(settings, environ=environ) as engine:
            waits = asyncio.Event()

            async def asked(text: str) -> Result:
                async with aclosing(engine.stream(ask("gpt-4.1-mini", text))) as events:
                    async for event in events:
                        if isinstance(event, Queued):
                            waits.set()
                        if isinstance(event, Finished):
                            return event.result
                raise AssertionError("it was not answered")

            first = await asked("one")
            assert engine.limiter is not None
            engine.limiter.pause(engine.limiter.statistics().lanes[0].name)
            waits.clear()
            second = asyncio.create_task(asked("two"))
            await waits.wait()
            await engine.add_key("openai", "sim-key-2")

            assert (first.key_alias, (await second).key_alias) == ("openai#1", "openai#2")


def test_the_demo_s_next_key_is_an_account_of_its_own() -> None:
    settings = Settings(providers={"openai": ProviderSettings(keys=("sim-key-1", "sim-key-2"))})

    secret, count = next_key(settings)

    assert count == 3
    assert authenticate(secret).organisation not in {authenticate(f"sim-key-{n}").organisation for n in (1, 2)}


def test_a_demo_with_several_keys_has_an_account_for_each(tmp_path: Path) -> None:
    with SimulatorThread("fast") as simulator:
        world = demo_world(simulator, Settings(), tmp_path, keys=3)

    secrets = world.settings.provider("openai").secrets
    assert len({authenticate(secret).organisation for secret in secrets}) == len(secrets) == 3
