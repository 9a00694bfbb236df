from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.errors import ConfigError
from workbench.core.paths import Paths, private_directory
from workbench.core.settings import (
    LaneLimits,
    LimitSettings,
    ProviderSettings,
    Settings,
    load_settings,
)
from workbench.core.toml import line_of
from workbench.core.types import Params


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_without_a_file_the_defaults_hold() -> None:
    assert Settings.from_environment(os.environ) == Settings()


def test_the_file_in_the_config_directory_is_read_when_it_is_there() -> None:
    paths = Paths.from_environment(os.environ)
    private_directory(paths.config)
    paths.config_file.write_text("[limits]\nmax_concurrent = 4\n")

    assert Settings.from_environment(os.environ).limits == LimitSettings(max_concurrent=4)


def test_every_section_is_understood(config_file: Path) -> None:
    config_file.write_text(
        """
default_lineup = "daily"

[providers.openai]
base_url = "https://proxy.example/v1/"
transport = "aiohttp"
keys = ["sk-one", "sk-two"]

[providers.lab]
base_url = "http://10.0.0.4:8000/v1"
family = "openai-chat"
needs_key = false
title = "The lab"

[aliases]
fast = "gpt-5.4-mini | lab/small"

[fallbacks]
"gpt-5.4" = ["anthropic/claude-sonnet-4-6"]

[limits]
max_concurrent = 8
global_concurrency = 16

[limits.lanes."openai/gpt-5.4"]
max_in_flight = 2

[timeouts]
first_token_s = 30

[ui]
send_key = "chat"
keymap = { "compare.run" = "f5" }

[lineups]
daily = ["fast", "gpt-5.4"]

[defaults]
system = "Be brief."
params = { temperature = 0.2, stop = "END", top_k = 40 }
"""
    )

    settings = load_settings(config_file, {})

    assert settings.provider("openai") == ProviderSettings(
        base_url="https://proxy.example/v1/", transport="aiohttp", keys=("sk-one", "sk-two")
    )
    assert settings.provider("lab").needs_key is False
    assert settings.aliases == {"fast": "gpt-5.4-mini | lab/small"}
    assert settings.fallbacks == {"gpt-5.4": ("anthropic/claude-sonnet-4-6",)}
    assert settings.limits == LimitSettings(
        max_concurrent=8, global_concurrency=16, lanes={"openai/gpt-5.4": LaneLimits(max_in_flight=2)}
    )
    assert settings.timeouts.first_token_s == 30.0
    assert settings.ui.keymap == {"compare.run": "f5"}
    assert settings.lineups[settings.default_lineup or ""] == ("fast", "gpt-5.4")
    assert settings.defaults.as_params() == Params(temperature=0.2, stop=("END",), extra=(("top_k", 40),))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "[limits]\n\nmax_concurent = 3\n",
            ":3: limits.max_concurent: unknown key. Did you mean max_concurrent?",
            id="misspelt key",
        ),
        pytest.param("[limit]\n", ":1: limit: unknown key. Did you mean limits?", id="misspelt table"),
        pytest.param(
            '[limits]\nmax_concurrent = "many"\n',
            ":2: limits.max_concurrent: expected a whole number, got 'many'.",
            id="wrong type",
        ),
        pytest.param(
            "[limits]\nmax_concurrent = 0\n",
            ":2: limits.max_concurrent: expected a whole number >= 1, got 0.",
            id="out of range",
        ),
        pytest.param(
            "[timeouts]\ntotal_s = inf\n",
            ":2: timeouts.total_s: expected a number <= 315360000.0, got inf.",
            id="longer than clocks can count",
        ),
        pytest.param(
            "[limits]\nglobal_concurrency = 4097\n",
            ":2: limits.global_concurrency: expected a whole number <= 4096, got 4097.",
            id="more than can be told apart",
        ),
        pytest.param(
            '[providers.openai]\ntransport = "http3"\n',
            ":2: providers.openai.transport: expected 'http1' or 'http2' or 'aiohttp', got 'http3'.",
            id="unknown choice",
        ),
        pytest.param(
            '[lineups]\ndaily = [\n  "a",\n  3,\n]\n',
            ":2: lineups.daily: expected a list of text, got a list.",
            id="wrong item in a list of several lines",
        ),
        pytest.param("retry = 3\n", ":1: retry: expected a table, got 3.", id="a value for a table"),
        pytest.param(
            '[providers.lab]\nbase_url = "lab:8000"\n',
            ":2: providers.lab.base_url: expected a URL that starts with http:// or https://.",
            id="not a URL",
        ),
        pytest.param(
            'default_lineup = "dayly"\n[lineups]\ndaily = ["a"]\n',
            ":1: default_lineup: no line-up is called 'dayly'. Did you mean daily?",
            id="unknown line-up",
        ),
        pytest.param(
            '[defaults.params]\ntemperature = "hot"\n',
            ":1: defaults.params: Parameter temperature: expected a number, got 'hot'.",
            id="wrong parameter",
        ),
        pytest.param("[limits\n", ":1:8: not valid TOML: Expected ']' at the end of a table declaration.", id="syntax"),
    ],
)
def test_a_broken_file_is_refused_with_line_key_and_expectation(config_file: Path, text: str, complaint: str) -> None:
    config_file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_settings(config_file, {})

    assert str(caught.value) == f"{config_file}{complaint}"


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere.toml"

    with pytest.raises(ConfigError, match=r"Cannot read .*nowhere\.toml: No such file"):
        load_settings(None, {"LLM_WORKBENCH_CONFIG": str(missing)})


def test_bytes_that_are_not_text_name_their_line(config_file: Path) -> None:
    config_file.write_bytes(b"[ui]\ntheme = '\xff'\n")

    with pytest.raises(ConfigError, match=":2: not UTF-8 text"):
        load_settings(config_file, {})


@pytest.mark.parametrize("said", ["lots", "0", "-1", "2.5", "4097", "9" * 5000], ids=lambda said: said[:5])
def test_a_wrong_variable_is_named(said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {"LLM_GLOBAL_CONCURRENCY": said})

    assert str(caught.value) == f"LLM_GLOBAL_CONCURRENCY: expected a whole number from 1 to 4096, got {said!r}."


def test_where_the_settings_came_from_is_no_setting(config_file: Path) -> None:
    config_file.write_text('source = "elsewhere"\n')

    with pytest.raises(ConfigError, match="source: unknown key"):
        load_settings(config_file, {})


def test_settings_know_their_lines_for_later_complaints(config_file: Path) -> None:
    config_file.write_text('[aliases]\nfast = "gpt-5.4-mini"\n')

    assert load_settings(config_file, {}).where("aliases", "fast") == f"{config_file}:2: aliases.fast"
    assert Settings().where("aliases", "fast") == "aliases.fast"


def test_global_concurrency_comes_from_the_environment() -> None:
    assert load_settings(None, {"LLM_GLOBAL_CONCURRENCY": "5"}).limits.global_concurrency == 5


def test_no_repr_shows_a_key_or_a_header() -> None:
    settings = Settings(providers={"openai": ProviderSettings(keys="sk-secret", headers={"X-Token": "hush"})})

    assert "sk-secret" not in repr(settings)
    assert "hush" not in repr(settings)
    assert "sk-secret" not in repr(settings.provider("openai").__rich_repr__())


@given(st.integers(0, 5), st.integers(0, 5))
def test_a_key_is_found_on_its_line_whatever_stands_around_it(before: int, after: int) -> None:
    noise = '# [ui]\ntext = """\n[ui]\ntheme = 1\n"""\n'
    text = "\n" * before + noise + "[ui]\n" + "# theme\n" * after + "theme = 1\n"

    assert line_of(text, ("ui", "theme")) == before + 5 + 1 + after + 1


def test_directories_follow_their_variables() -> None:
    paths = Paths.from_environment({"LLM_CACHE_DIR": "/somewhere/cache"})

    assert paths.cache == Path("/somewhere/cache")
    assert paths.responses == Path("/somewhere/cache/responses")
    assert paths.config.name == "llm-workbench"


def test_a_new_directory_and_its_parents_are_for_the_owner_alone(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "a" / "b")

    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)] == [0o700, 0o700]


def test_a_file_in_the_way_of_a_directory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")

    with pytest.raises(ConfigError, match=r"Cannot create the directory .*cache"):
        private_directory(tmp_path / "cache" / "responses")
