"""What a load test is told, and what it refuses to be told."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click
import pytest

from workbench.bench.load import for_load
from workbench.bench.load_plan import Duration, Goal, Load, asks_of_file, asks_of_lengths, loads_of, parse_goal
from workbench.core.errors import UsageError
from workbench.core.settings import LaneLimits, LimitSettings, Settings
from workbench.core.types import Params


def test_loads_come_in_the_order_given() -> None:
    assert loads_of("8,1", None) == [Load(concurrency=8), Load(concurrency=1)]
    assert loads_of(None, "0.5,2") == [Load(rate_per_s=0.5), Load(rate_per_s=2.0)]
    assert [load.concurrency for load in loads_of(None, None)] == [1, 8, 32, 64]


@pytest.mark.parametrize("text", ["", "a", "0", "-1", "1.5", "1,,x"])
def test_a_load_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        loads_of(text or ",", None)


def test_a_goal_has_parts_in_seconds() -> None:
    goal = parse_goal("ttft=0.5, e2e=10")

    assert (goal, str(goal), bool(goal)) == (Goal(ttft_s=0.5, e2e_s=10.0), "TTFT ≤ 0.5 s, e2e ≤ 10 s", True)
    assert not parse_goal("")


@pytest.mark.parametrize("text", ["ttft", "ttft=fast", "speed=1", "ttft=0", "ttft=-1", "ttft=nan"])
def test_a_goal_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="ttft="):
        parse_goal(text)


def test_a_level_lasts_four_rounds_unless_something_else_is_said() -> None:
    assert Duration().requests_for(Load(concurrency=64)) == 256
    assert Duration().requests_for(Load(concurrency=1)) == 50
    assert Duration(requests=7).requests_for(Load(concurrency=64)) == 7
    assert Duration(seconds=3).requests_for(Load(concurrency=64)) is None


def test_made_up_prompts_have_their_length_and_are_never_alike() -> None:
    asks = list(islice(asks_of_lengths(100, Params(max_tokens=9), seed=1), 50))
    texts = [ask.messages[0].text for ask in asks]

    assert len(set(texts)) == 50
    assert {len(text.replace(":", " :").split()) for text in texts} == {100}
    assert {ask.params.max_tokens for ask in asks} == {9}
    assert texts == [ask.messages[0].text for ask in islice(asks_of_lengths(100, Params(), seed=1), 50)]


def test_prompts_of_a_file_come_round_again(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "one"}\nnot json\n{"prompt": "two", "params": {"temperature": 0.5}}\n')

    asks = list(islice(asks_of_file(path, None, "", Params(max_tokens=5)), 3))

    assert [ask.messages[-1].text for ask in asks] == ["one", "two", "one"]
    assert [ask.params.temperature for ask in asks] == [None, 0.5, None]
    assert {ask.params.max_tokens for ask in asks} == {5}


def test_a_file_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text("not json\n")

    with pytest.raises(UsageError, match="no row"):
        asks_of_file(path, None, "", Params())


def test_a_load_has_room_and_keeps_the_rates_that_a_person_has_set() -> None:
    own = Settings(limits=LimitSettings(lanes={"openai": LaneLimits(requests_per_minute=50)}))

    chosen = for_load(own, 64, limiter=False)

    assert (chosen.cache.enabled, chosen.limits.max_concurrent) == (False, 64)
    assert chosen.limits.lanes["openai"] == LaneLimits(requests_per_minute=50, max_in_flight=64)
    assert for_load(own, 64, limiter=True).limits.lanes == own.limits.lanes
