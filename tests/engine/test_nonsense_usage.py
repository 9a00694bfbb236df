"""Usage that is missing, said twice, or cannot be true: shown as unknown or as it was said last, never as nonsense."""

from __future__ import annotations

import pytest
from scripted import ScriptedAdapter, end, usage
from test_pursuit import kinds, run

from workbench.core.events import check_stream
from workbench.core.types import Usage


@pytest.mark.parametrize(
    "nonsense",
    [{"output": -1}, {"input": -5, "output": 3}, {"output": 10**12}, {"input": 1, "cached_input": -1}],
    ids=str,
)
def test_counts_that_cannot_be_true_are_as_good_as_none(nonsense: dict[str, int]) -> None:
    events = run(ScriptedAdapter(["Hello", usage(**nonsense), end()]))

    assert check_stream(events).usage is None
    assert "UsageReport" not in kinds(events)


def test_nonsense_after_a_good_report_takes_nothing_away() -> None:
    events = run(ScriptedAdapter(["Hello", usage(input=9, output=2), usage(output=-1), end()]))

    assert check_stream(events).usage == Usage(input=9, output=2)


def test_of_two_reports_the_last_one_counts() -> None:
    events = run(ScriptedAdapter(["Hello", usage(input=9, output=1), usage(input=9, output=2), end()]))

    assert check_stream(events).usage == Usage(input=9, output=2)


def test_a_stated_price_below_zero_is_nonsense() -> None:
    assert not Usage(output=1, cost_usd=-0.1).is_plausible
    assert Usage(output=1, cost_usd=0.0).is_plausible
