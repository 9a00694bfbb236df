"""Figures as words, estimates before sending, searching models, and what is copied."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.events import Delta
from workbench.core.pricing import ModelFacts, Price, Rates
from workbench.core.types import Channel, Message
from workbench.session import export, figures
from workbench.session.lane import Lane
from workbench.session.model_search import match
from workbench.session.preflight import estimate, total
from workbench.session.targets import Target


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (figures.seconds(None), "—"),
        (figures.seconds(0.414), "0.41s"),
        (figures.seconds(9.999), "10.0s"),
        (figures.seconds(12.34), "12.3s"),
        (figures.seconds(125), "2m05s"),
        (figures.seconds(3725), "1h02m"),
        (figures.countdown(5.2), "6 s"),
        (figures.countdown(-1), "0 s"),
        (figures.countdown(125), "2 m 05 s"),
        (figures.rate(87.4), "87 t/s"),
        (figures.rate(8.74), "8.7 t/s"),
        (figures.rate(None), "— t/s"),
        (figures.tokens(318, estimated=True), "~318 tok"),
        (figures.quantity(12_430), "12.4k"),
        (figures.quantity(1_048_576), "1.05M"),
        (figures.quantity(1_000_000), "1M"),
        (figures.cost(None), "—"),
        (figures.cost(0.0), "free"),
        (figures.cost(0.00001), "<$0.0001"),
        (figures.cost(0.0041, estimated=True), "~$0.0041"),
        (figures.cost(12.345), "$12.35"),
        (figures.cost_range(0.004, 0.011), "$0.004–0.011"),
        (figures.cost_range(None, 1.0), "—"),
        (figures.price_per_million(1.25e-6), "$1.25"),
        (figures.sparkline([0, 1, 2, 4]), "▁▂▄█"),
        (figures.sparkline([0, 0]), "▁▁"),
    ],
)
def test_a_figure_reads_the_same_everywhere(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.lists(st.floats(0, 1e9), max_size=50), st.booleans())
def test_a_sparkline_has_one_sign_per_value(values: list[float], ascii_only: bool) -> None:
    line = figures.sparkline(values, ascii_only=ascii_only)

    assert len(line) == len(values)
    assert line.isascii() or not ascii_only


PRICED = ModelFacts(Price(Rates(1e-6, 1e-5, 1e-6, 1e-6)), context_tokens=1000, max_output_tokens=500)


def test_an_estimate_gives_tokens_the_share_of_the_context_and_a_price_range() -> None:
    one = estimate([Message.system("x" * 400), Message.user("y" * 584)], PRICED)

    assert (one.input_tokens, one.context_share, one.fits) == (254, 0.254, True)
    assert one.low_usd == pytest.approx(254e-6 + 100e-5)
    assert one.high_usd == pytest.approx(254e-6 + 500e-5)


def test_a_prompt_that_does_not_fit_is_known_before_it_is_sent() -> None:
    assert not estimate([Message.user("x" * 4000)], PRICED).fits


def test_max_tokens_bounds_the_price() -> None:
    one = estimate([Message.user("x")], PRICED, max_tokens=10)

    assert one.low_usd == one.high_usd


def test_without_a_price_there_is_no_total() -> None:
    unknown = estimate([Message.user("x")], ModelFacts())

    assert total([unknown]) == (None, None)
    assert total([unknown, estimate([Message.user("x")], PRICED)])[0] is not None


@pytest.mark.parametrize(
    ("query", "better", "worse"),
    [
        ("gpt-5.4", "gpt-5.4", "gpt-5.4-mini"),
        ("54m", "gpt-5.4-mini", "gpt-5.4-nano-medium"),
        ("sonnet", "anthropic/claude-sonnet-5", "together_ai/some-long-sonnet-name"),
        ("cs5", "anthropic/claude-sonnet-5", "accusers-5"),
    ],
)
def test_the_model_that_is_meant_comes_first(query: str, better: str, worse: str) -> None:
    assert match(query, better)[0] > match(query, worse)[0]


@given(st.text(alphabet="abc-54", max_size=6), st.text(alphabet="abc-54/", max_size=20))
def test_a_match_names_the_characters_it_found(query: str, candidate: str) -> None:
    score, offsets = match(query, candidate)

    if score > 0 and query:
        assert "".join(candidate[offset] for offset in offsets) == query
        assert list(offsets) == sorted(set(offsets))


def test_code_blocks_are_found_with_any_fence_and_unfinished() -> None:
    text = "a\n```python\nx = 1\n```\nb\n~~~\nplain\n~~~\n````md\n```\ninner\n```\n````\n```sql\nselect"

    assert export.code_blocks(text) == ("x = 1\n", "plain\n", "```\ninner\n```\n", "select")


def test_a_conversation_is_copied_with_reasoning_and_how_it_ended() -> None:
    lane = Lane(Target("x/alpha", slot=1))
    turn = lane.begin("Why?", "", 0)
    lane.apply(turn, Delta(1, Channel.REASONING, "Hm.\nSo."))
    lane.apply(turn, Delta(2, Channel.TEXT, "Because"))
    lane.stop(3)

    assert export.conversation(lane) == (
        "# alpha\n\n## Prompt\n\nWhy?\n\n## Reasoning\n\n> Hm.\n> So.\n\n## Answer\n\nBecause\n\n*(stopped)*\n"
    )
