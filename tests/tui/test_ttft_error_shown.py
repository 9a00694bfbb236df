"""A TTFT in a pane's border says how good it is, where that shows in its digits."""

from __future__ import annotations

import pytest

from workbench.session.lane_state import LaneState
from workbench.session.numbers import Numbers
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.lane_header import header_figures


def figures(error_s: float, *, width: int = 60, ascii_only: bool = False) -> str:
    numbers = Numbers(ttft_s=0.41, rate_tps=87.0, output_tokens=318, cost_usd=0.004, ttft_error_s=error_s)
    glyphs = Glyphs(ascii_only)
    return header_figures(numbers, LaneState.DONE, lambda _: (), accent=1, glyphs=glyphs, width=width).plain


@pytest.mark.parametrize(("error_s", "said"), [(0.006, "±6ms"), (0.1234, "±123ms")])
def test_an_error_that_changes_what_is_shown_is_shown(error_s: float, said: str) -> None:
    assert f"TTFT 0.41s  {said}" in figures(error_s)


@pytest.mark.parametrize("error_s", [0.0, 0.0049])
def test_an_error_below_the_digits_shown_is_left_out(error_s: float) -> None:
    assert "±" not in figures(error_s)


def test_it_is_the_first_to_go_where_there_is_no_room() -> None:
    whole = figures(0.006)

    assert figures(0.006, width=len(whole) - 1) == whole.replace("  ±6ms", "")


def test_it_does_with_ascii() -> None:
    assert "+-6ms" in figures(0.006, ascii_only=True)
