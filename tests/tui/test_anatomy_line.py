"""The last line of a finished answer: where its time went."""

from __future__ import annotations

from typing import Any

from scripted_engine import End, Say
from textual.pilot import Pilot
from tui_stage import Stage, ready, until


def shown(on: Stage) -> str:
    view = on.panes[0].view
    return "\n".join(view.render_line(y).text for y in range(view.size.height))


async def asked(pilot: Pilot[Any], on: Stage) -> None:
    on.compare.editor.insert_typed("?")
    await pilot.press("enter")
    await until(pilot, lambda: on.states() == ["done"], "answered")


async def test_a_finished_answer_ends_with_where_its_time_went() -> None:
    on = Stage(("alpha",), {"alpha": (Say("Once upon a time."), End())})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        await asked(pilot, on)

        await until(pilot, lambda: "prefill" in shown(on), "the line")
        assert "Once upon a time." in shown(on)
        assert on.panes[0].view.text == "Once upon a time."
