"""Which refusals are put down to the size of a request: those of one that is refused while smaller ones are let in."""

from __future__ import annotations

import pytest
from limiter_virtual_time import ticket

from workbench.core.errors import LimitKind
from workbench.engine.lane_suspects import TRUSTED, Suspects

LARGE, SMALL = ticket(tokens=9_000, attempt=20), ticket(tokens=100)


def refused_again(suspects: Suspects, kind: LimitKind = LimitKind.UNKNOWN) -> bool:
    """Refused as often as is taken for what it seems to be, and then once more; what is said of the last time."""
    return [suspects.refused(LARGE, 10.0 + n, kind) for n in range(TRUSTED + 1)][-1]


def test_a_request_that_is_refused_while_smaller_ones_are_let_in_is_too_large():
    suspects = Suspects()
    suspects.refused(LARGE, 9.0, LimitKind.UNKNOWN)

    suspects.accepted(SMALL, sent_s=9.5)

    assert refused_again(suspects)
    assert suspects.refusals(LARGE) == TRUSTED + 2


def test_smaller_ones_that_had_been_let_in_before_say_nothing_though_they_end_later():
    suspects = Suspects()
    suspects.refused(LARGE, 9.0, LimitKind.UNKNOWN)

    suspects.accepted(SMALL, sent_s=8.5)

    assert not refused_again(suspects)
    assert suspects.refusals(LARGE) == 0


@pytest.mark.parametrize("kind", [LimitKind.CONCURRENCY, LimitKind.REQUESTS])
def test_a_limit_of_which_all_requests_take_as_much_is_no_matter_of_size(kind):
    suspects = Suspects()
    suspects.refused(LARGE, 9.0, kind)

    suspects.accepted(SMALL, sent_s=9.5)

    assert not refused_again(suspects, kind)
