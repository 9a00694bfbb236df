"""A lane's limits in words: where that of calls in flight comes from, and how much of a rate is used. Pure."""

from __future__ import annotations

from operator import attrgetter

from workbench.core.events import WaitReason
from workbench.engine.limiter_stats import LaneStats
from workbench.session import figures


def window_cause(lane: LaneStats) -> str:
    """Where the limit of calls in flight comes from, in a word or two."""
    if lane.window_pinned:
        return "by hand"
    if lane.ceiling is not None and lane.window >= lane.ceiling:
        return "provider's cap"
    return "after a cut" if lane.ceiling is not None or lane.cuts else "still growing"


def window_words(lane: LaneStats, reason: WaitReason) -> str:
    if reason is WaitReason.GLOBAL_CAP:
        return "the cap that all processes share is reached"
    allowed = f"{lane.in_flight} of {lane.window} in flight"
    match window_cause(lane):
        case "by hand":
            return f"{allowed}, a limit set by hand"
        case "provider's cap":
            return f"{allowed}, and the provider refuses more"
        case _:
            return f"{allowed}, and the window still has to grow"


def pace_words(lane: LaneStats, reason: WaitReason) -> str:
    """`20 of 20 requests per minute used`, of the dimension that has least left."""
    fitting = [
        dimension
        for dimension in lane.dimensions
        if ("request" in dimension.kind.value) is (reason is WaitReason.REQUESTS) or reason is WaitReason.PAUSED
    ]
    if not fitting:
        return reason.value
    tightest = max(fitting, key=attrgetter("share"))
    if tightest.used > tightest.pace:
        # What had been saved up was spent beside what came in since: no limit was overstepped.
        went = f"{figures.units(tightest.used)} {tightest.kind.value} went in the last minute"
        return f"{went}, which allows {figures.units(tightest.pace)}"
    return f"{figures.units(tightest.used)} of {figures.units(tightest.pace)} {tightest.kind.value} per minute used"
