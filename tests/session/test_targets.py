"""Line-ups as values, and titles that say no more than tells targets apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.types import Params
from workbench.session.targets import LineUp, Target, short_model_name, titles

COLD = Params(temperature=0.0)
WARM = Params(temperature=0.7)


def test_a_target_keeps_its_slot_while_others_come_go_and_move() -> None:
    line_up = LineUp.of("alpha", "beta", "gamma")
    beta = line_up.targets[1]

    changed = line_up.remove(1).add(Target("delta"), at=0).move(beta.slot, 1)

    assert [target.model for target in changed] == ["delta", "gamma", "beta"]
    assert changed.get(beta.slot) == beta


def test_a_copy_stands_beside_its_original_with_a_slot_of_its_own() -> None:
    line_up = LineUp.of("alpha", "beta").duplicate(1, COLD)

    assert [(target.model, target.slot, target.params) for target in line_up] == [
        ("alpha", 1, Params()),
        ("alpha", 3, COLD),
        ("beta", 2, Params()),
    ]


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "move", "copy"]), st.integers(0, 9)), max_size=40))
def test_slots_stay_unique_and_accents_in_range(edits: list[tuple[str, int]]) -> None:
    line_up = LineUp.of("alpha")
    for edit, number in edits:
        slots = [target.slot for target in line_up]
        if edit == "add":
            line_up = line_up.add(Target(f"m{number}"), at=number % (len(line_up) + 1))
        elif slots:
            slot = slots[number % len(slots)]
            if edit == "remove":
                line_up = line_up.remove(slot)
            elif edit == "move":
                line_up = line_up.move(slot, number - 5)
            else:
                line_up = line_up.duplicate(slot)

    slots = [target.slot for target in line_up]
    assert len(set(slots)) == len(slots)
    assert all(1 <= target.accent <= 8 for target in line_up)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([Target("gpt-5.4")], ("gpt-5.4",)),
        ([Target("gpt-5.4", COLD)], ("gpt-5.4 · t=0",)),
        ([Target("openai/a", COLD), Target("x/y/b", COLD)], ("a", "b")),
        ([Target("a", COLD), Target("a", WARM)], ("a · t=0", "a · t=0.7")),
        ([Target("a"), Target("b"), Target("a")], ("a · sample 1", "b", "a · sample 2")),
        ([Target("a", COLD), Target("a")], ("a · t=0", "a · t=default")),
        (
            [Target("a", Params(temperature=0.2, seed=7)), Target("b", Params(temperature=0.2, seed=8))],
            ("a · seed=7", "b · seed=8"),
        ),
        (
            [Target("a", Params(temperature=0.2, reasoning_effort="low")), Target("a", WARM, label="baseline")],
            ("a · t=0.2 effort=low", "baseline · t=0.7 effort=default"),
        ),
    ],
)
def test_a_title_says_what_differs(targets: list[Target], expected: tuple[str, ...]) -> None:
    assert titles(targets) == expected


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-5.4", "gpt-5.4"),
        ("anthropic/claude-sonnet-4-6", "claude-sonnet-4-6"),
        ("together_ai/meta-llama/Llama-4", "Llama-4"),
        ("gpt-5.4 | gemini/flash", "gpt-5.4"),
    ],
)
def test_a_short_name_is_what_a_person_says(model: str, name: str) -> None:
    assert short_model_name(model) == name
