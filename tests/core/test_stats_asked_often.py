"""Asking a window of sketches often costs little, and gives what asking once would have given."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.stats import SETTLED, Percentiles, Sketch, SketchWindow

moves = st.lists(st.tuples(st.integers(0, 3), st.floats(0, 100), st.booleans()), max_size=60)


@settings(max_examples=100, deadline=None)
@given(moves)
def test_questions_in_between_change_no_answer(steps: list[tuple[int, float, bool]]) -> None:
    asked, unasked, second = SketchWindow(8), SketchWindow(8), 0
    for later, value, asks in steps:
        second += later
        asked.add(value, second * NS_PER_S)
        unasked.add(value, second * NS_PER_S)
        if asks:
            asked.percentiles(second * NS_PER_S)

    for ahead in (0, 1, 5, 9):
        at_ns = (second + ahead) * NS_PER_S
        assert asked.percentiles(at_ns) == unasked.percentiles(at_ns)


def test_with_many_values_a_question_is_answered_anew_once_a_second() -> None:
    window = SketchWindow(60)
    for value in range(SETTLED):
        window.add(float(value), 0)
    first = window.percentiles(0)

    window.add(1e6, 1)

    assert window.percentiles(2) == first
    assert window.percentiles(NS_PER_S).max == 1e6


@settings(max_examples=100, deadline=None)
@given(moves)
def test_a_window_says_what_a_sketch_of_its_values_alone_would_say(steps: list[tuple[int, float, bool]]) -> None:
    window, added, second = SketchWindow(4), list[tuple[int, float]](), 0
    for later, value, asks in steps:
        second += later
        window.add(value, second * NS_PER_S)
        added.append((second, value))
        if asks and window.percentiles(second * NS_PER_S).n < SETTLED:
            assert window.percentiles(second * NS_PER_S) == alone(added, second)

    assert window.percentiles((second + 2) * NS_PER_S) == alone(added, second + 2)


def alone(added: list[tuple[int, float]], second: int) -> Percentiles:
    """Of the last four seconds, put together anew."""
    sketch = Sketch()
    for at, value in added:
        if at > second - 4:
            sketch.add(value)
    return sketch.percentiles()


def test_a_window_knows_when_it_changes_by_itself() -> None:
    window = SketchWindow(60)
    assert window.changes_at_s == float("inf")

    window.add(1.0, 5 * NS_PER_S)
    window.add(1.0, 7 * NS_PER_S)

    assert window.changes_at_s == 65
    window.percentiles(65 * NS_PER_S)
    assert window.changes_at_s == 67
