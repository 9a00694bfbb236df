"""Lanes, queues and figures for the monitor, as an engine's statistics would have them."""

from __future__ import annotations

from typing import Any

from scripted_engine import ScriptedStatistics, required, traffic

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.core.events import WaitReason
from workbench.core.stats import NOTHING, Percentiles
from workbench.core.types import Priority
from workbench.engine.breaker import CircuitState, CircuitStats
from workbench.engine.lane_values import Change
from workbench.engine.limiter_stats import DimensionStats, KeyCondition, KeyStats, LaneState, LaneStats, LimiterStats
from workbench.engine.limiter_stats import QueueStats as Queue
from workbench.engine.records import LaneTraffic, ModelName

NOW = 100 * NS_PER_S
NAME = "openai#1 · gpt-5.4"
OTHER = "anthropic#1 · claude-sonnet-4-6"
URL = "http://openai.invalid"

KEY = KeyStats("openai#1", "openai", "OPENAI_KEYS", "", KeyCondition.READY, 3, 120, 2, None, "", (NAME,))


def lane(name: str = NAME, **changes: Any) -> LaneStats:
    alias, _, family = name.partition(" · ")
    values: dict[str, Any] = {
        "name": name,
        "provider": "openai",
        "base_url": URL,
        "family": family,
        "keys": (alias,),
        "state": LaneState.OPEN,
        "in_flight": 3,
        "window": 8,
        "ceiling": None,
        "window_pinned": False,
        "dimensions": (),
        "sent": 120,
        "accepted": 118,
        "refused": 2,
        "overloaded": 0,
        "cuts": 0,
        "paused_until_ns": None,
        "why": "",
    }
    return LaneStats(**(values | changes))


def dimension(kind: LimitKind = LimitKind.REQUESTS, **changes: Any) -> DimensionStats:
    values: dict[str, Any] = {
        "kind": kind,
        "limit": 100.0,
        "pace": 100.0,
        "used": 45.0,
        "level": 1.0,
        "depth": 1.0,
        "learned": False,
        "pinned": False,
    }
    return DimensionStats(**(values | changes))


def lane_traffic(**changes: Any) -> LaneTraffic:
    values = required(LaneTraffic) | dict.fromkeys(("ttft_s", "tpot_s", "e2e_s", "gap_s"), NOTHING)
    values |= {"name": ModelName("openai", URL, "gpt-5.4"), "cost_usd": 0.0, "tokens_per_s": 0.0}
    return LaneTraffic(**(values | changes))


def times(p50: float, n: int = 40, *, p95: float | None = None, p99: float | None = None) -> Percentiles:
    return Percentiles(n, p50, p95, p99, max(value for value in (p50, p95, p99) if value is not None))


def queue(reason: WaitReason | None, count: int = 14, until_s: float | None = None, family: str = "gpt-5.4") -> Queue:
    until_ns = None if until_s is None else NOW + round(until_s * NS_PER_S)
    return Queue("openai", family, {Priority.BULK: count}, 0, reason, until_ns)


def circuit(**changes: Any) -> CircuitStats:
    values: dict[str, Any] = {
        "provider": "openai",
        "base_url": URL,
        "state": CircuitState.OPEN,
        "consecutive_failures": 5,
        "probe_at_ns": NOW + 20 * NS_PER_S,
        "last_error": "server error",
        "history": (),
    }
    return CircuitStats(**(values | changes))


def world(
    *lanes: LaneStats,
    carried: dict[str, LaneTraffic] | None = None,
    queues: tuple[Queue, ...] = (),
    history: tuple[Change, ...] = (),
    circuits: tuple[CircuitStats, ...] = (),
    stamp_error_s: Percentiles = NOTHING,
    **changes: Any,
) -> ScriptedStatistics:
    """Statistics of an engine with these lanes, 100 s after the clock began."""
    in_flight = sum(one.in_flight for one in lanes)
    queued = sum(sum(one.waiting.values()) for one in queues)
    values = {"at_ns": NOW, "in_flight": in_flight, "queued": queued, "by_lane": carried or {}}
    values["unfinished"] = in_flight + queued
    return ScriptedStatistics(
        traffic(**(values | changes)),
        stamp_error_s,
        LimiterStats(NOW, lanes, (KEY,), queues, history),
        circuits,
    )


def busy() -> ScriptedStatistics:
    """A lane at its limit, with others waiting, and one that does well."""
    full = lane(
        state=LaneState.FULL,
        in_flight=8,
        ceiling=8,
        dimensions=(dimension(used=45), dimension(LimitKind.TOKENS, used=11_900, pace=30_000, learned=True)),
    )
    well = lane(OTHER, provider="anthropic", in_flight=2)
    carried = {
        NAME: lane_traffic(ttft_s=times(0.41, p95=0.88), tpot_s=times(0.012), tokens_per_s=212.4, refusals_window=3),
        OTHER: lane_traffic(ttft_s=times(1.2, 5), tokens_per_s=61.0, tokens_per_chunk=3.0, tpot_s=times(0.02, 5)),
    }
    history = (Change(90.0, NAME, "window", 16, 8, "refused with 16 in flight"),)
    usual = {"service_s": 6.0, "usd_per_answer": 0.004, "answered": 60}
    models = (
        lane_traffic(in_flight=8, queued=14, **usual),
        lane_traffic(name=ModelName("openai", URL, "claude-sonnet-4-6"), in_flight=2, **usual),
    )
    return world(
        full,
        well,
        carried=carried,
        queues=(queue(WaitReason.WINDOW),),
        history=history,
        ttft_s=times(0.5, 45, p95=1.1),
        tokens_per_s=273.4,
        refusals=4,
        refusals_window=3,
        answered=120,
        models=models,
        run_s=83.2,
        cost_usd=0.0312,
        stamp_error_s=Percentiles(40, 0.002, 0.006, None, 0.011),
        ttft_error_s=Percentiles(40, 0.000_4, 0.002_2, None, 0.006),
    )
