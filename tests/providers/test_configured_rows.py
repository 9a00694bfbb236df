from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from workbench.core.errors import ConfigError
from workbench.core.settings import ProviderSettings, Settings, load_settings
from workbench.providers.base import ProviderSpec, Transport, WireFamily
from workbench.providers.catalog import ANTHROPIC, BUILT_IN, GEMINI, OPENAI
from workbench.providers.configured import configured_rows


def row(name: str, settings: Settings, **environ: str) -> ProviderSpec:
    return next(row for row in configured_rows(settings, environ) if row.name == name)


def test_without_settings_the_catalog_stands() -> None:
    assert configured_rows(Settings(), {}) == BUILT_IN


def test_settings_change_only_what_they_name() -> None:
    settings = Settings(
        providers={
            "openai": ProviderSettings(transport="aiohttp", headers={"X-Team": "a"}),
            "anthropic": ProviderSettings(family="litellm", key_variables="CLAUDE_KEY"),
        }
    )

    assert row("openai", settings) == replace(OPENAI, transport=Transport.AIOHTTP, headers=(("X-Team", "a"),))
    assert row("anthropic", settings) == replace(ANTHROPIC, family=WireFamily.LITELLM, key_variables=("CLAUDE_KEY",))


def test_a_new_row_is_an_openai_compatible_host_that_needs_no_key_unless_it_has_one() -> None:
    settings = Settings(
        providers={
            "my-lab": ProviderSettings(base_url="http://10.0.0.4:8000/v1/"),
            "paid": ProviderSettings(base_url="https://paid.example/v1", keys="secret-key"),
        }
    )

    assert row("my-lab", settings) == ProviderSpec(
        name="my-lab",
        prefix="my-lab",
        family=WireFamily.OPENAI_CHAT,
        base_url="http://10.0.0.4:8000/v1",
        base_url_variables=("MY_LAB_BASE_URL",),
        key_variables=("MY_LAB_API_KEY", "MY_LAB_KEYS"),
        needs_key=False,
        title="my-lab",
    )
    assert row("paid", settings).needs_key


def test_the_environment_wins_over_the_settings() -> None:
    settings = Settings(providers={"gemini": ProviderSettings(base_url="https://file.example")})

    assert row("gemini", settings, GOOGLE_GEMINI_BASE_URL="http://127.0.0.1:9/") == replace(
        GEMINI, base_url="http://127.0.0.1:9"
    )


def test_a_misspelt_provider_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('\n[providers.opnai]\ntransport = "http2"\n')

    with pytest.raises(ConfigError) as caught:
        configured_rows(load_settings(file, {}), {})

    assert str(caught.value) == (
        f"{file}:2: providers.opnai: a row of your own needs a base_url. "
        "Did you mean openai? Built-in rows may leave it out."
    )


def test_a_variable_that_is_no_url_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        configured_rows(Settings(), {"OPENAI_BASE_URL": "localhost:1"})

    assert str(caught.value) == "OPENAI_BASE_URL: expected a URL that starts with http:// or https://."
