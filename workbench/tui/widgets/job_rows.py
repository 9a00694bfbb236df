"""Rows of a job, a line each: what was asked, what came back, tokens and cost. Fetched by the page as one scrolls."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message

from workbench.jobs.job import JobRow
from workbench.session import figures
from workbench.session.job_export import error_text
from workbench.session.job_lanes import question
from workbench.session.job_pages import RowPages
from workbench.session.job_words import clean
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.line_list import LineList

_NUMBER_WIDTH = 7
_ID_WIDTH = 14
_ENOUGH = 600
"""Characters of a text that are looked at for its line: no terminal shows more."""


class RowTable(LineList):
    HELP = """
    # The rows of a job

    In the order of the input. **f** shows all rows, those that failed, those that were answered, or those that are
    still open. Enter opens the row's answers of every model of the same submission side by side.
    """

    @dataclass
    class Wanted(Message):
        """Rows are in view that have not been fetched."""

        pages: list[int]

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(glyphs.prompt, id="rows")
        self._glyphs = glyphs
        self.pages: RowPages | None = None
        """What is shown comes out of these."""
        self._wanted: set[int] = set()

    @property
    def row(self) -> JobRow | None:
        """The one that the cursor is on; None also until it has been fetched."""
        return self.pages.get(self.cursor) if self.pages is not None else None

    def show_pages(self, pages: RowPages) -> None:
        """Other rows, or the same ones anew; the cursor stays where it is, as far as there are rows."""
        self.pages = pages
        self._wanted.clear()
        self.set_count(pages.count)
        self._want()

    def pages_came(self, numbers: list[int]) -> None:
        self._wanted.difference_update(numbers)
        if self.pages is not None:
            self.set_count(self.pages.count)
        self._want()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._want()

    def on_resize(self) -> None:
        super().on_resize()
        self._want()

    def _want(self) -> None:
        if self.pages is None:
            return
        view = self.in_view()
        wanted = [number for number in self.pages.missing(view) if number not in self._wanted]
        if wanted:
            self._wanted.update(wanted)
            self.post_message(self.Wanted(wanted))

    def heading(self, width: int) -> Content:
        prompt, answer = _text_widths(width - 1)
        said = f" {'row':>{_NUMBER_WIDTH}}   {'id':{_ID_WIDTH}} {'prompt':{prompt}} {'answer':{answer}}"
        if _has_figures(width - 1):
            said += f" {'tokens':>7} {'cost':>9}"
        return Content.styled(said, "$foreground-muted")

    def entry(self, index: int, width: int) -> Content:
        row = self.pages.get(index) if self.pages is not None else None
        if row is None:
            return Content.styled(f"{'...':>{_NUMBER_WIDTH}}", "$foreground-muted")
        number = Content.styled(f"{row.index + 1:>{_NUMBER_WIDTH},} ", "$foreground-muted")
        return Content.assemble(number, row_line(row, width, self._glyphs))


def row_line(row: JobRow, width: int, glyphs: Glyphs) -> Content:
    """A row after its number."""
    prompt_width, answer_width = _text_widths(width)
    failed = error_text(row)
    if row.answer is None:
        mark, style, said = ("o" if glyphs.ascii_only else "○"), "$foreground-muted", "no result yet"
    elif failed:
        mark, style, said = ("!" if glyphs.ascii_only else "✗"), "$text-error", failed
    else:
        mark, style, said = (
            ("+" if glyphs.ascii_only else "✓"),
            "$text-success",
            row.answer.text or row.answer.tool_calls,
        )
    line = Content.assemble(
        (f"{mark} ", style),
        _cut(row.id, _ID_WIDTH),
        " ",
        _cut(question(row), prompt_width).stylize("$foreground-muted"),
        " ",
        _cut(said, answer_width).stylize(style if failed else "$foreground"),
    )
    if not _has_figures(width):
        return line
    usage = row.answer.usage if row.answer is not None else None
    tokens = figures.quantity(usage.output) if usage is not None else ""
    cost = figures.cost(row.cost_usd) if row.answer is not None and not failed else ""
    return Content.assemble(line, f" {tokens:>7} ", (f"{cost:>9}", "$text-accent"))


def _has_figures(width: int) -> bool:
    return width >= 96


def _text_widths(width: int) -> tuple[int, int]:
    """Of the prompt and the answer: two parts and three of what is left."""
    rest = width - (_NUMBER_WIDTH + 1) - 2 - (_ID_WIDTH + 1) - 2 - (18 if _has_figures(width) else 0)
    prompt = max(8, rest * 2 // 5)
    return prompt, max(8, rest - prompt)


def _cut(text: str, width: int) -> Content:
    return Content(clean(text[:_ENOUGH])).truncate(width, ellipsis=True, pad=True)
