from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.types import Channel
from workbench.providers.reasoning import ThinkSplitter, ThinkTags


def split(pieces: list[str], tags: ThinkTags | None = None) -> tuple[str, str]:
    """Reasoning and answer after feeding the pieces one by one."""
    splitter = ThinkSplitter(tags)
    out = [piece for text in pieces for piece in splitter.feed(text)] + splitter.close()
    assert all(text for _, text in out), "an empty piece says nothing"
    joined = {channel: "".join(text for c, text in out if c is channel) for channel in Channel}
    return joined[Channel.REASONING], joined[Channel.TEXT]


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("<think>why</think>because", "why", "because"),
        ("\n <think>\nwhy\n</think>\n\nbecause", "\n \nwhy\n", "\n\nbecause"),
        ("<think></think>\n\nstraight away", "", "\n\nstraight away"),
        ("no tags at all", "", "no tags at all"),
        ("about <think> and </think>", "", "about <think> and </think>"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("<think>never closed", "never closed", ""),
        ("<thin ice", "", "<thin ice"),
        ("<think>1 < 2 </thin ice> </think>x", "1 < 2 </thin ice> ", "x"),
        ("<thin", "", "<thin"),
        ("<think>half a </thi", "half a </thi", ""),
        ("  \n", "", "  \n"),
        ("", "", ""),
    ],
)
def test_only_an_opening_tag_at_the_very_start_makes_reasoning(text: str, reasoning: str, answer: str) -> None:
    assert split([text]) == (reasoning, answer)
    assert split(list(text)) == (reasoning, answer)


def test_an_answer_whose_template_opened_the_tag_starts_inside_it() -> None:
    tags = ThinkTags(prefilled=True)

    assert split(["I wonder", "…</thi", "nk>\n42"], tags) == ("I wonder…", "\n42")
    assert split(["<think>I wonder</think>42"], tags) == ("I wonder", "42")


def test_other_tags_are_data() -> None:
    assert split(["[THI", "NK]a[/THINK", "]b"], ThinkTags("[THINK]", "[/THINK]")) == ("a", "b")


def test_white_space_after_the_tag_waits_for_the_answer() -> None:
    splitter = ThinkSplitter()

    assert splitter.feed("<think>a</think>\n") == [(Channel.REASONING, "a")]
    assert splitter.feed("\n") == []
    assert splitter.feed("b") == [(Channel.TEXT, "\n\nb")]
    assert splitter.is_settled


FRAGMENTS = st.lists(
    st.sampled_from(
        ["<think>", "</think>", "<", ">", "/", "think", "<thi", "nk>", "</th", "ink>", " ", "\n", "a", "é", "🜂"]
    ),
    max_size=12,
).map("".join)


@settings(deadline=None, max_examples=300)
@given(text=FRAGMENTS, cuts=st.lists(st.integers(0, 60), max_size=8), prefilled=st.booleans())
def test_every_cut_gives_the_same_split_and_loses_nothing(text: str, cuts: list[int], prefilled: bool) -> None:
    tags = ThinkTags(prefilled=prefilled)
    places = sorted({min(cut, len(text)) for cut in cuts})
    pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]

    reasoning, answer = split(pieces, tags)

    assert (reasoning, answer) == split([text], tags)
    assert reasoning + answer in _without_at_most_one_pair_of_tags(text)


def _without_at_most_one_pair_of_tags(text: str) -> set[str]:
    opened = text.replace("<think>", "", 1)
    return {text, opened, opened.replace("</think>", "", 1), text.replace("</think>", "", 1)}
