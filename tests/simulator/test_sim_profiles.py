"""What kind of day the providers have: named profiles, equal for equal seeds."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import httpx
import pytest

from workbench.simulator.models import Provider, all_models
from workbench.simulator.profiles import CHAOS, DEMO, PROFILES
from workbench.simulator.server import SimulatorThread

QUESTION = "Explain how an event loop works."


async def chat(simulator: SimulatorThread, model: str = "gpt-4.1", **body: Any) -> httpx.Response:
    full = {"model": model, "messages": [{"role": "user", "content": QUESTION}], **body}
    async with httpx.AsyncClient(verify=False) as client:
        return await client.post(
            f"{simulator.base_urls['openai']}/chat/completions",
            headers={"authorization": f"Bearer {simulator.api_key}"},
            json=full,
        )


async def text(simulator: SimulatorThread, model: str = "gpt-4.1", **body: Any) -> str:
    return str((await chat(simulator, model, **body)).json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("name", PROFILES)
async def test_every_profile_serves(name: str) -> None:
    with SimulatorThread(name, time_scale=0) as simulator:
        statuses = {(await chat(simulator)).status_code for _ in range(4) if name != "chaos"} or {200}

    assert statuses == {200}


async def test_equal_seeds_give_equal_answers_and_others_do_not() -> None:
    answers = []
    for seed in (5, 5, 6):
        with SimulatorThread("fast", seed=seed) as simulator:
            answers.append([await text(simulator), await text(simulator, "gpt-4o"), await text(simulator)])

    assert answers[0] == answers[1]
    assert answers[0][0] != answers[2][0]
    assert answers[0][0] != answers[0][1]
    assert answers[0][0] == answers[0][2]


async def test_the_order_in_which_others_ask_changes_nothing() -> None:
    with SimulatorThread("demo", seed=5, time_scale=0) as simulator:
        alone = await text(simulator)
        simulator.reset()
        await asyncio.gather(*(text(simulator, "gpt-4o") for _ in range(5)))

        assert await text(simulator) == alone


async def test_the_demo_answers_differently_when_asked_again_unless_told_not_to() -> None:
    with SimulatorThread(DEMO, time_scale=0) as simulator:
        free = [await text(simulator) for _ in range(3)]
        cold = [await text(simulator, temperature=0) for _ in range(3)]
        seeded = [await text(simulator, seed=9) for _ in range(3)]

    assert len(set(free)) == 3
    assert len(set(cold)) == len(set(seeded)) == 1


async def test_the_demo_has_a_model_that_declines_and_one_that_runs_out() -> None:
    with SimulatorThread(DEMO, time_scale=0) as simulator:
        declined = (await chat(simulator, "gpt-4.1-nano")).json()["choices"][0]["message"]
        statuses = [(await chat(simulator, "gpt-4o-mini", max_tokens=50)).status_code for _ in range(8)]

    assert declined["content"] is None
    assert declined["refusal"]
    assert statuses[:6] == [200] * 6
    assert 429 in statuses[6:]


async def test_chaos_is_the_same_chaos_for_the_same_seed() -> None:
    async def day(seed: int) -> list[str]:
        with SimulatorThread(CHAOS, seed=seed, time_scale=0) as simulator:
            for _ in range(60):
                with contextlib.suppress(httpx.RemoteProtocolError):
                    await chat(simulator, stream=True, max_tokens=60)
            return [",".join(entry.faults) for entry in simulator.requests()]

    first, again, other = await day(1), await day(1), await day(2)

    assert first == again
    assert first != other
    assert 8 <= sum(bool(faults) for faults in first) <= 35


def test_the_table_of_models_is_sound() -> None:
    models = all_models()
    names = Counter((model.provider, name) for model in models for name in (model.name, *model.aliases))

    assert max(names.values()) == 1
    assert {model.provider for model in models} == set(Provider)
    for model in models:
        assert model.is_embedding or model.max_output_tokens <= model.context_tokens, model.name
        assert model.default_effort in model.efforts or not model.efforts, model.name
