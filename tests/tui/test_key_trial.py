"""A pasted key is tried alone: among other keys a bad one could hide behind a good one."""

from __future__ import annotations

from pathlib import Path

from workbench.core.errors import KeyRejected
from workbench.core.settings import ProviderSettings, Settings, TelemetrySettings
from workbench.engine.keyring import Keyring
from workbench.providers.configured import configured_rows
from workbench.simulator.server import SimulatorThread
from workbench.tui.key_trial import engine_opener, only_with, try_key


def test_nobody_else_s_key_is_left_for_the_trial() -> None:
    environ = {"OPENAI_API_KEY": "sk-from-a-variable", "OPENAI_KEYS": "sk-one,sk-two", "HOME": "/home/somebody"}
    settings = Settings(
        providers={"openai": ProviderSettings(keys=("sk-from-the-settings",))},
        telemetry=TelemetrySettings(prometheus="127.0.0.1:9464"),
    )

    alone, left = only_with("openai", "sk-pasted", settings, environ)

    row = next(row for row in configured_rows(alone, left) if row.name == "openai")
    assert [key.secret for key in Keyring.find(row, alone, left).keys] == ["sk-pasted"]
    assert left == {"HOME": "/home/somebody"}
    assert not alone.cache.enabled
    assert alone.telemetry.prometheus is None


async def test_a_bad_key_does_not_hide_behind_a_good_one(tmp_path: Path) -> None:
    with SimulatorThread("fast") as simulator:
        settings = Settings(
            providers={"openai": ProviderSettings(base_url=simulator.base_urls["openai"], keys=simulator.api_key)}
        )
        environ = {"LLM_CACHE_DIR": str(tmp_path), "LLM_STATE_DIR": str(tmp_path)}

        outcomes = [
            await try_key("openai", secret, "gpt-4.1-mini", settings, environ, await engine_opener())
            for secret in ("sim-key-2", "sim-key-dead")
        ]

    assert outcomes[0] is None
    assert isinstance(outcomes[1], KeyRejected)
