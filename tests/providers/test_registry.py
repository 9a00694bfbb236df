from __future__ import annotations

import subprocess
import sys

from provider_kit import Wire

from workbench.providers.base import WireFamily
from workbench.providers.registry import warm

LOOK_UP_ALL = """
import sys
from workbench.core.clock import SystemClock
from workbench.providers.catalog import rows_from
from workbench.providers.http import Connections
from workbench.providers.listing import list_models
from workbench.providers.registry import build_adapters

adapters = build_adapters(Connections({}), SystemClock())
assert [adapters[family] for family in adapters]
print([name for name in ("openai", "google.genai", "litellm", "httpx", "httpx2", "aiohttp") if name in sys.modules])
"""


def test_no_sdk_is_imported_before_a_call_is_opened() -> None:
    found = subprocess.run([sys.executable, "-c", LOOK_UP_ALL], capture_output=True, text=True, check=True, timeout=120)

    assert found.stdout.strip() == "[]"


def test_every_family_has_one_adapter_made_once(wire: Wire) -> None:
    assert list(wire.adapters) == list(WireFamily)
    assert len(wire.adapters) == len(WireFamily)
    assert all(wire.adapters[family] is wire.adapters[family] for family in WireFamily)


def test_warming_imports_what_the_first_call_needs() -> None:
    warm([WireFamily.ANTHROPIC, WireFamily.OPENAI_CHAT, WireFamily.GEMINI])

    assert {"openai", "google.genai", "workbench.providers.gemini"} <= sys.modules.keys()
