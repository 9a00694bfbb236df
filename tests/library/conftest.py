"""A library user's world: provider variables that point at a simulator, and a loop thread that ends with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench.loop_thread import close_shared_loop_thread
from workbench.simulator.server import SimulatorThread

PREFIXES = {
    "openai": "OPENAI",
    "anthropic": "ANTHROPIC",
    "gemini": "GEMINI",
    "together": "TOGETHER",
    "sambanova": "SAMBANOVA",
    "openrouter": "OPENROUTER",
}


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorThread]:
    with SimulatorThread() as running:
        yield running


@pytest.fixture
def simulator(server: SimulatorThread, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatorThread]:
    for provider, prefix in PREFIXES.items():
        monkeypatch.setenv(f"{prefix}_BASE_URL", server.base_urls[provider])
        monkeypatch.setenv(f"{prefix}_API_KEY", server.api_key)
    monkeypatch.setenv("LOCAL_BASE_URL", server.base_urls["local"])
    close_shared_loop_thread()
    yield server
    close_shared_loop_thread()
