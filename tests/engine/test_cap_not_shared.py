"""A cap over all processes that this one cannot share: it goes on, and says that it counts alone."""

from __future__ import annotations

from pathlib import Path

from scripted import ask

from workbench.core.settings import LimitSettings, ProviderSettings, Settings
from workbench.engine.engine import Engine
from workbench.simulator.server import SimulatorThread


async def test_a_cap_that_holds_in_this_process_alone_is_told_once(tmp_path: Path) -> None:
    in_the_way = tmp_path / "in-the-way"
    in_the_way.touch()
    with SimulatorThread("fast") as simulator:
        settings = Settings(
            providers={"openai": ProviderSettings(base_url=simulator.base_urls["openai"], keys="sim-key-1")},
            limits=LimitSettings(global_concurrency=2),
        )
        environ = {"LLM_CACHE_DIR": str(tmp_path / "cache"), "LLM_STATE_DIR": str(in_the_way)}
        async with Engine(settings, environ=environ) as engine:
            answers = [await engine.complete(ask("gpt-4.1-mini", text)) for text in ("one", "two")]
            told = [notice.text for notice in engine.statistics().notices]

    assert all(answer.text for answer in answers)
    [said] = [text for text in told if "calls at once" in text]
    assert said.startswith("The cap of 2 calls at once per provider holds only within this process: ")
    assert str(in_the_way) in said
