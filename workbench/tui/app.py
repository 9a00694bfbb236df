"""The app: puts memory, engine and screens together, and carries out what concerns all of them.

Nothing heavy happens before the first paint: the engine, the price table and the SDKs come after it, off the loop. The
engine's host runs in one task that the app owns and awaits when it ends.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.filter import LineFilter
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from workbench.core.clock import Clock, SystemClock
from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths
from workbench.core.settings import Settings
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.memory import Memory
from workbench.session.targets import LineUp, Target
from workbench.tui import areas, theming
from workbench.tui.ascii_signs import AsciiSigns
from workbench.tui.autosave import Autosave
from workbench.tui.desk import Desk
from workbench.tui.engine_room import EngineRoom
from workbench.tui.frame import FrameClock, settle_heap
from workbench.tui.glyphs import Glyphs
from workbench.tui.host import Opener
from workbench.tui.screens.area import AreaScreen
from workbench.tui.screens.compare import CompareScreen
from workbench.tui.spend_cap import SpendCap

if TYPE_CHECKING:
    from textual.content import Content

    from workbench.core.types import Params
    from workbench.tui.batch_room import BatchRoom
    from workbench.tui.screens.model_picker import ModelPicker
    from workbench.tui.widgets.prompt_editor import PromptEditor


WARMING = "warming"


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
        Binding("ctrl+t", "choose_area", "Go to", id="app.areas", tooltip="Another area: then its digit"),
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
        self.settings = settings
        self.areas = tuple(areas)
        for area in self.areas:
            self.add_mode(area.mode, partial(area.open, self))
        self._environ = os.environ if environ is None else environ
        paths = Paths.from_environment(self._environ)
        # A demo leaves nothing behind, not even a draft.
        memory = Memory(None if demo else paths.state)
        engine = EngineRoom(settings, self._environ, demo=demo, day=day, opener=opener)
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
        self._apply_keymap()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """After the first paint: open the engine, tell what went wrong on the way here."""
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
        self._later(self._learn)
        self._later(self._enter_batches)

    async def _learn(self) -> None:
        """The engine is open: read what models there are, then warm the line-up's."""
        engine = self.desk.engine
        await engine.learn()
        await self.compare.show_line_up()
        self.compare.start_panel.show_found(self._found())
        await engine.warm(target.model for target in self.desk.comparison.line_up)
        if not self.is_headless:
            settle_heap()
        if engine.is_demo:
            await engine.fetch_lists()

    def _warm(self) -> None:
        """Warming is a courtesy: what it could not do the first request will do, or explain."""
        models = [target.model for target in self.desk.comparison.line_up]
        self._later(partial(self.desk.engine.warm, models), group=WARMING)

    def _tell_trouble(self, error: WorkbenchError) -> None:
        title = f"Engine not started: {error.title}"
        self.notify(str(error), title=title, severity="error", markup=False, timeout=15)

    def _tell_notice(self, text: str, hint: str) -> None:
        self.notify(f"{text} {hint}".strip(), title="Note", severity="warning", markup=False, timeout=10)

    def start_demo(self, draft: Draft | None = None) -> None:
        """Ask simulated models from now on; with a draft, ask them that at once."""
        from workbench.demo import DEMO_LINE_UP

        self.desk.comparison.start_over()
        self.desk.engine.host.use(demo=True)
        self.spend_cap.enter_world()
        # The last one declines, to show what that looks like.
        self._set_line_up(LineUp.of(*DEMO_LINE_UP, "gpt-4.1-nano"))
        if draft is not None:
            self.desk.comparison.send(draft)
            self.remember_sent(draft)

    def leave_demo(self) -> None:
        self.desk.comparison.start_over()
        self.desk.engine.host.use(demo=False)
        self.spend_cap.enter_world()
        self._set_line_up(self.desk.memory.last_line_up)

    # The line-up

    def change_line_up(self, line_up: LineUp) -> None:
        """Another line-up: its lanes are on screen at once, what left it is stopped, and it is remembered."""
        if line_up == self.desk.comparison.line_up:
            return
        if not self.desk.engine.is_demo:
            self.desk.memory.remember_line_up(line_up)
        self._set_line_up(line_up)

    def _set_line_up(self, line_up: LineUp) -> None:
        self.desk.comparison.set_line_up(line_up)
        self._later(self.compare.show_line_up)
        self._warm()

    def use_what_was_found(self) -> None:
        """A line-up of one model for every provider that can be asked."""
        directory = self.desk.engine.directory
        models = directory.first_choices() if directory is not None else ()
        models += tuple(server.models[0] for server in self.desk.engine.servers if server.models)
        if models:
            self.change_line_up(LineUp.of(*models))
            self.compare.action_focus_prompt()
        else:
            self.flash("Nothing was found: paste a key, or watch the demo.")

    def _found(self) -> list[str]:
        """What can be asked, as phrases."""
        directory = self.desk.engine.directory
        states = directory.providers if directory is not None else ()
        keys = [f"{state.title} ({', '.join(state.sources)})" for state in states if state.sources]
        return keys + [server.phrase for server in self.desk.engine.servers]

    def choose_models(self) -> None:
        directory = self.desk.engine.directory
        if directory is None:
            self.flash("Still reading the list of models: one moment.")
            return
        from workbench.tui.screens.model_picker import ModelPicker

        def chosen(line_up: LineUp | None) -> None:
            if line_up is not None:
                self.change_line_up(line_up)

        picker = ModelPicker(directory, self.desk.memory, self.desk.comparison.line_up, self.desk.glyphs)
        self.push_screen(picker, chosen)
        self._later(partial(self._complete_lists, picker))

    async def _complete_lists(self, picker: ModelPicker) -> None:
        """While somebody chooses, ask the providers what else they have."""
        if await self.desk.engine.fetch_lists() and picker.is_attached:
            picker.refresh_models()

    def edit_target(self, target: Target) -> None:
        from workbench.tui.screens.params_dialog import ParamsDialog

        def edited(params: Params | None) -> None:
            if params is not None:
                self.change_line_up(self.desk.comparison.line_up.update(target.slot, params=params))

        self.push_screen(ParamsDialog(target), edited)

    def paste_key(self, model: str = "") -> None:
        directory = self.desk.engine.directory
        if directory is None:
            self.flash("Still looking at the providers: one moment.")
            return
        from workbench.tui.screens.key_entry import KeyEntry

        def pasted(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                self._later(partial(self._keep_key, *answer))

        self.push_screen(KeyEntry(directory.providers, directory.entry(model).provider if model else ""), pasted)

    async def _keep_key(self, provider: str, secret: str) -> None:
        await self.desk.comparison.settle()
        self.flash(f"Trying the key for {provider}…")
        try:
            outcome = await self.desk.engine.add_key(provider, secret)
        except WorkbenchError as error:
            self.notify(str(error), title=f"Key not kept: {error.title}", severity="error", markup=False, timeout=10)
            return
        self.notify(outcome, title=f"Key for {provider}", markup=False)
        if not self.desk.comparison.lanes:
            self.use_what_was_found()

    # Prompts and answers

    def remember_sent(self, draft: Draft) -> None:
        """The prompt is on its way: it goes into the history, its models to the recent ones."""
        self.desk.memory.remember_prompt(draft.prompt)
        if not self.desk.engine.is_demo:
            self.desk.memory.remember_models(target.model for target in self.desk.comparison.line_up)

    def copy_text(self, text: str, what: str) -> None:
        if text:
            self._later(partial(self._copy, text, what))
        else:
            self.flash("Nothing to copy yet.")

    async def _copy(self, text: str, what: str) -> None:
        from workbench.tui.clipboard import copy_with, desktop_tool

        tool = None if self.is_headless or self.is_web else desktop_tool(self._environ)
        way = "through the terminal"
        if tool is not None and await copy_with(tool, text):
            way = f"with {tool[0]}"
        else:
            self.copy_to_clipboard(text)
        self.flash(f"Copied {what}: {len(text):,} characters, {way}.")

    def edit_prompt(self, editor: PromptEditor) -> None:
        """The prompt in the person's own editor."""
        from workbench.tui.external import edit_in

        text = editor.prompt_area.text
        edited = edit_in(self, self._environ, text)
        if edited is not None and edited != text:
            editor.prompt_area.replace_all(edited)

    def show_in_pager(self, text: str) -> None:
        from workbench.tui.external import page_in

        page_in(self, self._environ, text)

    def open_file(self) -> None:
        from workbench.tui.screens.name_dialog import NameDialog

        def chosen(path: str | None) -> None:
            if path:
                self._later(partial(self._read_file, Path(path).expanduser()))

        hint = "a text or Markdown file · enter opens it · esc leaves it"
        self.push_screen(NameDialog("Open a file as the prompt", hint=hint), chosen)

    async def _read_file(self, path: Path) -> None:
        from workbench.session.draft import read_prompt

        try:
            text = await asyncio.to_thread(read_prompt, path)
        except WorkbenchError as error:
            self.notify(str(error), title="File not opened", severity="error", markup=False)
        else:
            self.compare.editor.prompt_area.replace_all(text)
            self.compare.action_focus_prompt()

    # Looks and keys

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theming.ramp_defaults(self.current_theme)

    def _first_theme(self, asked_for: str | None) -> str:
        """The theme that was asked for, by argument, settings, memory or environment; ours if there is no such one."""
        themes, problems = theming.load_themes([theming.shipped_themes(), self.desk.paths.themes])
        for theme in themes:
            self.register_theme(theme)
        self._complaints += [("Theme not loaded", str(problem)) for problem in problems]
        environment = self._environ.get("TEXTUAL_THEME")
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

    def has_area(self, mode: str) -> bool:
        return any(area.mode == mode for area in self.areas)

    def action_choose_area(self) -> None:
        from workbench.tui.screens.area_bar import AreaBar

        def chosen(mode: str | None) -> None:
            if mode is not None:
                self.action_go_to(mode)

        self.push_screen(AreaBar(self.areas, self.current_mode), chosen)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "choose_area" or len(self.areas) > 1

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

    def _later(self, work: Callable[[], Awaitable[None]], *, group: str = "default") -> None:
        """Run something on the side; what goes wrong in it is told, and ends nothing else."""
        self.run_worker(work, group=group, exclusive=group == WARMING, exit_on_error=False)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR and event.worker.error is not None and event.worker.group != WARMING:
            error = event.worker.error
            said = str(error) if isinstance(error, WorkbenchError) else f"{type(error).__name__}: {error}"
            self.notify(said, title="Something went wrong", severity="error", markup=False, timeout=10)
