"""Where an answer's time went: parts that add up, stalls taken out of what they interrupted, bars without colour."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.types import STAMPS, FinishReason, Timing
from workbench.session.anatomy import Anatomy, Part, anatomy_of, recorded_timing
from workbench.session.run_export import as_markdown
from workbench.store.runs import Answer, Run, RunKind


def ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


FULL = Timing(
    submitted_ns=ns(100),
    admitted_ns=ns(104),
    dialled_ns=ns(104.1),
    connected_ns=ns(104.25),
    sent_ns=ns(104.5),
    headers_ns=ns(105),
    first_event_ns=ns(105),
    first_token_ns=ns(106),
    first_answer_ns=ns(109),
    last_token_ns=ns(119),
    done_ns=ns(119.2),
    retry_wait_ns=ns(3),
    stalled_ns=ns(4),
)


def test_every_part_of_an_answer_is_named_and_they_add_up() -> None:
    found = anatomy_of(FULL)

    assert found is not None
    assert dict(found.parts) == {
        Part.QUEUE: 1.0,
        Part.RETRIES: 3.0,
        Part.CONNECT: 0.25,
        Part.SENDING: 0.25,
        Part.PREFILL: 1.5,
        Part.THOUGHT: 3.0,
        Part.ANSWER: 6.0,
        Part.STALLED: 4.0,
    }
    assert found.total_s == 19.0


def test_an_answer_that_never_went_out_has_none() -> None:
    assert anatomy_of(Timing(submitted_ns=0, done_ns=ns(1))) is None


@pytest.mark.parametrize(
    ("timing", "parts"),
    [
        (Timing(0, admitted_ns=ns(1), done_ns=ns(3)), {Part.QUEUE: 1.0}),
        (
            Timing(0, admitted_ns=ns(1), dialled_ns=ns(1), done_ns=ns(3)),
            {Part.QUEUE: 1.0, Part.CONNECT: 2.0},
        ),
        (
            Timing(0, admitted_ns=0, dialled_ns=0, connected_ns=ns(1), done_ns=ns(5)),
            {Part.CONNECT: 1.0, Part.SENDING: 4.0},
        ),
        (
            Timing(0, admitted_ns=0, dialled_ns=0, connected_ns=ns(1), sent_ns=ns(3), done_ns=ns(9)),
            {Part.CONNECT: 1.0, Part.SENDING: 2.0, Part.PREFILL: 6.0},
        ),
        (Timing(0, admitted_ns=0, sent_ns=0, done_ns=ns(3)), {Part.PREFILL: 3.0}),
        (
            Timing(0, admitted_ns=0, sent_ns=0, first_token_ns=ns(1), last_token_ns=ns(3), done_ns=ns(9)),
            {Part.PREFILL: 1.0, Part.THOUGHT: 2.0},
        ),
    ],
    ids=["nobody tells", "never connected", "never wholly sent", "never answered", "not streamed", "only thought"],
)
def test_answers_that_lack_a_stamp(timing: Timing, parts: dict[Part, float]) -> None:
    found = anatomy_of(timing)

    assert found is not None
    assert dict(found.parts) == parts


def test_a_recorded_answer_says_the_same_as_a_live_one() -> None:
    stamps = {name: getattr(FULL, f"{name}_ns") - FULL.submitted_ns for name in STAMPS}
    stamps |= {"retry_wait": FULL.retry_wait_ns, "stamp_error": 5, "ttft_error": 3, "stalled": FULL.stalled_ns}

    assert anatomy_of(recorded_timing(stamps)) == anatomy_of(FULL)


def test_what_an_older_store_did_not_keep_is_nothing() -> None:
    found = anatomy_of(recorded_timing({"admitted": 0, "sent": 0, "first_token": ns(1), "retry_wait": 0}))

    assert found == Anatomy(((Part.PREFILL, 1.0),))


def test_the_line_has_its_bar_and_loses_its_shortest_parts_first() -> None:
    anatomy = Anatomy(((Part.CONNECT, 0.05), (Part.PREFILL, 1.0), (Part.ANSWER, 3.0)))

    assert anatomy.line() == "╌░░░░███████████ connect 0.05s, prefill 1.00s, answer 3.00s"
    assert anatomy.line(45) == "╌░░█████ prefill 1.00s, answer 3.00s"
    assert anatomy.line(45, ascii_only=True) == "cppaaaaa prefill 1.00s, answer 3.00s"
    assert anatomy.line(10) == ""


def test_what_went_wrong_is_said_even_where_it_was_short() -> None:
    anatomy = Anatomy(((Part.RETRIES, 0.5), (Part.PREFILL, 2.0), (Part.ANSWER, 8.0), (Part.STALLED, 1.5)))

    assert anatomy.line(44).endswith(" retries 0.50s, stalled 1.50s")


def test_no_part_is_named_that_would_read_as_no_time_at_all() -> None:
    timing = Timing(submitted_ns=0, admitted_ns=ns(0.004), sent_ns=ns(0.010), first_token_ns=ns(1), last_token_ns=ns(2))

    found = anatomy_of(timing)

    assert found is not None
    assert [part for part, _ in found.parts] == [Part.CONNECT, Part.PREFILL, Part.THOUGHT]


def test_a_retry_that_cost_nothing_gives_way_to_what_took_long() -> None:
    anatomy = Anatomy(((Part.QUEUE, 16.1), (Part.RETRIES, 0.03), (Part.PREFILL, 0.4), (Part.ANSWER, 2.4)))

    assert anatomy.line(38).endswith(" queue 16.1s, answer 2.40s")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0.001, 1e5), min_size=1, max_size=7), st.integers(0, 80))
def test_a_bar_is_as_wide_as_asked_and_shows_every_part_that_has_room(spans: list[float], cells: int) -> None:
    anatomy = Anatomy(tuple(zip(Part, spans, strict=False)))

    bar = anatomy.bar(cells)

    assert len(bar) == cells
    if cells >= len(spans):
        assert set(bar) == {part.sign for part, _ in anatomy.parts}


def test_the_history_shows_it_below_the_figures() -> None:
    unknown: dict[str, Any] = dict.fromkeys(Answer.__dataclass_fields__)
    known = {"model": "gpt-5.4", "text": "Yes.", "finish_reason": FinishReason.STOP, "cached": False}
    answer = Answer(
        **unknown | known | {"timing": {"admitted": 0, "sent": 0, "first_token": ns(1), "last_token": ns(2)}}
    )
    run = Run("1", 0.0, "", RunKind.COMPARE, "", None, "?", {})

    page = as_markdown(run, [answer])

    assert "`░░░░░░░░▒▒▒▒▒▒▒▒ prefill 1.00s, thought 1.00s`" in page
    assert "`" not in as_markdown(run, [replace(answer, cached=True)])
