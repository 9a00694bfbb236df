"""Curves as rows of characters: scales, ages, gaps, and what a terminal with ASCII alone gets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.tui.plot import Curve, Stroke, nice_top, plot


def drawn(*curves: Curve, steps: int = 8, top: float = 4.0, width: int = 8, height: int = 4) -> list[str]:
    rows = plot(curves, steps=steps, top=top, width=width, height=height, ascii_only=True)
    return ["".join(text for text, _ in row) for row in rows]


@pytest.mark.parametrize(
    ("largest", "top"), [(0, 1), (0.3, 0.4), (1, 1), (3, 4), (48, 60), (99, 100), (1234, 2000), (float("inf"), 1)]
)
def test_an_axis_ends_at_a_round_number(largest: float, top: float) -> None:
    assert nice_top(largest) == pytest.approx(top)


def test_half_of_an_axis_of_counts_is_a_count() -> None:
    assert [nice_top(largest, whole=True) for largest in (0, 1, 3, 5)] == [2, 2, 4, 6]


def test_an_area_is_filled_up_to_its_value() -> None:
    curve = Curve("", [0.0, 1.0, 2.0, 4.0, 4.0, 3.0, 1.0, 0.0], Stroke.AREA, "main")

    assert drawn(curve) == ["   ::   ", "  ::::  ", " :::::: ", "::::::::"]


def test_what_is_not_known_is_left_empty_and_a_young_run_begins_late() -> None:
    gap = Curve("", [4.0, None, 4.0], Stroke.LINE, "main")

    assert drawn(gap)[0] == "     * *"


def test_the_latest_value_stands_in_the_last_column_whatever_the_width() -> None:
    spike = [0.0] * 59 + [4.0]

    for width in (10, 37, 60, 75, 120):
        row = drawn(Curve("", spike, Stroke.BARS, "bad"), steps=60, width=width)[0]
        assert row.endswith("#"), width


def test_a_curve_that_comes_later_takes_the_cells_that_both_have() -> None:
    area = Curve("", [4.0] * 8, Stroke.AREA, "main")
    limit = Curve("", [4.0] * 8, Stroke.DASHES, "limit")

    rows = plot([area, limit], steps=8, top=4.0, width=8, height=4, ascii_only=False)

    assert rows[0] == [("⣿" * 8, 1)]
    assert rows[3] == [("⣿" * 8, 0)]


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(st.none() | st.floats(0, 1e6), max_size=130),
    steps=st.integers(1, 130),
    width=st.integers(1, 90),
    height=st.integers(1, 20),
    stroke=st.sampled_from(Stroke),
    ascii_only=st.booleans(),
)
def test_every_row_is_as_wide_as_the_plot(
    values: list[float | None], steps: int, width: int, height: int, stroke: Stroke, ascii_only: bool
) -> None:
    top = nice_top(max((value for value in values if value is not None), default=0.0))

    rows = plot(
        [Curve("", values, stroke, "main")], steps=steps, top=top, width=width, height=height, ascii_only=ascii_only
    )

    assert [sum(len(text) for text, _ in row) for row in rows] == [width] * height
