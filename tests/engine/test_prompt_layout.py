from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.types import Message, Route
from workbench.engine.prompt_layout import LOOKED_AT, LayoutWatch, layout_hint
from workbench.engine.router import Target
from workbench.providers.catalog import BUILT_IN

MINIMUM = 1_024
RULES = "Answer as the harbour master would, in short sentences. " * 120
HALF = RULES[: 4 * 700]


@pytest.mark.parametrize(
    ("before", "now", "hint"),
    [
        pytest.param(f"One?\n{RULES}", f"Another?\n{RULES}", "Put what stays the same first", id="stable part late"),
        pytest.param(f"{HALF}1{HALF}", f"{HALF}2{HALF}", "Put what stays the same first", id="around what changes"),
        pytest.param(f"{HALF} One?", f"{HALF} Another?", "A longer beginning", id="just too short"),
        pytest.param(f"{RULES} One?", f"{RULES} Another?", None, id="well laid out"),
        pytest.param("One?", "Another?", None, id="nothing shared"),
        pytest.param(HALF, f"{HALF} And then?", None, id="a conversation that goes on"),
        pytest.param(HALF, HALF, None, id="the same again"),
    ],
)
def test_the_hint_says_what_to_move(before: str, now: str, hint: str | None) -> None:
    found = layout_hint(before, now, MINIMUM)

    assert found is None if hint is None else found is not None and hint in found


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50), st.integers(1, 20))
@settings(max_examples=150)
def test_a_shared_beginning_that_suffices_is_never_complained_about(a: str, b: str, rest: str, least: int) -> None:
    beginning = "x" * 4 * least

    assert layout_hint(beginning + a + rest, beginning + b + rest, least) is None


def target(provider: str = "openai", model: str = "gpt-4.1") -> Target:
    spec = next(row for row in BUILT_IN if row.name == provider)
    return Target(Route(model, provider, model, spec.base_url), spec)


def test_each_model_is_told_of_once() -> None:
    told: list[str] = []
    watch = LayoutWatch(lambda topic, text: told.append(topic))

    for number in range(4):
        for model in ("gpt-4.1", "gpt-4.1-mini"):
            watch.look(target(model=model), (Message.user(f"{number}?\n{RULES}"),))

    assert told == ["layout gpt-4.1", "layout gpt-4.1-mini"]


def test_a_system_text_counts_as_the_beginning() -> None:
    watch = LayoutWatch(lambda topic, text: None)
    hints = [watch.look(target(), (Message.user(f"{n}?"), Message.system(RULES))) for n in range(3)]

    assert hints == [None] * 3


def test_local_servers_have_no_minimum_to_speak_of() -> None:
    watch = LayoutWatch(lambda topic, text: None)

    assert [watch.look(target("local", "m"), (Message.user(f"{n}?\n{RULES}"),)) for n in range(3)] == [None] * 3


def test_a_prompt_of_any_length_is_looked_at_from_both_ends() -> None:
    watch = LayoutWatch(lambda topic, text: None)
    long = RULES * (4 * LOOKED_AT // len(RULES))

    hints = [watch.look(target(), (Message.user(f"{n}?\n{long}"),)) for n in range(2)]

    assert hints[0] is None
    assert hints[1] is not None
