"""Why was it slow, when nothing is asked any more? From what the last minute left behind.

Some causes are over in seconds, and whoever comes to look then finds nothing that is slow now. Pure, like the diagnosis
of the present.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from workbench.core.events import WaitReason
from workbench.core.stats import Percentiles
from workbench.core.types import STALL_S
from workbench.engine.records import Traffic
from workbench.session import figures
from workbench.session.diagnosis import ON_THE_WIRE, SLOW_TTFT_S, Cause, Diagnosis, LaneView, lateness

_WAITS: Final = {
    WaitReason.WINDOW: Cause.IN_FLIGHT_CAP,
    WaitReason.GLOBAL_CAP: Cause.IN_FLIGHT_CAP,
    WaitReason.REQUESTS: Cause.RATE_LIMIT,
    WaitReason.TOKENS: Cause.RATE_LIMIT,
    WaitReason.COOLING: Cause.RATE_LIMIT,
    WaitReason.PAUSED: Cause.RATE_LIMIT,
    WaitReason.BREAKER: Cause.BREAKER,
    WaitReason.PRIORITY: Cause.PRIORITY,
}


def hindsight(traffic: Traffic, views: Iterable[LaneView], late_s: Percentiles) -> Diagnosis | None:
    """What held things up in the last minute; None when nothing did. In the order of the present's diagnosis."""
    return _waited(traffic) or _on_the_wire(views) or lateness(late_s)


def _waited(traffic: Traffic) -> Diagnosis | None:
    """All that waited for the same thing, together."""
    waits = [(seconds, reason) for reason, seconds in traffic.waited_s if reason in _WAITS]
    if not waits:
        return None
    seconds, reason = max(waits)
    if seconds < SLOW_TTFT_S:
        return None
    return Diagnosis(_WAITS[reason], f"requests waited {figures.seconds(seconds)} in all ({reason.value})")


def _on_the_wire(views: Iterable[LaneView]) -> Diagnosis | None:
    for view in views:
        if view.traffic is None:
            continue
        for judge in (_stalled, *ON_THE_WIRE):
            if (found := judge(view)) is not None:
                return Diagnosis(found.cause, f"{view.lane.name}: {found.sentence}")
    return None


def _stalled(view: LaneView) -> Diagnosis | None:
    gap_s = view.traffic.gap_s.max if view.traffic is not None else None
    if gap_s is None or gap_s < 2 * STALL_S:
        return None
    return Diagnosis(Cause.STALL, f"an answer was silent in mid-sentence for {figures.seconds(gap_s)}")
