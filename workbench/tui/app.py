"""The app: puts memory, engine and screens together, and carries out what concerns all of them.

Nothing heavy happens before the first paint: the engine, the price table and the SDKs come after it, off the loop. The
engine's host runs in one task that the app owns and awaits when it ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from workbench.core.clock import Clock, SystemClock
from workbench.core.errors import WorkbenchError
from workbench.core.heap import settle_heap, wake_collector
from workbench.core.paths import Paths
from workbench.core.settings import Settings
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.memory import Memory
from workbench.session.targets import LineUp, Target
from workbench.tui import ahead, areas, theming
from workbench.tui.ascii_signs import AsciiSigns
from workbench.tui.autosave import Autosave
from workbench.tui.choices import WARMING, Choices
from workbench.tui.desk import Desk
from workbench.tui.engine_room import EngineRoom
from workbench.tui.errands import Errands
from workbench.tui.frame import FIRST_FRAME_S, FrameClock
from workbench.tui.glyphs import Glyphs
from workbench.tui.host import Opener
from workbench.tui.picture import aligned
from workbench.tui.screens.area import AreaScreen
from workbench.tui.screens.compare import CompareScreen
from workbench.tui.spend_cap import SpendCap
from workbench.tui.stylesheet import KeptStylesheet
from workbench.tui.told_to_end import leave_when_told

if TYPE_CHECKING:
    from textual.content import Content

    from workbench.session.monitor_outlook import BatchOutlook
    from workbench.tui.batch_room import BatchRoom


class WorkbenchApp(App[object]):
    """The workbench in a terminal.

    Args:
        environ: where variables are looked up; the process's own when not given.
        prompt: put into the editor, in place of the draft from last time.
        models: the line-up; the settings' default one or the one from last time when empty.
        theme: overrides every other choice of one.
        demo: ask simulated models.
        day: what these are having, for a demo in which answers are slow.
        opener: opens engines; for tests.
        areas: what there is besides Compare, which must be the first; for tests.
    """

    TITLE = "llm-workbench"
    DEFAULT_MODE = areas.COMPARE.mode
    CSS_PATH: ClassVar[list[str]] = ["styles/compare.tcss"]  # type: ignore[assignment]  # a wider type there

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", id="app.help", tooltip="Help for what has the focus"),
        Binding("question_mark", "cheat_sheet", "Keys", id="app.keys", show=False, tooltip="All keys that work here"),
        # With priority, so that the list of areas is there before the digit that is typed next.
        Binding(
            "ctrl+t", "choose_area", "Go to", id="app.areas", priority=True, tooltip="Another area: then its digit"
        ),
        Binding("ctrl+q", "quit", "Quit", id="app.quit", show=False, priority=True, tooltip="Leave the workbench"),
    ]

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str] | None = None,
        prompt: str = "",
        models: Sequence[str] = (),
        theme: str | None = None,
        demo: bool = False,
        day: str | None = None,
        opener: Opener | None = None,
        clock: Clock | None = None,
        areas: Sequence[areas.Area] = areas.AREAS,
    ) -> None:
        super().__init__()
        self.stylesheet = KeptStylesheet(variables=self.get_css_variables())
        self.settings = settings
        self.areas = tuple(areas)
        for area in self.areas:
            self.add_mode(area.mode, partial(area.open, self))
        self.environ = os.environ if environ is None else environ
        paths = Paths.from_environment(self.environ)
        # A demo leaves nothing behind, not even a draft.
        memory = Memory(None if demo else paths.state)
        engine = EngineRoom(settings, self.environ, demo=demo, day=day, opener=opener)
        engine.on_ready = self._engine_ready
        engine.on_trouble = self._tell_trouble
        engine.on_notice = self._tell_notice
        clock = clock or SystemClock()
        self.desk = Desk(
            paths=paths,
            memory=memory,
            autosave=Autosave(self, memory),
            clock=clock,
            comparison=Comparison(engine.host.engine, clock),
            engine=engine,
            frames=FrameClock(self, hz=settings.ui.frame_rate),
            glyphs=Glyphs(settings.ui.ascii),
        )
        self.choices = Choices(self)
        self.errands = Errands(self)
        self.spend_cap = SpendCap(self, settings.limits.max_cost_usd)
        self._session: asyncio.Task[None] | None = None
        self._ascii_signs = AsciiSigns()
        self._complaints: list[tuple[str, str]] = [("Not remembered", problem) for problem in memory.problems]
        if prompt:
            memory.draft = Draft(prompt, memory.draft.system)
        elif memory.draft == Draft():
            memory.draft = Draft("", settings.defaults.system)
        self.desk.comparison.set_line_up(self._first_line_up(tuple(models)))
        # Here and not when mounted: a theme that is set later means reading all styles twice.
        self.theme = self._first_theme(theme)

    # Starting and ending

    @property
    def compare(self) -> CompareScreen:
        """The Compare screen, whichever area is looked at."""
        screen = self.get_screen_stack(self.DEFAULT_MODE)[0]
        assert isinstance(screen, CompareScreen)
        return screen

    @property
    def area_screen(self) -> AreaScreen:
        """The screen of the area that is looked at, be it under a dialog."""
        screen = self.screen_stack[0]
        assert isinstance(screen, AreaScreen)
        return screen

    @property
    def area_names(self) -> Content:
        counts = {area.mode: area.count(self) for area in self.areas}
        return areas.names(self.areas, self.current_mode, counts, self.desk.glyphs.dot)

    @property
    def front(self) -> Screen[object] | None:
        """The screen that a person looks at, be it a dialog; None when the program is ending."""
        return next(reversed(self.screen_stack), None)

    @property
    def screen_below(self) -> AreaScreen | None:
        """The screen that a person works on, be it under a dialog; None when the program is ending."""
        below = (screen for screen in reversed(self.screen_stack) if isinstance(screen, AreaScreen))
        return next(below, None)

    def flash(self, message: str) -> None:
        """Say something small for a few seconds, where the person looks."""
        if (screen := self.screen_below) is not None:
            screen.status.flash(message)

    def on_mount(self) -> None:
        if not self.is_headless:
            leave_when_told(self)
        self._apply_keymap()
        self.call_after_refresh(self.set_timer, FIRST_FRAME_S, self._begin)

    def _begin(self) -> None:
        """After the first paint: open the engine, tell what went wrong on the way here."""
        wake_collector()
        ahead.read_styles(self)
        self._session = asyncio.create_task(self.desk.engine.serve(self.desk.comparison), name="session")
        for title, complaint in self._complaints:
            self.notify(complaint, title=title, severity="warning", markup=False, timeout=10)

    async def on_unmount(self) -> None:
        self.desk.autosave.close()
        # Textual has cancelled what runs on the side, and does not wait for it; what that holds is closed before the
        # loop is.
        await asyncio.gather(*(worker.wait() for worker in list(self.workers)), return_exceptions=True)
        self.desk.engine.host.close()
        if self._session is not None:
            await self.desk.comparison.settle()
            await self._session

    def _first_line_up(self, asked_for: Sequence[str]) -> LineUp:
        params = self.settings.defaults.as_params()
        models = asked_for or self.settings.lineups.get(self.settings.default_lineup or "", ())
        if self.desk.engine.is_demo and not asked_for:
            from workbench.demo import line_up_for

            models = line_up_for(self.desk.engine.day)
        line_up = LineUp()
        for model in models:
            line_up = line_up.add(Target(model, params))
        return line_up if models else self.desk.memory.last_line_up

    # The engine

    def _engine_ready(self) -> None:
        self.later(self.learn)
        self.later(self._enter_batches)

    async def learn(self) -> None:
        """The engine is open, or has another key: read what models there are, then warm the line-up's."""
        engine = self.desk.engine
        await engine.learn()
        await self.compare.show_line_up()
        self.compare.start_panel.show_found(self.choices.found())
        await engine.warm(target.model for target in self.desk.comparison.line_up)
        await asyncio.to_thread(ahead.import_screens)
        if not self.is_headless:
            settle_heap()
        if engine.is_demo:
            await engine.fetch_lists()

    def _tell_trouble(self, error: WorkbenchError) -> None:
        title = f"Engine not started: {error.title}"
        self.notify(str(error), title=title, severity="error", markup=False, timeout=15)

    def _tell_notice(self, text: str, hint: str) -> None:
        self.notify(f"{text} {hint}".strip(), title="Note", severity="warning", markup=False, timeout=10)

    # Looks and keys

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theming.ramp_defaults(self.current_theme)

    def _first_theme(self, asked_for: str | None) -> str:
        """The theme that was asked for, by argument, settings, memory or environment; ours if there is no such one."""
        themes, problems = theming.load_themes([theming.shipped_themes(), self.desk.paths.themes])
        for theme in themes:
            self.register_theme(theme)
        self._complaints += [("Theme not loaded", str(problem)) for problem in problems]
        environment = self.environ.get("TEXTUAL_THEME")
        wanted = asked_for or self.settings.ui.theme or self.desk.memory.theme or environment
        if wanted and wanted not in self.available_themes:
            missing = f"There is no theme called {wanted!r}. The palette (ctrl+p) lists them under Theme."
            self._complaints.append(("Theme not found", missing))
            wanted = None
        return wanted or theming.DEFAULT_THEME

    def _apply_keymap(self) -> None:
        if self.settings.ui.keymap:
            from workbench.tui.keymap import check_keymap
            from workbench.tui.screens.help import known_bindings

            problems = check_keymap(self.settings.ui.keymap, known_bindings())
            self._complaints += [("Key not changed", problem) for problem in problems]
            self.set_keymap(self.settings.ui.keymap)

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return [*filters, self._ascii_signs] if self.settings.ui.ascii else filters

    def export_screenshot(self, *, title: str | None = None, simplify: bool = False) -> str:
        return aligned(super().export_screenshot(title=title, simplify=simplify))

    def get_key_display(self, binding: Binding) -> str:
        shown = super().get_key_display(binding)
        return shown.upper() if shown[0] == "f" and shown[1:].isdigit() else shown

    def action_change_theme(self) -> None:
        from workbench.tui.screens.theme_picker import ThemePicker

        def chosen(name: str | None) -> None:
            if name is not None:
                self.desk.memory.remember_looks(theme=name)

        self.push_screen(ThemePicker(), chosen)

    # Palette, help, leaving

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        from workbench.tui.commands import commands

        return commands(self)

    def action_help(self) -> None:
        from workbench.tui.screens.help import HelpScreen, help_for

        self.push_screen(HelpScreen(help_for(self.focused, self.screen)))

    def action_cheat_sheet(self) -> None:
        from workbench.tui.screens.help import CheatSheet, key_sections

        self.push_screen(CheatSheet(key_sections(self, self.screen.active_bindings)))

    # Areas

    def action_go_to(self, mode: str) -> None:
        """Another area; what is under way in this one goes on."""
        self.switch_mode(mode)

    @cached_property
    def batches(self) -> BatchRoom:
        """Made when it is first needed: the first paint does without."""
        from workbench.tui.batch_room import BatchRoom

        return BatchRoom(self)

    async def _enter_batches(self) -> None:
        await self.batches.enter(self.desk.engine.jobs, self.desk.engine.jobs_trouble)

    @property
    def open_jobs(self) -> int:
        """Batch jobs that are not over, as far as is known."""
        return self.batches.board.open_count if "batches" in self.__dict__ else 0

    @property
    def job_outlook(self) -> BatchOutlook:
        """What batch jobs have cost and will cost yet."""
        from workbench.session.monitor_outlook import BatchOutlook

        return self.batches.board.outlook if "batches" in self.__dict__ else BatchOutlook()

    def has_area(self, mode: str) -> bool:
        return any(area.mode == mode for area in self.areas)

    def action_choose_area(self) -> None:
        from workbench.tui.screens.area_bar import AreaBar

        def chosen(mode: str | None) -> None:
            if mode is not None:
                self.action_go_to(mode)

        self.push_screen(AreaBar(self.areas, self.current_mode), chosen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # Under a dialog there is nowhere to go to; the list of areas has a ctrl+t of its own.
        return action != "choose_area" or (len(self.areas) > 1 and isinstance(self.front, AreaScreen))

    async def action_quit(self) -> None:
        running = self.desk.comparison.tally().running
        if not running:
            self._leave()
            return
        from workbench.tui.screens.quit_bar import QuitBar

        def answered(leave: bool | None) -> None:
            if leave:
                self._leave()

        self.push_screen(QuitBar(running), answered)

    def _leave(self) -> None:
        """End the program; what goes on without it is said where the person can still read it."""
        self.exit(message=self.batches.farewell() if self.open_jobs else None)

    def later(self, work: Callable[[], Awaitable[None]], *, group: str = "default") -> None:
        """Run something on the side; what goes wrong in it is told, and ends nothing else."""
        self.run_worker(work, group=group, exclusive=group == WARMING, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None and event.worker.group != WARMING:
            error = event.worker.error
            said = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
            self.notify(said, title="Something went wrong", severity="error", markup=False, timeout=10)
