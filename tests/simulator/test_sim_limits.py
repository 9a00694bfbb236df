"""Quotas on the wire: who shares them, what headers state, what a refusal says."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from workbench.simulator.durations import go_duration
from workbench.simulator.quota import QuotaSpec, Reserve
from workbench.simulator.server import SimulatorThread

QUESTION = [{"role": "user", "content": "Explain how an event loop works."}]


class Caller:
    """Asks OpenAI's and Anthropic's dialects with a given key."""

    def __init__(self, simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
        self._urls = simulator.base_urls
        self._client = client

    async def chat(self, key: str = "sim-key-1", model: str = "gpt-4.1", **body: Any) -> httpx.Response:
        return await self._client.post(
            f"{self._urls['openai']}/chat/completions",
            headers={"authorization": f"Bearer {key}"},
            json={"model": model, "messages": QUESTION, "max_tokens": 50, **body},
        )

    async def claude(self, key: str = "sim-key-1", **body: Any) -> httpx.Response:
        return await self._client.post(
            f"{self._urls['anthropic']}/v1/messages",
            headers={"x-api-key": key, "anthropic-version": "2023-06-01"},
            json={"model": "claude-sonnet-4-6", "messages": QUESTION, "max_tokens": 50, **body},
        )


@pytest.fixture
def caller(simulator: SimulatorThread, client: httpx.AsyncClient) -> Caller:
    return Caller(simulator, client)


DURATIONS = [
    (0, "0s"),
    (0.012, "12ms"),
    (1, "1s"),
    (1.5, "1.5s"),
    (60, "1m0s"),
    (90.951, "1m30.951s"),
    (360, "6m0s"),
    (3723, "1h2m3s"),
]


@pytest.mark.parametrize(("seconds", "text"), DURATIONS)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


async def test_openai_headers_count_down(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(rpm=60, tpm=6_000), provider="openai")

    first, second = (await caller.chat()).headers, (await caller.chat()).headers

    assert (first["x-ratelimit-limit-requests"], first["x-ratelimit-limit-tokens"]) == ("60", "6000")
    assert (first["x-ratelimit-remaining-requests"], second["x-ratelimit-remaining-requests"]) == ("59", "58")
    assert int(second["x-ratelimit-remaining-tokens"]) < int(first["x-ratelimit-remaining-tokens"]) < 6_000
    assert re.fullmatch(r"(\d+m)?[\d.]+m?s", second["x-ratelimit-reset-tokens"])


async def test_headers_can_be_hidden_by_quota_or_altogether(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(rpm=60, headers=False), provider="openai")
    hidden = (await caller.chat()).headers
    simulator.call(lambda simulation: setattr(simulation, "rate_headers", False))
    off = (await caller.claude()).headers

    assert not [name for name in (*hidden, *off) if "ratelimit" in name]


async def test_anthropic_headers_are_points_in_time(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(rpm=60, itpm=10_000, otpm=200), provider="anthropic")

    headers = (await caller.claude()).headers

    for kind in ("requests", "input-tokens", "output-tokens", "tokens"):
        reset = datetime.fromisoformat(headers[f"anthropic-ratelimit-{kind}-reset"])
        assert -2 < (reset - datetime.now(UTC)).total_seconds() < 61
    # `tokens` repeats whichever of the two is closer to its end.
    assert headers["anthropic-ratelimit-tokens-limit"] == "200"


async def test_a_full_minute_of_requests_is_refused_with_its_waiting_time(
    simulator: SimulatorThread, caller: Caller
) -> None:
    simulator.set_quota(QuotaSpec(rpm=2), provider="openai")
    await caller.chat()
    await caller.chat()

    refused = await caller.chat()

    error = refused.json()["error"]
    assert refused.status_code == 429
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert re.search(r"Limit 2, Used 2, Requested 1\. Please try again in \d+\.?\d*s", error["message"])
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert 0 < int(refused.headers["retry-after-ms"]) <= 30_000
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


async def test_tokens_are_reserved_up_front_and_given_back(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(tpm=5_000), provider="openai")

    first = await caller.chat(max_tokens=4_000)
    second = await caller.chat(max_tokens=4_000)

    # What is said as headers leave still holds the reserve; the second request finds it returned.
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 1_000
    assert (first.status_code, second.status_code) == (200, 200)


async def test_a_request_larger_than_the_limit_says_so(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(tpm=1_000), provider="openai")
    simulator.set_quota(QuotaSpec(itpm=5), provider="anthropic")

    refused, claude = await caller.chat(max_tokens=4_000), await caller.claude()

    assert refused.json()["error"]["message"].startswith("Request too large for gpt-4.1")
    assert "retry-after" not in refused.headers
    assert "can never succeed" in claude.json()["error"]["message"]


async def test_too_many_at_once_is_a_refusal_without_a_time(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(max_in_flight=0), provider="openai", model="gpt-4o")
    simulator.set_quota(QuotaSpec(max_in_flight=1), provider="openai", model="gpt-4.1")
    slow = {"stream": True}

    async def held(started: asyncio.Event, release: asyncio.Event) -> None:
        headers = {"authorization": "Bearer sim-key-1", "x-sim-fault": "stall;after=1"}
        body = {"model": "gpt-4.1", "messages": QUESTION, **slow}
        async with (
            httpx.AsyncClient() as other,
            other.stream("POST", f"{simulator.base_urls['openai']}/chat/completions", headers=headers, json=body),
        ):
            started.set()
            await release.wait()

    started, release = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(held(started, release))
        await started.wait()
        refused = await caller.chat()
        release.set()

    assert (refused.status_code, "concurrent" in refused.json()["error"]["message"]) == (429, True)
    assert "retry-after" not in refused.headers
    assert (await caller.chat(model="gpt-4o")).status_code == 429


async def test_a_stream_that_is_abandoned_gives_its_place_back(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(max_in_flight=1), provider="openai")
    headers = {"authorization": "Bearer sim-key-1", "x-sim-fault": "stall;after=1"}
    body = {"model": "gpt-4.1", "messages": QUESTION, "stream": True}
    url = f"{simulator.base_urls['openai']}/chat/completions"

    async with httpx.AsyncClient() as other, other.stream("POST", url, headers=headers, json=body):
        pass

    async with asyncio.timeout(60):
        while (await caller.chat()).status_code == 429:
            await asyncio.to_thread(simulator.requests)
    assert simulator.requests()[0].ending == "cancelled"
    assert simulator.requests()[0].output_tokens <= 2


async def test_models_and_organisations_have_limits_of_their_own(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(rpm=1), provider="openai")

    statuses = [
        (await caller.chat("sim-key-1")).status_code,
        (await caller.chat("sim-key-1")).status_code,
        (await caller.chat("sim-key-2")).status_code,
        (await caller.chat("sim-key-1", "gpt-4o")).status_code,
        (await caller.chat("sim-key-1@acme")).status_code,
        (await caller.chat("sim-key-2@acme")).status_code,
    ]

    assert statuses == [200, 429, 200, 200, 200, 429]


async def test_one_keys_limit_can_be_set_alone(simulator: SimulatorThread, caller: Caller) -> None:
    await caller.chat("sim-key-1")
    simulator.set_quota(QuotaSpec(rpm=0), provider="openai", key="sim-key-1")

    limited, free = await caller.chat("sim-key-1"), await caller.chat("sim-key-2")

    assert (limited.status_code, free.status_code) == (429, 200)
    assert "Limit 0" in limited.json()["error"]["message"]


async def test_a_provider_may_keep_everything_to_itself(simulator: SimulatorThread, caller: Caller) -> None:
    silent = QuotaSpec(rpm=1, headers=False, retry_after=False, classify=False)
    simulator.set_quota(silent, provider="openai")
    await caller.chat()

    refused = await caller.chat()

    assert refused.json()["error"]["message"] == "Rate limit reached."
    assert refused.json()["error"]["type"] not in ("requests", "tokens")
    assert not [name for name in refused.headers if "ratelimit" in name or name.startswith("retry-after")]


async def test_cached_tokens_are_free_of_anthropics_input_limit(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(itpm=9_000, reserve=Reserve.PROMPT), provider="anthropic")
    text = "All of this has to be kept in mind. " * 800
    marked = {"system": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]}

    first, second = await caller.claude(**marked), await caller.claude(**marked)
    third = await caller.claude(system=text)

    assert (first.status_code, second.status_code) == (200, 200)
    assert third.status_code == 429


async def test_a_limit_raised_while_running_takes_effect(simulator: SimulatorThread, caller: Caller) -> None:
    simulator.set_quota(QuotaSpec(max_in_flight=0), provider="openai")
    before = (await caller.chat()).status_code
    simulator.set_quota(QuotaSpec(max_in_flight=5), provider="openai")

    assert (before, (await caller.chat()).status_code) == (429, 200)
