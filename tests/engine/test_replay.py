"""A stored answer said again: every word, in order, each channel in its own part of the time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from workbench.core.clock import NS_PER_S
from workbench.core.types import Channel, FinishReason, Timing
from workbench.engine.replay import pieces
from workbench.engine.stored_answer import StoredAnswer

S = NS_PER_S


def stored(text: str, reasoning: str = "", *, timing: Timing | None = None) -> StoredAnswer:
    timing = timing or Timing(0, first_token_ns=1 * S, first_answer_ns=3 * S, last_token_ns=7 * S, done_ns=7 * S)
    return StoredAnswer(0.0, text, FinishReason.STOP, timing, reasoning=reasoning)


def test_words_are_spread_over_the_time_that_they_took() -> None:
    said = [(piece.at_s, piece.channel, piece.text) for piece in pieces(stored("a b c", "hm well"), 1.0)]

    assert said == [
        (1.0, Channel.REASONING, "hm"),
        (3.0, Channel.REASONING, " well"),
        (3.0, Channel.TEXT, "a"),
        (5.0, Channel.TEXT, " b"),
        (7.0, Channel.TEXT, " c"),
    ]


def test_twice_as_fast_takes_half_the_time() -> None:
    assert [piece.at_s for piece in pieces(stored("a b c"), 2.0)] == [1.5, 2.5, 3.5]


def test_an_answer_that_came_in_one_piece_comes_in_one_piece() -> None:
    whole = stored("a b c", timing=Timing(0, done_ns=2 * S))

    assert [(piece.at_s, piece.text) for piece in pieces(whole, 1.0)] == [(2.0, "a b c")]


@given(st.text(max_size=200), st.text(max_size=200), st.floats(0.1, 100))
def test_no_character_is_lost_and_time_never_runs_backwards(text: str, reasoning: str, speed: float) -> None:
    said = list(pieces(stored(text, reasoning), speed))

    assert "".join(piece.text for piece in said if piece.channel is Channel.TEXT) == text
    assert "".join(piece.text for piece in said if piece.channel is Channel.REASONING) == reasoning
    assert [piece.at_s for piece in said] == sorted(piece.at_s for piece in said)
    assert all(piece.text for piece in said)
