"""Which minute a server counts that refills in steps: read off when it says that the whole limit is free again."""

from __future__ import annotations

import pytest

from workbench.core.errors import LimitKind
from workbench.engine.admitted_log import AdmittedLog
from workbench.engine.bucket import Bucket
from workbench.engine.charging import Books
from workbench.engine.limit_headers import Reading
from workbench.engine.server_window import Holdings, WindowClock

LIMIT = 600.0


def test_a_window_that_slides_has_counted_the_last_minute():
    clock = WindowClock()

    said = [clock.counts_from(at_s, 60.0, 60.0) for at_s in (100.0, 103.0, 106.0)]

    assert said == [None, None, 46.0]


@pytest.mark.parametrize("resolution_s", [0.001, 1.0])
def test_a_fixed_window_has_counted_since_it_began(resolution_s):
    """Also where its end is stated in whole seconds, and from one window to the next."""
    clock = WindowClock()

    said = []
    for at_s in (30.0, 33.3, 36.6, 59.0, 61.5):
        reset_s = -(-(60.0 - at_s % 60.0) // resolution_s) * resolution_s
        said.append(clock.counts_from(at_s, reset_s, 60.0))

    assert said[:2] == [None, None]
    assert said[2:] == pytest.approx([0.0, 0.0, 60.0], abs=resolution_s)


def test_a_limit_that_refills_evenly_has_counted_no_minute():
    clock = WindowClock()

    said = [clock.counts_from(10.0 * step, 10.0 + 3.0 * step, 60.0) for step in range(12)]

    assert said == [None] * 12


def counted(used, *, per_s=5, seconds=12, began_with=0.0) -> Holdings:
    """What is known of a server with a sliding window that says to have counted `used` of n requests, all of ours."""
    log = AdmittedLog()
    bucket = Bucket(LimitKind.REQUESTS, log)
    for n in range(seconds * per_s):
        at_s = 1000.0 + n / per_s
        log.add(at_s, 1.0, 0.0, 0.0)
        remaining = LIMIT - used(n + 1) - began_with
        reading = Reading(LimitKind.REQUESTS, LIMIT, remaining, 60.0)
        bucket.mirror(at_s, reading, None, uncharged=0.0, owed=0.0, admitted_since=0.0)
        bucket.compare(Books(at_s, float(n + 1), 0.0, 0.0), remaining, 60.0)
    return bucket.evidence.holdings


def test_what_only_we_use_is_all_that_is_counted():
    holdings = counted(lambda n: n)

    assert holdings.answers > 0
    assert holdings.used == pytest.approx(holdings.own)
    assert holdings.unknown == 0.0


def test_what_somebody_else_uses_is_counted_too():
    holdings = counted(lambda n: 3 * n)

    assert holdings.used == pytest.approx(3 * holdings.own)


def test_what_was_used_before_we_came_is_known_to_be_unknown():
    assert counted(lambda n: n, began_with=200.0).unknown == 200.0


def test_what_was_used_before_we_came_is_forgotten_when_it_is_counted_no_more():
    holdings = counted(lambda n: min(n, 300), began_with=200.0, seconds=70)

    assert holdings.unknown == 0.0
