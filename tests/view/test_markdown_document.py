from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.tui.markdown import document as document_module
from workbench.tui.markdown.document import Document
from workbench.tui.markdown.rows import UNICODE

FOREVER = float("inf")
LINES = [
    "# Title",
    "Setext",
    "---",
    "===",
    "text with **bold** and `code`, *em* and a [link](https://x.example)",
    "see [one][ref] and [ref]",
    "- item",
    "  - nested",
    "1. one",
    "> quote",
    "```python",
    "x = 1",
    "```",
    "| a | b |",
    "|---|---|",
    "| 1 | two words |",
    "$$",
    "[ref]: https://x.example",
    "",
    "",
]
DOCUMENTS = st.lists(st.sampled_from(LINES), max_size=16).map("\n".join)


def at_once(function: Callable[[], None]) -> None:
    function()


def a_document(text: str = "", width: int = 40, *, raw: bool = False) -> Document:
    document = Document(UNICODE, at_once, raw=raw)
    document.set_width(width)
    if text:
        document.append(text)
        document.finish()
        document.update(FOREVER)
        document.fill(FOREVER)
    return document


def drawn(document: Document) -> list[str]:
    rows = document.rows(0, document.height)
    assert len(rows) == document.height
    return ["".join(piece.text for piece in row.pieces).rstrip() for row in rows]


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    places = sorted({min(cut, len(text)) for cut in cuts})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


CUTS = st.lists(st.integers(0, 400), max_size=25)


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS, CUTS, st.booleans())
def test_streamed_text_ends_up_as_text_that_came_at_once(text, cuts, raw):
    document = a_document(raw=raw)
    for piece in pieces_of(text, cuts):
        document.append(piece)
        document.update(FOREVER)
    document.finish()
    document.update(FOREVER)
    document.fill(FOREVER)

    assert drawn(document) == drawn(a_document(text, raw=raw))


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS, CUTS)
def test_rows_above_the_reported_change_are_the_same_as_before(text, cuts):
    document = a_document()
    before: list[str] = []
    for piece in pieces_of(text, cuts):
        document.append(piece)
        changed = document.update(FOREVER)
        document.fill(FOREVER)
        now = drawn(document)
        assert now[:changed] == before[:changed]
        before = now


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(20, 70), min_size=1, max_size=3))
def test_a_resized_document_is_one_made_for_that_width(text, widths):
    document = a_document(text)
    for width in widths:
        document.set_width(width)
    document.update(FOREVER)
    document.fill(FOREVER)

    assert drawn(document) == drawn(a_document(text, widths[-1]))


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, st.integers(0, 60), st.integers(20, 70))
def test_the_reading_place_is_found_again_after_a_resize(text, y, width):
    document = a_document(text)
    if y >= document.height:
        return
    offset = document.source_at(y)

    document.set_width(width)
    found = document.find_source(offset)

    rows = document.rows(0, document.height)
    below = [row.start for row in rows[found + 1 :] if any(piece.length for piece in row.pieces)]
    assert document.source_at(found) <= offset or not any(piece.length for row in rows for piece in row.pieces)
    assert all(start > offset for start in below)


def test_an_update_lays_out_the_open_end_only(monkeypatch):
    document = a_document()
    document.append("A paragraph of some words.\n\n" * 300)
    document.update(FOREVER)
    calls: list[int] = []
    lay_out = document_module.lay_out

    def counting(block, *args, **kwargs):
        calls.append(block.start)
        return lay_out(block, *args, **kwargs)

    monkeypatch.setattr(document_module, "lay_out", counting)
    for piece in ["Now ", "this ", "one.\n\n", "And ", "more"]:
        document.append(piece)
        document.update(FOREVER)

    assert len(calls) <= 5


def test_opening_a_long_text_lays_out_what_is_in_view_only(monkeypatch):
    calls: list[int] = []
    lay_out = document_module.lay_out

    def counting(block, *args, **kwargs):
        calls.append(block.start)
        return lay_out(block, *args, **kwargs)

    monkeypatch.setattr(document_module, "lay_out", counting)
    document = a_document()
    document.append("A paragraph of some words.\n\n" * 3000)
    document.finish()
    document.update(FOREVER)
    document.lay_out_rows(0, 50)
    document.lay_out_end(50)

    assert len(calls) <= 60
    assert document.height == 5999


def test_text_is_split_in_slices_when_time_is_short():
    document = a_document()
    document.append("A paragraph of some words.\n\n" * 2000)

    slices = 0
    while document.has_unfed or not slices:
        document.update(0.0)
        slices += 1
    document.fill(FOREVER)

    assert slices > 5
    assert document.height == 3999


def test_a_place_stays_the_same_row_while_heights_above_become_exact():
    document = a_document()
    document.append("word " * 40 + "\n\n")
    document.append("\n\n".join(f"paragraph {n} " + "漢字" * 60 for n in range(50)))
    document.finish()
    document.update(FOREVER)
    place = document.place(100)
    document.lay_out_rows(100, 101)
    row = document.row(document.position(place))

    document.fill(FOREVER)

    assert document.row(document.position(place)) == row


@pytest.mark.parametrize("held", ["-", "1.", "#", "``", "| --", "=", "**", "<de"])
def test_a_line_that_may_become_anything_is_not_shown_yet(held):
    document = a_document()
    document.append("Some text\n")
    document.update(FOREVER)
    before = document.rows(0, document.height)

    document.append(held)
    document.update(FOREVER)

    assert document.rows(0, document.height) == before
    document.finish()
    document.update(FOREVER)
    document.fill(FOREVER)
    assert document.rows(0, document.height) != before


def test_a_growing_table_keeps_its_columns_once_it_has_a_few_rows():
    document = a_document()
    document.append("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n| 5 | 6 |\n")
    document.update(FOREVER)
    settled = drawn(document)

    document.append("| a much wider cell than those | 8 |\n")
    document.update(FOREVER)

    assert drawn(document)[: len(settled)] == settled


def test_a_table_in_parts_has_the_same_columns_throughout():
    document = a_document("| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 60 + "| wide cell | 3 |\n")

    assert {row.index("│") for row in drawn(document)[2:60]} == {2}


def test_a_reference_that_is_defined_later_becomes_a_link():
    document = a_document()
    document.append("See [one][ref].\n\ntext\n\n")
    document.update(FOREVER)
    document.append("[REF]: https://x.example\n\n")
    changed = document.update(FOREVER)

    assert changed == 0
    assert document.row(0).pieces[1].link == "https://x.example"


def test_code_gets_its_colours_when_it_is_complete():
    document = a_document()
    document.append("```python\n" + "x = 1\n" * 60)
    document.update(FOREVER)
    assert not document.wants_colours
    plain = drawn(document)

    document.append("```\n")
    document.update(FOREVER)

    assert document.colour(FOREVER)
    assert drawn(document) == plain
    assert "code-number" in document.row(50).pieces[-1].roles


def test_a_note_stands_below_the_row_the_text_had_reached():
    document = a_document(width=20)
    document.append("First words and ")
    document.add_note("stall 1.2s")
    document.append("some more that come after it.\n\nNext.")
    document.update(FOREVER)
    document.fill(FOREVER)

    assert drawn(document) == ["First words and some", "· stall 1.2s ·", "more that come after", "it.", "", "Next."]


def test_notes_stay_where_they_are_when_blocks_close_and_the_width_changes():
    document = a_document()
    document.add_note("nothing yet")
    document.append("One.\n\n")
    document.add_note("after one")
    document.append("Two.\n\n# Three")
    document.update(FOREVER)
    document.set_width(60)
    document.update(FOREVER)
    document.fill(FOREVER)

    assert drawn(document) == ["· nothing yet ·", "One.", "· after one ·", "", "Two.", "", "Three", "━━━━━"]


def test_source_is_shown_as_it_is_when_raw():
    assert drawn(a_document("# A\n\n  - **b**\n", raw=True)) == ["# A", "", "  - **b**"]


@settings(max_examples=100, deadline=None)
@given(DOCUMENTS, CUTS)
def test_code_blocks_are_exact_source_whenever_one_asks(text, cuts):
    document = a_document()
    for piece in pieces_of(text, cuts):
        document.append(piece)
        for start, language, code in document.code_blocks():
            assert "python".startswith(language)
            assert all(line in document.text[start:] for line in code.split("\n"))


def test_tops_of_blocks_leave_out_the_blank_rows_above_them():
    document = a_document("# A\n\ntext\n\n```\n" + "x\n" * 60 + "```\n\nend")

    assert document.block_tops() == [0, 3, 5, 67]
