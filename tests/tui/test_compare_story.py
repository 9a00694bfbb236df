"""A person compares models: sends, stops, repeats, goes on."""

from __future__ import annotations

from tui_stage import Stage, ready, until


async def test_a_prompt_goes_to_every_model_and_every_answer_is_shown() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        await pilot.press(*"Say hello", "enter")
        await until(pilot, lambda: on.states() == ["done", "done"])

        assert [request.messages[-1].text for request in on.engine.requests] == ["Say hello", "Say hello"]
        await until(pilot, lambda: [pane.view.text for pane in on.panes] == ["Hello, world."] * 2)
        assert on.compare.editor.draft.prompt == ""
