"""How the answers of one turn compare, a row each, the best of each kind in bold."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from workbench.session import figures
from workbench.session.comparison import Comparison
from workbench.session.lane import Turn
from workbench.session.numbers import Numbers
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.lane_header import STATE_STYLES, state_words
from workbench.tui.widgets.table_cells import heading, target_name


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
        name = target_name(number, lane.target.name, lane.target.accent)
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
    top = heading("This turn", f"{'TTFT':>7}{'t/s':>5}{'tokens':>7}{'cost':>9}")
    return Content("\n").join([top, *rows])


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
    """The best of at least two; None when there is nothing to compare, or when it is shared."""
    known = sorted((value for value in values if value is not None), reverse=not smallest)
    return known[0] if len(known) > 1 and known[0] != known[1] else None
