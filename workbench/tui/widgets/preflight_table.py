"""What sending would take, drawn: a phrase for the prompt's border, and a row per target where there is room."""

from __future__ import annotations

from textual.content import Content

from workbench.core.pricing import ModelFacts
from workbench.core.types import Message
from workbench.session import figures
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.model_directory import ModelDirectory
from workbench.session.preflight import Estimate, estimate, total
from workbench.tui.glyphs import Glyphs

NAME_WIDTH = 18


def preflight_table(
    comparison: Comparison, draft: Draft, directory: ModelDirectory | None, glyphs: Glyphs
) -> tuple[str, Content]:
    """The phrase and the rows; both empty while nothing is written or nobody would be asked."""
    if draft.is_empty or not comparison.lanes:
        return "", Content()
    rows: list[Content] = []
    estimates: list[Estimate] = []
    for number, lane in enumerate(comparison.lanes, 1):
        target = lane.target
        facts = directory.facts(target.model) if directory is not None else ModelFacts()
        messages = (*lane.conversation(draft.system), Message.user(draft.prompt))
        one = estimate(messages, facts, target.params.max_tokens)
        estimates.append(one)
        why_not = directory.entry(target.model).why_not if directory is not None else ""
        rows.append(_row(number, target.name, target.accent, one, why_not))
    low, high = total(estimates)
    tokens = max(one.input_tokens for one in estimates)
    models = f"{len(estimates)} models" if len(estimates) > 1 else "1 model"
    price = f" {figures.cost_range(low, high)} for {models}" if low is not None else f" for {models}"
    heading = Content.styled("Before sending", "bold $text-muted")
    return f"~{figures.quantity(tokens)} tok{price}", Content("\n").join([Content(), heading, *rows])


def _row(number: int, name: str, accent: int, one: Estimate, why_not: str) -> Content:
    share = one.context_share
    context = "" if share is None else "ctx <1%" if share < 0.01 else f"ctx {share:.0%}"
    step = 1 if share is None else next((n for n, limit in enumerate((0.25, 0.5, 0.75, 0.95), 1) if share < limit), 5)
    shown = name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"
    head = Content.assemble((f"{number} ", f"bold $lane-{accent}"), (f"{shown:{NAME_WIDTH}}", "$foreground"))
    if why_not:
        return Content.assemble(head, " ", (why_not, "$text-warning"))
    return Content.assemble(
        head,
        f" {figures.quantity(one.input_tokens):>6} ",
        (f"{context:8}", f"$gauge-{step}" if one.fits else "bold $text-error"),
        (figures.cost_range(one.low_usd, one.high_usd), "$text-accent"),
    )
