from __future__ import annotations

import pytest

from workbench.core.errors import ConfigError, UnknownModel
from workbench.core.types import Params
from workbench.providers.base import ProviderSpec, WireFamily
from workbench.providers.capabilities import wire_family
from workbench.providers.catalog import BUILT_IN, known_models, resolve, rows_from

MINE = ProviderSpec(
    name="mine",
    prefix="mine",
    family=WireFamily.OPENAI_CHAT,
    base_url="https://llm.example/v1",
    base_url_variables=("MINE_BASE_URL",),
    key_variables=("MINE_API_KEY", "MINE_KEYS"),
)


@pytest.mark.parametrize(
    ("model", "provider", "wire_model"),
    [
        ("gpt-5.4", "openai", "gpt-5.4"),
        ("GPT-4o", "openai", "GPT-4o"),
        ("o1", "openai", "o1"),
        ("o3-mini", "openai", "o3-mini"),
        ("o4-mini", "openai", "o4-mini"),
        ("chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
        ("openai/gpt-4.1", "openai", "gpt-4.1"),
        ("gemini/gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
        ("anthropic/claude-sonnet-5", "anthropic", "claude-sonnet-5"),
        ("together_ai/openai/gpt-oss-20b", "together", "openai/gpt-oss-20b"),
        ("sambanova/gpt-oss-120b", "sambanova", "gpt-oss-120b"),
        ("openrouter/anthropic/claude-sonnet-5:nitro", "openrouter", "anthropic/claude-sonnet-5:nitro"),
        ("local/Qwen/Qwen3-4B", "local", "Qwen/Qwen3-4B"),
        ("groq/openai/gpt-oss-20b", "groq", "groq/openai/gpt-oss-20b"),
        ("bedrock/anthropic.claude-v2", "litellm", "bedrock/anthropic.claude-v2"),
        ("vertex_ai/gemini-2.5-pro", "litellm", "vertex_ai/gemini-2.5-pro"),
        ("litellm/some-name", "litellm", "some-name"),
        ("command-r-plus", "litellm", "command-r-plus"),
        ("  gpt-5.4 ", "openai", "gpt-5.4"),
    ],
)
def test_a_name_goes_to_its_row(model: str, provider: str, wire_model: str) -> None:
    spec, wire = resolve(model, BUILT_IN)

    assert (spec.name, wire) == (provider, wire_model)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("gpt-oss-120b", "together_ai/openai/gpt-oss-120b or sambanova/gpt-oss-120b"),
        ("claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("gemini-2.5-flsh", "gemini/gemini-2.5-flash"),
        ("antropic/claude-sonnet-5", "anthropic/claude-sonnet-5"),
        ("open-router/x", "openrouter/x"),
        ("anthropic/", "anthropic/ and the model's name"),
        ("zzz", "provider/model"),
    ],
)
def test_an_unknown_name_says_what_was_probably_meant(model: str, says: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        resolve(model, BUILT_IN)

    assert says in caught.value.hint


def test_aliases_lead_anywhere_but_in_circles() -> None:
    aliases = {"fast": "quick", "quick": "gemini/gemini-2.5-flash", "a": "b", "b": "a"}

    assert resolve("fast", BUILT_IN, aliases)[1] == "gemini-2.5-flash"
    with pytest.raises(ConfigError, match="leads back to itself"):
        resolve("a", BUILT_IN, aliases)


@pytest.mark.parametrize(
    ("variable", "provider"),
    [
        ("OPENAI_BASE_URL", "openai"),
        ("ANTHROPIC_BASE_URL", "anthropic"),
        ("GEMINI_BASE_URL", "gemini"),
        ("GOOGLE_GEMINI_BASE_URL", "gemini"),
        ("TOGETHER_BASE_URL", "together"),
        ("SAMBANOVA_BASE_URL", "sambanova"),
        ("OPENROUTER_BASE_URL", "openrouter"),
        ("LOCAL_BASE_URL", "local"),
        ("GROQ_API_BASE", "groq"),
    ],
)
def test_every_base_url_can_be_overridden(variable: str, provider: str) -> None:
    rows = {row.name: row for row in rows_from({variable: "http://127.0.0.1:9/x/"})}

    assert rows[provider].base_url == "http://127.0.0.1:9/x"
    assert sum(row.base_url == "http://127.0.0.1:9/x" for row in rows.values()) == 1


def test_the_first_variable_of_a_row_wins() -> None:
    rows = rows_from({"GOOGLE_GEMINI_BASE_URL": "http://second", "GEMINI_BASE_URL": "http://first"})

    assert next(row for row in rows if row.name == "gemini").base_url == "http://first"


def test_a_persons_row_is_added_before_the_catch_all_or_replaces_a_built_in_one() -> None:
    added = rows_from({}, [MINE])
    replaced = rows_from({}, [ProviderSpec("openai", "openai", WireFamily.OPENAI_CHAT, "http://o", (), ())])

    assert resolve("mine/a/b", added) == (MINE, "a/b")
    assert [row.name for row in added[-2:]] == ["mine", "litellm"]
    assert resolve("openai/x", replaced)[0].base_url == "http://o"


def test_two_rows_cannot_claim_one_prefix() -> None:
    thief = ProviderSpec("thief", "gemini", WireFamily.OPENAI_CHAT, "http://o", (), ())

    with pytest.raises(ConfigError, match="gemini and thief both claim"):
        rows_from({}, [thief])


@pytest.mark.parametrize(
    ("model", "extra", "family"),
    [
        ("gpt-5", (), WireFamily.OPENAI_RESPONSES),
        ("gpt-6-sol", (), WireFamily.OPENAI_RESPONSES),
        ("o3", (), WireFamily.OPENAI_RESPONSES),
        ("gpt-5", (("n", 3),), WireFamily.OPENAI_CHAT),
        ("gpt-5", (("n", 1),), WireFamily.OPENAI_RESPONSES),
        ("gpt-4o", (), WireFamily.OPENAI_CHAT),
        ("chatgpt-4o-latest", (), WireFamily.OPENAI_CHAT),
        ("together_ai/openai/gpt-oss-20b", (), WireFamily.OPENAI_CHAT),
        ("openrouter/openai/gpt-5.4", (), WireFamily.OPENAI_CHAT),
        ("anthropic/claude-sonnet-5", (), WireFamily.ANTHROPIC),
    ],
)
def test_responses_is_spoken_where_it_gains_something(
    model: str, extra: tuple[tuple[str, int], ...], family: WireFamily
) -> None:
    spec, wire_model = resolve(model, BUILT_IN)

    assert wire_family(spec, wire_model, Params(extra=extra)) is family


def test_every_known_model_resolves_to_the_row_it_is_listed_under() -> None:
    assert {model.provider: None for model in known_models()}.keys() <= {row.name for row in BUILT_IN}
    assert [model for model in known_models() if resolve(model.name, BUILT_IN)[0].name != model.provider] == []


def test_every_row_names_its_keys_and_its_base_url() -> None:
    for row in BUILT_IN:
        assert row.key_variables[0].endswith("_API_KEY"), row.name
        assert row.key_variables[1].endswith("_KEYS"), row.name
        assert row.base_url_variables, row.name
