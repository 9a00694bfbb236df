"""The pace at which a limit is spent that is given back in steps, and what a refusal changes about it."""

from __future__ import annotations

import pytest

from workbench.core.errors import LimitKind
from workbench.engine.admitted_log import AdmittedLog
from workbench.engine.bucket import Bucket
from workbench.engine.even_pace import FASTEST, REGAIN_S, SLOWEST, STEP, EvenPace
from workbench.engine.limit_headers import Reading
from workbench.engine.server_type import ServerType

LIMIT = 6_000.0


def test_what_was_taken_off_the_pace_is_put_back_in_time():
    pace = EvenPace()
    pace.overrun(100.0)

    assert (pace.share, pace.regain(100.0 + REGAIN_S - 1)) == (FASTEST - STEP, False)
    assert (pace.regain(100.0 + REGAIN_S), pace.share) == (True, FASTEST)
    assert not pace.regain(1e6), "there is no more than all of it"


def test_what_is_refused_again_is_put_back_more_slowly():
    pace = EvenPace()
    pace.overrun(0.0)
    pace.regain(REGAIN_S)

    pace.overrun(REGAIN_S)

    assert not pace.regain(2 * REGAIN_S)
    assert pace.regain(3 * REGAIN_S)


def test_no_number_of_refusals_takes_more_off_the_pace_than_a_tenth():
    pace = EvenPace()
    for at_s in range(30):
        pace.overrun(float(at_s))

    assert pace.share == SLOWEST


def in_steps(seconds: int) -> tuple[Bucket, AdmittedLog]:
    """A limit that is given back in steps, and is used up by as many seconds of even use."""
    log = AdmittedLog()
    bucket = Bucket(LimitKind.TOKENS, log)
    bucket.server = ServerType.WINDOW
    bucket.even_pace.since_s = 0.0
    bucket.mirror(0.0, _reading(LIMIT), None, uncharged=0.0, owed=0.0, admitted_since=0.0)
    for at_s in range(seconds):
        bucket.refill(float(at_s))
        log.add(float(at_s), 1.0, LIMIT / 60, 0.0)
    return bucket, log


def _reading(remaining: float) -> Reading:
    return Reading(LimitKind.TOKENS, LIMIT, remaining, 60.0)


def test_a_window_that_was_filled_to_its_end_leaves_no_doubt_about_the_rate():
    """A doubt doubles the pause, and the hole that a pause leaves comes round again a minute later."""
    bucket, _ = in_steps(90)
    bucket.search.cut_short = True

    assert bucket.cut(90.0, hinted=False)

    assert not bucket.search.cut_short
    assert bucket.ceiling is None
    assert bucket.rate == pytest.approx((FASTEST - STEP) * LIMIT / 60)


def test_answers_bring_the_pace_back():
    bucket, _ = in_steps(90)
    bucket.cut(90.0, hinted=False)
    at_s = 90.0 + REGAIN_S
    mark = bucket.take(at_s, 100.0)

    bucket.mirror(at_s, _reading(5_000.0), mark, uncharged=0.0, owed=0.0, admitted_since=0.0)

    assert bucket.rate == pytest.approx(FASTEST * LIMIT / 60)


@pytest.mark.parametrize(("gave_back", "level"), [(True, 180.0), (False, 30.0)], ids=["even use", "a hole"])
def test_what_was_sent_after_the_answer_counts_as_far_as_as_much_was_given_back(gave_back, level):
    bucket, log = in_steps(60)
    if not gave_back:
        log.restart()
        log.add(58.0, 1.0, 6_000.0, 0.0)
    bucket.level = 150.0
    mark = bucket.take(60.0, 0.0)
    log.add(61.0, 1.0, 120.0, 0.0)
    bucket.at_s = 61.5

    bucket.mirror(61.5, _reading(150.0), mark, uncharged=0.0, owed=0.0, admitted_since=120.0)

    assert bucket.level == pytest.approx(level)
