from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from workbench.tui.markdown.inline import InlineParser
from workbench.tui.markdown.layout import NARROWEST, Setting, estimated_height, lay_out
from workbench.tui.markdown.rows import ASCII, UNICODE, Glyphs, Row
from workbench.tui.markdown.splitter import BlockSplitter

LINES = [
    "# Title",
    "### Third",
    "para **bold** and `code` with words enough to wrap",
    "漢字かな混じり文。絵文字👩\u200d🔬と e\u0301",
    "- item",
    "  - nested **item**",
    "10. ten",
    "- [x] done",
    "> quoted",
    "> - in quote",
    "```python",
    "def f(x):\treturn x  # and a comment that is long",
    "```",
    "| a | b |",
    "|---|--:|",
    "| 1 | two words |",
    "---",
    "$$",
    "\\frac{a}{b}",
    "<div>",
    "[ref]: https://x.example 'T'",
    "    indented",
    "",
    "",
]
DOCUMENTS = st.lists(st.sampled_from(LINES), max_size=14).map("\n".join)


def rows_of(text: str, width: int, glyphs: Glyphs = UNICODE) -> list[Row]:
    splitter = BlockSplitter()
    splitter.feed(text)
    splitter.finish()
    setting = Setting(width, InlineParser().parse, glyphs)
    rows: list[Row] = []
    above = None
    for block in splitter.blocks:
        rows += lay_out(block, text, setting, above)
        above = block.containers
    return rows


def drawn(text: str, width: int = 40, glyphs: Glyphs = UNICODE) -> list[str]:
    return ["".join(piece.text for piece in row.pieces).rstrip() for row in rows_of(text, width, glyphs)]


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.integers(24, 60))
def test_every_row_fits_and_knows_its_cells(text, width):
    for row in rows_of(text, width):
        assert cell_len("".join(piece.text for piece in row.pieces)) == row.cells <= width


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.integers(24, 60))
def test_an_exact_piece_is_its_source(text, width):
    for row in rows_of(text, width):
        for piece in row.pieces:
            assert 0 <= piece.start <= piece.start + piece.length <= len(text)
            if piece.length and piece.is_exact and piece.text.strip():
                assert piece.text == text[piece.start : piece.start + piece.length].replace("\t", " ")


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, st.integers(24, 60))
def test_source_positions_go_down_the_rows(text, width):
    starts = [row.start for row in rows_of(text, width)]

    assert starts == sorted(starts)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_ascii_glyphs_draw_nothing_but_ascii_around_the_text(text):
    for row in rows_of(text, 40, ASCII):
        for piece in row.pieces:
            assert piece.text.isascii() or piece.length


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param("# A title", ["A title", "━━━━━━━"], id="first heading has a rule"),
        pytest.param("text\n## Two\ntext", ["text", "", "Two", "text"], id="a heading stands apart from what is above"),
        pytest.param("Why:\n- a\n- b", ["Why:", "• a", "• b"], id="no blank row where the writer left none"),
        pytest.param("- a\n\n- b", ["• a", "", "• b"], id="a loose list"),
        pytest.param("- a\n  1. b\n     - c", ["• a", "  1. b", "     ◦ c"], id="nested lists"),
        pytest.param("9. a\n1. b", ["9. a", "10. b"], id="numbers are counted"),
        pytest.param("- [ ] a\n- [x] b", ["☐ a", "☑ b"], id="tasks"),
        pytest.param("> a\n>\n> b", ["▌ a", "▌", "▌ b"], id="a quote's bar runs through"),
        pytest.param("-\n\n  a", ["•", "", "a"], id="an empty item"),
        pytest.param("a  \nb<br>c", ["a", "b", "c"], id="hard breaks"),
        pytest.param("$$\n\\alpha^2\n$$", ["  α²"], id="display maths"),
        pytest.param("***", ["─" * 40], id="rule"),
        pytest.param("<details>\n  <b>x</b>", ["<details>", "  <b>x</b>"], id="html as it is"),
        pytest.param("[a]: https://x.example 'T'", ["[a]: https://x.example 'T'"], id="definitions are shown"),
    ],
)
def test_blocks_as_rows(text, rows):
    assert drawn(text) == rows


def test_a_code_block_has_its_language_on_the_left_and_the_copy_button_on_the_right():
    text = "```sql\nselect 1\n```"

    assert drawn(text, 30) == ["▎ sql                [c] copy", "▎ select 1"]
    assert drawn(text, 14) == ["▎ sql", "▎ select 1"]
    assert rows_of(text, 30)[0].code == 0


def test_long_lines_of_code_wrap_with_a_mark_and_keep_their_indentation():
    assert drawn("```\n    if first and second:\n```", 20)[1:] == ["▎     if first and", "▎↪second:"]


def test_a_tab_in_code_goes_to_the_next_stop():
    (_, row) = rows_of("```\na\tb\n```", 20)

    assert [(piece.text, piece.length) for piece in row.pieces[1:]] == [("a", 1), ("   ", 1), ("b", 1)]


def test_a_link_is_tied_to_its_target_in_every_row_it_reaches():
    rows = rows_of("[one two three](https://x.example)", NARROWEST)

    assert [piece.link for row in rows for piece in row.pieces] == ["https://x.example"] * len(rows)


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS)
def test_an_estimate_is_near_what_will_be(text):
    splitter = BlockSplitter()
    splitter.feed(text)
    splitter.finish()

    estimate = sum(estimated_height(block, 60, is_first=index == 0) for index, block in enumerate(splitter.blocks))

    assert abs(estimate - len(rows_of(text, 60))) <= 2 + len(splitter.blocks)
