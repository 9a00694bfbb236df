"""Who is asked: the line-up and its parameters, the keys that make models available, the demo and back."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from workbench.core.errors import KeyRejected, QuotaSpent, WorkbenchError
from workbench.session.draft import Draft
from workbench.session.lane import Lane
from workbench.session.targets import LineUp, Target

if TYPE_CHECKING:
    from workbench.core.types import Params
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.desk import Desk
    from workbench.tui.screens.model_picker import ModelPicker

WARMING = "warming"
"""Workers of this group replace one another, and nobody is told when one fails."""


class Choices:
    def __init__(self, app: WorkbenchApp) -> None:
        self._app = app

    @property
    def _desk(self) -> Desk:
        return self._app.desk

    def change_line_up(self, line_up: LineUp) -> None:
        """Another line-up: its lanes are on screen at once, what left it is stopped, and it is remembered."""
        if line_up == self._desk.comparison.line_up:
            return
        if not self._desk.engine.is_demo:
            self._desk.memory.remember_line_up(line_up)
        self._set_line_up(line_up)

    def _set_line_up(self, line_up: LineUp) -> None:
        self._desk.comparison.set_line_up(line_up)
        self._app.later(self._app.compare.show_line_up)
        self._warm()

    def use_what_was_found(self) -> None:
        """A line-up of one model for every provider that can be asked."""
        directory = self._desk.engine.directory
        models = directory.first_choices() if directory is not None else ()
        models += tuple(server.models[0] for server in self._desk.engine.servers if server.models)
        if models:
            self.change_line_up(LineUp.of(*models))
            self._app.compare.action_focus_prompt()
        else:
            self._app.flash("Nothing was found: paste a key, or watch the demo.")

    def found(self) -> list[str]:
        """What can be asked, as phrases."""
        directory = self._desk.engine.directory
        states = directory.providers if directory is not None else ()
        keys = [f"{state.title} ({', '.join(state.sources)})" for state in states if state.sources]
        return keys + [server.phrase for server in self._desk.engine.servers]

    def choose_models(self) -> None:
        directory = self._desk.engine.directory
        if directory is None:
            self._app.flash("Still reading the list of models: one moment.")
            return
        from workbench.tui.screens.model_picker import ModelPicker

        def chosen(line_up: LineUp | None) -> None:
            if line_up is not None:
                self.change_line_up(line_up)

        picker = ModelPicker(directory, self._desk.memory, self._desk.comparison.line_up, self._desk.glyphs)
        self._app.push_screen(picker, chosen)
        self._app.later(partial(self._complete_lists, picker))

    async def _complete_lists(self, picker: ModelPicker) -> None:
        """While somebody chooses, ask the providers what else they have."""
        if await self._desk.engine.fetch_lists() and picker.is_attached:
            picker.refresh_models()

    def edit_target(self, target: Target) -> None:
        from workbench.tui.screens.params_dialog import ParamsDialog

        def edited(params: Params | None) -> None:
            if params is not None:
                self.change_line_up(self._desk.comparison.line_up.update(target.slot, params=params))

        self._app.push_screen(ParamsDialog(target), edited)

    def paste_key(self, model: str = "") -> None:
        directory = self._desk.engine.directory
        if directory is None:
            self._app.flash("Still looking at the providers: one moment.")
            return
        from workbench.tui.screens.key_entry import KeyEntry

        def pasted(answer: tuple[str, str] | None) -> None:
            if answer is not None:
                self._app.later(partial(self._keep_key, *answer))

        self._app.push_screen(KeyEntry(directory.providers, directory.entry(model).provider if model else ""), pasted)

    async def _keep_key(self, provider: str, secret: str) -> None:
        directory = self._desk.engine.directory
        states = directory.providers if directory is not None else ()
        title = next((state.title for state in states if state.name == provider), provider)
        self._app.flash(f"Trying the key for {title}…")
        try:
            outcome = await self._desk.engine.add_key(provider, secret)
        except WorkbenchError as error:
            self._app.notify(
                str(error), title=f"Key not kept: {error.title}", severity="error", markup=False, timeout=10
            )
            return
        self._app.notify(outcome, title=f"Key for {title}", markup=False, timeout=10)
        await self._app.learn()
        if not self._desk.comparison.lanes:
            self.use_what_was_found()

    def try_keys_again(self, lanes: Iterable[Lane]) -> None:
        """Whoever asks again what a key's refusal ended may have topped up its account: it is no longer left out."""
        for lane in lanes:
            error = lane.turn.error if lane.turn is not None else None
            if isinstance(error, KeyRejected | QuotaSpent) and error.key_alias is not None:
                self._desk.engine.use_key_again(error.key_alias)

    def add_simulated_key(self) -> None:
        self._app.later(self._add_simulated_key)

    async def _add_simulated_key(self) -> None:
        if count := await self._desk.engine.add_simulated_key():
            self._app.flash(f"{count} keys for every simulated provider now: what waited for a limit goes on.")

    def _warm(self) -> None:
        """Warming is a courtesy: what it could not do the first request will do, or explain."""
        models = [target.model for target in self._desk.comparison.line_up]
        self._app.later(partial(self._desk.engine.warm, models), group=WARMING)

    def start_demo(self, draft: Draft | None = None) -> None:
        """Ask simulated models from now on; with a draft, ask them that at once."""
        from workbench.demo import DEMO_LINE_UP

        self._desk.comparison.start_over()
        self._desk.engine.host.use(demo=True)
        self._app.spend_cap.enter_world()
        # The last one declines, to show what that looks like.
        self._set_line_up(LineUp.of(*DEMO_LINE_UP, "gpt-4.1-nano"))
        if draft is not None:
            self._desk.comparison.send(draft)
            self.remember_sent(draft)

    def leave_demo(self) -> None:
        self._desk.comparison.start_over()
        self._desk.engine.host.use(demo=False)
        self._app.spend_cap.enter_world()
        self._set_line_up(self._desk.memory.last_line_up)

    def remember_sent(self, draft: Draft) -> None:
        """The prompt is on its way: it goes into the history, its models to the recent ones."""
        self._desk.memory.remember_prompt(draft.prompt)
        if not self._desk.engine.is_demo:
            self._desk.memory.remember_models(target.model for target in self._desk.comparison.line_up)
