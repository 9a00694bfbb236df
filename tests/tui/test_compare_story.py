"""A person compares models: sends, stops, repeats, goes on, looks back."""

from __future__ import annotations

from typing import Any

import pytest
from scripted_engine import ANSWER, End, Fail, Hold, Say, ScriptedLanes, Think, Wait
from textual.pilot import Pilot
from tui_stage import Stage, ready, until

from workbench.core.errors import KeyRejected, MissingKey, QuotaSpent, RateLimited, UnsupportedParameter
from workbench.core.types import FinishReason, KeyAlias, Params
from workbench.session.targets import LineUp, Target

HELD = (Say("First half, "), Hold(), Say("second half."), End())


async def send(pilot: Pilot[Any], prompt: str = "Why?") -> None:
    pilot.app.compare.editor.insert_typed(prompt)  # type: ignore[attr-defined]  # ours
    await pilot.press("enter")


def texts(on: Stage) -> list[str]:
    return [pane.view.text for pane in on.panes]


async def test_a_prompt_goes_to_every_model_and_every_answer_is_shown() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)

        await send(pilot, "Say hello")
        await until(pilot, lambda: on.states() == ["done", "done"])

        assert [request.messages[-1].text for request in on.engine.requests] == ["Say hello", "Say hello"]
        await until(pilot, lambda: texts(on) == ["Hello, world."] * 2)
        assert on.compare.editor.draft.prompt == ""
        assert "Say hello" in on.compare.app_bar.plain


async def test_the_borders_say_state_and_figures() -> None:
    on = Stage(("alpha",), {"alpha": (Think("Hmm, well. "), Say("Because it is so."), End())})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["done"])
        pane = on.panes[0]
        await until(pilot, lambda: "8 tok" in str(pane.border_subtitle))

        assert "✓ done" in str(pane.border_title)
        subtitle = str(pane.border_subtitle)
        for part in ("TTFT", "0.41s", "answer", "0.46s", "80 t/s", "8 tok", "<$0.0001"):
            assert part in subtitle, f"{part} in {subtitle}"


async def test_stopping_one_answer_keeps_its_text_and_leaves_the_others_running() -> None:
    on = Stage(("alpha", "beta"), {"alpha": HELD, "beta": HELD})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: texts(on) == ["First half, "] * 2)

        await pilot.press("escape", "1", "x")
        assert on.states() == ["stopped", "streaming"]
        on.engine.release()
        await until(pilot, lambda: on.states() == ["stopped", "done"])

        await until(pilot, lambda: texts(on) == ["First half, ", "First half, second half."])
        assert on.engine.running == 0


async def test_f8_stops_everything_at_once() -> None:
    on = Stage(("alpha", "beta"), {"alpha": HELD, "beta": HELD})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["streaming", "streaming"])

        await pilot.press("f8")

        assert on.states() == ["stopped", "stopped"]
        await until(pilot, lambda: on.engine.running == 0)


async def test_escape_twice_stops_the_focused_answer_and_once_only_warns() -> None:
    on = Stage(("alpha",), {"alpha": HELD})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["streaming"])

        await pilot.press("escape", "escape")
        assert on.states() == ["streaming"]
        assert "Esc again stops alpha" in on.compare.status.plain

        await pilot.press("escape")
        assert on.states() == ["stopped"]


async def test_an_answer_can_be_asked_for_again() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["done", "done"])

        await pilot.press("escape", "2", "r")
        await until(pilot, lambda: len(on.engine.requests) == 3 and on.states() == ["done", "done"])

        assert on.engine.requests[-1].model == "beta"
        assert len(on.compare.comparison.lanes[1].turns) == 1


async def test_running_with_an_empty_prompt_asks_the_last_question_again() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot, "Why?")
        await until(pilot, lambda: on.states() == ["done", "done"])

        await pilot.press("f5")
        await until(pilot, lambda: len(on.engine.requests) == 4)

        assert [request.messages[-1].text for request in on.engine.requests] == ["Why?"] * 4


async def test_a_second_prompt_continues_each_conversation_and_turns_can_be_walked() -> None:
    on = Stage(("alpha", "beta"))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot, "First?")
        await until(pilot, lambda: on.states() == ["done", "done"])
        on.engine.otherwise = (Say("Second answer."), End())
        await send(pilot, "Second?")
        await until(pilot, lambda: texts(on) == ["Second answer."] * 2)

        assert [message.text for message in on.engine.requests[-1].messages] == ["First?", "Hello, world.", "Second?"]
        await pilot.press("escape", "left_square_bracket")
        await until(pilot, lambda: texts(on) == ["Hello, world."] * 2)
        assert "First?" in on.compare.app_bar.plain
        assert "turn 1 of 2" in on.compare.app_bar.plain
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: texts(on) == ["Second answer."] * 2)


async def test_a_new_conversation_can_be_taken_back() -> None:
    on = Stage(("alpha",))
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot, "First?")
        await until(pilot, lambda: texts(on) == ["Hello, world."])

        await pilot.press("ctrl+n")
        await until(pilot, lambda: texts(on) == [""])
        await pilot.press("escape", "u")
        await until(pilot, lambda: texts(on) == ["Hello, world."])

        await pilot.press("ctrl+n")
        await send(pilot, "Other?")
        await until(pilot, lambda: len(on.engine.requests) == 2)
        assert [message.text for message in on.engine.requests[-1].messages] == ["Other?"]


async def test_a_prompt_is_not_sent_into_a_running_answer_and_not_lost() -> None:
    on = Stage(("alpha",), {"alpha": HELD})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot, "One")
        await until(pilot, lambda: on.states() == ["streaming"])

        await send(pilot, "Two")

        assert len(on.engine.requests) == 1
        assert on.compare.editor.draft.prompt == "Two"
        assert "Still answering" in on.compare.status.plain


async def test_focus_stays_where_it_is_when_an_answer_ends() -> None:
    on = Stage(("alpha", "beta"), {"alpha": HELD, "beta": HELD})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["streaming", "streaming"])
        await pilot.press(*"next")

        on.engine.release()
        await until(pilot, lambda: on.states() == ["done", "done"])

        assert on.app.focused is on.compare.editor.prompt_area
        assert on.compare.editor.draft.prompt == "next"


async def test_a_waiting_request_says_why_and_counts_down() -> None:
    on = Stage(("alpha",), {"alpha": (Wait(seconds=6.0, ahead=2), Hold(), *ANSWER)})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: "goes in 6 s" in on.panes[0].notice.plain)

        on.clock.advance(4.5)
        await until(pilot, lambda: "goes in 2 s" in on.panes[0].notice.plain)

        assert "requests per minute" in on.panes[0].notice.plain
        assert "2 ahead" in on.panes[0].notice.plain
        on.engine.release()
        await until(pilot, lambda: on.states() == ["done"])


async def test_a_failure_stands_in_its_pane_with_what_had_arrived_and_a_fix_that_works() -> None:
    refusal = RateLimited(
        "OpenAI: too many requests.", provider="openai", status=429, request_id="req_42", hint="It passes with time."
    )
    on = Stage(("alpha", "beta"), {"alpha": (Say("Half an ans"), Fail(refusal))})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["failed", "done"])
        pane = on.panes[0]
        await until(pilot, lambda: "rate limit" in pane.notice.plain)

        assert pane.view.text == "Half an ans"
        for part in ("too many requests", "It passes with time", "HTTP 429", "request req_42", "1 retry"):
            assert part in pane.notice.plain.replace("  ", " ")
        on.engine.scripts = {}
        await pilot.press("escape", "l", "h", "1")
        await until(pilot, lambda: on.states() == ["done", "done"])
        await until(pilot, lambda: texts(on) == ["Hello, world."] * 2)


async def test_a_refused_parameter_is_dropped_by_its_fix() -> None:
    error = UnsupportedParameter("alpha takes no temperature.", parameter="temperature")
    on = Stage(("alpha",), {"alpha": (Fail(error),)})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        on.app.choices.change_line_up(LineUp().add(Target("alpha", Params(temperature=0.2))))
        await until(pilot, lambda: len(on.panes) == 1 and on.panes[0].lane.target.params.temperature == 0.2)
        await send(pilot)
        await until(pilot, lambda: "without temperature" in on.panes[0].notice.plain)
        on.engine.scripts = {}

        await pilot.press("escape", "1")
        await until(pilot, lambda: on.states() == ["done"])

        assert on.engine.requests[-1].params == Params()
        assert on.compare.comparison.line_up.targets[0].params == Params()


async def test_retrying_what_failed_leaves_good_answers_alone() -> None:
    on = Stage(("alpha", "beta"), {"alpha": (Fail(RateLimited("no")),)})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["failed", "done"])
        on.engine.scripts = {}

        await pilot.press("escape", "R")
        await until(pilot, lambda: on.states() == ["done", "done"])

        assert [request.model for request in on.engine.requests] == ["alpha", "beta", "alpha"]


@pytest.mark.parametrize("press", [("r",), ("R",), ("2",)], ids=["retry", "retry failed", "fix"])
@pytest.mark.parametrize("kind", [KeyRejected, QuotaSpent])
async def test_asking_again_tries_a_key_again_that_was_left_out(
    press: tuple[str, ...], kind: type[KeyRejected | QuotaSpent]
) -> None:
    refused = kind("no", provider="openai", key_alias=KeyAlias("openai#1"))
    on = Stage(("alpha",), {"alpha": (Fail(refused),)})
    on.engine.limiter = ScriptedLanes()
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["failed"])
        on.engine.scripts = {}

        await pilot.press("escape", *press)
        await until(pilot, lambda: on.states() == ["done"])

        assert on.engine.limiter.done == [("revive", "openai#1", None)]


@pytest.mark.parametrize(
    ("reason", "state", "said"),
    [
        (FinishReason.LENGTH, "truncated", "ask again with max_tokens"),
        (FinishReason.CONTENT_FILTER, "filtered", "content filter"),
        (FinishReason.REFUSAL, "refused", "declined"),
        (FinishReason.TIMED_OUT, "timed out", "in time"),
    ],
)
async def test_ways_to_end_are_told_apart(reason: FinishReason, state: str, said: str) -> None:
    on = Stage(("alpha",), {"alpha": (Say("So far"), End(reason))})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == [state])

        await until(pilot, lambda: said in on.panes[0].notice.plain)
        assert on.panes[0].view.text == "So far"


async def test_a_missing_key_says_which_variable_and_offers_the_demo() -> None:
    on = Stage(("alpha",), {"alpha": (Fail(MissingKey("OpenAI", ("OPENAI_API_KEY",))),)})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: "OPENAI_API_KEY" in on.panes[0].notice.plain)

        assert "watch the demo" in on.panes[0].notice.plain


async def test_a_provider_cannot_put_markup_or_control_codes_on_the_screen() -> None:
    error = RateLimited("[bold red]boo[/] \x1b]0;title\x07\x1b[31m[@click=app.quit]go", provider="x")
    on = Stage(("alpha",), {"alpha": (Fail(error),)})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot, "[red]mine[/]")
        await until(pilot, lambda: "boo" in on.panes[0].notice.plain)

        assert "[bold red]boo[/]" in on.panes[0].notice.plain
        assert "\x1b" not in on.panes[0].notice.plain
        assert "[red]mine[/]" in on.compare.app_bar.plain


async def test_an_answer_and_a_conversation_are_copied_as_they_were_written() -> None:
    on = Stage(("alpha",), {"alpha": (Say("**bold** `code`\n"), End())})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["done"])

        await pilot.press("escape", "y")
        await until(pilot, lambda: on.app.clipboard == "**bold** `code`\n")
        await pilot.press("Y")
        await until(pilot, lambda: on.app.clipboard.startswith("# alpha\n\n## Prompt\n\nWhy?"))

        assert "Copied conversation" in on.compare.status.plain


async def test_every_request_is_gone_when_the_app_is_left() -> None:
    on = Stage(("alpha", "beta"), {"alpha": HELD, "beta": HELD})
    async with on.app.run_test(size=(120, 35)) as pilot:
        await ready(pilot)
        await send(pilot)
        await until(pilot, lambda: on.states() == ["streaming", "streaming"])

        await pilot.press("ctrl+q")
        await until(pilot, lambda: type(on.app.screen).__name__ == "QuitBar")
        await pilot.press("escape")
        assert on.engine.running == 2
        await pilot.press("ctrl+q", "enter")

    assert on.engine.running == 0
    assert on.app.return_code == 0
