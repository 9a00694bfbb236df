from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from workbench.tui.markdown.flow import break_lines, break_source, chop, cut, flow
from workbench.tui.markdown.rows import Piece

GRAPHEMES = [
    "a",
    "b",
    " ",
    "  ",
    "\n",
    "-",
    "漢",
    "字",
    "。",
    "「",
    "」",
    "é",
    "👩\u200d🔬",
    "☁\ufe0f",
    "e\u0301",
    "か\u3099",
    "word",
    "—",
]
TEXTS = st.lists(st.sampled_from(GRAPHEMES), max_size=30).map("".join)
ASCII_TEXTS = st.text(alphabet="abc  d\n-", max_size=40)
WIDTHS = st.integers(1, 12)


def rows_of(text: str, width: int) -> list[str]:
    return [text[start:end] for start, end, _ in break_lines(text, width)]


@settings(max_examples=400, deadline=None)
@given(TEXTS, WIDTHS)
def test_rows_fit_and_lose_nothing_but_spaces_and_line_ends(text, width):
    rows = break_lines(text, width)

    assert "".join(text[start:end] for start, end, _ in rows).replace(" ", "") == text.replace(" ", "").replace(
        "\n", ""
    )
    for start, end, size in rows:
        assert cell_len(text[start:end]) == size
        # A wide character in a row of one cell has nowhere to go.
        assert size <= width or (width == 1 and size == 2)


@settings(max_examples=300, deadline=None)
@given(ASCII_TEXTS, WIDTHS)
def test_the_quick_way_breaks_like_the_thorough_one(text, width):
    # An accent on its own at the end makes the text need the thorough way.
    thorough = break_lines(text + "\n\u0301", width)[:-1]

    assert break_lines(text, width) == thorough


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        pytest.param("one two three", 7, ["one two", "three"], id="at spaces"),
        pytest.param("one two  three", 8, ["one two", "three"], id="spaces at a break belong to no row"),
        pytest.param("abcdefghij", 4, ["abcd", "efgh", "ij"], id="a word longer than a row"),
        pytest.param(
            "日本語の文章。です", 6, ["日本語", "の文", "章。で", "す"], id="no full stop at the start of a row"
        ),
        pytest.param("a\nb", 5, ["a", "b"], id="forced"),
        pytest.param("", 5, [""], id="empty"),
        pytest.param("👩\u200d🔬👩\u200d🔬x", 4, ["👩\u200d🔬👩\u200d🔬", "x"], id="joined emoji stay whole"),
        pytest.param("\u200d漢", 1, ["\u200d漢"], id="a stray joiner"),
    ],
)
def test_where_rows_break(text, width, rows):
    assert rows_of(text, width) == rows


def test_source_keeps_its_indentation():
    assert [tuple(row) for row in break_source("    if x and y", 10)] == [(0, 8, 8), (9, 14, 5)]


def test_chopping_cuts_between_graphemes():
    assert chop("e\u0301e\u0301e\u0301", 2) == [(0, 4, 2), (4, 6, 1)]


def test_pieces_are_divided_with_their_source():
    pieces = [Piece("one ", ("em",), 10, 4), Piece("two three", (), 16, 9)]

    rows = flow(pieces, 7)

    assert rows == [
        ([Piece("one ", ("em",), 10, 4), Piece("two", (), 16, 3)], 7),
        ([Piece("three", (), 20, 5)], 5),
    ]


def test_parts_of_a_piece_that_stands_for_its_source_as_a_whole_all_stand_for_all_of_it():
    formula = Piece("α + β", ("maths",), 5, 16)

    assert cut(formula, 0, 1) == Piece("α", ("maths",), 5, 16)
    assert cut(formula, 4, 5) == Piece("β", ("maths",), 5, 16)
