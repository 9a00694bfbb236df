"""Servers that were found on this machine become provider rows, and never in place of what a person has said."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.core.settings import ProviderSettings, Settings
from workbench.core.types import Usage
from workbench.providers.discovery import LocalModel, LocalServer, ServerKind
from workbench.session.local_servers import place_servers
from workbench.session.model_directory import ModelDirectory

OLLAMA = LocalServer(ServerKind.OLLAMA, "http://127.0.0.1:11434/v1", (LocalModel("qwen3:8b"), LocalModel("phi4")))
LM_STUDIO = LocalServer(ServerKind.LM_STUDIO, "http://127.0.0.1:1234/v1", (LocalModel("gemma"),))
LOADING = LocalServer(ServerKind.VLLM, "http://127.0.0.1:8000/v1", problem="vLLM is still loading its model.")


def placed(
    *servers: LocalServer, settings: Settings | None = None, environ: Mapping[str, str] | None = None
) -> tuple[dict[str, str | None], list[str]]:
    changed, found = place_servers(servers, settings or Settings(), environ or {})
    return {name: row.base_url for name, row in changed.providers.items()}, [
        model for server in found for model in server.models
    ]


def test_the_first_server_is_local_and_the_others_carry_their_port() -> None:
    rows, models = placed(OLLAMA, LM_STUDIO)

    assert rows == {"local": OLLAMA.base_url, "local-1234": LM_STUDIO.base_url}
    assert models == ["local/qwen3:8b", "local/phi4", "local-1234/gemma"]


def test_what_a_person_calls_local_stays_where_it_is() -> None:
    rows, models = placed(OLLAMA, environ={"LOCAL_BASE_URL": "http://127.0.0.1:9999/v1"})

    assert rows == {"local-11434": OLLAMA.base_url}
    assert models[0] == "local-11434/qwen3:8b"


def test_a_server_that_is_configured_already_is_not_placed_twice() -> None:
    mine = Settings(providers={"ollama": ProviderSettings(base_url="http://127.0.0.1:11434/v1")})

    assert placed(OLLAMA, settings=mine) == ({"ollama": "http://127.0.0.1:11434/v1"}, [])
    assert placed(OLLAMA, environ={"LOCAL_BASE_URL": OLLAMA.base_url}) == ({}, [])


def test_a_server_with_a_problem_is_told_about_and_not_asked() -> None:
    settings, (server,) = place_servers([LOADING], Settings(), {})

    assert server.phrase == "vLLM is still loading its model."
    assert settings.providers == {}


def test_models_of_found_servers_can_be_asked_and_cost_nothing() -> None:
    settings, found = place_servers([OLLAMA, LM_STUDIO], Settings(), {})
    directory = ModelDirectory.load(settings, {})
    directory.add(model for server in found for model in server.models)

    entry = directory.entry("local-1234/gemma")
    assert (entry.title, entry.why_not, entry.price) == ("LM Studio", "", "free")
    price = directory.facts("local/phi4").price
    assert price is not None
    assert price.rates(Usage(input=10)) is not None
