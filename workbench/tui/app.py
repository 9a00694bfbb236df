"""The app: puts settings, memory, engine and screens together, and carries out what concerns all of them.

Nothing heavy happens before the first paint: the engine, the price table and the SDKs come after it, off the loop. The
engine's host runs in one task that the app owns and awaits when it ends.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, SuspendNotSupported, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer

from workbench.core.clock import Clock, SystemClock
from workbench.core.errors import WorkbenchError
from workbench.core.paths import Paths
from workbench.core.settings import Settings
from workbench.session import figures
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.memory import Memory
from workbench.session.targets import LineUp, Target
from workbench.tui import theming
from workbench.tui.arrangement import PaneLayout
from workbench.tui.desk import Desk
from workbench.tui.frame import FrameClock
from workbench.tui.glyphs import Glyphs
from workbench.tui.host import EngineHost, OpenEngine, Opener
from workbench.tui.loop_lag import LoopLag
from workbench.tui.screens.compare import CompareScreen

if TYPE_CHECKING:
    from workbench.core.types import Params
    from workbench.engine.records import Traffic
    from workbench.session.model_directory import ModelDirectory
    from workbench.tui.widgets.prompt_editor import PromptEditor

DRAFT_DELAY_S = 0.5
"""After the last key press: what is written is on disk half a second later."""


class WorkbenchApp(App[object]):
    """The workbench in a terminal.

    Args:
        environ: where variables are looked up; the process's own when not given.
        prompt: put into the editor, in place of the draft from last time.
        models: the line-up; the settings' default one or the one from last time when empty.
        theme: overrides every other choice of one.
        demo: ask simulated models.
        opener: opens engines; for tests.
    """

    TITLE = "llm-workbench"
    CSS_PATH: ClassVar[list[str]] = ["styles/compare.tcss", "styles/dialogs.tcss"]  # type: ignore[assignment]  # Textual's is a union
    ENABLE_COMMAND_PALETTE = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", id="app.help", tooltip="Help for what has the focus"),
        Binding("question_mark", "cheat_sheet", "Keys", id="app.keys", show=False, tooltip="All keys that work here"),
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
        opener: Opener | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._first_theme = theme
        super().__init__()
        self.settings = settings
        self._environ = os.environ if environ is None else environ
        self._prompt = prompt
        self._models = tuple(models)
        paths = Paths.from_environment(self._environ)
        # A demo leaves nothing behind, not even a draft.
        memory = Memory(None if demo else paths.state)
        host = EngineHost(opener or self._open_engine, demo=demo)
        host.on_open = self._engine_opened
        clock = clock or SystemClock()
        self.desk = Desk(
            settings=settings,
            paths=paths,
            memory=memory,
            clock=clock,
            comparison=Comparison(host.engine, clock),
            host=host,
            frames=FrameClock(self),
            glyphs=Glyphs(settings.ui.ascii),
        )
        self.directory: ModelDirectory | None = None
        self.lag = LoopLag()
        self._opened: OpenEngine | None = None
        self._session: asyncio.Task[None] | None = None
        self._draft_timer: Timer | None = None
        self._unsaved: Draft | None = None

    # Starting and ending

    def get_default_screen(self) -> Screen[None]:
        return CompareScreen(self.desk)

    @property
    def compare(self) -> CompareScreen:
        screen = self.screen_stack[0]
        assert isinstance(screen, CompareScreen)
        return screen

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theming.ramp_defaults(self.current_theme)

    def on_mount(self) -> None:
        self._load_themes()
        self._apply_keymap()
        if self._prompt:
            self.desk.memory.draft = Draft(self._prompt, self.desk.memory.draft.system)
        elif self.desk.memory.draft == Draft():
            self.desk.memory.draft = Draft("", self.settings.defaults.system)
        self.desk.comparison.set_line_up(self._first_line_up())
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """After the first paint: open the engine, tell what went wrong on the way here."""
        self._session = asyncio.create_task(self._serve(), name="session")
        self.lag.start()
        for problem in self.desk.memory.problems:
            self.notify(problem, title="Not remembered", severity="warning", markup=False)

    async def _serve(self) -> None:
        async with self.desk.comparison:
            await self.desk.host.run()

    async def on_unmount(self) -> None:
        self.lag.stop()
        if self._unsaved is not None:
            self.desk.memory.save_draft(self._unsaved)
        self.desk.host.close()
        if self._session is not None:
            await self.desk.comparison.settle()
            await self._session

    def _first_line_up(self) -> LineUp:
        params = self.settings.defaults.as_params()
        named = self.settings.lineups.get(self.settings.default_lineup or "", ())
        models = self._models or named
        if self.desk.host.demo and not self._models:
            from workbench.demo import DEMO_LINE_UP

            models = DEMO_LINE_UP
        line_up = LineUp()
        for model in models:
            line_up = line_up.add(Target(model, params))
        return line_up if models else self.desk.memory.last_line_up

    # Looks and keys

    def _load_themes(self) -> None:
        themes, problems = theming.load_themes([theming.shipped_themes(), self.desk.paths.themes])
        for theme in themes:
            self.register_theme(theme)
        for problem in problems:
            self.notify(str(problem), title="Theme not loaded", severity="warning", markup=False, timeout=10)
        environment = self._environ.get("TEXTUAL_THEME")
        wanted = self._first_theme or self.settings.ui.theme or self.desk.memory.theme or environment
        if wanted and wanted not in self.available_themes:
            self.notify(
                f"There is no theme called {wanted!r}. The palette (ctrl+p) lists them under Theme.",
                title="Theme not found",
                severity="warning",
                markup=False,
            )
            wanted = None
        self.theme = wanted or theming.DEFAULT_THEME

    def _apply_keymap(self) -> None:
        if not self.settings.ui.keymap:
            return
        from workbench.tui.keymap import check_keymap
        from workbench.tui.screens.help import known_bindings

        problems = check_keymap(self.settings.ui.keymap, known_bindings())
        for problem in problems:
            self.notify(problem, title="Key not changed", severity="warning", markup=False)
        self.set_keymap(self.settings.ui.keymap)

    def remember_layout(self, layout: PaneLayout) -> None:
        self._remember(partial(self.desk.memory.remember_looks, layout=layout))

    # The engine

    @asynccontextmanager
    async def _open_engine(self, demo: bool) -> AsyncIterator[OpenEngine]:
        """The production path; the demo differs in nothing but settings and environment."""
        async with AsyncExitStack() as stack:
            settings, environ = self.settings, self._environ
            if demo:
                from workbench.demo import demo as demo_world

                world = await stack.enter_async_context(demo_world(settings))
                settings, environ = world.settings, world.environ
            # In a thread: importing takes longer than a frame.
            engine_module = await asyncio.to_thread(importlib.import_module, "workbench.engine.engine")
            engine = await stack.enter_async_context(engine_module.Engine(settings, environ=environ))
            yield OpenEngine(engine, settings, environ, demo)

    def _engine_opened(self, opened: OpenEngine | WorkbenchError) -> None:
        if isinstance(opened, WorkbenchError):
            self._opened = None
            title = f"Engine not started: {opened.title}"
            self.notify(str(opened), title=title, severity="error", markup=False, timeout=15)
            return
        self._opened = opened
        self.run_worker(self._learn_models(opened), group="models", exclusive=True)

    async def _learn_models(self, opened: OpenEngine) -> None:
        """Read the directory of models in a thread, then let the engine warm what the line-up needs."""
        from workbench.session.model_directory import ModelDirectory

        self.directory = await asyncio.to_thread(ModelDirectory.load, opened.settings, opened.environ)
        await self.compare.show_line_up()
        # Warming is a courtesy: what it could not do, the first request will do or explain.
        self.run_worker(self._warm(), group="warm", exclusive=True, exit_on_error=False)

    async def _warm(self) -> None:
        """Import the SDKs of the line-up and open connections ahead, while nobody waits for them."""
        models = tuple(target.model for target in self.desk.comparison.line_up)
        if self._opened is not None and models:
            await self._opened.engine.warm(models)

    def statistics(self) -> Traffic | None:
        """A snapshot of the engine's traffic; None while it is being opened."""
        return self._opened.engine.statistics().traffic if self._opened is not None else None

    def start_demo(self, draft: Draft | None = None) -> None:
        """Ask simulated models from now on; with a draft, ask them that at once."""
        from workbench.demo import DEMO_LINE_UP

        self.desk.comparison.start_over()
        self.desk.host.use(demo=True)
        # The last one declines, to show what that looks like.
        self._set_line_up(LineUp.of(*DEMO_LINE_UP, "gpt-4.1-nano"))
        if draft is not None:
            self.desk.comparison.send(draft)
            self.remember_sent(draft)

    def use_what_was_found(self) -> None:
        """A line-up of one model for every provider that can be asked."""
        models = self.directory.first_choices() if self.directory is not None else ()
        if models:
            self.change_line_up(LineUp.of(*models))
            self.compare.action_focus_prompt()
        else:
            self.compare.status.flash("Nothing was found: paste a key, or watch the demo.")

    def leave_demo(self) -> None:
        self.desk.comparison.start_over()
        self.desk.host.use(demo=False)
        self._set_line_up(self.desk.memory.last_line_up)

    # The line-up

    def change_line_up(self, line_up: LineUp) -> None:
        """Another line-up: its lanes are on screen at once, what left it is stopped, and it is remembered."""
        if line_up == self.desk.comparison.line_up:
            return
        if not self.desk.host.demo:
            self._remember(partial(self.desk.memory.remember_line_up, line_up))
        self._set_line_up(line_up)

    def _set_line_up(self, line_up: LineUp) -> None:
        self.desk.comparison.set_line_up(line_up)
        self.run_worker(self.compare.show_line_up(), group="line-up")
        self.run_worker(self._warm(), group="warm", exclusive=True, exit_on_error=False)

    def choose_models(self) -> None:
        if self.directory is None:
            self.compare.status.flash("Still reading the list of models: one moment.")
            return
        from workbench.tui.screens.model_picker import ModelPicker

        desk = self.desk
        self.push_screen(
            ModelPicker(self.directory, desk.memory, desk.comparison.line_up, desk.glyphs), self._models_chosen
        )

    def _models_chosen(self, line_up: LineUp | None) -> None:
        if line_up is not None:
            self.change_line_up(line_up)

    def edit_target(self, target: Target) -> None:
        from workbench.tui.screens.params_dialog import ParamsDialog

        def edited(params: Params | None) -> None:
            if params is not None:
                self.change_line_up(self.desk.comparison.line_up.update(target.slot, params=params))

        self.push_screen(ParamsDialog(target), edited)

    # Drafts

    def keep_draft(self, draft: Draft) -> None:
        """Have it on disk soon: half a second after the last change."""
        self._unsaved = draft
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(DRAFT_DELAY_S, self._save_draft)

    def remember_sent(self, draft: Draft) -> None:
        """The prompt is on its way: it goes into the history, its models to the recent ones."""
        memory = self.desk.memory
        self._remember(partial(memory.remember_prompt, draft.prompt))
        if not self.desk.host.demo:
            models = [target.model for target in self.desk.comparison.line_up]
            self._remember(partial(memory.remember_models, models))

    def _save_draft(self) -> None:
        if self._unsaved is not None:
            draft, self._unsaved = self._unsaved, None
            self._remember(partial(self.desk.memory.save_draft, draft))

    def _remember(self, save: Callable[[], object]) -> None:
        """Write to disk in a thread."""
        self.run_worker(save, thread=True, group="memory")

    # Copying and other programs

    def copy_text(self, text: str, what: str) -> None:
        if not text:
            self.compare.status.flash("Nothing to copy yet.")
            return
        self.run_worker(self._copy(text, what), group="copy", exclusive=True)

    async def _copy(self, text: str, what: str) -> None:
        from workbench.tui.clipboard import copy_with, desktop_tool

        tool = None if self.is_headless or self.is_web else desktop_tool(self._environ)
        way = "through the terminal"
        if tool is not None and await copy_with(tool, text):
            way = f"with {tool[0]}"
        else:
            self.copy_to_clipboard(text)
        self.compare.status.flash(f"Copied {what}: {len(text):,} characters, {way}.")

    def edit_prompt(self, editor: PromptEditor) -> None:
        """The prompt in the person's own editor, which has the terminal until it ends."""
        from workbench.tui.external import edit_text, editor_command

        text = editor.prompt_area.text

        def run() -> None:
            edited = edit_text(editor_command(self._environ), text)
            if edited != text:
                editor.prompt_area.replace_all(edited)

        self._outside(run, "Editor")

    def show_in_pager(self, text: str) -> None:
        from workbench.tui.external import page_text, pager_command

        self._outside(lambda: page_text(pager_command(self._environ), text), "Pager")

    def _outside(self, run: Callable[[], None], what: str) -> None:
        try:
            with self.suspend():
                run()
        except SuspendNotSupported:
            self.notify("This terminal cannot be handed over to another program.", title=what, severity="warning")
        except WorkbenchError as error:
            self.notify(str(error), title=f"{what} failed", severity="error", markup=False)
        self.refresh()

    def open_file(self) -> None:
        from workbench.tui.screens.name_dialog import NameDialog

        hint = "a text or Markdown file · enter opens it · esc leaves it"
        self.push_screen(NameDialog("Open a file as the prompt", hint=hint), self._file_chosen)

    def _file_chosen(self, path: str | None) -> None:
        if path:
            self.run_worker(self._read_file(Path(path).expanduser()), group="file", exclusive=True)

    async def _read_file(self, path: Path) -> None:
        from workbench.session.draft import read_prompt

        try:
            text = await asyncio.to_thread(read_prompt, path)
        except WorkbenchError as error:
            self.notify(str(error), title="File not opened", severity="error", markup=False)
        else:
            self.compare.editor.prompt_area.replace_all(text)
            self.compare.action_focus_prompt()

    # Keys of providers

    def paste_key(self, model: str = "") -> None:
        if self.directory is None:
            self.compare.status.flash("Still looking at the providers: one moment.")
            return
        from workbench.tui.screens.key_entry import KeyEntry

        provider = self.directory.entry(model).provider if model else ""
        self.push_screen(KeyEntry(self.directory.providers, provider), self._key_pasted)

    def _key_pasted(self, pasted: tuple[str, str] | None) -> None:
        if pasted is not None:
            self.run_worker(self._keep_key(*pasted), group="key", exclusive=True)

    async def _keep_key(self, provider: str, secret: str) -> None:
        from workbench.core.stored_keys import store_key, stored_keys_file

        try:
            await asyncio.to_thread(store_key, stored_keys_file(self.desk.paths.config), provider, secret)
        except WorkbenchError as error:
            self.notify(str(error), title="Key not kept", severity="error", markup=False)
        self.settings = self.settings.with_keys(provider, (secret,))
        await self.desk.comparison.settle()
        self.desk.host.reopen()
        self.compare.status.flash(f"Key for {provider} kept. r asks again.")

    # What is known of models

    def describe_model(self, model: str) -> str:
        """A line or two for a pane that has nothing to show yet."""
        if self.directory is None:
            return ""
        entry = self.directory.entry(model)
        context = f"{figures.quantity(entry.context_tokens)} tokens of context" if entry.context_tokens else ""
        price = f"{entry.price} per million tokens" if entry.input_usd else entry.price.strip(figures.UNKNOWN)
        facts = f" {self.desk.glyphs.dot} ".join(part for part in (entry.title, context, price) if part)
        return f"{facts}\n{entry.why_not}" if entry.why_not else facts

    def estimate(self, draft: Draft) -> tuple[str, Content]:
        """What sending this would take: in words for all, a row for each."""
        from workbench.tui.widgets.preflight_table import preflight_table

        return preflight_table(self.desk.comparison, draft, self.directory, self.desk.glyphs)

    # Palette, help, leaving

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        from workbench.tui.commands import commands

        return commands(self)

    def action_change_theme(self) -> None:
        from workbench.tui.screens.theme_picker import ThemePicker

        def chosen(name: str | None) -> None:
            if name is not None:
                self._remember(partial(self.desk.memory.remember_looks, theme=name))

        self.push_screen(ThemePicker(), chosen)

    def get_key_display(self, binding: Binding) -> str:
        shown = super().get_key_display(binding)
        return shown.upper() if shown[0] == "f" and shown[1:].isdigit() else shown

    def action_help(self) -> None:
        from workbench.tui.screens.help import HelpScreen, help_for

        self.push_screen(HelpScreen(help_for(self.focused, self.screen)))

    def action_cheat_sheet(self) -> None:
        from workbench.tui.screens.help import CheatSheet, key_sections

        self.push_screen(CheatSheet(key_sections(self, self.screen.active_bindings)))

    async def action_quit(self) -> None:
        running = self.desk.comparison.tally().running
        if not running:
            self.exit()
            return
        from workbench.tui.screens.quit_bar import QuitBar

        def answered(leave: bool | None) -> None:
            if leave:
                self.exit()

        self.push_screen(QuitBar(running), answered)
