"""The admin interface: counting what was asked, changing what is answered."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from workbench.simulator.server import SimulatorThread

QUESTION = [{"role": "user", "content": "Explain how an event loop works."}]


class Admin:
    def __init__(self, simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
        self._simulator = simulator
        self._client = client

    async def get(self, path: str, **query: Any) -> Any:
        return (await self._client.get(f"{self._simulator.url}/_sim{path}", params=query)).json()

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self._client.post(f"{self._simulator.url}/_sim{path}", json=body)

    async def chat(self, model: str = "gpt-4.1", key: str = "sim-key-1") -> int:
        response = await self._client.post(
            f"{self._simulator.base_urls['openai']}/chat/completions",
            headers={"authorization": f"Bearer {key}"},
            json={"model": model, "messages": QUESTION, "max_tokens": 5},
        )
        return response.status_code


@pytest.fixture
def admin(simulator: SimulatorThread, client: httpx.AsyncClient) -> Admin:
    return Admin(simulator, client)


async def test_requests_are_counted_by_provider_model_key_and_status(admin: Admin) -> None:
    await admin.chat()
    await admin.chat()
    await admin.chat(key="sim-key-2")
    await admin.chat(model="gpt-9")

    counters = await admin.get("/counters")

    assert counters["total"]["requests"] == 4
    assert counters["total"]["by_status"] == {"200": 3, "404": 1}
    rows = {(row["model"], row["key"]): row["requests"] for row in counters["rows"]}
    assert rows == {("gpt-4.1", "sim-key-1"): 2, ("gpt-4.1", "sim-key-2"): 1, ("gpt-9", "sim-key-1"): 1}
    assert len((await admin.get("/counters", key="sim-key-2"))["rows"]) == 1


async def test_the_log_shows_what_was_sent_and_never_a_secret(admin: Admin) -> None:
    await admin.chat()
    await admin.chat(key="sk-proj-a-real-looking-secret-0123456789")

    good, bad = (await admin.get("/requests"))["requests"]

    assert good["body"]["max_tokens"] == 5
    assert (good["status"], good["output_tokens"], good["ending"]) == (200, 5, "completed")
    assert (bad["status"], bad["reason"]) == (401, "wrong key")
    assert "secret" not in str(bad)


async def test_the_log_can_be_filtered_and_cut(admin: Admin) -> None:
    for model in ("gpt-4.1", "gpt-4o", "gpt-4.1"):
        await admin.chat(model=model)

    assert len((await admin.get("/requests", model="gpt-4.1"))["requests"]) == 2
    assert [entry["number"] for entry in (await admin.get("/requests", limit=1))["requests"]] == [3]


async def test_a_quota_is_set(admin: Admin) -> None:
    await admin.post("/quota", {"provider": "openai", "model": "gpt-4*", "rpm": 1, "server_model": "fixed-window"})

    assert [await admin.chat(), await admin.chat()] == [200, 429]


async def test_faults_are_set_and_listed(admin: Admin) -> None:
    await admin.post("/faults", {"rules": [{"faults": "unavailable", "model": "gpt-4.1", "count": 1}]})
    listed = (await admin.get("/state"))["faults"]

    assert listed[0]["faults"] == "unavailable"
    assert [await admin.chat(), await admin.chat()] == [503, 200]


async def test_settings_change_while_it_runs(admin: Admin, simulator: SimulatorThread) -> None:
    before = simulator.call(lambda simulation: (simulation.time_scale, simulation.coalesce_s))
    try:
        await admin.post("/settings", {"time_scale": 0.5, "coalesce_s": 0.01, "rate_headers": False})

        state = await admin.get("/state")
        assert (state["time_scale"], state["coalesce_s"], state["rate_headers"]) == (0.5, 0.01, False)
    finally:
        await admin.post("/settings", {"time_scale": before[0], "coalesce_s": before[1]})


async def test_reset_forgets_everything(admin: Admin) -> None:
    await admin.post("/quota", {"rpm": 0})
    await admin.chat()

    await admin.post("/reset")

    assert (await admin.get("/counters"))["total"]["requests"] == 0
    assert await admin.chat() == 200


WRONG = [
    ("/quota", {"rpm": "many"}),
    ("/quota", {"rpx": 3}),
    ("/quota", [1]),
    ("/quota", {"rpm": -1}),
    ("/faults", {"rules": [{"faults": "gremlins"}]}),
    ("/faults", {"rule": []}),
    ("/settings", {"speed": 2}),
]


@pytest.mark.parametrize(("path", "body"), WRONG)
async def test_what_makes_no_sense_is_a_400_that_says_why(admin: Admin, path: str, body: Any) -> None:
    response = await admin.post(path, body)

    assert response.status_code == 400
    assert response.json()["error"]
