"""What a request is given on its way: the engine's parts that all requests share, and where this one is going."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from workbench.core.clock import Clock
from workbench.core.settings import Settings
from workbench.core.types import Request, Route, Usage
from workbench.engine.admission import Admission
from workbench.engine.cache import ResponseCache
from workbench.engine.gate import Gate
from workbench.engine.metrics import MetricsHub
from workbench.engine.prompt_layout import LayoutWatch
from workbench.engine.retry import RetryBudget
from workbench.engine.router import Target
from workbench.engine.semantic import SemanticCache
from workbench.providers.base import Adapter
from workbench.providers.capabilities import ParameterMemory


@dataclass(frozen=True, slots=True)
class Services:
    """What the requests of one engine share."""

    settings: Settings
    clock: Clock
    rng: Random
    adapter_for: Callable[[Target, Request], Awaitable[Adapter]]
    admission: Admission
    gate: Gate
    memory: ParameterMemory
    cache: ResponseCache | None
    semantic: SemanticCache | None
    """None unless the settings ask for it."""
    hub: MetricsHub
    cost_of: Callable[[Usage | None, Route], float | None]
    prefix_saving_of: Callable[[Usage | None, Route], float | None]
    """None where there is none."""
    stamp_error_ns: Callable[[int], int]
    """Bound on the lateness of stamps taken since a moment."""
    layout: LayoutWatch
    budgets: dict[str, RetryBudget]
    """By provider."""


@dataclass(frozen=True, slots=True)
class Order:
    """A request, routed."""

    request: Request
    targets: tuple[Target, ...]
    cache_keys: tuple[str, ...]
    """One per target; empty when the cache is off for this request."""
    submitted_ns: int
    stream: bool = True
    adapter: Adapter | None = None
    """Speaks in place of the target's own, for what is no conversation: embeddings."""
