from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.clock import ManualClock
from workbench.core.text import strip_control
from workbench.core.types import Channel
from workbench.tui.markdown.answer import ANSWER, REASONING, TOOL, Answer, CodeBlock
from workbench.tui.markdown.rows import UNICODE
from workbench.tui.markdown.search import Match

FOREVER = float("inf")
PIECES = st.lists(
    st.tuples(
        st.sampled_from(list(Channel)),
        st.one_of(
            st.text(max_size=8),
            st.sampled_from(
                ["```\n", "**", "\x1b[31", "m", "\x1b]8;;x\x07", "\n\n", "- ", "\u202e", "👩", "\ud83d", "\ude00"]
            ),
        ),
    ),
    max_size=25,
)


def an_answer(clock: ManualClock | None = None, **options: bool) -> Answer:
    return Answer(UNICODE, lambda function: function(), clock or ManualClock(), **options)


def drawn(answer: Answer) -> list[str]:
    answer.update(FOREVER)
    answer.sheet.fill(FOREVER)
    rows = answer.sheet.rows(0, answer.sheet.height)
    assert rows == [answer.sheet.row(y) for y in range(answer.sheet.height)]
    return ["".join(piece.text for piece in row.pieces).rstrip() for _, row in rows]


@settings(max_examples=300, deadline=None)
@given(PIECES, st.integers(0, 25))
def test_no_character_is_lost_doubled_or_moved(pieces, look_at):
    answer = an_answer()
    for number, (channel, text) in enumerate(pieces):
        answer.append(channel, text)
        if number == look_at:
            answer.update(FOREVER)
    answer.finish()

    for section, channel in ((ANSWER, Channel.TEXT), (REASONING, Channel.REASONING), (TOOL, Channel.TOOL)):
        assert answer.source(section) == strip_control("".join(text for c, text in pieces if c is channel))


def test_reasoning_is_folded_into_one_line_and_set_apart_from_the_answer():
    clock = ManualClock()
    answer = an_answer(clock)
    answer.append(Channel.REASONING, "Let me think about it.")
    clock.advance(2.3)
    answer.append(Channel.TEXT, "Because.")

    assert drawn(answer) == ["▸ thought 2.3s (~5 tok)", "", "Because."]

    answer.sheet.sections[REASONING].is_open = True
    answer.refresh_headlines()
    assert drawn(answer) == ["▾ thought 2.3s (~5 tok)", "Let me think about it.", "", "Because."]


def test_the_headline_counts_seconds_while_the_model_thinks():
    clock = ManualClock()
    answer = an_answer(clock)
    answer.append(Channel.REASONING, "hm")
    clock.advance(1.5)
    assert drawn(answer) == ["▸ thinking 1.5s"]
    assert answer.has_more

    clock.advance(0.1)
    assert drawn(answer) == ["▸ thinking 1.5s"]
    clock.advance(0.2)
    assert drawn(answer) == ["▸ thinking 1.8s"]

    answer.finish()
    assert drawn(answer) == ["▸ thought 1.8s (~1 tok)"]
    assert not answer.has_more


def test_what_the_provider_says_about_the_reasoning_wins():
    answer = an_answer()
    answer.load("Yes.", "hm " * 40)
    assert drawn(answer)[0] == "▸ thought (~30 tok)"

    answer.thinking.seconds, answer.thinking.tokens = 4.06, 1412
    answer.refresh_headlines()

    assert drawn(answer)[0] == "▸ thought 4.1s (1,412 tok)"


def test_tool_calls_are_shown_below_the_answer_as_they_came():
    answer = an_answer()
    answer.append(Channel.TEXT, "Calling.")
    answer.append(Channel.TOOL, '{"a": "**b**"}')

    assert drawn(answer) == ["Calling.", "", "tool call", '{"a": "**b**"}']


def test_code_blocks_are_found_also_while_the_source_is_shown():
    answer = an_answer()
    answer.append(Channel.TEXT, "a\n\n> ```sql\n> select 1\n> ```\n\n    x\n    y\n\n```\nopen")
    blocks = (
        CodeBlock("sql", "select 1", 3),
        CodeBlock("", "x\ny", 30),
        CodeBlock("", "open", 43),
    )
    assert answer.code_blocks() == blocks

    answer.set_raw(True)

    assert answer.code_blocks() == blocks


def test_a_selection_is_source_and_leaves_out_what_is_folded():
    answer = an_answer(is_open=True)
    answer.load("The **answer**.", "The reasoning.")

    assert answer.selected((REASONING, 4), (ANSWER, 8)) == "reasoning.\n\nThe **an"
    assert answer.selected((ANSWER, 4), (ANSWER, 14)) == "**answer**"
    assert answer.selected(None, None) == "The reasoning.\n\nThe **answer**."

    answer.sheet.sections[REASONING].is_open = False
    assert answer.selected(None, None) == "The **answer**."


def test_a_search_sees_through_markup_and_line_ends():
    answer = an_answer()
    answer.load("The **quick** brown\nfox. the Quick", "a quick thought")

    assert answer.search("quick brown fox") == [Match(ANSWER, 6, 23)]
    assert [match.section for match in answer.search("quick")] == [REASONING, ANSWER, ANSWER]
    assert len(answer.search("Quick")) == 1
    assert answer.search("  ") == []


def test_source_and_markdown_show_the_same_text_and_notes():
    answer = an_answer()
    answer.append(Channel.TEXT, "# A\n\n")
    answer.add_note("stall 1.0s")
    answer.append(Channel.TEXT, "**b**")
    assert drawn(answer) == ["A", "━", "· stall 1.0s ·", "", "b"]

    answer.set_raw(True)
    assert drawn(answer) == ["# A", "", "· stall 1.0s ·", "**b**"]

    answer.set_raw(False)
    assert drawn(answer) == ["A", "━", "· stall 1.0s ·", "", "b"]


def test_a_spot_on_the_sheet_stays_the_same_row():
    answer = an_answer(is_open=True)
    answer.load("\n\n".join(f"paragraph {n}" for n in range(20)), "one\n\ntwo\n\nthree")
    rows = drawn(answer)
    y = rows.index("paragraph 7")
    spot = answer.sheet.spot(y)

    answer.sheet.sections[REASONING].is_open = False

    assert drawn(answer)[answer.sheet.position(spot)] == "paragraph 7"


def test_a_spot_in_what_was_folded_away_is_its_headline():
    answer = an_answer(is_open=True)
    answer.load("answer", "one\n\ntwo")
    drawn(answer)
    spot = answer.sheet.spot(3)

    answer.sheet.sections[REASONING].is_open = False

    assert answer.sheet.position(spot) == 0
