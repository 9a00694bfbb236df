"""Writing a prompt: which key sends, what is recalled, and that nothing written is ever lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from tui_stage import Stage, ready, until

from workbench.core.settings import Settings, UISettings
from workbench.session.draft import Draft
from workbench.session.memory import Memory


@pytest.mark.parametrize(
    ("preset", "text", "key", "sends"),
    [
        ("auto", "one line", "enter", True),
        ("auto", "one line", "ctrl+j", False),
        ("auto", "two\nlines", "enter", False),
        ("auto", "two\nlines", "ctrl+j", True),
        ("chat", "two\nlines", "enter", True),
        ("chat", "two\nlines", "ctrl+j", False),
        ("editor", "one line", "enter", False),
        ("editor", "one line", "ctrl+j", True),
        ("editor", "two\nlines", "f5", True),
        ("auto", "two\nlines", "ctrl+r", True),
    ],
)
async def test_the_key_that_sends_follows_the_preset(preset: str, text: str, key: str, sends: bool) -> None:
    on = Stage(("alpha",), settings=Settings(ui=UISettings(send_key=preset)))  # type: ignore[arg-type]  # one of three
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed(text)

        await pilot.press(key)
        await pilot.pause()

        if sends:
            await until(pilot, lambda: on.engine.requests)
            assert on.engine.requests[0].messages[-1].text == text
        else:
            assert on.compare.editor.draft.prompt == text + "\n"
            assert not on.engine.requests


async def test_the_border_says_which_key_sends_now() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        before = str(on.compare.editor.border_subtitle)
        on.compare.editor.insert_typed("two\nlines")
        await until(pilot, lambda: "^j send" in str(on.compare.editor.border_subtitle))

        assert "enter send" in before


async def test_a_long_paste_arrives_whole_and_stays_a_prompt() -> None:
    on = Stage(("alpha",))
    text = "\n".join(f"line {number}: " + "word " * 20 for number in range(2000))
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)

        on.app.post_message(events.Paste(text))
        await until(pilot, lambda: on.compare.editor.draft.prompt == text)

        assert not on.engine.requests
        assert on.compare.editor.size.height <= 15, "the answers keep their half"


async def test_a_paste_into_the_answers_lands_in_the_prompt() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        await pilot.press("escape")

        on.app.post_message(events.Paste("pasted"))
        await until(pilot, lambda: on.compare.editor.draft.prompt == "pasted")

        assert on.app.focused is on.compare.editor.prompt_area


async def test_up_recalls_earlier_prompts_and_down_comes_back_to_what_was_being_written() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        for prompt in ("first", "second"):
            on.compare.editor.insert_typed(prompt)
            await pilot.press("enter")
            await until(pilot, lambda: on.states() == ["done"])
        await until(pilot, lambda: on.app.desk.memory.history == ["first", "second"])
        on.compare.editor.insert_typed("third")

        seen = []
        for key in ("up", "up", "up", "down", "down", "down"):
            await pilot.press(key)
            seen.append(on.compare.editor.draft.prompt)

        assert seen == ["second", "first", "first", "second", "third", "third"]


async def test_up_inside_a_prompt_of_many_lines_moves_the_cursor() -> None:
    on = Stage(("alpha",))
    on.app.desk.memory.history.append("earlier")
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("one\ntwo")

        await pilot.press("up")
        assert on.compare.editor.draft.prompt == "one\ntwo"
        await pilot.press("up")
        assert on.compare.editor.draft.prompt == "earlier"


async def test_what_is_written_is_on_disk_soon_and_back_after_a_restart(own_environment: Path) -> None:
    state = own_environment / "state"
    first = Stage(("alpha",))
    async with first.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        first.compare.editor.insert_typed("half a thought")
        await until(pilot, lambda: Memory(state).draft == Draft("half a thought"))

    again = Stage(("alpha",))
    async with again.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        assert again.compare.editor.draft.prompt == "half a thought"


async def test_leaving_at_once_loses_nothing(own_environment: Path) -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("last words")
        await pilot.press("ctrl+q")

    assert Memory(own_environment / "state").draft == Draft("last words")


async def test_a_demo_leaves_nothing_behind(own_environment: Path) -> None:
    on = Stage(("alpha",), demo=True)
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("just looking")
        await pilot.press("enter")
        await until(pilot, lambda: on.states() == ["done"])

        assert "DEMO" in on.compare.app_bar.plain
    assert not (own_environment / "state").exists()


async def test_a_prompt_given_on_the_command_line_stands_in_the_editor() -> None:
    on = Stage(("alpha",), prompt="from the shell")
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)

        assert on.compare.editor.draft.prompt == "from the shell"


async def test_the_system_prompt_goes_first_to_every_model_and_stays() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press("shift+tab", *"Brief!", "tab", *"Why?", "enter")
        await until(pilot, lambda: on.states() == ["done", "done"])

        told = [[message.text for message in request.messages] for request in on.engine.requests]
        assert told == [["Brief!", "Why?"]] * 2
        assert on.compare.editor.draft == Draft("", "Brief!")


async def test_an_editor_that_cannot_have_the_terminal_is_reported() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("keep me")

        await pilot.press("f4")
        await until(pilot, lambda: on.app._notifications)

        assert on.compare.editor.draft.prompt == "keep me"


async def test_the_price_of_sending_stands_in_the_border() -> None:
    on = Stage(("gpt-5.4", "gpt-5.4-mini"))
    async with on.app.run_test(size=(160, 45)) as pilot:
        await ready(pilot)
        on.compare.editor.insert_typed("Why?")

        await until(pilot, lambda: "for 2 models" in str(on.compare.editor.border_subtitle))
        assert "no key: set OPENAI_API_KEY" in on.compare.editor.table.content.plain
