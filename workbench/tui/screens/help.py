"""Help for what has the focus (F1), and every key that works (?): read from the widgets, so it cannot go stale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import cleandoc
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

from workbench.tui import keymap


class HelpScreen(ModalScreen[None]):
    """Markdown about the focused widget, its containers included."""

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,f1,q", "dismiss", "Close", id="help.close")]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -wide") as dialog:
            dialog.border_title = "Help"
            with VerticalScroll(can_focus=True):
                yield Markdown(self._text, open_links=False)
            yield Static("esc closes · ? lists all keys", classes="dialog-hint", markup=False)


class CheatSheet(ModalScreen[None]):
    """All keys, by where they work; those of the focused part come first."""

    CSS_PATH = "../styles/dialogs.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "dismiss", "Close", id="keys.close"),
    ]

    def __init__(self, sections: Mapping[str, Iterable[tuple[str, str]]]) -> None:
        super().__init__()
        self._sections = sections

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -wide") as dialog:
            dialog.border_title = "Keys"
            with VerticalScroll(can_focus=True):
                for title, rows in self._sections.items():
                    lines = [Content.styled(title, "bold $text-primary")]
                    lines += [Content.assemble((f"{keys:>22}", "$text-accent"), f"  {said}") for keys, said in rows]
                    yield Static(Content("\n").join(lines), classes="keys-section", markup=False)
            yield Static(
                "esc closes · ui.keymap in the settings file changes them by id", classes="dialog-hint", markup=False
            )


def help_for(widget: DOMNode | None, fallback: DOMNode) -> str:
    """The help texts of a widget and of what it is in, innermost first."""
    start = widget or fallback
    texts = [cleandoc(text) for node in start.ancestors_with_self if (text := node.HELP)]
    return "\n\n".join(dict.fromkeys(texts)) or "There is no help for this. ? lists all keys."


def key_sections(app: App[object], active: Mapping[str, ActiveBinding]) -> dict[str, list[tuple[str, str]]]:
    """What works at this moment as (keys, what it does), by the part that it belongs to."""
    sections: dict[str, dict[str, tuple[list[str], str]]] = {}
    for binding_key, entry in active.items():
        binding = entry.binding
        if not binding.description or not binding.id:
            continue
        title = _TITLES.get(type(entry.node).__name__, "")
        if not title:
            continue
        said = binding.tooltip or binding.description
        keys, _ = sections.setdefault(title, {}).setdefault(binding.action, ([], said))
        keys.append(app.get_key_display(binding) if binding.key == binding_key else binding_key)
    return {
        title: [(" ".join(dict.fromkeys(keys)), said) for keys, said in rows.values()]
        for title, rows in sections.items()
    }


_TITLES = {
    "StreamView": "In an answer",
    "LanePane": "With the focused pane",
    "PromptArea": "In the prompt",
    "FindBar": "While searching",
    "CompareScreen": "Everywhere",
    "JobTable": "In the list",
    "BatchesScreen": "With the job",
    "RowTable": "In the list",
    "BatchRowsScreen": "With the row",
    "BatchRowScreen": "With this row",
    "LimiterTable": "In the lanes",
    "EventLog": "In the events",
    "MonitorScreen": "With the lane",
    "WorkbenchApp": "The program",
}


def known_bindings() -> set[str]:
    """Every binding id there is, for checking a keymap."""
    from workbench.tui.app import WorkbenchApp
    from workbench.tui.screens.batch_import import BatchImport
    from workbench.tui.screens.batch_row import BatchRowScreen
    from workbench.tui.screens.batch_rows import BatchRowsScreen
    from workbench.tui.screens.batch_submit import BatchSubmit
    from workbench.tui.screens.batches import BatchesScreen
    from workbench.tui.screens.compare import CompareScreen
    from workbench.tui.screens.confirm_bar import ConfirmBar
    from workbench.tui.screens.model_picker import LineUpList, ModelList, ModelPicker
    from workbench.tui.screens.monitor import MonitorScreen
    from workbench.tui.widgets.find_bar import FindBar
    from workbench.tui.widgets.lane_pane import LanePane
    from workbench.tui.widgets.line_list import LineList
    from workbench.tui.widgets.prompt_editor import PromptArea
    from workbench.tui.widgets.stream_view import StreamView

    nodes: dict[str, type[DOMNode]] = {
        node.__name__: node
        for node in (
            WorkbenchApp,
            CompareScreen,
            LanePane,
            StreamView,
            PromptArea,
            FindBar,
            ModelPicker,
            ModelList,
            LineUpList,
            LineList,
            BatchesScreen,
            MonitorScreen,
            BatchRowsScreen,
            BatchRowScreen,
            BatchSubmit,
            BatchImport,
            ConfirmBar,
        )
    }
    return {entry.id for found in keymap.entries(nodes).values() for entry in found}
