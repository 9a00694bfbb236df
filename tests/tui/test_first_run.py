"""Nothing configured, no key: four ways to begin, and typing that is never swallowed."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from scripted_engine import ANSWER, Fail, Hold, Wait
from textual.widgets import Input
from tui_stage import Stage, ready, until

from workbench.core.errors import ConnectionFailed, KeyRejected
from workbench.core.settings import Settings, load_settings
from workbench.core.stored_keys import stored_keys_file
from workbench.tui.screens.compare import DEMO_PROMPT
from workbench.tui.screens.key_entry import provider_of_key

SECRET = "sk-proj-" + "x" * 40


def panel(on: Stage) -> str:
    return str(on.compare.start_panel.plain)


async def test_the_first_screen_has_four_rows_and_says_what_was_found() -> None:
    on = Stage(())
    async with on.app.run_test(size=(80, 24)) as pilot:
        await ready(pilot)

        for row in ("Watch the demo", "Use what I found", "Paste a key", "Open a file"):
            assert row in panel(on)
        await until(pilot, lambda: "no key in the environment" in panel(on))
        assert on.app.focused is on.compare.start_panel


async def test_enter_watches_the_demo_and_it_is_marked_as_simulated() -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: len(on.panes) == 5)
        await until(pilot, lambda: on.states() == ["done"] * 5)

        assert "DEMO simulated models" in on.compare.app_bar.plain
        assert on.engine.requests[0].messages[-1].text == DEMO_PROMPT


async def test_after_the_demo_the_four_ways_are_there_again_under_the_keys() -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        for _ in range(2):
            await pilot.press("enter")
            await until(pilot, lambda: on.states() == ["done"] * 5)
            on.app.choices.leave_demo()
            await until(pilot, lambda: not on.panes)
            await until(pilot, lambda: on.compare.start_panel.has_focus)

        assert not on.app.desk.engine.is_demo


async def test_the_prompt_says_how_to_get_to_the_answers_once_there_are_panes() -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        assert "esc answers" not in str(on.compare.editor.border_subtitle)

        await pilot.press("enter")
        await until(pilot, lambda: "esc answers" in str(on.compare.editor.border_subtitle))


async def test_escape_goes_from_the_prompt_to_the_four_ways() -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press("h", "backspace", "escape")

        await until(pilot, lambda: on.compare.start_panel.has_focus)


async def test_typing_starts_a_prompt_and_sending_it_asks_the_demo() -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press(*"1 or 2?")
        assert on.compare.editor.draft.prompt == "1 or 2?"

        await pilot.press("enter")
        await until(pilot, lambda: len(on.panes) == 5 and on.states() == ["done"] * 5)
        assert {request.messages[-1].text for request in on.engine.requests} == {"1 or 2?"}


async def test_what_was_found_becomes_a_line_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("GROQ_API_KEY", SECRET)
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: "OPENAI_API_KEY" in panel(on))
        await pilot.press("down", "enter")
        await until(pilot, lambda: on.panes)

        providers = {on.app.desk.engine.directory.entry(pane.lane.target.model).provider for pane in on.panes}
        assert "openai" in providers
        assert SECRET not in panel(on)


async def test_a_pasted_key_is_masked_kept_private_and_used_at_once(own_environment: Path) -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: type(on.app.screen).__name__ == "KeyEntry" and on.app.screen.is_mounted)
        screen: Any = on.app.screen
        await until(pilot, lambda: screen.query("#secret"))
        screen.query_one("#secret", Input).value = SECRET
        await until(pilot, lambda: screen.query_one("#provider").value == "openai")
        assert SECRET not in on.app.export_screenshot()
        await pilot.press("enter")

        file = stored_keys_file(own_environment / "config")
        await until(pilot, file.exists)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert load_settings(None, {"LLM_CONFIG_DIR": str(own_environment / "config")}).provider("openai").secrets == (
            SECRET,
        )
        assert on.app.desk.engine.settings.provider("openai").secrets == (SECRET,)


async def enter_key(on: Stage, pilot: Any, secret: str) -> None:
    await ready(pilot)
    on.app.choices.paste_key()
    await until(pilot, lambda: type(on.app.screen).__name__ == "KeyEntry" and on.app.screen.is_mounted)
    screen: Any = on.app.screen
    await until(pilot, lambda: screen.query("#secret"))
    screen.query_one("#secret", Input).value = secret
    await until(pilot, lambda: screen.query_one("#provider").value == "openai")
    await pilot.press("enter")


async def test_the_providers_to_choose_from_are_seen_together() -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.app.choices.paste_key()
        await until(pilot, lambda: type(on.app.screen).__name__ == "KeyEntry" and on.app.screen.query("#secret"))
        await pilot.press("tab", "enter")

        overlay = on.app.screen.query_one("#provider").query_one("SelectOverlay")
        await until(pilot, lambda: overlay.size.height >= 8)


async def test_a_pasted_key_is_tried_with_a_word_and_a_line_up_is_made_of_it(own_environment: Path) -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await enter_key(on, pilot, SECRET)
        await until(pilot, lambda: any("It works" in note.message for note in on.app._notifications))

        (request,) = on.engine.requests
        assert request.params.max_tokens == 16
        assert stored_keys_file(own_environment / "config").exists()
        assert on.engine.keys == [("openai", SECRET)]
        await until(pilot, lambda: on.panes)


async def test_pasting_another_key_leaves_what_is_under_way_alone(own_environment: Path) -> None:
    on = Stage(("alpha",), {"alpha": (Wait(), Hold(), *ANSWER)})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: on.states() == ["queued"])
        await enter_key(on, pilot, SECRET)
        await until(pilot, lambda: on.engine.keys == [("openai", SECRET)])

        assert on.states() == ["queued"]
        on.engine.release()
        await until(pilot, lambda: on.states() == ["done"])


async def test_a_key_pasted_into_the_demo_is_kept_for_later_and_says_so(own_environment: Path) -> None:
    on = Stage((), demo=True)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await enter_key(on, pilot, SECRET)
        await until(pilot, lambda: any("leave the demo" in note.message for note in on.app._notifications))

        assert on.engine.keys == []
        assert on.app.desk.engine.settings.provider("openai").secrets == (SECRET,)


async def test_a_rejected_key_is_not_kept(own_environment: Path) -> None:
    on = Stage(())
    on.engine.otherwise = (Fail(KeyRejected("OpenAI does not know this key.", provider="openai", status=401)),)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await enter_key(on, pilot, SECRET)
        await until(pilot, lambda: any("does not know this key" in note.message for note in on.app._notifications))

        assert not stored_keys_file(own_environment / "config").exists()
        assert on.app.desk.engine.settings.provider("openai").secrets == ()


async def test_a_key_that_cannot_be_tried_is_kept_and_says_so(own_environment: Path) -> None:
    on = Stage(())
    on.engine.otherwise = (Fail(ConnectionFailed("OpenAI cannot be reached.", provider="openai")),)
    async with on.app.run_test(size=(120, 35)) as pilot:
        await enter_key(on, pilot, SECRET)
        await until(pilot, lambda: any("could not be tried" in note.message for note in on.app._notifications))

        assert stored_keys_file(own_environment / "config").exists()


@pytest.mark.parametrize(
    ("secret", "provider"),
    [
        ("sk-ant-api03-x", "anthropic"),
        ("sk-or-v1-x", "openrouter"),
        ("sk-proj-x", "openai"),
        ("AIzaSyx", "gemini"),
        ("gsk_x", "groq"),
        ("0123abcd", None),
    ],
)
def test_a_key_tells_whose_it_is_where_it_can(secret: str, provider: str | None) -> None:
    assert provider_of_key(secret) == provider


async def test_a_text_file_becomes_the_prompt(tmp_path: Path) -> None:
    file = tmp_path / "question.md"
    file.write_text("# Why?\n\nExplain.")
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await pilot.press("up", "enter")
        await until(pilot, lambda: type(on.app.screen).__name__ == "NameDialog" and on.app.focused is not None)
        on.app.screen.query_one(Input).value = str(file)
        await pilot.press("enter")

        await until(pilot, lambda: on.compare.editor.draft.prompt == "# Why?\n\nExplain.")


async def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    on = Stage(())
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.app.errands.open_file()
        await until(pilot, lambda: type(on.app.screen).__name__ == "NameDialog" and on.app.focused is not None)
        on.app.screen.query_one(Input).value = str(tmp_path / "missing.md")
        await pilot.press("enter")

        await until(pilot, lambda: any("cannot be read" in note.message for note in on.app._notifications))


async def test_with_a_line_up_from_last_time_there_is_no_start_screen() -> None:
    first = Stage(("alpha",))
    async with first.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        first.app.choices.change_line_up(first.compare.comparison.line_up.duplicate(1))
        await until(pilot, lambda: len(first.panes) == 2)

    again = Stage(())
    async with again.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        assert [pane.lane.target.model for pane in again.panes] == ["alpha", "alpha"]
        assert not again.compare.query("StartPanel")


async def test_the_settings_default_line_up_is_used() -> None:
    settings = Settings(lineups={"mine": ("alpha", "beta")}, default_lineup="mine")
    on = Stage((), settings=settings)
    async with on.app.run_test(size=(100, 30)) as pilot:
        await ready(pilot)
        assert [pane.lane.target.model for pane in on.panes] == ["alpha", "beta"]
