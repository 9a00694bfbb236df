"""The hosts that copied OpenAI's API, and servers on one's own machine: what each does differently."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from workbench.simulator.models import Provider, all_models
from workbench.simulator.profiles import STEADY
from workbench.simulator.quota import QuotaSpec
from workbench.simulator.server import SimulatorThread

QUESTION = [{"role": "user", "content": "Explain how an event loop works."}]
HOSTS = [
    pytest.param("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", id="together"),
    pytest.param("sambanova", "DeepSeek-V3.2", id="sambanova"),
    pytest.param("openrouter", "openai/gpt-4.1-mini", id="openrouter"),
    pytest.param("local", "llama-3.2-3b-instruct", id="local"),
    pytest.param("litellm", "mistral-large-latest", id="litellm"),
]


class Host:
    def __init__(self, simulator: SimulatorThread, client: httpx.AsyncClient, name: str) -> None:
        self.url = simulator.base_urls[name]
        self._client = client
        self._headers = {"authorization": f"Bearer {simulator.api_key}"}

    async def post(self, model: str, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        full = {"model": model, "messages": QUESTION, **body}
        headers = {**self._headers, **(headers or {})}
        return await self._client.post(f"{self.url}/chat/completions", headers=headers, json=full)

    async def stream(self, model: str, **body: Any) -> tuple[httpx.Response, list[dict[str, Any]]]:
        response = await self.post(model, stream=True, **body)
        assert response.status_code == 200
        frames = [line.removeprefix("data: ") for line in response.text.split("\n") if line.startswith("data: ")]
        assert frames.pop() == "[DONE]"
        return response, [json.loads(frame) for frame in frames]

    async def get(self, path: str) -> Any:
        return (await self._client.get(f"{self.url}{path}", headers=self._headers)).json()


def joined(found: list[dict[str, Any]], field: str) -> str:
    return "".join(c["delta"].get(field) or "" for chunk in found for c in chunk["choices"])


@pytest.mark.parametrize(("name", "model"), HOSTS)
async def test_openais_sdk_reads_every_host(simulator: SimulatorThread, name: str, model: str) -> None:
    async with AsyncOpenAI(base_url=simulator.base_urls[name], api_key=simulator.api_key, max_retries=0) as sdk:
        whole = await sdk.chat.completions.create(model=model, messages=QUESTION)  # type: ignore[arg-type]  # a plain dict
        stream = await sdk.chat.completions.create(model=model, messages=QUESTION, stream=True)  # type: ignore[arg-type]  # same
        text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
        with pytest.raises(openai.NotFoundError):
            await sdk.chat.completions.create(model="no-such-model", messages=QUESTION)  # type: ignore[arg-type]  # same

    assert text == whole.choices[0].message.content
    assert whole.usage is not None
    assert whole.usage.completion_tokens > 20


@pytest.mark.parametrize("name", ["together", "sambanova", "openrouter", "litellm"])
async def test_a_wrong_key_is_a_401_everywhere(
    simulator: SimulatorThread, client: httpx.AsyncClient, name: str
) -> None:
    host = Host(simulator, client, name)

    response = await host.post("whatever", {"authorization": "Bearer sim-key-dead"})

    assert response.status_code == 401
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("name", ["together", "sambanova", "openrouter"])
async def test_an_empty_account_is_a_402(simulator: SimulatorThread, client: httpx.AsyncClient, name: str) -> None:
    response = await Host(simulator, client, name).post("whatever", {"authorization": "Bearer sim-key-spent"})

    assert response.status_code == 402


REASONERS = [
    pytest.param("together", "openai/gpt-oss-120b", "reasoning", id="together"),
    pytest.param("sambanova", "gpt-oss-120b", "reasoning_content", id="sambanova"),
    pytest.param("openrouter", "openai/gpt-5.4", "reasoning", id="openrouter"),
    pytest.param("litellm", "deepseek-reasoner", "reasoning_content", id="litellm"),
]


@pytest.mark.parametrize(("name", "model", "field"), REASONERS)
async def test_reasoning_streams_in_the_hosts_own_field(
    simulator: SimulatorThread, client: httpx.AsyncClient, name: str, model: str, field: str
) -> None:
    host = Host(simulator, client, name)

    _, found = await host.stream(model)
    whole = (await host.post(model)).json()

    assert len(joined(found, field)) > 50
    assert joined(found, field) == whole["choices"][0]["message"][field]
    assert joined(found, "content") == whole["choices"][0]["message"]["content"]


@pytest.mark.parametrize(("name", "model"), [("local", "qwen3-8b"), ("sambanova", "DeepSeek-R1-0528")])
async def test_reasoning_without_a_parser_comes_between_tags(
    simulator: SimulatorThread, client: httpx.AsyncClient, name: str, model: str
) -> None:
    host = Host(simulator, client, name)

    _, found = await host.stream(model)
    whole = (await host.post(model)).json()["choices"][0]["message"]["content"]

    assert joined(found, "content") == whole
    assert whole.startswith("<think>\n")
    assert whole.index("\n</think>\n\n") > 50


async def test_together_counts_per_second_and_on_the_last_chunk(
    simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    simulator.set_quota(QuotaSpec(rpm=1_800, tpm=600_000), provider="together")
    host = Host(simulator, client, "together")

    response, found = await host.stream("Qwen/Qwen3.5-9B")

    assert response.headers["x-ratelimit-limit"] == "30"
    assert response.headers["x-ratelimit-limit-tokens"] == response.headers["x-tokenlimit-limit"] == "10000"
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"]["completion_tokens"] > 20
    assert isinstance(await host.get("/models"), list)


async def test_sambanova_states_minutes_days_and_speeds(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    simulator.set_quota(QuotaSpec(rpm=240, rpd=48_000, tpd=20_000_000), provider="sambanova")
    host = Host(simulator, client, "sambanova")

    response, found = await host.stream("gpt-oss-120b", stream_options={"include_usage": True})

    assert response.headers["x-ratelimit-limit-requests"] == "240"
    assert response.headers["x-ratelimit-remaining-requests-day"] == "47999"
    assert float(response.headers["x-ratelimit-reset-requests"]) >= time.time() - 1
    assert {"completion_tokens_per_sec", "time_to_first_token", "total_latency"} <= set(found[-1]["usage"])


async def test_openrouter_shows_signs_of_life_and_its_price(
    simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    host = Host(simulator, client, "openrouter")

    response, found = await host.stream("openai/gpt-4.1-mini")

    usage = found[-1]["usage"]
    model = next(m for m in all_models() if (m.provider, m.name) == (Provider.OPENROUTER, "openai/gpt-4.1-mini"))
    price = (usage["prompt_tokens"] * model.input_usd + usage["completion_tokens"] * model.output_usd) / 1e6
    assert response.text.startswith(": OPENROUTER PROCESSING\n\n")
    assert usage["cost"] == pytest.approx(price, abs=1e-8)
    generation = await host.get(f"/generation?id={response.headers['x-generation-id']}")
    assert generation["data"]["total_cost"] == usage["cost"]
    assert found[0]["id"] == response.headers["x-generation-id"]
    assert (await host.get("/key"))["data"]["limit_remaining"] > 0
    assert (await host.get("/credits"))["data"]["total_credits"] > 0


@pytest.mark.parametrize("variant", ["floor", "nitro", "online", "free"])
async def test_openrouters_variants_are_the_same_model(
    simulator: SimulatorThread, client: httpx.AsyncClient, variant: str
) -> None:
    host = Host(simulator, client, "openrouter")

    plain = (await host.post("openai/gpt-4.1-mini")).json()
    other = (await host.post(f"openai/gpt-4.1-mini:{variant}")).json()

    assert other["choices"] == plain["choices"]


async def test_openrouters_models_have_prices_per_token(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    rows = {row["id"]: row for row in (await Host(simulator, client, "openrouter").get("/models"))["data"]}

    assert rows["openai/gpt-5.4"]["pricing"]["completion"] == "0.000015"
    assert "reasoning" in rows["openai/gpt-5.4"]["supported_parameters"]


async def test_openrouters_own_errors_have_numbers(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    host = Host(simulator, client, "openrouter")

    blocked = (await host.post("openai/gpt-5.4!blocked")).json()["error"]
    limited = await host.post("openai/gpt-5.4!rate-requests")

    assert (blocked["code"], bool(blocked["metadata"]["reasons"])) == (403, True)
    assert limited.json()["error"]["metadata"]["headers"]["X-RateLimit-Remaining"] == "0"
    assert int(limited.headers["x-ratelimit-reset"]) > time.time() * 1000


async def test_a_local_server_wants_no_key(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    response = await client.post(
        f"{simulator.base_urls['local']}/chat/completions", json={"model": "qwen3-8b", "messages": QUESTION}
    )

    assert response.status_code == 200


PROBES = [
    pytest.param("", "/v1/models", lambda body: body["data"][0]["max_model_len"] == 32_768, id="root-looks-like-vllm"),
    pytest.param("/vllm", "/health", lambda body: body["status"] == "ok", id="vllm"),
    pytest.param("/ollama", "/api/tags", lambda body: body["models"][0]["name"] == "qwen3-8b", id="ollama-tags"),
    pytest.param("/ollama", "/api/ps", lambda body: body["models"][0]["context_length"] == 4_096, id="ollama-ps"),
    pytest.param("/ollama", "/v1/models", lambda body: body["data"][0]["owned_by"] == "library", id="ollama-models"),
    pytest.param("/llamacpp", "/props", lambda body: body["total_slots"] == 4, id="llamacpp-props"),
    pytest.param("/llamacpp", "/v1/models", lambda body: "meta" in body["data"][0], id="llamacpp-models"),
    pytest.param("/lmstudio", "/api/v1/models", lambda body: body["models"][0]["loaded_instances"], id="lmstudio"),
]


@pytest.mark.parametrize(("prefix", "path", "holds"), PROBES)
async def test_each_local_server_introduces_itself(
    simulator: SimulatorThread, client: httpx.AsyncClient, prefix: str, path: str, holds: Any
) -> None:
    assert holds((await client.get(f"{simulator.url}{prefix}{path}")).json())


async def test_ollama_cuts_a_long_prompt_in_silence(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    long = [{"role": "user", "content": "Remember this. " * 2_000}]
    plain = {"model": "qwen3-8b", "messages": long}

    openai_way = (await client.post(f"{simulator.url}/ollama/v1/chat/completions", json=plain)).json()
    own_way = await client.post(
        f"{simulator.url}/ollama/api/chat", json={**plain, "options": {"num_ctx": 16_384}, "stream": False}
    )

    assert openai_way["usage"]["total_tokens"] == 4_096
    assert own_way.json()["prompt_eval_count"] > 4_096


async def test_ollamas_own_stream_is_a_json_object_per_line(
    simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    response = await client.post(
        f"{simulator.url}/ollama/api/chat", json={"model": "llama-3.2-3b-instruct", "messages": QUESTION}
    )

    lines = [json.loads(line) for line in response.text.splitlines()]
    assert response.headers["content-type"] == "application/x-ndjson"
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["eval_count"] == sum(1 for line in lines if line["message"]["content"])


@pytest.fixture
def one_slot() -> Iterator[SimulatorThread]:
    from dataclasses import replace

    with SimulatorThread(replace(STEADY, local_slots=1), time_scale=0.05) as simulator:
        yield simulator


async def test_a_busy_local_server_queues_and_never_refuses(
    one_slot: SimulatorThread, client: httpx.AsyncClient
) -> None:
    import asyncio

    host = Host(one_slot, client, "local")

    responses = await asyncio.gather(*(host.post("llama-3.2-3b-instruct", max_tokens=20) for _ in range(4)))

    spans = sorted((entry.at_s + entry.took_s) for entry in one_slot.requests())
    one_s = 0.05 * (0.2 + 19 * 0.01)
    assert [response.status_code for response in responses] == [200] * 4
    assert all(later - earlier >= one_s * 0.9 for earlier, later in itertools.pairwise(spans))


def test_litellm_reaches_it(simulator: SimulatorThread) -> None:
    """In a process of its own: litellm warns as it is imported, and takes seconds."""
    script = """
import asyncio, sys, litellm

async def main(base, key):
    stream = await litellm.acompletion(
        model="mistral/mistral-large-latest", api_base=base, api_key=key, stream=True,
        messages=[{"role": "user", "content": "Explain how an event loop works."}],
    )
    print(len("".join([chunk.choices[0].delta.content or "" async for chunk in stream])))

asyncio.run(main(*sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, simulator.base_urls["litellm"], simulator.api_key],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-1500:]
    assert int(done.stdout.split()[-1]) > 200
