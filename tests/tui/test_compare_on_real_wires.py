"""The whole line: keys pressed in the app, real SDKs, real sockets, a simulator that judges every request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot
from tui_stage import until

from workbench.core.settings import ProviderSettings, RetrySettings, Settings
from workbench.demo import DEMO_LINE_UP, World, demo_world
from workbench.engine.engine import Engine
from workbench.simulator.server import SimulatorThread
from workbench.tui.app import WorkbenchApp
from workbench.tui.host import OpenEngine, Opener
from workbench.tui.widgets.lane_header import state_words


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(profile="fast") as running:
        yield running


def opener(world: World) -> Opener:
    @asynccontextmanager
    async def open_engine(demo: bool) -> AsyncIterator[OpenEngine]:
        async with Engine(world.settings, environ=world.environ) as engine:
            yield OpenEngine(engine, world.settings, world.environ, demo)

    return open_engine


def workbench(
    simulator: SimulatorThread, root: Path, models: Sequence[str], **providers: ProviderSettings
) -> WorkbenchApp:
    world = demo_world(simulator, Settings(), root)
    settings = msgspec.structs.replace(
        world.settings,
        providers={**world.settings.providers, **providers},
        retry=RetrySettings(max_retries=0),
    )
    return WorkbenchApp(
        Settings(), environ=world.environ, models=models, opener=opener(World(settings, world.environ)), demo=True
    )


async def ask(pilot: Pilot[Any], app: WorkbenchApp, prompt: str) -> None:
    app.compare.editor.insert_typed(prompt)
    await pilot.press("enter")
    await until(pilot, lambda: app.desk.comparison.lanes[0].turns, "sent")
    await until(pilot, lambda: not app.desk.comparison.is_running, "everybody has answered")


def outcomes(app: WorkbenchApp) -> list[tuple[str, Exception | None]]:
    return [(str(lane.state), lane.turns[-1].error) for lane in app.desk.comparison.lanes]


async def test_four_wire_families_answer_side_by_side(simulator: SimulatorThread, tmp_path: Path) -> None:
    app = workbench(simulator, tmp_path, DEMO_LINE_UP)
    async with app.run_test(size=(200, 50)) as pilot:
        await ask(pilot, app, "How do B-trees stay balanced?")

        lanes = app.desk.comparison.lanes
        assert outcomes(app) == [("done", None)] * 4
        await until(
            pilot, lambda: all(p.view.text == p.lane.turns[-1].text() != "" for p in app.compare.deck.panes), "drawn"
        )
        numbers = [lane.turns[-1].numbers(app.desk.clock.monotonic_ns()) for lane in lanes]
        assert all(one.ttft_s is not None and not one.tokens_estimated for one in numbers)
        assert lanes[0].turns[-1].result is not None
        assert lanes[0].turns[-1].result.cost_usd is not None

        # Each lane goes on with its own conversation, through its own wire.
        await ask(pilot, app, "And after a deletion?")
        assert outcomes(app) == [("done", None)] * 4
        assert all(len(lane.turns[-1].request.messages) == 3 for lane in lanes)


@pytest.mark.parametrize(
    ("model", "states", "said"),
    [
        ("gpt-4.1!unauthorized", ["failed"], "key"),
        ("gpt-4.1-nope", ["failed"], "gpt-4.1-nope"),
        ("gtp-5.4", ["failed"], "Did you mean"),
        ("gpt-4.1!server-error", ["failed"], "500"),
        ("gpt-4.1!html", ["failed"], ""),
        ("gpt-4.1!cut;after=3", ["incomplete"], ""),
        ("gpt-4.1!empty", ["failed"], ""),
        ("gpt-4.1!spent", ["failed"], ""),
        ("gpt-4.1!error-event;after=3", ["failed", "incomplete"], ""),
        ("gpt-4.1!blocked", ["filtered", "failed"], ""),
        ("gpt-4.1!refusal", ["refused"], ""),
        ("nowhere/anything", ["failed"], "reach"),
    ],
)
async def test_what_goes_wrong_is_said_in_its_own_pane_and_nowhere_else(
    simulator: SimulatorThread, tmp_path: Path, model: str, states: list[str], said: str
) -> None:
    closed = ProviderSettings(base_url="http://127.0.0.1:9/v1", needs_key=False)
    app = workbench(simulator, tmp_path, [model, "local/qwen3-8b"], nowhere=closed)
    async with app.run_test(size=(120, 35)) as pilot:
        await ask(pilot, app, "Hello")

        first, second = app.compare.deck.panes
        assert str(first.lane.state) in states
        assert str(second.lane.state) == "done"
        # Until the next frame the pane shows how it was before the answer came.
        ending = state_words(first.lane.state, first.lane.turns[-1].error)
        await until(pilot, lambda: ending in str(first.border_title) and ending in first.notice.plain, "the notice")
        assert said.lower() in first.notice.plain.lower()
        assert simulator.api_key not in first.notice.plain
        await until(pilot, lambda: not second.notice.plain and second.view.text, "the other one is unharmed")
