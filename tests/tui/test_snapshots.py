"""What the screens look like, sign by sign: a frozen session in three sizes, in each theme and without colour.

`pytest --snapshot-update tests/tui/test_snapshots.py` takes new pictures; look at them before they are committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from scripted_engine import End, Fail, Hold, Say, Think, Wait
from textual.pilot import Pilot
from textual.widgets import Input
from tui_stage import Stage, ready, until

from workbench.core.errors import RateLimited
from workbench.core.types import FinishReason

ANSWER = """\
## One scan instead of two

The inner query reads `orders` **again**, since it is *not* correlated:

```sql
with agg as (
  select customer_id, sum(total) as spent
  from orders group by customer_id
)
select * from agg where spent > 10;
```

| step | before | after |
|:-----|-------:|------:|
| scans | 2 | 1 |
| cost | 8,412 | 4,207 |

- one sequential scan
- a hash aggregate replaces the semi-join
"""

REFUSED = RateLimited(
    "OpenAI refuses for now: 3 requests per minute are used up.",
    provider="openai",
    status=429,
    code="rate_limit_exceeded",
    request_id="req_7f3a",
    hint="It passes in 20 s.",
)

SEEN = Hold("seen")
"""Until the panes have drawn the beginning: an answer that is over when it is first drawn is shown from its top."""

LINE_UP = ("gpt-5.4", "anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-flash", "local/qwen3-8b")

SCRIPTS = {
    "gpt-5.4": (
        Think("First, find why the table is read twice. " * 3),
        Say(ANSWER[:60]),
        SEEN,
        Say(ANSWER[60:]),
        End(),
    ),
    "anthropic/claude-sonnet-4-6": (Say(ANSWER[:60]), SEEN, Say(ANSWER[60:310]), End(FinishReason.LENGTH)),
    "gemini/gemini-2.5-flash": (Say("The subquery is "), SEEN, Say("evaluated once"), Fail(REFUSED)),
    "local/qwen3-8b": (Wait(seconds=6.0, ahead=2), Hold(), End()),
}

SIZES = [(200, 50), (120, 35), (80, 24)]
FOREVER = 1e9
"""Seconds to draw in: no frame is cut short."""
THEMES = ["workbench-dark", "workbench-light", "ansi-dark", "ansi-light"]

Scene = Callable[[Pilot[Any]], Awaitable[None]]


async def settled(pilot: Pilot[Any], on: Stage) -> None:
    """Until there is nothing left to draw, however slow the machine: it is drawn now, instead of waited for.

    The app's own turns may still be to come when this asks (a lexer that is loading, the bars at 4 Hz, the frame
    clock), so each is done here, and what no call brings forward (layout, messages) has come when nothing changes.
    """
    before, same = "", 0
    async with asyncio.timeout(120):
        while same < 3:
            await pilot.app.workers.wait_for_complete()
            for pane in on.panes:
                pane.flush(FOREVER)
            busy = any(pane.view.flush(FOREVER) for pane in on.panes)
            on.compare.refresh_bars()
            await pilot.pause(0.05)
            now = pilot.app.export_screenshot(simplify=True)
            before, same = now, same + 1 if now == before and not busy else 0


def still(scene: Callable[[Pilot[Any], Stage], Awaitable[None]], on: Stage) -> Scene:
    """The scene, in an app that does nothing by itself any more."""

    async def run(pilot: Pilot[Any]) -> None:
        await ready(pilot)
        on.compare.editor.prompt_area.cursor_blink = False
        await scene(pilot, on)
        await settled(pilot, on)

    return run


async def compared(pilot: Pilot[Any], on: Stage) -> None:
    on.compare.editor.insert_typed("Rewrite this query so that it reads the table once.")
    await pilot.press("enter")
    await until(pilot, lambda: all(pane.view.text for pane in on.panes[:3] if pane.has_class("-on-screen")))
    on.engine.release(SEEN.name)
    await until(pilot, lambda: on.states() == ["done", "truncated", "failed", "queued"])


async def written(pilot: Pilot[Any], on: Stage) -> None:
    on.compare.editor.insert_typed("Rewrite this query\nso that it reads the table once.")
    await until(pilot, lambda: "for 4 models" in str(on.compare.editor.border_subtitle))


async def choosing(pilot: Pilot[Any], on: Stage) -> None:
    await pilot.press("f2")
    await until(pilot, lambda: on.app.screen.query("#models") and on.app.screen.query_one("#models").option_count)  # type: ignore[attr-defined]  # a list
    on.app.screen.query_one("#search", Input).cursor_blink = False
    await pilot.press(*"sonnet")
    await until(pilot, lambda: len(on.app.screen._rows) < 50)  # type: ignore[attr-defined]  # the picker


async def helped(pilot: Pilot[Any], on: Stage) -> None:
    await pilot.press("f1")
    await until(pilot, lambda: on.app.screen.query("MarkdownBlock"))


async def nothing(pilot: Pilot[Any], on: Stage) -> None:
    await until(pilot, lambda: "no key in the environment" in on.compare.start_panel.plain)


def stage(theme: str = "workbench-dark", models: tuple[str, ...] = LINE_UP) -> Stage:
    return Stage(models, dict(SCRIPTS), theme=theme)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_comparison(snap_compare: Any, size: tuple[int, int], theme: str) -> None:
    on = stage(theme)

    assert snap_compare(on.app, terminal_size=size, run_before=still(compared, on))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_first_run(snap_compare: Any, size: tuple[int, int]) -> None:
    on = stage(models=())

    assert snap_compare(on.app, terminal_size=size, run_before=still(nothing, on))


@pytest.mark.parametrize("scene", [written, choosing, helped])
def test_other_screens(snap_compare: Any, scene: Callable[[Pilot[Any], Stage], Awaitable[None]]) -> None:
    on = stage()

    assert snap_compare(on.app, terminal_size=(120, 35), run_before=still(scene, on))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_without_colour(snap_compare: Any, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    on = stage()

    assert snap_compare(on.app, terminal_size=size, run_before=still(compared, on))
