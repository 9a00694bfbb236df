from __future__ import annotations

from dataclasses import replace

import pytest
from provider_kit import Script, Wire, scripted, wired

from workbench.core.errors import (
    ConnectionFailed,
    KeyRejected,
    MalformedResponse,
    ModelNotFound,
    ProviderError,
    UsageError,
    WrongContentType,
)
from workbench.providers.catalog import BUILT_IN
from workbench.providers.embeddings import embed, most_texts
from workbench.providers.fetching import Account
from workbench.providers.listing import ListedModel, list_models

ROWS = {row.name: row for row in BUILT_IN}


def account(wire: Wire, provider: str, model: str = "", key: str = "sim-key-1") -> Account:
    return Account(replace(ROWS[provider], base_url=wire.base_urls[provider]), key, None, model)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o"),
        ("anthropic", "anthropic/claude-sonnet-4-6"),
        ("gemini", "gemini/gemini-2.5-flash"),
        ("together", "together_ai/openai/gpt-oss-120b"),
        ("sambanova", "sambanova/gpt-oss-120b"),
        ("openrouter", "openrouter/openai/gpt-5.4"),
        ("local", "local/qwen3-8b"),
    ],
)
async def test_a_provider_says_what_it_serves(wire: Wire, provider: str, model: str) -> None:
    models = await list_models(wire.connections, account(wire, provider))

    assert model in [listed.name for listed in models]
    assert [listed.name for listed in models] == sorted(listed.name for listed in models)


async def test_what_a_list_says_beside_names_is_kept(wire: Wire) -> None:
    openrouter = {each.name: each for each in await list_models(wire.connections, account(wire, "openrouter"))}
    gemini = {each.name: each for each in await list_models(wire.connections, account(wire, "gemini"))}

    priced = openrouter["openrouter/openai/gpt-5.4"]
    assert priced.input_usd is not None
    assert 0 < priced.input_usd < 0.001
    assert gemini["gemini/gemini-2.5-flash"].context
    assert "gemini/gemini-embedding-001" not in gemini


async def test_what_does_not_chat_is_left_out(wire: Wire) -> None:
    together = await list_models(wire.connections, account(wire, "together"))

    assert "together_ai/openai/gpt-oss-120b" in [model.name for model in together]
    assert not any("bge-" in model.name for model in together)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (Script(b"<html>", content_type="text/html"), WrongContentType),
        (Script(b"{", content_type="application/json"), MalformedResponse),
        (Script(b"7", content_type="application/json"), MalformedResponse),
        (Script(b"<html>", 404, "text/html"), WrongContentType),
        (Script(b"{}", 401, "application/json"), KeyRejected),
    ],
)
async def test_what_is_no_list_is_named(script: Script, error: type[ProviderError]) -> None:
    async with scripted(script) as server, wired(server.base_urls) as wire:
        with pytest.raises(error):
            await list_models(wire.connections, account(wire, "local"))


async def test_an_odd_list_is_read_as_far_as_it_goes() -> None:
    body = b'{"data": [{"id": "b", "max_model_len": 4096}, {"id": null}, 3, {"id": "a", "pricing": {"prompt": "-1"}}]}'
    async with scripted(Script(body, content_type="application/json")) as server, wired(server.base_urls) as wire:
        models = await list_models(wire.connections, account(wire, "local"))

    assert models == (ListedModel("local/a"), ListedModel("local/b", 4096))


async def test_a_wrong_key_and_a_dead_server_are_told_apart(wire: Wire) -> None:
    with pytest.raises(KeyRejected):
        await list_models(wire.connections, account(wire, "anthropic", key="sim-key-dead"))
    nowhere = Account(replace(ROWS["local"], base_url="http://127.0.0.1:1"))
    with pytest.raises(ConnectionFailed):
        await list_models(wire.connections, nowhere)


async def test_litellm_lists_nothing(wire: Wire) -> None:
    with pytest.raises(UsageError):
        await list_models(wire.connections, Account(ROWS["groq"]))


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "text-embedding-3-small"),
        ("gemini", "gemini-embedding-001"),
        ("together", "BAAI/bge-base-en-v1.5"),
        ("local", "nomic-embed-text"),
    ],
)
async def test_texts_become_vectors_in_their_order(wire: Wire, provider: str, model: str) -> None:
    asked = account(wire, provider, model)

    three = await embed(wire.connections, asked, ["a", "b", "c"])
    again = await embed(wire.connections, asked, ["c", "a"])

    assert len(three.vectors) == 3
    assert again.vectors == (three.vectors[2], three.vectors[0])
    assert three.usage is None or three.usage.input > 0


async def test_embeddings_fail_as_answers_do(wire: Wire) -> None:
    with pytest.raises(ModelNotFound):
        await embed(wire.connections, account(wire, "openai", "no-such-model"), ["a"])
    with pytest.raises(UsageError):
        await embed(wire.connections, account(wire, "anthropic", "claude"), ["a"])


async def test_too_few_vectors_are_no_answer() -> None:
    body = b'{"data": [{"index": 0, "embedding": [1.0]}]}'
    async with scripted(Script(body, content_type="application/json")) as server, wired(server.base_urls) as wire:
        with pytest.raises(MalformedResponse, match="1 embeddings for 2 texts"):
            await embed(wire.connections, account(wire, "local", "m"), ["a", "b"])


def test_a_request_holds_what_the_provider_takes() -> None:
    assert [most_texts(ROWS[name]) for name in ("openai", "gemini", "together")] == [2_048, 100, 96]


def test_an_account_does_not_show_its_key() -> None:
    assert "sk-secret" not in repr(Account(ROWS["openai"], "sk-secret-123456789"))
