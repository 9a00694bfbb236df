"""How a server refills a limit: judged by votes, and the votes are shared like everything else of a bucket."""

from __future__ import annotations

import pytest

from workbench.core.errors import LimitKind
from workbench.engine.admitted_log import AdmittedLog
from workbench.engine.bucket import Bucket
from workbench.engine.limit_headers import DAY_S, MINUTE_S, Reading
from workbench.engine.server_type import ServerJudge, ServerType, Verdict

HALF_USED_IN_STEPS = Reading(LimitKind.REQUESTS, 600.0, 300.0, 58.0)
HALF_USED_EVENLY = Reading(LimitKind.REQUESTS, 600.0, 300.0, 30.0)
OF_A_DAY = Reading(LimitKind.REQUESTS, 600.0, 300.0, 40_000.0)


@pytest.mark.parametrize(
    ("reading", "taken_for", "verdict"),
    [
        (HALF_USED_IN_STEPS, ServerType.BUCKET, Verdict(ServerType.WINDOW, MINUTE_S)),
        (OF_A_DAY, ServerType.UNKNOWN, Verdict(ServerType.BUCKET, DAY_S)),
    ],
    ids=["steps", "day"],
)
def test_a_change_of_mind_takes_three_answers(reading, taken_for, verdict):
    judge = ServerJudge()

    heard = [judge.hear(1000.0 + n, reading, taken_for, MINUTE_S) for n in range(3)]

    assert heard == [None, None, verdict]


def test_one_answer_is_enough_to_take_an_unknown_server_for_one_that_refills_evenly():
    verdict = ServerJudge().hear(1000.0, HALF_USED_EVENLY, ServerType.UNKNOWN, MINUTE_S)

    assert verdict == Verdict(ServerType.BUCKET, MINUTE_S)


def test_votes_of_another_process_count():
    ours, theirs = Bucket(LimitKind.REQUESTS, AdmittedLog()), Bucket(LimitKind.REQUESTS, AdmittedLog())
    for n in range(2):
        theirs.mirror(1000.0 + n, HALF_USED_IN_STEPS, None, uncharged=0.0, owed=0.0, admitted_since=0.0)

    ours.restore(theirs.export())
    ours.mirror(1002.0, HALF_USED_IN_STEPS, None, uncharged=0.0, owed=0.0, admitted_since=0.0)

    assert (theirs.server, ours.server) == (ServerType.UNKNOWN, ServerType.WINDOW)
