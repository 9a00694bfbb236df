"""The model picker: searching, the line-up as it is edited, why a model cannot be asked."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot
from tui_stage import Stage, ready, until

from workbench.core.errors import UsageError
from workbench.core.types import Params
from workbench.session.targets import LineUp, Target
from workbench.tui.screens.model_picker import LONGEST_NAME
from workbench.tui.screens.params_dialog import parse_fields


async def open_picker(on: Stage, pilot: Pilot[Any]) -> Any:
    await ready(pilot)
    await pilot.press("f2")
    await until(pilot, lambda: type(on.app.screen).__name__ == "ModelPicker" and on.app.screen.is_mounted)
    await until(pilot, lambda: on.app.screen.query_one("#models").option_count > 3)  # type: ignore[attr-defined]  # a list
    return on.app.screen


def chosen(picker: Any) -> list[str]:
    return [target.model for target in picker.line_up]


def row(picker: Any, model: str) -> str:
    index = next(index for index, row in enumerate(picker._rows) if row.model == model)
    return str(picker.query_one("#models").get_option_at_index(index).prompt.plain)


async def test_typing_finds_a_model_and_enter_adds_it_to_the_line_up() -> None:
    on = Stage(("gpt-5.4",))
    async with on.app.run_test(size=(140, 40)) as pilot:
        picker = await open_picker(on, pilot)

        await pilot.press(*"54mini")
        await until(pilot, lambda: picker._rows and picker._rows[0].model == "gpt-5.4-mini")
        await pilot.press("enter")
        assert chosen(picker) == ["gpt-5.4", "gpt-5.4-mini"]
        await pilot.press("escape")
        await until(pilot, lambda: len(on.panes) == 2)

        assert [target.model for target in on.compare.comparison.line_up] == ["gpt-5.4", "gpt-5.4-mini"]
        await until(pilot, lambda: len(on.app.desk.memory.last_line_up) == 2)


async def test_enter_again_takes_it_out() -> None:
    on = Stage(("gpt-5.4", "gpt-5.4-mini"))
    async with on.app.run_test(size=(140, 40)) as pilot:
        picker = await open_picker(on, pilot)
        await pilot.press(*"gpt-5.4-mini", "enter")

        assert chosen(picker) == ["gpt-5.4"]


async def test_any_name_can_be_added_as_it_is_written() -> None:
    on = Stage(())
    async with on.app.run_test(size=(140, 40)) as pilot:
        picker = await open_picker(on, pilot)
        await pilot.press(*"local/my-model:q4")
        await until(pilot, lambda: picker._rows and picker._rows[-1].model == "local/my-model:q4")
        await pilot.press("enter")

        assert chosen(picker) == ["local/my-model:q4"]


async def test_a_model_without_a_key_says_which_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-real-key")
    on = Stage(())
    async with on.app.run_test(size=(140, 40)) as pilot:
        picker = await open_picker(on, pilot)

        headings = [row.title for row in picker._rows if row.is_heading]
        assert headings[0] == "Anthropic", "what can be asked comes first"
        assert "no key: set OPENAI_API_KEY" in row(picker, "gpt-5.4")
        sonnet = row(picker, "anthropic/claude-sonnet-4-6")
        assert "1M" in sonnet
        assert "$3.00 in · $15.00 out" in sonnet


async def test_starred_and_recent_models_come_first() -> None:
    on = Stage(("gpt-5.4",))
    async with on.app.run_test(size=(140, 40)) as pilot:
        on.app.desk.memory.recent = ["gpt-4.1"]
        picker = await open_picker(on, pilot)
        await pilot.press(*"gpt-4o", "down", "asterisk")
        picker.query_one("#search").value = ""
        await until(pilot, lambda: picker._rows[0].title == "Starred")

        rows = [(row.title if row.is_heading else row.model) for row in picker._rows[:4]]
        assert rows == ["Starred", "gpt-4o", "Recent", "gpt-4.1"]
        assert on.app.desk.memory.stars == {"gpt-4o"}


async def test_a_target_is_duplicated_with_one_parameter_varied_and_its_pane_says_so() -> None:
    on = Stage(("gpt-5.4",))
    async with on.app.run_test(size=(200, 50)) as pilot:
        picker = await open_picker(on, pilot)
        picker.query_one("#line-up").focus()
        await pilot.press("d")
        await until(pilot, lambda: type(on.app.screen).__name__ == "ParamsDialog" and on.app.focused is not None)
        await pilot.press(*"0.2", "enter")
        await until(pilot, lambda: on.app.screen is picker)
        assert [target.params for target in picker.line_up] == [Params(), Params(temperature=0.2)]

        await pilot.press("escape")
        await until(pilot, lambda: len(on.panes) == 2)
        assert [pane.heading for pane in on.panes] == ["gpt-5.4 · t=default", "gpt-5.4 · t=0.2"]


async def test_targets_are_moved_and_removed_from_the_keyboard() -> None:
    on = Stage(("alpha", "beta", "gamma"))
    async with on.app.run_test(size=(140, 40)) as pilot:
        picker = await open_picker(on, pilot)
        picker.query_one("#line-up").focus()
        await pilot.press("J", "J")
        assert chosen(picker) == ["beta", "gamma", "alpha"]
        await pilot.press("K")
        assert chosen(picker) == ["beta", "alpha", "gamma"]
        await pilot.press("x")
        assert chosen(picker) == ["beta", "gamma"]


async def test_a_line_up_is_saved_under_a_name_and_chosen_by_it() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(140, 40)) as pilot:
        picker = await open_picker(on, pilot)
        picker.query_one("#line-up").focus()
        await pilot.press("s")
        await until(pilot, lambda: type(on.app.screen).__name__ == "NameDialog" and on.app.focused is not None)
        await pilot.press(*"pair", "enter")
        await until(pilot, lambda: on.app.screen is picker)
        assert [target.model for target in on.app.desk.memory.line_ups["pair"]] == ["alpha", "beta"]

        picker.line_up = LineUp().add(Target("gamma"))
        picker._choose(picker._rows[1])
        assert chosen(picker) == ["alpha", "beta"]


@pytest.mark.parametrize(
    ("fields", "params"),
    [
        ({"temperature": "0.2", "max_tokens": " 100 "}, Params(temperature=0.2, max_tokens=100)),
        ({"reasoning_effort": "low", "thinking_budget": "-1"}, Params(reasoning_effort="low", thinking_budget=-1)),
        ({"stop": "END, ###,"}, Params(stop=("END", "###"))),
        ({"extra": '{"top_k": 40}'}, Params(extra=(("top_k", 40),))),
        ({"temperature": "  "}, Params()),
    ],
)
def test_what_is_written_becomes_parameters(fields: dict[str, str], params: Params) -> None:
    assert parse_fields(fields) == params


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"temperature": "warm"}, "temperature: expected a number"),
        ({"max_tokens": "1.5"}, "max_tokens: expected a whole number"),
        ({"extra": "{"}, "extra: not JSON"),
        ({"extra": "3"}, "extra: expected an object"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_named(fields: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_fields(fields)


async def test_names_are_whole_before_anything_is_said_about_them() -> None:
    on = Stage(("gpt-5.4",))
    async with on.app.run_test(size=(120, 35)) as pilot:
        picker = await open_picker(on, pilot)
        await pilot.press(*"opus")
        await until(pilot, lambda: "opus" in picker._rows[0].model)

        names = [found.model for found in picker._rows if not found.is_heading and len(found.model) <= LONGEST_NAME]
        assert "anthropic/claude-sonnet-4-6" in names
        assert [name for name in names if name not in row(picker, name)] == []


async def test_a_target_takes_one_line_on_a_small_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-" + "x" * 40)
    on = Stage(("anthropic/claude-sonnet-4-6", "gemini/gemini-3-flash-preview"))
    async with on.app.run_test(size=(80, 24)) as pilot:
        picker = await open_picker(on, pilot)

        assert row(picker, "gpt-5.4").split()[-1] == "1.05M"
        line_up = picker.query_one("#line-up")
        assert [str(line_up.get_option_at_index(index).prompt.plain).splitlines()[0] for index in (0, 1)] == [
            "1 claude-sonnet-4-6",
            "2 gemini-3-flash-preview",
        ]


async def test_tab_goes_to_the_line_up_and_back_to_the_search() -> None:
    on = Stage(("gpt-5.4", "gpt-5.4-mini"))
    async with on.app.run_test(size=(120, 35)) as pilot:
        picker = await open_picker(on, pilot)
        await pilot.press("tab")
        assert picker.query_one("#line-up").has_focus
        await pilot.press("x", "tab")

        assert chosen(picker) == ["gpt-5.4-mini"]
        assert picker.query_one("#search").has_focus
