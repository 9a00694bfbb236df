"""Choose what is asked: every known model at the left, the line-up at the right.

The line-up is edited as a value and handed back when the picker closes; nothing that runs is touched before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from workbench.core.types import Params
from workbench.session import figures
from workbench.session.memory import Memory
from workbench.session.model_directory import ModelDirectory, ModelEntry
from workbench.session.model_search import ModelRow, Section, rows_for
from workbench.session.targets import LineUp, Target, describe_value, titles
from workbench.tui.glyphs import Glyphs
from workbench.tui.screens.name_dialog import NameDialog
from workbench.tui.screens.params_dialog import ParamsDialog

if TYPE_CHECKING:
    from workbench.tui.app import WorkbenchApp

MAX_ROWS = 300
"""A list that long is searched, not scrolled."""

LONGEST_NAME = 29
"""Cells that a model's name has before anything is said about it, those of `gemini/gemini-3-flash-preview`."""


class ModelList(OptionList):
    """Models, most likely ones first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "select", "Add/remove", id="models.toggle", show=False),
        Binding("asterisk", "screen.star", "Star", id="models.star", tooltip="Stars stand at the top"),
        Binding("k", "screen.key", "Paste key", id="models.key", tooltip="Add a key for this provider"),
    ]


class LineUpList(OptionList):
    """The targets, in the order of their panes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e,enter", "screen.edit", "Parameters", id="line-up.edit", tooltip="Temperature and the like"),
        Binding("d", "screen.duplicate", "Duplicate", id="line-up.duplicate", tooltip="The same model, varied"),
        Binding("x,delete,backspace", "screen.remove", "Remove", id="line-up.remove"),
        Binding("J,shift+down", "screen.move(1)", "Down", id="line-up.down", group=Binding.Group("Move", compact=True)),
        Binding("K,shift+up", "screen.move(-1)", "Up", id="line-up.up", group=Binding.Group("Move", compact=True)),
        Binding("s", "screen.save", "Save", id="line-up.save", tooltip="Keep this line-up under a name"),
    ]


class ModelPicker(ModalScreen[LineUp]):
    app: WorkbenchApp

    CSS_PATH = "../styles/dialogs.tcss"

    HELP = """
    # Models and line-ups

    Type to search; Enter adds the model, or takes it out again. Tab goes to the line-up: there **d** duplicates a
    target to vary one parameter, **e** edits its parameters, **J** and **K** move it, **x** removes it, **s** saves
    the line-up under a name. **Esc** goes back to the answers with the line-up as it stands.

    Prices are per million tokens. A model that cannot be asked says why; it can be added all the same.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f2", "close", "Done", id="models.close"),
        Binding("tab,shift+tab", "other_side", "Line-up", id="models.other-side", show=False),
    ]

    def __init__(self, directory: ModelDirectory, memory: Memory, line_up: LineUp, glyphs: Glyphs) -> None:
        super().__init__()
        self._directory = directory
        self._memory = memory
        self._glyphs = glyphs
        self.line_up = line_up
        self._rows: list[ModelRow] = []

    def compose(self) -> ComposeResult:
        with Horizontal(id="picker"):
            with Vertical(id="picker-models"):
                yield Input(placeholder="Search models, or write any name", id="search", compact=True)
                yield ModelList(id="models")
            with Vertical(id="picker-line-up"):
                yield LineUpList(id="line-up")
                yield Static(id="picker-facts", markup=False)
        yield Static(id="picker-keys", markup=False)

    def on_mount(self) -> None:
        self.query_one("#picker-models").border_title = f"Models {self._glyphs.dot} {len(self._directory)}"
        self.query_one("#picker-line-up").border_title = "Line-up"
        self._draw_line_up()
        self.query_one(Input).focus()

    def on_resize(self) -> None:
        self._draw_models()
        self._draw_line_up()

    # Drawing

    def refresh_models(self) -> None:
        """The directory knows more than before."""
        self.query_one("#picker-models").border_title = f"Models {self._glyphs.dot} {len(self._directory)}"
        self._draw_models()

    def _draw_models(self) -> None:
        """The list for what is being searched; the highlight stays on its model where it still is there."""
        models = self.query_one(ModelList)
        before = self._highlighted()
        query = self.query_one(Input).value.strip()
        saved = {} if query else self._memory.line_ups
        self._rows = rows_for(
            query, self._directory, stars=self._memory.stars, recent=self._memory.recent, line_ups=saved, limit=MAX_ROWS
        )
        # Less an option's own padding.
        width = max(20, models.scrollable_content_region.width - 2)
        models.set_options(
            Option(self._row(row, width), id=str(index), disabled=row.is_heading)
            for index, row in enumerate(self._rows)
        )
        names = [row.model for row in self._rows]
        first = next((index for index, row in enumerate(self._rows) if not row.is_heading), None)
        models.highlighted = names.index(before.model) if before is not None and before.model in names else first

    def _row(self, row: ModelRow, width: int) -> Content:
        if row.is_heading:
            return Content.assemble(
                (row.title, "bold $text-primary"), ("  " + row.note if row.note else "", "$foreground-muted")
            )
        if row.section is Section.SAVED:
            return Content.assemble("  ", (row.title, "bold"), ("  " + row.note, "$foreground-muted"))
        entry = self._directory.entry(row.model)
        chosen = len(self.line_up.slots_of(row.model))
        mark = self._glyphs.star if row.model in self._memory.stars else " "
        count = f"{chosen}x" if chosen > 1 else self._glyphs.chosen if chosen else " "
        right = self._facts(entry, row, width)
        # Two cells of how often it is chosen, one of the star, and a blank at both sides of the name.
        name_width = max(8, width - len(right) - 5)
        name = Content.styled(row.model, "" if not entry.why_not else "$foreground-muted")
        for offset in row.matched:
            name = name.stylize("bold underline", offset, offset + 1)
        name = name.truncate(name_width, ellipsis=True, pad=True)
        return Content.assemble(
            (f"{count:>2}", "$text-success"), (mark, "$text-warning"), " ", name, " ", (right, "$foreground-muted")
        )

    def _facts(self, entry: ModelEntry, row: ModelRow, width: int) -> str:
        """Context and price, or why it cannot be asked; as much as there is room for."""
        room = width - 5 - (min(LONGEST_NAME, len(row.model)) if entry.why_not else LONGEST_NAME)
        if entry.why_not:
            said = entry.why_not.partition(". ")[0]
            said = said if len(said) <= room else said.partition(":")[0]
            return said if len(said) <= room else ""
        context = f"{figures.quantity(entry.context_tokens) if entry.context_tokens else '':>6}"
        price = f"{entry.price:>24}"
        provider = f"{entry.title[:14]:14} " if row.section is Section.FOUND else ""
        ways = (provider + context + price, context + price, context)
        return next((facts for facts in ways if len(facts) <= room), "")

    def _draw_line_up(self) -> None:
        line_up = self.query_one(LineUpList)
        highlighted = line_up.highlighted
        named = titles(self.line_up.targets)
        line_up.set_options(
            Option(self._target(number, target, title), id=str(target.slot))
            for number, (target, title) in enumerate(zip(self.line_up.targets, named, strict=True), 1)
        )
        if self.line_up.targets:
            line_up.highlighted = min(highlighted or 0, len(self.line_up) - 1)
        self.query_one("#picker-facts", Static).update(self._hint())
        self._draw_keys()

    def _target(self, number: int, target: Target, title: str) -> Content:
        settings = " ".join(describe_value(name, value) for name, value in target.params.as_dict().items())
        second = f"\n  {settings}" if settings else ""
        why_not = self._directory.entry(target.model).why_not
        name = target.label or target.model
        room = self.query_one(LineUpList).scrollable_content_region.width - 2 - len(f"{number} ")
        # A name that does not fit is broken in the middle of a word, so the provider goes first.
        shown = Content.styled(name if len(name) <= room else target.name, "bold")
        return Content.assemble(
            (f"{number} ", f"bold $lane-{target.accent}"),
            shown.truncate(room, ellipsis=True) if room > 0 else shown,
            (second, "$foreground-muted"),
            (f"\n  {why_not}" if why_not else "", "$text-warning"),
        )

    def _hint(self) -> Content:
        if not self.line_up.targets:
            return Content.styled("Nobody yet: Enter adds the highlighted model.", "$foreground-muted")
        return Content()

    def _draw_keys(self) -> None:
        dot = f" {self._glyphs.dot} "
        if self.query_one(LineUpList).has_focus:
            keys = ["d duplicate", "e parameters", "J K move", "x remove", "s save", "tab models", "esc done"]
        elif self.query_one(ModelList).has_focus:
            keys = ["enter add or remove", "* star", "k paste key", "tab line-up", "esc done"]
        else:
            keys = ["enter add or remove", "down to the list", "tab line-up", "esc done"]
        self.query_one("#picker-keys", Static).update(Content(dot.join(keys)))

    def on_descendant_focus(self) -> None:
        self._draw_keys()

    # Choosing

    def _highlighted(self) -> ModelRow | None:
        index = self.query_one(ModelList).highlighted
        return self._rows[index] if index is not None and index < len(self._rows) else None

    @on(Input.Changed, "#search")
    def _search_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.query_one(ModelList).highlighted = None
        self._draw_models()

    @on(Input.Submitted, "#search")
    def _search_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._choose(self._highlighted())

    @on(OptionList.OptionSelected, "#models")
    def _model_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(self._rows[event.option_index])

    def _choose(self, row: ModelRow | None) -> None:
        if row is None or row.is_heading:
            return
        if row.section is Section.SAVED:
            self.line_up = self._memory.line_ups[row.model]
        elif slots := self.line_up.slots_of(row.model):
            for slot in slots:
                self.line_up = self.line_up.remove(slot)
        else:
            self.line_up = self.line_up.add(Target(row.model, self.app.settings.defaults.as_params()))
        self._draw_line_up()
        self._draw_models()

    def on_key(self, event: events.Key) -> None:
        """Down leaves the search for the list; what is typed in the list goes on with the search."""
        search, models = self.query_one(Input), self.query_one(ModelList)
        if event.key == "down" and search.has_focus:
            models.focus()
            event.stop()
        elif models.has_focus and event.is_printable and event.character and event.character not in " *k":
            search.focus()
            search.insert_text_at_cursor(event.character)
            event.stop()
        elif (
            event.key == "up"
            and models.has_focus
            and not any(not row.is_heading for row in self._rows[: models.highlighted or 0])
        ):
            search.focus()
            event.stop()

    def action_other_side(self) -> None:
        """Between the models and the line-up. The search leads to the list by Down."""
        line_up = self.query_one(LineUpList)
        (self.query_one(Input) if line_up.has_focus else line_up).focus()

    def action_star(self) -> None:
        row = self._highlighted()
        if row is not None and row.section is not Section.SAVED:
            self._memory.toggle_star(row.model)
            self._draw_models()

    def action_key(self) -> None:
        row = self._highlighted()
        if row is not None:
            self.app.choices.paste_key(row.model)

    # Editing the line-up

    @property
    def _slot(self) -> int | None:
        index = self.query_one(LineUpList).highlighted
        return self.line_up.targets[index].slot if index is not None and index < len(self.line_up) else None

    def action_remove(self) -> None:
        if (slot := self._slot) is not None:
            self.line_up = self.line_up.remove(slot)
            self._draw_line_up()
            self._draw_models()

    def action_move(self, step: int) -> None:
        if (slot := self._slot) is not None:
            self.line_up = self.line_up.move(slot, step)
            self.query_one(LineUpList).highlighted = self.line_up.index(slot)
            self._draw_line_up()

    @on(OptionList.OptionSelected, "#line-up")
    def action_edit(self) -> None:
        if (slot := self._slot) is None:
            return

        def edited(params: Params | None) -> None:
            if params is not None:
                self.line_up = self.line_up.update(slot, params=params)
                self._draw_line_up()

        self.app.push_screen(ParamsDialog(self.line_up.get(slot)), edited)

    def action_duplicate(self) -> None:
        if (slot := self._slot) is None:
            return

        def varied(params: Params | None) -> None:
            if params is not None:
                self.line_up = self.line_up.duplicate(slot, params)
                self._draw_line_up()
                self._draw_models()

        self.app.push_screen(ParamsDialog(self.line_up.get(slot), title="Duplicate with other parameters"), varied)

    def action_save(self) -> None:
        def named(name: str | None) -> None:
            if name:
                self._memory.save_line_up(name, self.line_up)
                self.line_up = self._memory.line_ups[name]
                self.notify(f"{name} stands at the top of the models list.", title="Line-up saved", markup=False)
                self._draw_models()

        if self.line_up.targets:
            self.app.push_screen(NameDialog("Save this line-up as", self.line_up.name), named)

    def action_close(self) -> None:
        self.dismiss(self.line_up)
