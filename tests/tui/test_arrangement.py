"""The layout rules: never narrower than a readable column, the focused pane always on screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui.arrangement import MIN_HEIGHT, MIN_WIDTH, Arrangement, PaneLayout, arrange


@given(
    layout=st.sampled_from(PaneLayout),
    width=st.integers(1, 400),
    height=st.integers(1, 120),
    total=st.integers(0, 20),
    focused=st.integers(-2, 25),
    first=st.integers(-3, 25),
    zoomed=st.booleans(),
)
def test_panes_are_readable_and_the_focused_one_is_on_screen(
    layout: PaneLayout, width: int, height: int, total: int, focused: int, first: int, zoomed: bool
) -> None:
    got = arrange(layout, width=width, height=height, total=total, focused=focused, first=first, zoomed=zoomed)

    if total == 0:
        assert got == Arrangement()
        return
    assert got.columns == 1 or width // got.columns >= MIN_WIDTH
    assert got.rows == 1 or height // got.rows >= MIN_HEIGHT
    assert 1 <= got.shown <= min(total, got.columns * got.rows)
    assert 0 <= got.first <= total - got.shown
    assert got.shows(max(0, min(total - 1, focused)))
    assert got.columns * (got.rows - 1) < got.shown, "no row stays empty"


@pytest.mark.parametrize(
    ("layout", "size", "total", "grid", "shown"),
    [
        (PaneLayout.AUTO, (146, 46), 3, (3, 1), 3),
        (PaneLayout.AUTO, (146, 46), 4, (2, 2), 4),
        (PaneLayout.AUTO, (146, 46), 6, (3, 2), 6),
        (PaneLayout.AUTO, (146, 46), 7, (3, 1), 3),
        (PaneLayout.AUTO, (120, 27), 4, (2, 1), 2),
        (PaneLayout.AUTO, (80, 17), 4, (1, 1), 1),
        (PaneLayout.COLUMNS, (146, 46), 4, (3, 1), 3),
        (PaneLayout.GRID, (120, 27), 4, (2, 2), 4),
        (PaneLayout.STACK, (120, 27), 5, (1, 3), 3),
        (PaneLayout.SINGLE, (200, 50), 5, (1, 1), 1),
    ],
)
def test_a_layout_shows_what_fits(
    layout: PaneLayout, size: tuple[int, int], total: int, grid: tuple[int, int], shown: int
) -> None:
    got = arrange(layout, width=size[0], height=size[1], total=total)

    assert ((got.columns, got.rows), got.shown) == (grid, shown)


def test_the_window_moves_no_further_than_it_must() -> None:
    def first(focused: int, before: int) -> int:
        return arrange(PaneLayout.COLUMNS, width=96, height=30, total=5, focused=focused, first=before).first

    assert [first(1, 0), first(2, 0), first(4, 1), first(3, 3), first(0, 3)] == [0, 1, 3, 3, 0]


def test_zoom_shows_one_pane_whatever_the_layout() -> None:
    got = arrange(PaneLayout.GRID, width=300, height=80, total=6, focused=4, zoomed=True)

    assert (got.first, got.shown) == (4, 1)
