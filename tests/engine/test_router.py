"""Names to targets: rows, aliases, chains, fallbacks, base URLs, and what is said about a name nobody knows."""

from __future__ import annotations

import pytest

from workbench.core.errors import ConfigError, UnknownModel, UsageError
from workbench.core.settings import ProviderSettings, Settings
from workbench.core.types import Route
from workbench.engine.router import Router


def routes(model: str, settings: Settings | None = None, **environ: str) -> list[Route]:
    return [target.route for target in Router(settings or Settings(), environ).route(model)]


def specs(model: str, settings: Settings | None = None) -> list[str]:
    return [route.spec for route in routes(model, settings)]


@pytest.mark.parametrize(
    ("model", "provider", "wire_model"),
    [
        ("gpt-5.4", "openai", "gpt-5.4"),
        ("openai/gpt-5.4", "openai", "gpt-5.4"),
        ("o4-mini", "openai", "o4-mini"),
        ("gemini/gemini-3-flash", "gemini", "gemini-3-flash"),
        ("anthropic/claude-sonnet-4-6", "anthropic", "claude-sonnet-4-6"),
        ("together_ai/meta-llama/Llama-4-Scout", "together", "meta-llama/Llama-4-Scout"),
        ("sambanova/DeepSeek-V3.1", "sambanova", "DeepSeek-V3.1"),
        ("openrouter/z-ai/glm-4.7", "openrouter", "z-ai/glm-4.7"),
        ("local/qwen3-8b", "local", "qwen3-8b"),
        ("groq/llama-3.3-70b", "groq", "groq/llama-3.3-70b"),
    ],
)
def test_each_name_goes_to_its_row(model: str, provider: str, wire_model: str) -> None:
    [route] = routes(model)

    assert (route.spec, route.provider, route.wire_model) == (model, provider, wire_model)


@pytest.mark.parametrize("model", ["gpt-5\udcff", "gpt-5\x1b[31m", "gpt-5 | local/a\nb"])
def test_a_name_with_characters_that_none_has_is_refused(model: str) -> None:
    with pytest.raises(UsageError, match="is no model's name"):
        Router(Settings(), {}).route(model)


def test_a_chain_keeps_its_order_and_drops_repetitions() -> None:
    assert specs("gpt-5.4 | anthropic/claude-sonnet-4-6|gpt-5.4") == ["gpt-5.4", "anthropic/claude-sonnet-4-6"]


def test_an_alias_may_be_a_chain_of_aliases() -> None:
    settings = Settings(aliases={"fast": "mini | gemini/gemini-3-flash", "mini": "gpt-5.4-mini"})

    assert specs("fast | local/qwen3-8b", settings) == ["gpt-5.4-mini", "gemini/gemini-3-flash", "local/qwen3-8b"]


def test_fallbacks_from_the_settings_follow_a_single_model() -> None:
    settings = Settings(
        aliases={"best": "gpt-5.4", "spare": "local/qwen3-8b"},
        fallbacks={"gpt-5.4": ("anthropic/claude-sonnet-4-6", "spare")},
    )

    chain = ["gpt-5.4", "anthropic/claude-sonnet-4-6", "local/qwen3-8b"]
    assert specs("gpt-5.4", settings) == chain
    assert specs("best", settings) == chain
    assert specs("gpt-5.4 | o4-mini", settings) == ["gpt-5.4", "o4-mini"], "a written chain is meant as it is"


def test_base_urls_come_from_the_environment_then_the_settings() -> None:
    settings = Settings(providers={"openai": ProviderSettings(base_url="http://127.0.0.1:1/v1")})

    assert routes("gpt-5.4", settings)[0].base_url == "http://127.0.0.1:1/v1"
    assert routes("gpt-5.4", settings, OPENAI_BASE_URL="http://127.0.0.1:2/v1/")[0].base_url == "http://127.0.0.1:2/v1"
    assert routes("gpt-5.4")[0].base_url == "https://api.openai.com/v1"


def test_a_row_of_one_s_own_needs_no_code() -> None:
    settings = Settings(providers={"farm": ProviderSettings(base_url="http://127.0.0.1:9/v1")})

    [route] = routes("farm/llama-4", settings)

    assert route == Route("farm/llama-4", "farm", "llama-4", "http://127.0.0.1:9/v1")


def test_an_unknown_model_gets_a_suggestion_and_fails_the_whole_chain() -> None:
    with pytest.raises(UnknownModel) as caught:
        routes("gpt-5.4 | claude-sonet-4-6")

    assert "claude-sonnet" in caught.value.hint


def test_a_misspelt_alias_is_recognised() -> None:
    with pytest.raises(UnknownModel) as caught:
        routes("fasst", Settings(aliases={"fast": "gpt-5.4-mini"}))

    assert caught.value.hint == "Did you mean the alias fast?"


@pytest.mark.parametrize("model", ["gpt-5.4 |", "| gpt-5.4", "a || b"])
def test_an_empty_link_is_a_usage_error(model: str) -> None:
    with pytest.raises(UsageError):
        routes(model)


def test_aliases_that_lead_in_a_circle_are_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        routes("a", Settings(aliases={"a": "b", "b": "gpt-5.4 | a"}))
