from __future__ import annotations

import pytest

from workbench.tui.markdown.search import Match, Matches, search_pattern

FOUND = [Match(1, 10, 12), Match(1, 20, 22), Match(2, 5, 7)]


@pytest.mark.parametrize(
    ("query", "source", "is_found"),
    [
        ("two words", "two\nwords", True),
        ("two words", "> two\n> words", True),
        ("two words", "**two** _words_", True),
        ("two words", "twowords", False),
        ("case", "CASE", True),
        ("Case", "case", False),
        ("a.b", "axb", False),
    ],
)
def test_what_a_query_finds(query, source, is_found):
    pattern = search_pattern(query)

    assert pattern is not None
    assert (pattern.search(source) is not None) is is_found


def test_steps_go_around_the_ends():
    matches = Matches("x", lambda query: FOUND)

    assert [matches.step(1) for _ in range(4)] == [*FOUND, FOUND[0]]
    assert matches.step(-1) == FOUND[2]
    assert matches.position == (3, 3)


def test_going_below_a_place_takes_the_next_one_or_else_the_first():
    matches = Matches("x", lambda query: FOUND)

    assert matches.go_below(1, 11) == FOUND[1]
    assert matches.go_below(2, 6) == FOUND[0]


def test_without_occurrences_there_is_nowhere_to_go():
    matches = Matches()

    assert matches.step(1) is None
    assert matches.go_below(0, 0) is None
    assert matches.position == (0, 0)


def test_those_that_touch_a_stretch():
    assert Matches("x", lambda query: FOUND).within(1, 11, 20) == [FOUND[0]]
