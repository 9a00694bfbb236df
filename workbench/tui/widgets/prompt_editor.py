"""Where a prompt is written: a system prompt that folds to one line, a text area that grows, and what sending costs.

Says what happened through messages; it neither sends nor saves anything itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.filter import LineFilter
from textual.message import Message
from textual.widgets import Static, TextArea

from workbench.session.draft import Draft
from workbench.tui.ascii_signs import as_written
from workbench.tui.glyphs import Glyphs

SendKey = Literal["auto", "chat", "editor"]
"""Which key sends. `auto`: Enter while the prompt is one line, ctrl+j once it has more. `chat`: always Enter.
`editor`: always ctrl+j. The other of the two makes a new line; F5 and ctrl+r send in every case."""


class OwnWords(TextArea):
    """Shows what a person writes as it is written; what stands there before the first letter is ours."""

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        return as_written(filters) if self.text else filters


class PromptArea(OwnWords):
    """The prompt itself."""

    HELP = """
    # The prompt

    Enter sends a prompt of one line; once it has more lines, Enter makes a new one and **ctrl+j** sends. **F5** and
    **ctrl+r** send in every case, and with an empty prompt ask the last question again. **F4** opens your `$EDITOR`.

    Up on the first line and Down on the last walk through earlier prompts. What you write is kept on disk as you
    write it.

    **shift+tab** goes to the system prompt above, **Esc** to the answers.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        # Priority, since a text area takes Enter for itself before bindings are asked.
        Binding("enter", "enter", "Send", id="prompt.enter", show=False, priority=True),
        Binding("ctrl+j", "line_feed", "New line", id="prompt.line-feed", show=False, priority=True),
        Binding("shift+enter,alt+enter", "new_line", "New line", id="prompt.new-line", show=False, priority=True),
    ]

    @dataclass
    class Submitted(Message):
        """The key that sends was pressed."""

    def __init__(self, send_key: SendKey = "auto") -> None:
        super().__init__(
            id="prompt", compact=True, highlight_cursor_line=False, tab_behavior="focus", placeholder="Ask every model…"
        )
        self.send_key = send_key
        self.earlier: Callable[[], Sequence[str]] = tuple
        """Earlier prompts, oldest first."""
        self._recalled: int | None = None
        self._unsent = ""

    @property
    def enter_sends(self) -> bool:
        match self.send_key:
            case "chat":
                return True
            case "editor":
                return False
            case "auto":
                return self.document.line_count == 1

    def action_enter(self) -> None:
        if self.enter_sends:
            self.post_message(self.Submitted())
        else:
            self.action_new_line()

    def action_line_feed(self) -> None:
        if self.enter_sends:
            self.action_new_line()
        else:
            self.post_message(self.Submitted())

    def action_new_line(self) -> None:
        start, end = self.selection
        self._replace_via_keyboard("\n", start, end)

    def action_cursor_up(self, select: bool = False) -> None:
        if not select and self.cursor_at_first_line and self._recall(-1):
            return
        super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if not select and self.cursor_at_last_line and self._recall(1):
            return
        super().action_cursor_down(select)

    def _recall(self, step: int) -> bool:
        """Walk through earlier prompts; past the newest lies what was being written. False at the ends."""
        earlier = self.earlier()
        index = len(earlier) if self._recalled is None else self._recalled
        target = index + step
        if not 0 <= target <= len(earlier) or (self._recalled is None and step > 0):
            return False
        if self._recalled is None:
            self._unsent = self.text
        self._recalled = None if target == len(earlier) else target
        text = self._unsent if self._recalled is None else earlier[target]
        self.replace_all(text)
        return True

    def replace_all(self, text: str) -> None:
        """Put another text in, cursor at its end; one ctrl+z brings the old one back."""
        self.replace(text, self.document.start, self.document.end)
        self.move_cursor(self.document.end)

    def forget_recall(self) -> None:
        """The text is a new prompt of its own from here on."""
        self._recalled = None


class SystemArea(OwnWords):
    """The system prompt: one line while it is not being written."""

    HELP = """
    # The system prompt

    Sent before the conversation to every model. Tab goes on to the prompt.
    """

    def __init__(self) -> None:
        super().__init__(
            id="system",
            compact=True,
            highlight_cursor_line=False,
            tab_behavior="focus",
            placeholder="System prompt: none",
        )

    def on_focus(self) -> None:
        self.add_class("-in-use")

    def on_blur(self) -> None:
        self.set_class(bool(self.text.strip()), "-in-use")
        self.scroll_home(animate=False)


class PromptEditor(Vertical):
    DEFAULT_CSS = """
    PromptEditor {
        height: auto;
        border: round $border-blurred;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        background: $surface;
        padding: 0 1;
        &:focus-within { border: round $border; border-title-color: $foreground; }
        #system {
            height: 1; color: $text-muted; background: $surface; padding: 0; margin: 0; border: none;
            scrollbar-size: 0 0;
            &:focus { height: auto; max-height: 8; color: $foreground; scrollbar-size: 1 1; }
        }
        #prompt { height: auto; min-height: 1; max-height: 12; background: $surface; padding: 0; border: none; }
        #figures { height: auto; display: none; color: $text-muted; }
    }
    """

    @dataclass
    class Changed(Message):
        draft: Draft

    def __init__(self, glyphs: Glyphs, send_key: SendKey = "auto") -> None:
        super().__init__(id="editor")
        self.prompt_area = PromptArea(send_key)
        self.system_area = SystemArea()
        self.table = Static(id="figures", markup=False)
        self._glyphs = glyphs
        self._estimate = ""
        self._has_answers = False
        self._rows = Content()
        self._unchanged: str | None = None

    def compose(self) -> ComposeResult:
        yield self.system_area
        yield self.prompt_area
        yield self.table

    def on_mount(self) -> None:
        self.border_title = "Prompt"
        self._draw_hints()

    @property
    def draft(self) -> Draft:
        return Draft(self.prompt_area.text, self.system_area.text)

    def load(self, draft: Draft) -> None:
        """Show a draft; not a change that a person made."""
        self.system_area.load_text(draft.system)
        self.system_area.set_class(bool(draft.system.strip()), "-in-use")
        self.prompt_area.load_text(draft.prompt)
        self.prompt_area.move_cursor(self.prompt_area.document.end)

    def clear_prompt(self) -> None:
        """After sending: an empty prompt, the system prompt stays. Up, not ctrl+z, brings back what was sent."""
        self.prompt_area.load_text("")
        self.prompt_area.forget_recall()

    def show_table(self, summary: str, rows: Content) -> None:
        """Figures beside the prompt: in words for the border, a row per target where there is room."""
        if not rows.is_same(self._rows):
            lines = rows.plain.count("\n") != self._rows.plain.count("\n") or bool(rows) != bool(self._rows)
            self._rows = rows
            self.table.update(rows, layout=lines)
        if summary != self._estimate:
            self._estimate = summary
            self._draw_hints()

    def show_answers(self, has_answers: bool) -> None:
        """Whether there are panes to go to from here."""
        self._has_answers = has_answers
        self._draw_hints()

    def insert_typed(self, text: str) -> None:
        """Text that was typed or pasted elsewhere and belongs here."""
        self.prompt_area.focus()
        self.prompt_area.insert(text)

    @on(TextArea.Changed)
    def _text_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        if event.text_area is self.prompt_area:
            self._draw_hints()
        self.post_message(self.Changed(self.draft))

    def on_resize(self, event: events.Resize) -> None:
        self._draw_hints()

    def _draw_hints(self) -> None:
        """The border's bottom line: which key sends now, and what it would cost."""
        sends = self.prompt_area.enter_sends
        keys = ("enter send", "^j newline") if sends else ("^j send", "enter newline")
        cost = [self._estimate] if self._estimate else []
        away = ["esc answers"] if self._has_answers else []
        dot = f" {self._glyphs.dot} "
        room = self.size.width - 4
        ways = (
            [*keys, "F4 editor", *away, *cost],
            [*keys, *away, *cost],
            [*keys, *cost],
            [keys[0], *cost],
            [keys[0]],
        )
        hints = Content(next((said for parts in ways if len(said := dot.join(parts)) <= room), ""))
        if hints.plain != self._unchanged:
            self._unchanged = hints.plain
            self.border_subtitle = hints
