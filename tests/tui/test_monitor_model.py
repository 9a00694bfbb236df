"""What the monitor shows, before it is drawn: rows joined from several snapshots, the log, one lane's details."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from monitor_world import KEY, NAME, NOW, URL, circuit, dimension, lane, lane_traffic, queue, times, world

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind
from workbench.core.events import WaitReason
from workbench.core.types import KeyAlias, Priority, Route, Timing
from workbench.engine.admission import Outcome
from workbench.engine.breaker import CircuitChange, CircuitState
from workbench.engine.lane_values import GROWING, Change
from workbench.engine.limiter_stats import LaneState
from workbench.engine.notices import Notice
from workbench.engine.records import AttemptRecord, ModelName, Population, RequestRecord
from workbench.session.diagnosis import Cause
from workbench.session.monitor import overview
from workbench.session.monitor_detail import lane_sections
from workbench.session.monitor_log import LENGTH, Entry, Kind, MonitorLog

ROUTE = Route("gpt-5.4", "openai", "gpt-5.4", URL)


def attempt(number: int = 1, at_s: float = 90.0, **changes: Any) -> AttemptRecord:
    stamps = dict.fromkeys(
        ("sent_ns", "headers_ns", "first_event_ns", "first_token_ns", "first_answer_ns", "last_token_ns"), 0
    )
    values: dict[str, Any] = {
        **stamps,
        "number": number,
        "route": ROUTE,
        "key_alias": KeyAlias("openai#1"),
        "enqueued_ns": 0,
        "admitted_ns": 0,
        "ended_ns": round(at_s * NS_PER_S),
        "outcome": Outcome.SUCCESS,
    }
    return AttemptRecord(**(values | changes))


def unanswered(number: int = 1, at_s: float = 90.0, **changes: Any) -> AttemptRecord:
    """Nothing of an answer had come."""
    return attempt(number, at_s, **({"first_token_ns": None} | changes))


def record(*attempts: AttemptRecord, population: Population = Population.ANSWERED, gap_s: float = 0.1) -> RequestRecord:
    return RequestRecord(
        number=1,
        model="gpt-5.4",
        route=ROUTE,
        key_alias=KeyAlias("openai#1"),
        population=population,
        finish_reason=None,
        error="",
        priority=Priority.INTERACTIVE,
        job="",
        timing=Timing(0, done_ns=95 * NS_PER_S),
        usage=None,
        cost_usd=None,
        saved_usd=None,
        waits=(),
        attempts=attempts,
        chunks=1,
        characters=1,
        longest_gap_ns=round(gap_s * NS_PER_S),
    )


# Rows


def test_a_row_knows_what_its_lane_carried_who_waits_for_it_and_whether_its_provider_fails() -> None:
    carried = lane_traffic(answered=7)
    statistics = world(lane(), carried={NAME: carried}, queues=(queue(WaitReason.WINDOW),), circuits=(circuit(),))

    (row,) = overview(statistics).lanes

    assert row.traffic is carried
    assert row.view.waiting == 14
    assert row.diagnosis.cause is Cause.BREAKER


def test_lanes_that_were_merged_are_known_by_all_their_models() -> None:
    merged = lane("openai#1 · gpt-5.4, gpt-5.4-mini", family="gpt-5.4")
    slow = lane_traffic(name=ModelName("openai", URL, "gpt-5.4-mini"), setup_s=times(2.5, 1))

    (row,) = overview(world(merged, queues=(queue(WaitReason.WINDOW, family="gpt-5.4-mini"),), models=(slow,))).lanes

    assert row.view.waiting == 14
    assert row.view.setup_s.max == 2.5


def test_lanes_in_trouble_come_first_and_the_others_keep_their_order() -> None:
    quiet, busy, held = (lane(f"openai#{n} · gpt") for n in (1, 2, 3))
    quiet = replace(quiet, in_flight=0)
    cooling = replace(held, paused_until_ns=NOW + NS_PER_S, why="rate limit")

    assert [row.name for row in overview(world(quiet, busy, cooling)).lanes] == [cooling.name, busy.name, quiet.name]


@pytest.mark.parametrize(
    ("changes", "queued", "expected"),
    [
        ({"paused_until_ns": NOW + 9 * NS_PER_S}, None, 9.0),
        ({}, 6.0, 6.0),
        ({"dimensions": (dimension(level=0.0, depth=2.0, pace=60.0),)}, None, 2.0),
        ({}, None, None),
        ({"dimensions": (dimension(level=5.0, depth=5.0),)}, None, None),
    ],
    ids=["the end of a pause", "the next in the queue", "a bucket that refills", "nothing stated", "all is free"],
)
def test_the_next_reset_is_the_first_thing_that_changes(
    changes: dict[str, Any], queued: float | None, expected: float | None
) -> None:
    queues = (queue(WaitReason.REQUESTS, until_s=queued),) if queued is not None else ()

    (row,) = overview(world(lane(**changes), queues=queues)).lanes

    assert row.reset_s == expected


def test_without_a_limiter_of_ours_there_are_no_lanes_and_no_crash() -> None:
    seen = overview(replace(world(), limits=None))

    assert (seen.lanes, seen.diagnosis.cause) == ((), Cause.IDLE)


# The log


def entries(*records: RequestRecord, **parts: Any) -> list[Entry]:
    log = MonitorLog()
    log.read(world(lane(), **parts), records)
    return list(log.entries)


def test_the_log_has_the_newest_first_from_wherever_it_comes() -> None:
    history = (Change(91.0, NAME, "window", 16, 8, "refused with 16 in flight"),)
    moved = CircuitChange(92 * NS_PER_S, CircuitState.CLOSED, CircuitState.OPEN, "5 failures in a row")
    failed = record(attempt(1, 90.0, error="rate limit", status=429, outcome=Outcome.REFUSED), attempt(2))

    found = entries(failed, history=history, circuits=(circuit(history=(moved,)),))

    assert [(entry.kind, entry.text) for entry in found] == [
        (Kind.BREAKER, "open: 5 failures in a row"),
        (Kind.LIMIT, "in-flight limit 16 → 8: refused with 16 in flight"),
        (Kind.REFUSED, "rate limit (429)"),
    ]


@pytest.mark.parametrize(
    ("made", "kind", "text"),
    [
        (record(unanswered(error="key", status=401), population=Population.FAILED), Kind.FAILED, "key (401), given up"),
        (record(attempt(error="connection"), population=Population.INCOMPLETE), Kind.CUT_OFF, "connection"),
        (record(attempt(), gap_s=6.1), Kind.STALL, "silent for 6.10s in the middle of an answer"),
    ],
    ids=["failed", "cut off", "stalled"],
)  # fmt: skip
def test_an_entry_says_what_happened_where_and_in_what_words(made: RequestRecord, kind: Kind, text: str) -> None:
    (entry,) = entries(made)

    assert (entry.kind, entry.where, entry.text) == (kind, NAME, text)


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (Change(1, NAME, "pause", None, 20.0, "rate limit"), Kind.PAUSE, "nothing is sent for 20 s: rate limit"),
        (Change(1, NAME, "pause", None, None, "stopped by hand"), Kind.PAUSE, "stopped by hand"),
        (Change(1, NAME, "window", 8, 12, GROWING), Kind.LIMIT, "in-flight limit 8 → 12: it holds, so more is tried"),
        (Change(1, NAME, "tokens per minute", None, 2e6, "stated"), Kind.LIMIT, "tokens per minute — → 2M: stated"),
        (Change(1, NAME, "key", None, None, "openai#1 retired: bad key"), Kind.KEY, "openai#1 retired: bad key"),
    ],
    ids=["cooling", "by hand", "growth", "a header", "a key"],
)
def test_changes_of_the_limiter_in_words(change: Change, kind: Kind, text: str) -> None:
    (entry,) = entries(history=(change,))

    assert (entry.kind, entry.text) == (kind, text)


def refused(number: int = 1, at_s: float = 90.0, **changes: Any) -> AttemptRecord:
    words = "OpenAI (gpt-5.4), rate limit (429): Rate limit reached: try again in 20s."
    said = {"said": words, "outcome": Outcome.REFUSED}
    return unanswered(number, at_s, error="rate limit", status=429, **(said | changes))


def read(log: MonitorLog, *failures: AttemptRecord, records: tuple[RequestRecord, ...] = ()) -> list[tuple[Kind, str]]:
    log.read(world(lane()), records, failures)
    return [(entry.kind, entry.text) for entry in log.entries]


def test_a_refusal_is_told_when_it_happens_with_the_providers_words_and_its_key_and_once() -> None:
    log, first = MonitorLog(), refused()

    told = read(log, first)
    where = log.entries[0].where
    again = read(log, first, records=(record(first, attempt(2, 95.0)),))

    assert told == [(Kind.REFUSED, "rate limit (429): Rate limit reached: try again in 20s.")]
    assert where == "openai#1 · gpt-5.4"
    assert again == told


def test_what_became_of_a_refused_request_is_added_when_it_is_known() -> None:
    log, first, second = MonitorLog(), refused(said=""), refused(2, 120.0, said="")
    read(log, first, second)

    told = read(log, first, second, records=(record(first, second, population=Population.FAILED),))

    assert told == [(Kind.REFUSED, "rate limit (429), attempt 2, given up"), (Kind.REFUSED, "rate limit (429)")]


def test_a_storm_of_refusals_is_one_entry_that_counts_them() -> None:
    log = MonitorLog()
    storm = [refused(1, 90 + number / 4, said=f"No {number}") for number in range(13)]
    read(log, *storm[:5])
    before = log.entries[0]

    told = read(log, *storm)

    assert told == [(Kind.REFUSED, "13 refusals in 3 s: rate limit (429): No 12")]
    assert log.entries[0].continues(before)


def test_storms_end_after_a_pause_and_are_told_anew_after_a_while() -> None:
    log = MonitorLog()
    pause = (refused(1, 10.0), refused(1, 11.0), refused(1, 30.0))
    long = [refused(1, 50 + second) for second in range(15)]

    told = [text.partition(":")[0] for _, text in read(log, *pause, *long)]

    assert told == ["4 refusals in 3 s", "11 refusals in 10 s", "rate limit (429)", "2 refusals in 1 s"]


def test_only_what_is_alike_is_told_together() -> None:
    log = MonitorLog()
    other = refused(1, 90.2, key_alias=KeyAlias("openai#2"))
    failed = unanswered(1, 90.3, error="server error", status=500)
    cut = attempt(1, 90.4, error="incomplete")

    read(log, refused(), refused(1, 90.1), other, failed, cut)

    assert [(entry.kind, entry.where, entry.text.partition(":")[0]) for entry in log.entries] == [
        (Kind.CUT_OFF, NAME, "incomplete"),
        (Kind.FAILED, NAME, "server error (500)"),
        (Kind.REFUSED, "openai#2 · gpt-5.4", "rate limit (429)"),
        (Kind.REFUSED, NAME, "2 refusals in 1 s"),
    ]


def test_requests_of_a_storm_that_were_given_up_are_counted() -> None:
    log, storm = MonitorLog(), [refused(1, 90 + number / 4, said="") for number in range(4)]
    given_up = tuple(record(one, population=Population.FAILED) for one in storm[:2])

    assert read(log, *storm, records=given_up) == [(Kind.REFUSED, "4 refusals in 1 s: rate limit (429), 2 given up")]


def test_the_words_of_a_provider_are_one_line_without_control_codes() -> None:
    ((_, text),) = read(MonitorLog(), refused(said="Slow\x1b[2J\n  down"))

    assert text == "rate limit (429): Slow down"


def test_more_failures_than_are_kept_push_out_the_oldest() -> None:
    log = MonitorLog()
    many = [refused(1, float(number * 20), said="") for number in range(LENGTH + 20)]

    read(log, *many)

    assert len(log.entries) == LENGTH
    assert log.entries[-1].at_ns == many[20].ended_ns


def test_a_cancelled_request_is_no_event_and_an_answer_is_none_either() -> None:
    stopped = record(attempt(error="cancelled"), population=Population.CANCELLED)

    assert entries(stopped, record(attempt())) == []


def test_the_log_is_built_again_only_when_something_has_happened() -> None:
    log, first = MonitorLog(), record(unanswered(error="overloaded", status=529))
    assert log.read(world(lane()), (first,))

    assert not log.read(world(lane()), (first,))
    assert log.read(world(lane()), (first, record(unanswered(error="timeout"))))
    assert len(log.entries) == 2


def test_notices_are_events() -> None:
    statistics = replace(world(lane()), notices=(Notice(NOW, "cache", "The cache is read-only.", "Free some space."),))
    log = MonitorLog()
    log.read(statistics, ())

    assert log.entries == (Entry(NOW, Kind.NOTICE, "cache", "The cache is read-only. Free some space."),)


def looks() -> list[Any]:
    """One lane after another begins, waits, is paused and rests, beside one of which nothing is new."""
    quiet, carried = lane("openai#2 · gpt-5.4", in_flight=0), lane_traffic(ttft_s=times(0.4))
    busy, more = lane(in_flight=1), lane(in_flight=8, state=LaneState.FULL)
    paused = lane(paused_until_ns=NOW + 5 * NS_PER_S, state=LaneState.COOLING, why="rate limit")
    slow = lane_traffic(ttft_s=times(9.0))
    return [
        world(quiet, busy, carried={NAME: carried}),
        world(quiet, busy, carried={NAME: carried}),
        world(quiet, busy, carried={NAME: slow}),
        world(quiet, more, carried={NAME: slow}, queues=(queue(WaitReason.WINDOW),)),
        world(quiet, more, carried={NAME: slow}, queues=(queue(WaitReason.REQUESTS, 3, 7.0),)),
        world(quiet, paused, carried={NAME: slow}),
        world(quiet, paused, carried={NAME: slow}),
        world(quiet, busy, carried={NAME: carried}, circuits=(circuit(),)),
        world(quiet, busy, carried={NAME: carried}),
        world(quiet),
        world(),
    ]


def test_rows_that_are_taken_over_say_what_new_ones_would() -> None:
    before = None
    for statistics in looks():
        seen = overview(statistics, before)

        assert [row.diagnosis for row in seen.lanes] == [row.diagnosis for row in overview(statistics).lanes]
        assert (seen.diagnosis, seen.outlook) == (overview(statistics).diagnosis, overview(statistics).outlook)
        before = seen


def test_a_row_of_which_nothing_is_new_is_the_same_one() -> None:
    resting, carried = lane(in_flight=0), lane_traffic()
    first = overview(world(resting, carried={NAME: carried}))

    assert overview(world(resting, carried={NAME: carried}), first).lanes[0] is first.lanes[0]


# Details


def test_a_lanes_details_leave_nothing_out() -> None:
    detailed = lane(
        ceiling=12,
        dimensions=(dimension(LimitKind.TOKENS, used=11_900, pace=30_000, limit=30_000, learned=False),),
        headers=(("x-ratelimit-remaining-requests", "17"),),
        headers_at_ns=NOW - 3 * NS_PER_S,
        error="OpenAI refuses for now.",
        error_at_ns=NOW - 65 * NS_PER_S,
    )
    carried = lane_traffic(answered=7, ttft_s=times(0.41, p95=0.88), output_tokens=1234, unreported=1, cost_usd=0.5)
    history = (Change(90.0, NAME, "window", 8, 12, "set by hand"), Change(91.0, "another lane", "window", 1, 2, "no"))
    (row,) = overview(world(detailed, carried={NAME: carried})).lanes

    sections = dict(lane_sections(row, (KEY,), history))

    assert sections["Limits"] == [
        "in flight       3 of 8, after a cut, 12 known to work",
        "tokens          ████······  11.9k of 30.0k a minute (limit 30.0k), stated",
    ]
    assert f"{'TTFT':16}   0.41s   0.88s       —   0.88s     40" in sections["Times of the last minute"]
    assert "tokens in 0 (cached 0) · out ~1,234 · $0.500" in sections["This run"]
    assert sections["What changed"] == ["10.0s ago  in-flight limit 8 → 12  set by hand"]
    assert sections["Last headers about limits, 3.00s ago"] == ["x-ratelimit-remaining-requests: 17"]
    assert sections["Last error, 65.0s ago"] == ["OpenAI refuses for now."]


def test_a_lane_that_has_carried_nothing_has_details_too() -> None:
    (row,) = overview(world(lane(in_flight=0))).lanes

    sections = dict(lane_sections(row, (), ()))

    assert sections["Limits"][1] == "per minute      — nothing stated, nothing refused"
    assert sections["Keys"] == ["none needed"]
    assert sections["What changed"] == ["nothing yet"]
