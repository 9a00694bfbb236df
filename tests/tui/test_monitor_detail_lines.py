"""A lane's details as they are drawn: what is wrapped stays below the line that it belongs to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from workbench.tui.monitor_words import detail


def test_a_wrapped_line_goes_on_further_in_than_it_began() -> None:
    sections = [
        ("Last error, 3 s ago", ["OpenAI refuses for now: try again in 20 s.", "short"]),
        ("Keys", ["none needed"]),
    ]

    drawn = detail("openai#1 · gpt", sections, 24).plain

    assert drawn.splitlines() == [
        "openai#1 · gpt",
        "",
        "Last error, 3 s ago",
        "  OpenAI refuses for",
        "    now: try again in 20",
        "    s.",
        "  short",
        "",
        "Keys",
        "  none needed",
    ]


@given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=200), st.integers(12, 80))
def test_no_line_is_wider_than_the_screen_and_no_word_is_lost(text: str, width: int) -> None:
    lines = detail("lane", [("Title", [text])], width).plain.split("\n")[3:]

    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
