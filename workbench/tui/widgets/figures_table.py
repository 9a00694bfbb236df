"""The table beside the prompt: what sending would take while something is written, how the answers compare else."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from workbench.core.pricing import ModelFacts
from workbench.core.types import Message
from workbench.session import figures
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.lane import Turn
from workbench.session.model_directory import ModelDirectory
from workbench.session.numbers import Numbers
from workbench.session.preflight import Estimate, estimate, total
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.lane_header import STATE_STYLES, state_words

NAME_WIDTH = 18


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
        rows.append(Content.assemble(_name(number, target.name, target.accent), _needs(one, why_not)))
    low, high = total(estimates)
    tokens = max(one.input_tokens for one in estimates)
    models = f"{len(estimates)} models" if len(estimates) > 1 else "1 model"
    price = f"{figures.cost_range(low, high)} for {models}" if low is not None else f"for {models}"
    heading = _heading("Before sending", f"{'tokens':>7} {'context':>7}  cost")
    return f"~{figures.quantity(tokens)} tok {price}", Content("\n").join([heading, *rows])


def results(comparison: Comparison, turn_index: int, now_ns: int, glyphs: Glyphs) -> Content:
    """A row per target with the figures of one turn, the best of each kind in bold; empty before the first answer."""
    turns = [lane.turns[turn_index] if 0 <= turn_index < len(lane.turns) else None for lane in comparison.lanes]
    if not any(turns):
        return Content()
    numbers = [turn.numbers(now_ns) if turn is not None else Numbers() for turn in turns]
    settled = [
        one if turn is not None and turn.state.is_success else Numbers()
        for one, turn in zip(numbers, turns, strict=True)
    ]
    best_ttft = _best([one.ttft_s for one in settled], smallest=True)
    best_rate = _best([one.rate_tps for one in settled], smallest=False)
    best_cost = _best([one.cost_usd for one in settled], smallest=True)
    rows = []
    for number, (lane, turn, one) in enumerate(zip(comparison.lanes, turns, numbers, strict=True), 1):
        name = _name(number, lane.target.name, lane.target.accent)
        if turn is None or not (turn.state.is_success or one.output_tokens):
            rows.append(Content.assemble(name, _state(turn, glyphs)))
            continue
        figures_of_row = Content.assemble(
            _cell(figures.seconds(one.ttft_s), 7, one.ttft_s is not None and one.ttft_s == best_ttft),
            _cell(_number(one.rate_tps), 5, one.rate_tps is not None and one.rate_tps == best_rate),
            _cell(f"{'~' if one.tokens_estimated else ''}{figures.quantity(one.output_tokens)}", 7, False),
            _cell(figures.cost(one.cost_usd), 9, one.cost_usd is not None and one.cost_usd == best_cost),
        )
        rows.append(Content.assemble(name, figures_of_row))
    heading = _heading("This turn", f"{'TTFT':>7}{'t/s':>5}{'tokens':>7}{'cost':>9}")
    return Content("\n").join([heading, *rows])


def _heading(title: str, columns: str) -> Content:
    return Content.assemble((f"{title:{NAME_WIDTH + 2}}", "bold $text-primary"), (columns, "$foreground-muted"))


def _name(number: int, name: str, accent: int) -> Content:
    shown = name if len(name) <= NAME_WIDTH else name[: NAME_WIDTH - 1] + "…"
    return Content.assemble((f"{number} ", f"bold $lane-{accent}"), (f"{shown:{NAME_WIDTH}}", "$foreground"))


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


def _state(turn: Turn | None, glyphs: Glyphs) -> Content:
    if turn is None:
        return Content.styled(" not asked", "$foreground-muted")
    words = state_words(turn.state, turn.error)
    return Content.styled(f" {glyphs.state(turn.state)} {words}", STATE_STYLES[turn.state])


def _cell(text: str, width: int, is_best: bool) -> Content:
    return Content.styled(f"{text:>{width}}", "bold $text-success" if is_best else "$foreground")


def _number(rate: float | None) -> str:
    return figures.UNKNOWN if rate is None else f"{rate:.0f}"


def _best(values: Sequence[float | None], *, smallest: bool) -> float | None:
    """The best of at least two, else there is nothing to compare."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    return min(known) if smallest else max(known)
