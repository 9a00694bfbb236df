"""One adapter for every wire family, made when it is first needed."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, assert_never

from workbench.core.clock import Clock
from workbench.providers.base import Adapter, WireFamily
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.http import Connections
from workbench.providers.lean_imports import import_httpx, import_openai
from workbench.providers.openai_sdk import OpenAISDK

# openai 2.54 takes httpx2 out of sys.modules as it makes a client, half-imported though it may be by the thread that
# imports google-genai at that moment (AttributeError: no 'Timeout'). Imported first, it is whole.
_NEEDED: Final = {
    WireFamily.OPENAI_CHAT: ("httpx2", "openai", "workbench.providers.openai_chat"),
    WireFamily.OPENAI_RESPONSES: ("httpx2", "openai", "workbench.providers.openai_responses"),
    WireFamily.GEMINI: ("google.genai", "google.genai.types", "workbench.providers.gemini"),
    WireFamily.ANTHROPIC: ("httpx", "workbench.providers.anthropic"),
}
"""What the first call would otherwise import on the event loop."""

_LEAN: Final = {"httpx": import_httpx, "openai": import_openai}


class Adapters(Mapping[WireFamily, Adapter]):
    """The adapters of one engine, by family. Looking one up makes it; no SDK is imported before a call is opened."""

    def __init__(self, connections: Connections, clock: Clock, memory: ParameterMemory) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory
        self._sdk = OpenAISDK(connections, clock)
        self._made: dict[WireFamily, Adapter] = {}

    def __getitem__(self, family: WireFamily) -> Adapter:
        found = self._made.get(family)
        if found is None:
            found = self._made[family] = self._make(family)
        return found

    def __iter__(self) -> Iterator[WireFamily]:
        return iter(WireFamily)

    def __len__(self) -> int:
        return len(WireFamily)

    async def aclose(self) -> None:
        """Close every adapter that was made; the connections belong to whoever made them."""
        made, self._made = list(self._made.values()), {}
        for adapter in made:
            await adapter.aclose()

    def _make(self, family: WireFamily) -> Adapter:
        match family:
            case WireFamily.OPENAI_CHAT:
                from workbench.providers.openai_chat import OpenAIChatAdapter

                return OpenAIChatAdapter(self._sdk, self._clock, self._memory)
            case WireFamily.OPENAI_RESPONSES:
                from workbench.providers.openai_responses import OpenAIResponsesAdapter

                return OpenAIResponsesAdapter(self._sdk, self._clock, self._memory)
            case WireFamily.GEMINI:
                from workbench.providers.gemini import GeminiAdapter

                return GeminiAdapter(self._connections, self._clock, self._memory)
            case WireFamily.ANTHROPIC:
                from workbench.providers.anthropic import AnthropicAdapter

                return AnthropicAdapter(self._connections, self._clock, self._memory)
            case WireFamily.LITELLM:
                from workbench.providers.litellm_fallback import LiteLLMAdapter

                return LiteLLMAdapter(self._clock, self._memory)
            case _:
                assert_never(family)


def build_adapters(connections: Connections, clock: Clock, memory: ParameterMemory | None = None) -> Adapters:
    """Adapters over these connections.

    Args:
        memory: what the engine remembers of refused parameters; the same object that it writes to.
    """
    return Adapters(connections, clock, memory or ParameterMemory())


def warm(families: Iterable[WireFamily]) -> None:
    """Import what these families need, and have them do once what they do only once. Takes 0.2 to 5 s: call it in a
    worker thread."""
    for family in dict.fromkeys(families):
        if family is WireFamily.LITELLM:
            from workbench.providers.litellm_fallback import import_litellm

            import_litellm()
        for module in _NEEDED.get(family, ()):
            if module in _LEAN:
                _LEAN[module]()
            else:
                importlib.import_module(module)
        if family is WireFamily.GEMINI:
            from workbench.providers import gemini

            gemini.warm()
