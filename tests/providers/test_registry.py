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


FIRST_GEMINI_REQUEST = """
import sys
from pydantic import BaseModel
from workbench.providers import gemini
from workbench.providers.base import WireFamily
from workbench.providers.registry import warm

warm([WireFamily.GEMINI])
rebuilt = []
complete = BaseModel.model_rebuild.__func__
BaseModel.model_rebuild = classmethod(lambda model, **options: rebuilt.append(model) or complete(model, **options))
before = set(sys.modules)
try:
    gemini._sdk_client("http://localhost/v1beta").models.generate_content(
        model="m", contents=[{"role": "user", "parts": [{"text": "Hi"}]}], config={"system_instruction": "Be brief."}
    )
except gemini._HandedOver as built:
    print(built.request.url, rebuilt, sorted(set(sys.modules) - before))
"""


def test_warming_does_what_the_first_gemini_request_would_do_on_the_loop() -> None:
    found = subprocess.run(
        [sys.executable, "-c", FIRST_GEMINI_REQUEST], capture_output=True, text=True, check=True, timeout=120
    )

    assert found.stdout.strip() == "http://localhost/v1beta/models/m:generateContent [] []"
