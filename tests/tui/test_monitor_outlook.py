"""When everything will be done and what it will have cost: by what answers took, by limits, and unknown otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monitor_world import NAME, NOW, URL, circuit, dimension, lane, lane_traffic, world
from scripted_engine import traffic

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.engine.limiter_stats import LaneState
from workbench.engine.records import LaneTraffic, ModelName, Underway
from workbench.session.diagnosis import Cause
from workbench.session.monitor import NO_BATCHES, overview
from workbench.session.monitor_outlook import BatchOutlook, Outlook, outlook
from workbench.tui.glyphs import Glyphs
from workbench.tui.monitor_words import run_strip


def model(**changes: Any) -> LaneTraffic:
    """A model whose answers take ten seconds and a cent each."""
    values: dict[str, Any] = {
        "answered": 10,
        "service_s": 10.0,
        "usd_per_answer": 0.01,
        "input_tokens": 500,
        "output_tokens": 1_500,
    }
    return lane_traffic(**(values | changes))


def seen(*models: LaneTraffic, lanes: Any = None, circuits: Any = (), capped: int = 0, **changes: Any) -> Outlook:
    values: dict[str, Any] = {"models": models, "unfinished": sum(one.left for one in models)} | changes
    statistics = world(*((lane(window=8),) if lanes is None else lanes), circuits=circuits, **values)
    return overview(statistics, capped=capped).outlook


def test_what_is_in_flight_is_done_when_the_newest_has_taken_as_long_as_others_did() -> None:
    found = seen(model(in_flight=3, underway=Underway(0, 3, newest_s=4.0)))

    assert found == Outlook(left_s=6.0, left_usd=0.03)


def test_what_takes_longer_than_usual_is_due_now_and_never_before() -> None:
    assert seen(model(in_flight=1, underway=Underway(0, 1, newest_s=25.0))).left_s == 0.0


def test_a_queue_goes_by_as_many_at_a_time_as_the_window_allows() -> None:
    # 16 wait behind a window of 8: two turns of ten seconds, and the last one's own ten.
    assert seen(model(in_flight=8, queued=16)).left_s == 30.0


@pytest.mark.parametrize(
    ("limit", "expected_s"),
    [
        # 16 wait, one may go at once: 15 at 30 a minute, and the last one's own ten seconds.
        (dimension(LimitKind.REQUESTS, pace=30.0, level=1.0), 30.0 + 10.0),
        # 16 answers of 200 tokens each, 200 at once: 3,000 tokens at 3,000 a minute.
        (dimension(LimitKind.TOKENS, pace=3_000.0, level=200.0), 60.0 + 10.0),
        (dimension(LimitKind.REQUESTS, pace=30_000.0, level=500.0), 20.0 + 10.0),
    ],
    ids=["requests", "tokens", "not what limits"],
)
def test_a_queue_goes_no_faster_than_the_slowest_limit(limit: Any, expected_s: float) -> None:
    found = seen(model(queued=16), lanes=(lane(window=8, dimensions=(limit,)),))

    assert found.left_s == pytest.approx(expected_s)


def test_two_keys_halve_the_wait() -> None:
    lanes = (lane(window=8), lane("openai#2 · gpt-5.4", window=8))

    assert seen(model(queued=16), lanes=lanes).left_s == 20.0


def test_a_pause_comes_first() -> None:
    cooling = lane(window=8, state=LaneState.COOLING, paused_until_ns=NOW + 20 * NS_PER_S)

    assert seen(model(queued=8), lanes=(cooling,)).left_s == 40.0


def test_several_models_are_done_when_the_last_one_is() -> None:
    other = model(name=ModelName("openai", URL, "gpt-5.4-mini"), service_s=2.0, in_flight=1, usd_per_answer=0.001)

    found = seen(other, model(in_flight=1))

    assert found == Outlook(left_s=10.0, left_usd=0.011)


def test_time_and_money_are_unknown_for_a_model_that_has_not_answered() -> None:
    fresh = model(name=ModelName("openai", URL, "new"), service_s=None, usd_per_answer=None, in_flight=1)

    assert seen(model(in_flight=1), fresh) == Outlook()


@pytest.mark.parametrize(
    "options",
    [
        {"lanes": (lane(state=LaneState.HELD),)},
        {"lanes": (lane(state=LaneState.DEAD),)},
        {"lanes": ()},
        {"circuits": (circuit(),)},
        {"capped": 2},
        {"unfinished": 9},
    ],
    ids=["stopped by hand", "no key", "another limiter", "a provider that is down", "a spend cap", "importing an SDK"],
)
def test_nobody_knows_when_what_may_not_be_sent_will_be_done(options: dict[str, Any]) -> None:
    assert seen(model(queued=5), **options).left_s is None


def test_an_answer_without_a_price_leaves_the_time_known() -> None:
    assert seen(model(in_flight=1, usd_per_answer=None)) == Outlook(left_s=10.0)


def test_at_rest_there_is_no_time_and_no_cost_left() -> None:
    assert seen(model()) == Outlook()


@settings(max_examples=100, deadline=None)
@given(
    queued=st.integers(0, 10_000),
    in_flight=st.integers(0, 500),
    service_s=st.floats(0.0, 600.0),
    newest_s=st.floats(0.0, 600.0),
    pace=st.floats(0.0, 1e9),
    window=st.integers(1, 512),
)
def test_what_is_left_is_never_less_than_nothing(
    queued: int, in_flight: int, service_s: float, newest_s: float, pace: float, window: int
) -> None:
    working = model(
        queued=queued, in_flight=in_flight, service_s=service_s, underway=Underway(in_flight, newest_s=newest_s)
    )
    found = seen(working, lanes=(lane(window=window, dimensions=(dimension(pace=pace),)),))

    assert found.left_s is None or found.left_s >= 0.0
    assert found.left_usd is None or found.left_usd >= 0.0


def test_outlook_takes_lanes_that_nobody_serves() -> None:
    assert outlook(traffic(models=(model(queued=1),), unfinished=1), {}).left_s is None


# In words


def strip(width: int, *, batches: BatchOutlook = NO_BATCHES, ascii_only: bool = False, **changes: Any) -> str:
    working = model(in_flight=2, queued=14)
    values: dict[str, Any] = {"models": (working,), "unfinished": 16, "queued": 14, "run_s": 83.2, "cost_usd": 0.1}
    statistics = world(lane(in_flight=2, window=7), **(values | changes))
    left, right = run_strip(overview(statistics, batches=batches), Glyphs(ascii_only=ascii_only), width)
    assert left.cell_length + right.cell_length <= width
    return f"{left.plain} {right.plain}"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_strip_has_elapsed_eta_money_and_rate_in_every_width(width: int) -> None:
    said = strip(width, tokens_per_s=212.4)

    for part in ("running 1m23s", "ETA ~30s", "in flight 2", "queued 14", "tok/s ~212"):
        assert part in said, part
    assert "$0.100→~$0.260" in said.replace(" → ", "→")


def test_what_cannot_be_known_is_a_dash() -> None:
    said = strip(120, models=(model(in_flight=2, queued=14, service_s=None, usd_per_answer=None),))

    assert "ETA —" in said
    assert "$0.100 → —" in said


def test_batches_are_counted_beside_the_time_and_end_when_they_like() -> None:
    assert "ETA ~30s · 2 batches · " in strip(200, batches=BatchOutlook(jobs=2, most_usd=0.5))
    assert " · 1 batch · " in strip(200, batches=BatchOutlook(jobs=1, most_usd=0.5))
    assert "batch" not in strip(200, batches=BatchOutlook())


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_cost_has_room_for_batches_in_every_width(width: int) -> None:
    assert "$0.150→≤$0.810" in strip(width, batches=BatchOutlook(2, 0.5, 0.05)).replace(" ", "")


@pytest.mark.parametrize(
    ("batches", "said"),
    [
        (BatchOutlook(1, 0.5), "$0.100 → ≤ $0.760"),
        (BatchOutlook(1, None, 0.05), "$0.150 → ≥ $0.310"),
        (BatchOutlook(0, 0.0, 0.05, unpriced=1), "≥ $0.150 → ~$0.310"),
    ],
    ids=["at most what was estimated", "at least what is asked live", "spent on what has no price"],
)
def test_batches_are_part_of_what_it_will_have_cost(batches: BatchOutlook, said: str) -> None:
    assert said in strip(200, batches=batches)
    assert said.translate({ord("≤"): "<=", ord("≥"): ">=", ord("→"): "->"}) in strip(
        200, batches=batches, ascii_only=True
    )


def test_batches_alone_are_money_that_is_still_to_be_spent() -> None:
    said = strip(200, models=(), unfinished=0, in_flight=0, queued=0, batches=BatchOutlook(2, 0.5, 0.05))

    assert "idle" in said
    assert "2 batches" in said
    assert "$0.150 → ≤ $0.650" in said


def test_at_rest_the_strip_says_how_long_the_last_run_was_and_projects_nothing() -> None:
    said = strip(120, models=(), unfinished=0, in_flight=0, queued=0)

    assert "idle" in said
    assert "last run 1m23s" in said
    assert "ETA" not in said
    assert "→" not in said


def test_trouble_is_dropped_after_counts_of_nothing() -> None:
    said = strip(110, refusals_window=3, answered=120)

    assert "429 3/min" in said
    assert "retries" not in said
    assert "answered" not in said


def test_who_waits_for_money_is_counted_and_is_the_reason() -> None:
    found = overview(world(lane(in_flight=0)), capped=3)
    left, _ = run_strip(found, Glyphs(), 80)

    assert found.diagnosis.cause is Cause.SPEND_CAP
    assert "paused" in left.plain
    assert "queued 3" in left.plain
    assert NAME not in left.plain
