"""Every way to end badly offers fixes that can work."""

from __future__ import annotations

import pytest

from workbench.core.errors import (
    ContextOverflow,
    KeyRejected,
    MissingKey,
    ModelNotFound,
    QuotaSpent,
    RateLimited,
    UnknownModel,
    UnsupportedParameter,
    WorkbenchError,
)
from workbench.core.events import Failed, Finished
from workbench.core.types import FinishReason, Params, Result, Route, Timing, Usage
from workbench.session.lane import Lane
from workbench.session.remedies import Action, remedies_for
from workbench.session.targets import Target

NOTHING = Result("", "", FinishReason.INCOMPLETE, None, None, Timing(0), Route("a", "", "a", ""))


def fixes(error: WorkbenchError, params: Params | None = None) -> list[Action]:
    lane = Lane(Target("alpha", params or Params(), slot=1))
    turn = lane.begin("p", "", 0)
    lane.apply(turn, Failed(1, error, NOTHING))
    return [remedy.action for remedy in remedies_for(turn, lane.target)]


def ended(reason: FinishReason, params: Params | None = None, output: int = 100) -> Lane:
    lane = Lane(Target("alpha", params or Params(), slot=1))
    turn = lane.begin("p", "", 0)
    usage = Usage(output=output)
    lane.apply(turn, Finished(1, Result("", "", reason, usage, None, Timing(0), Route("alpha", "", "alpha", ""))))
    return lane


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MissingKey("OpenAI", ("OPENAI_API_KEY",)), [Action.ADD_KEY, Action.CHOOSE_MODEL, Action.DEMO]),
        (KeyRejected("no"), [Action.ADD_KEY, Action.RETRY, Action.CHOOSE_MODEL]),
        (QuotaSpent("empty"), [Action.ADD_KEY, Action.RETRY, Action.CHOOSE_MODEL]),
        (UnknownModel("who?"), [Action.CHOOSE_MODEL, Action.RETRY]),
        (ModelNotFound("who?"), [Action.CHOOSE_MODEL, Action.RETRY]),
        (ContextOverflow("too long"), [Action.START_OVER, Action.CHOOSE_MODEL]),
        (RateLimited("later"), [Action.RETRY, Action.CHOOSE_MODEL]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, WorkbenchError) else "",
)
def test_an_error_offers_what_can_help(error: WorkbenchError, expected: list[Action]) -> None:
    assert fixes(error) == expected


def test_a_refused_parameter_can_be_left_out() -> None:
    lane = Lane(Target("alpha", Params(temperature=0.2, seed=7), slot=1))
    turn = lane.begin("p", "", 0)
    lane.apply(turn, Failed(1, UnsupportedParameter("no", parameter="temperature"), NOTHING))

    first = remedies_for(turn, lane.target)[0]

    assert (first.action, first.params) == (Action.DROP_PARAMETER, Params(seed=7))


@pytest.mark.parametrize("parameter", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
def test_a_limit_is_found_under_the_names_that_providers_use(parameter: str) -> None:
    assert fixes(UnsupportedParameter("no", parameter=parameter), Params(max_tokens=10))[0] is Action.DROP_PARAMETER


def test_a_parameter_that_was_never_set_cannot_be_left_out() -> None:
    assert fixes(UnsupportedParameter("no", parameter="temperature")) == [Action.RETRY, Action.CHOOSE_MODEL]


def test_a_parameter_passed_through_can_be_left_out() -> None:
    lane = Lane(Target("alpha", Params(extra=(("top_k", 4), ("user", "me"))), slot=1))
    turn = lane.begin("p", "", 0)
    lane.apply(turn, Failed(1, UnsupportedParameter("no", parameter="top_k"), NOTHING))

    assert remedies_for(turn, lane.target)[0].params == Params(extra=(("user", "me"),))


@pytest.mark.parametrize(
    ("limit", "written", "raised"), [(500, 500, 1000), (None, 100, 4096), (None, 8192, 16384)], ids=str
)
def test_a_cut_answer_can_be_asked_again_with_more_room(limit: int | None, written: int, raised: int) -> None:
    lane = ended(FinishReason.LENGTH, Params(max_tokens=limit), output=written)

    fix = remedies_for(lane.turns[-1], lane.target)[0]

    assert fix.params == Params(max_tokens=raised)
    assert f"{raised:,}" in fix.label


def test_a_good_answer_needs_no_fix() -> None:
    lane = ended(FinishReason.STOP)

    assert remedies_for(lane.turns[-1], lane.target) == ()
