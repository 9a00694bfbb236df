from __future__ import annotations

import pytest

from workbench.tui.markdown.inline import InlineParser
from workbench.tui.markdown.layout import Setting, lay_out
from workbench.tui.markdown.rows import ASCII
from workbench.tui.markdown.splitter import BlockSplitter
from workbench.tui.markdown.tables import Align, alignments, row_cells


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("| a | bc |", ["a", "bc"]),
        ("a | b", ["a", "b"]),
        ("| a || c |", ["a", "", "c"]),
        (r"| a \| b | c |", [r"a \| b", "c"]),
        ("|  |", [""]),
        ("a |", ["a"]),
    ],
)
def test_cells_of_a_row(line, cells):
    assert [line[start:end] for start, end in row_cells(line)] == cells


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("|---|:-:|--:|:--|", (None, Align.CENTER, Align.RIGHT, Align.LEFT)),
        ("--- | ---", (None, None)),
        ("- | -", ()),
        ("|---||---|", ()),
        ("| a |", ()),
        ("---", (None,)),
    ],
)
def test_alignments_of_a_delimiter_row(line, expected):
    assert alignments(line) == expected


def drawn(text: str, width: int) -> list[str]:
    splitter = BlockSplitter()
    splitter.feed(text)
    (block,) = splitter.tail()
    rows = lay_out(block, text, Setting(width, InlineParser().parse, ASCII), None)
    return ["".join(piece.text for piece in row.pieces).rstrip() for row in rows]


def test_columns_fit_their_content_and_follow_their_alignment():
    text = "| Plan | Cost | Rows |\n|:-----|-----:|:----:|\n| Seq Scan | 12.5 | 1,000 |\n| Hash | 9.25 | 5 |"

    assert drawn(text, 40) == [
        "Plan     | Cost | Rows",
        "---------+------+------",
        "Seq Scan | 12.5 | 1,000",
        "Hash     | 9.25 |   5",
    ]


def test_wide_columns_share_the_width_and_rows_that_wrap_are_set_apart():
    text = "| A | B |\n|---|---|\n| x | one two threes four |\n| y | z |"

    assert drawn(text, 16) == [
        "A | B",
        "--+-------------",
        "x | one two",
        "  | threes four",
        "--+-------------",
        "y | z",
    ]


def test_a_table_too_narrow_for_columns_becomes_records():
    text = "| Name | Cost | Rows | Plan |\n|---|---|---|---|\n| a | 1 | 2 | seq |\n| b | 3 | 4 | hash |"

    assert drawn(text, 16) == [
        "Name: a",
        "Cost: 1",
        "Rows: 2",
        "Plan: seq",
        "-" * 16,
        "Name: b",
        "Cost: 3",
        "Rows: 4",
        "Plan: hash",
    ]


def test_rows_with_too_few_or_too_many_cells_are_completed_or_cut():
    text = "| A | B |\n|---|---|\n| 1 |\n| 1 | 2 | 3 |"

    assert drawn(text, 20) == ["A | B", "--+--", "1 |", "1 | 2"]


def test_an_escaped_pipe_is_shown_as_a_pipe_in_text_and_in_code():
    text = "| A | B |\n|---|---|\n| x \\| y | `a \\| b` |"

    assert drawn(text, 30)[-1] == "x | y | a | b"
