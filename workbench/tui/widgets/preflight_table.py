"""What sending would take: tokens, how full the context gets, what it may cost. Estimates all."""

from __future__ import annotations

from textual.content import Content

from workbench.core.pricing import ModelFacts
from workbench.core.types import Message
from workbench.session import figures
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.model_directory import ModelDirectory
from workbench.session.preflight import Estimate, estimate, total
from workbench.tui.widgets.table_cells import heading, target_name


def preflight(comparison: Comparison, draft: Draft, directory: ModelDirectory | None) -> tuple[str, Content]:
    """A phrase for the prompt's border and a row per target; both empty while there is nothing to send to anyone."""
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
        rows.append(Content.assemble(target_name(number, target.name, target.accent), _needs(one, why_not)))
    low, high = total(estimates)
    tokens = max(one.input_tokens for one in estimates)
    models = f"{len(estimates)} models" if len(estimates) > 1 else "1 model"
    price = f"{figures.cost_range(low, high)} for {models}" if low is not None else f"for {models}"
    top = heading("Before sending", f"{'tokens':>7} {'context':>7}  cost")
    return f"~{figures.quantity(tokens)} tok {price}", Content("\n").join([top, *rows])


def _needs(one: Estimate, why_not: str) -> Content:
    if why_not:
        return Content.styled(f" {why_not}", "$text-warning")
    share = one.context_share
    context = "" if share is None else "<1%" if share < 0.01 else f"{share:.0%}"
    step = 1 if share is None else next((n for n, limit in enumerate((0.25, 0.5, 0.75, 0.95), 1) if share < limit), 5)
    return Content.assemble(
        f"{'~' + figures.quantity(one.input_tokens):>7} ",
        (f"{context:>7}  ", f"$gauge-{step}" if one.fits else "bold $text-error"),
        (figures.cost_range(one.low_usd, one.high_usd), "$text-accent"),
    )
