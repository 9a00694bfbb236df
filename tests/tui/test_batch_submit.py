"""From the prompt that is written to jobs at the providers: what it would cost, what cannot be asked, what is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from scripted_desk import ScriptedDesk
from textual.pilot import Pilot
from textual.widgets import Input
from tui_stage import Stage, ready, until

from workbench.core.errors import QuotaSpent
from workbench.core.settings import LimitSettings, Settings
from workbench.core.types import Params
from workbench.session.targets import LineUp, Target
from workbench.tui.areas import BATCHES, COMPARE
from workbench.tui.screens.batch_submit import BatchSubmit


@asynccontextmanager
async def comparing(
    desk: ScriptedDesk, models: tuple[str, ...] = ("alpha", "beta"), **options: Any
) -> AsyncIterator[tuple[Stage, Pilot[Any]]]:
    on = Stage(models, jobs=desk, areas=(COMPARE, BATCHES), **options)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: desk.listeners, "the desk is listened to")
        yield on, pilot


async def proposed(pilot: Pilot[Any], on: Stage, prompt: str, rows: Path | None = None) -> BatchSubmit:
    """The dialog for a prompt, and for a file of rows if one is given."""
    if prompt:
        on.compare.editor.insert_typed(prompt)
    await pilot.press("ctrl+b")
    await until(pilot, lambda: isinstance(on.app.screen, BatchSubmit), "the dialog")
    dialog = on.app.screen
    assert isinstance(dialog, BatchSubmit)
    if rows is not None:
        dialog.query_one("#submit-rows", Input).value = str(rows)
        await until(pilot, lambda: dialog._order.source == rows, "the path is read")
    return dialog


def table(dialog: BatchSubmit) -> str:
    return str(dialog.query_one("#submit-table").content)  # type: ignore[attr-defined]  # a Static


async def test_a_prompt_becomes_a_job_of_every_model_in_one_group() -> None:
    desk = ScriptedDesk()
    async with comparing(desk) as (on, pilot):
        dialog = await proposed(pilot, on, "Name a river.")
        await until(pilot, lambda: dialog.quotes, "priced")

        assert "$0.001–0.010" in table(dialog)
        assert "$0.002–0.020" in table(dialog)
        assert dialog.said == "1 row each to 2 models."
        await pilot.press("enter")
        await until(pilot, lambda: len(desk.submitted) == 2)
        await until(pilot, lambda: on.app.screen.id == "batches")

        (first, rows, name, group), (second, _, _, other_group) = desk.submitted
        assert {first, second} == {"alpha", "beta"}
        assert [row.messages[-1].text for row in rows] == ["Name a river."]
        assert name == "Name a river."
        assert group is not None
        assert group == other_group
        await until(pilot, lambda: on.app.screen.table.count == 2)  # type: ignore[attr-defined]  # ours


async def test_variables_are_filled_from_the_rows_of_a_file_and_bad_rows_are_named(tmp_path: Path) -> None:
    rows = tmp_path / "rivers.jsonl"
    rows.write_text('{"id": "a", "river": "Rhine"}\nnot json\n{"id": "c", "river": "Elbe"}\n')
    desk = ScriptedDesk()
    async with comparing(desk, ("alpha",)) as (on, pilot):
        dialog = await proposed(pilot, on, "How long is the {{river}}?", rows)
        await until(pilot, lambda: dialog.quotes, "priced")

        assert dialog.said.startswith("2 rows each to 1 model. 1 row left out:\n  line 2: not JSON")
        await pilot.press("enter")
        await until(pilot, lambda: desk.submitted)

        model, sent, name, group = desk.submitted[0]
        assert [(row.id, row.messages[-1].text) for row in sent] == [
            ("a", "How long is the Rhine?"),
            ("c", "How long is the Elbe?"),
        ]
        assert (model, name, group) == ("alpha", "rivers", None)


async def test_variables_without_a_file_are_not_sent() -> None:
    desk = ScriptedDesk()
    async with comparing(desk) as (on, pilot):
        dialog = await proposed(pilot, on, "How long is the {{river}}?")
        await until(pilot, lambda: "name a file whose rows fill it" in dialog.said)

        await pilot.press("enter")
        await pilot.pause()

        assert desk.submitted == []
        assert on.app.screen is dialog


async def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    async with comparing(ScriptedDesk()) as (on, pilot):
        dialog = await proposed(pilot, on, "How long is the {{river}}?", tmp_path / "missing.csv")

        await until(pilot, lambda: "Cannot read" in dialog.said)


async def test_models_without_batches_are_left_out_and_said_so() -> None:
    desk = ScriptedDesk(without_batches=frozenset({"beta"}))
    async with comparing(desk) as (on, pilot):
        dialog = await proposed(pilot, on, "Name a river.")
        await until(pilot, lambda: dialog.quotes, "priced")

        assert "Local servers have no batches here." in table(dialog)
        assert dialog.said == "1 row each to 1 model; 1 model is left out."
        await pilot.press("enter")
        await until(pilot, lambda: desk.submitted)

        assert [model for model, *_ in desk.submitted] == ["alpha"]


async def test_with_no_model_that_has_batches_nothing_can_be_submitted() -> None:
    desk = ScriptedDesk(without_batches=frozenset({"alpha", "beta"}))
    async with comparing(desk) as (on, pilot):
        dialog = await proposed(pilot, on, "Name a river.")
        await until(pilot, lambda: "F2 chooses others" in dialog.said)

        await pilot.press("enter")
        await pilot.pause()

        assert on.app.screen is dialog


async def test_what_was_asked_last_is_proposed_when_nothing_is_written() -> None:
    async with comparing(ScriptedDesk(), ("alpha",)) as (on, pilot):
        on.compare.editor.insert_typed("Why is the sky blue?")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done"])

        dialog = await proposed(pilot, on, "")
        await until(pilot, lambda: dialog.quotes, "priced")

        assert dialog._order.draft.prompt == "Why is the sky blue?"
        assert dialog.said == "1 row each to 1 model."


async def test_a_prompt_within_a_conversation_is_said_to_be_asked_alone() -> None:
    async with comparing(ScriptedDesk(), ("alpha",)) as (on, pilot):
        on.compare.editor.insert_typed("Why is the sky blue?")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done"])

        dialog = await proposed(pilot, on, "And at night?")

        await until(pilot, lambda: dialog.said.endswith("It is asked alone, without the conversation before it."))


async def test_enter_waits_for_the_rows_that_were_named_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # However long the keys take, nobody has read the rows when enter comes.
    monkeypatch.setattr("workbench.tui.screens.batch_submit._PAUSE_S", 3_600.0)
    monkeypatch.chdir(tmp_path)
    rows = tmp_path / "rows.csv"
    rows.write_text("river\nRhine\n")
    desk = ScriptedDesk()
    async with comparing(desk, ("alpha",)) as (on, pilot):
        dialog = await proposed(pilot, on, "How long is the {{river}}?")

        await pilot.press(*rows.name, "enter")
        assert desk.submitted == []
        await until(pilot, lambda: dialog.quotes, "priced")
        await pilot.press("enter")
        await until(pilot, lambda: desk.submitted)

        assert desk.submitted[0][1][0].messages[-1].text == "How long is the Rhine?"


async def test_parameters_of_a_target_go_with_its_rows() -> None:
    desk = ScriptedDesk()
    async with comparing(desk, ("alpha",)) as (on, pilot):
        on.app.choices.change_line_up(LineUp().add(Target("alpha", Params(temperature=0.2))))
        dialog = await proposed(pilot, on, "Name a river.")
        await until(pilot, lambda: dialog.quotes, "priced")
        await pilot.press("enter")
        await until(pilot, lambda: desk.submitted)

        assert desk.submitted[0][1][0].params == Params(temperature=0.2)


async def test_a_model_that_is_refused_is_told_and_the_others_are_submitted() -> None:
    desk = ScriptedDesk()
    async with comparing(desk) as (on, pilot):
        dialog = await proposed(pilot, on, "Name a river.")
        await until(pilot, lambda: dialog.quotes, "priced")
        desk.refusal = QuotaSpent("The account is empty.", provider="openai", status=429)
        await pilot.press("enter")
        await until(pilot, lambda: len(desk.asked) == 2 and on.app._notifications)

        assert len(desk.submitted) == 1
        assert [one.title for one in on.app._notifications] == ["Not submitted: alpha: quota spent"]


async def test_escape_leaves_it_and_keeps_the_prompt() -> None:
    desk = ScriptedDesk()
    async with comparing(desk) as (on, pilot):
        await proposed(pilot, on, "Name a river.")

        await pilot.press("escape")
        await until(pilot, lambda: on.app.screen is on.compare)

        assert on.compare.editor.draft.prompt == "Name a river."
        assert desk.submitted == []


async def test_more_than_is_left_of_the_spend_cap_is_not_submitted() -> None:
    desk = ScriptedDesk()
    settings = Settings(limits=LimitSettings(max_cost_usd=0.0005))
    async with comparing(desk, ("alpha",), settings=settings) as (on, pilot):
        dialog = await proposed(pilot, on, "Name a river.")
        await until(pilot, lambda: "spend cap" in dialog.said)

        await pilot.press("enter")
        await pilot.pause()

        assert desk.submitted == []
        assert on.app.screen is dialog
