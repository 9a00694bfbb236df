"""What the limiter knows, in words: states with countdowns, bars, reasons, and sentences for what there is none of."""

from __future__ import annotations

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.core.events import WaitReason
from workbench.core.types import Priority
from workbench.engine.lane_values import Change
from workbench.engine.limiter_stats import (
    DimensionStats,
    KeyCondition,
    KeyStats,
    LaneState,
    LaneStats,
    LimiterStats,
    QueueStats,
)
from workbench.session.limits_report import report

NOW = 100 * NS_PER_S
REQUESTS = DimensionStats(LimitKind.REQUESTS, 100, 90, 45, 1, 3, learned=True, pinned=False)
LANE = LaneStats(
    name="openai#1 · gpt-5.4",
    provider="openai",
    base_url="",
    family="gpt-5.4",
    keys=("openai#1",),
    state=LaneState.COOLING,
    in_flight=3,
    window=8,
    ceiling=12,
    window_pinned=False,
    dimensions=(REQUESTS,),
    sent=1200,
    accepted=1190,
    refused=10,
    overloaded=0,
    cuts=2,
    paused_until_ns=NOW + 6 * NS_PER_S,
    why="requests per minute",
)
KEY = KeyStats(
    "openai#1", "openai", "OPENAI_KEYS", "", KeyCondition.COOLING, 3, 1200, 10, NOW + 6 * NS_PER_S, "429", ("x",)
)
QUEUE = QueueStats("openai", "gpt-5.4", {Priority.BULK: 40}, 0, WaitReason.COOLING, NOW + 6 * NS_PER_S)
CHANGE = Change(90.0, "openai#1 · gpt-5.4", "window", 16, 8, "refused")


def test_everything_that_waits_says_why_and_for_how_long() -> None:
    sections = dict(report(LimiterStats(NOW, (LANE,), (KEY,), (QUEUE,), (CHANGE,))))

    assert sections == {
        "Keys": ["openai#1  cooling 6 s  in flight 3 · sent 1,200 · refused 10 · from OPENAI_KEYS · 429"],
        "Lanes": [
            f"{LANE.name}  cooling 6 s  in flight 3/8 (ceiling 12) · refused 10 of 1,200 · cuts 2 · {LANE.why}",
            "    requests      █████·····  45 of 90 a minute, learned",
        ],
        "Waiting": ["openai · gpt-5.4  40 waiting: key cooling, next in 6 s"],
        "Latest changes": ["10.0s ago  openai#1 · gpt-5.4  window 16 → 8  refused"],
    }


def test_without_anything_there_are_sentences() -> None:
    assert dict(report(None)) == {"Keys": ["The engine is still being opened."]}
    assert [lines for _, lines in report(LimiterStats(NOW, (), (), (), ()))] == [
        ["None in use yet: a key appears with its first request."],
        ["None yet."],
    ]


def test_bars_can_do_without_unicode() -> None:
    (_, _), (_, lines) = report(LimiterStats(NOW, (LANE,), (), (), ()), ascii_only=True)

    assert "#####....." in lines[1]
