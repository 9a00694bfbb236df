"""What an engine says of itself at one moment: the figures that the Monitor, `statistics()` and exporters read."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.core.stats import Percentiles
from workbench.engine.breaker import CircuitStats
from workbench.engine.cache import CacheStats
from workbench.engine.limiter_stats import LimiterStats
from workbench.engine.notices import Notice
from workbench.engine.records import Traffic
from workbench.providers.http import PoolStatistics


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """A snapshot of everything, cheap enough to be taken four times a second."""

    traffic: Traffic
    circuits: tuple[CircuitStats, ...]
    cache: CacheStats | None
    """None when the cache is turned off in the settings."""
    pools: tuple[PoolStatistics, ...]
    notices: tuple[Notice, ...]
    limits: LimiterStats | None
    """None with another limiter than the built-in one, and while the engine is closed."""
    stamp_error_s: Percentiles
    """How long the loop went without looking at its sockets, over the last minute: how late stamps may be."""
