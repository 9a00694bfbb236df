"""What exists only while an engine is open, and in which order it is closed."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.engine.limiter import Limiter
from workbench.engine.live_keys import LiveKeys
from workbench.engine.services import Services
from workbench.engine.tariff import Tariff
from workbench.engine.wires import Wires


@dataclass(frozen=True, slots=True)
class OpenParts:
    """Still there for statistics when it has been closed."""

    services: Services
    """With the admission and the caches, which are closed here as well."""
    wires: Wires
    tariff: Tariff
    limiter: Limiter | None
    """None where the admission is another one."""
    live_keys: LiveKeys | None

    async def aclose(self) -> None:
        """Once no request is under way any more."""
        services = self.services
        if self.live_keys is not None:
            await self.live_keys.aclose()
        await services.admission.aclose()
        await self.wires.aclose()
        if services.semantic is not None:
            await services.semantic.aclose()
        if services.cache is not None:
            await services.cache.aclose()
        await self.tariff.aclose()
