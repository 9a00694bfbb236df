"""Which providers take batches, and who speaks with each of them."""

from __future__ import annotations

from typing import Final

from workbench.core.clock import Clock
from workbench.providers.base import ProviderSpec
from workbench.providers.batch import BatchAdapter
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.http import Connections
from workbench.providers.openai_sdk import OpenAISDK

SUPPORTED: Final = ("openai", "anthropic", "gemini", "together")
"""Names of the provider rows that have batches, as `supports_batches` reads them."""

# 250 ms, which the SDK would otherwise spend on the event loop when it is first asked for its files.
NEEDED_BY_BATCHES: Final = {"openai": ("openai.resources",)}
"""What a provider's endpoints for batches import besides what live calls do."""


def supports_batches(spec: ProviderSpec) -> bool:
    return spec.name in SUPPORTED


class BatchAdapters:
    """One engine's batch adapters, made when they are first needed; no SDK is imported before a call."""

    def __init__(self, connections: Connections, clock: Clock, memory: ParameterMemory) -> None:
        self._connections = connections
        self._clock = clock
        self._memory = memory
        self._sdk = OpenAISDK(connections, clock)
        self._made: dict[str, BatchAdapter] = {}

    def adapter_for(self, spec: ProviderSpec) -> BatchAdapter:
        """Raises `NotImplementedError`, naming those that are supported."""
        if not supports_batches(spec):
            known = ", ".join(SUPPORTED)
            raise NotImplementedError(f"{spec.title or spec.name} has no batches here. Those that have: {known}.")
        found = self._made.get(spec.name)
        if found is None:
            found = self._made[spec.name] = self._make(spec.name)
        return found

    def _make(self, name: str) -> BatchAdapter:
        match name:
            case "anthropic":
                from workbench.providers.batch_anthropic import AnthropicBatches

                return AnthropicBatches(self._connections, self._clock, self._memory)
            case "gemini":
                from workbench.providers.batch_gemini import GeminiBatches

                return GeminiBatches(self._connections, self._clock, self._memory)
            case "together":
                from workbench.providers.batch_together import TogetherBatches

                return TogetherBatches(self._connections, self._clock, self._memory)
            case _:
                from workbench.providers.batch_openai import OpenAIBatches

                return OpenAIBatches(self._sdk, self._connections, self._clock, self._memory)
