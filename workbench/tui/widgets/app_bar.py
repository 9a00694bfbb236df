"""The top line: which program, the question that is on screen, how far the lanes are, and what it all cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from workbench.session import figures
from workbench.session.comparison import Tally
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.bar import Bar

if TYPE_CHECKING:
    from workbench.engine.budget import BudgetStats

LEAST_OF_QUESTION = 6
"""Cells: less of a question than this says nothing and is left out."""

DEMO_STYLE = "bold $background on $warning"


class AppBar(Bar):
    DEFAULT_CSS = """
    AppBar { background: $panel; padding: 0 1; }
    """

    def show_session(
        self,
        *,
        areas: Content,
        question: str,
        turn: int,
        turns: int,
        tally: Tally,
        budget: BudgetStats,
        demo: bool,
        glyphs: Glyphs,
    ) -> None:
        """Args:
        areas: their names, when there are several; without room the program's own name goes first.
        question: the prompt that the panes answer; empty before the first.
        turn: which one is on screen, from 1, of `turns`.
        budget: with a cap, what the session has cost stands in the place of what the conversation has.
        """
        # Before the first layout it has no width of its own yet, and will be as wide as the screen.
        width = self.size.width or self.app.size.width
        narrow = width < 100
        named = not narrow or (not areas and (width >= 80 or not question))
        name = Content.styled("llm-workbench" if named else "", "bold $text-primary")
        left = Content("  ").join(part for part in (name, areas) if part)
        facts = [Content.styled(f"turn {turn} of {turns}" if turn != turns else f"turn {turn}", "$foreground-muted")]
        if turns < 2:
            facts = []
        facts += _counts(tally)
        if budget.limit_usd is not None:
            facts.append(_spent(budget, budget.limit_usd))
        elif tally.cost_usd is not None:
            # Some answers have no known price: what is known is the least it cost.
            least = "≥ " if tally.cost_is_partial else ""
            facts.append(Content.styled(least + figures.cost(tally.cost_usd), "$text-accent"))
        if demo:
            facts.append(Content.styled(" DEMO " if narrow else " DEMO simulated models ", DEMO_STYLE))
        right = Content(f" {glyphs.dot} ").join(facts) if not demo else _join_with_badge(facts, glyphs)
        if question:
            asked = " ".join(question.split())
            mark = f"  {glyphs.prompt} " if left else f"{glyphs.prompt} "
            # Less the bar's own padding and the blanks before the right part.
            room = width - 4 - left.cell_length - len(mark) - right.cell_length
            if room >= min(LEAST_OF_QUESTION, len(asked)):
                left = Content.assemble(left, (mark, "$text-accent"), asked)
        self.show(left, Content.assemble("  ", right))


def _spent(budget: BudgetStats, limit_usd: float) -> Content:
    least = "≥ " if budget.unpriced else ""
    said = f"{least}{figures.money(budget.spent_usd)} / cap {figures.money(limit_usd)}"
    return Content.styled(said, "bold $text-warning" if budget.is_spent else "$text-accent")


def _counts(tally: Tally) -> list[Content]:
    counts = [
        (tally.running, "running", "$text-primary"),
        (tally.done, "done", "$text-success"),
        (tally.failed, "not answered", "$text-error"),
        (tally.stopped, "stopped", "$foreground-muted"),
    ]
    return [Content.styled(f"{count} {word}", style) for count, word, style in counts if count]


def _join_with_badge(facts: list[Content], glyphs: Glyphs) -> Content:
    *before, badge = facts
    return Content.assemble(Content(f" {glyphs.dot} ").join(before), "  " if before else "", badge)
