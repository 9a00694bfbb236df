"""The two border lines of a pane: what it is and how it goes on top, its figures below.

Pure: numbers in, `Content` out. The bottom line drops what matters least when the pane is narrow, in a fixed order, so
that figures do not jump about while they grow.
"""

from __future__ import annotations

from collections.abc import Callable

from textual.content import Content

from workbench.core.errors import WorkbenchError
from workbench.session import figures
from workbench.session.lane_state import LaneState
from workbench.session.numbers import Numbers
from workbench.tui.glyphs import Glyphs

_GOOD = "$text-success"
_CALM = "$foreground-muted"
_BAD = "$text-error"
_CARE = "$text-warning"

STATE_STYLES: dict[LaneState, str] = {
    LaneState.READY: _CALM,
    LaneState.QUEUED: _CARE,
    LaneState.CONNECTING: _CALM,
    LaneState.THINKING: "$text-accent",
    LaneState.STREAMING: "$text-primary",
    LaneState.DONE: _GOOD,
    LaneState.CACHED: _GOOD,
    LaneState.TRUNCATED: _CARE,
    LaneState.FILTERED: _CARE,
    LaneState.REFUSED: _CARE,
    LaneState.TIMED_OUT: _BAD,
    LaneState.CANCELLED: _CALM,
    LaneState.INCOMPLETE: _BAD,
    LaneState.FAILED: _BAD,
}

SPARK_WIDTH = 14

_VISIBLE_S = 0.005
"""Of an error: TTFT is shown in hundredths of a second, which less does not change."""
GAP = "  "


def state_words(state: LaneState, error: WorkbenchError | None = None, *, is_sent: bool = False) -> str:
    """The state as shown: a failure by its cause (`rate limit`, `no key`); a request that is out only waits."""
    if state is LaneState.CONNECTING and is_sent:
        return "waiting"
    return error.title if state is LaneState.FAILED and error is not None else str(state)


def header_title(number: int, title: str, state: LaneState, words: str, glyphs: Glyphs, width: int) -> Content:
    """`1 gpt-5.4 · t=0.2  ● streaming`, the title shortened before the state is."""
    status = Content.assemble(" ", (f"{glyphs.state(state)} {words}", STATE_STYLES[state]))
    name = Content.assemble((f"{number} ", "bold"), (title, "bold"))
    room = max(4, width - status.cell_length)
    return Content.assemble(name.truncate(room, ellipsis=True), status)


def header_figures(
    numbers: Numbers,
    state: LaneState,
    series: Callable[[int], tuple[float, ...]],
    *,
    accent: int,
    glyphs: Glyphs,
    width: int,
) -> Content:
    """The bottom line; empty until there is something to say.

    `series` gives the rate's samples for a number of cells, so that a sparkline that finds no room costs nothing.
    """
    if state is LaneState.READY:
        return Content()
    parts: list[tuple[int, Content]] = []
    if state is LaneState.CACHED:
        saved = f" saved {figures.cost(numbers.saved_usd)}" if numbers.saved_usd is not None else ""
        about = "~" if glyphs.ascii_only else "≈"
        alike = "from cache" if numbers.similarity is None else f"cached {about} {numbers.similarity:.2f}"
        parts.append((0, Content(f"{alike}{saved}")))
    elif numbers.ttft_s is not None:
        parts.append((0, Content.assemble(("TTFT ", _CALM), figures.seconds(numbers.ttft_s))))
        if numbers.ttft_error_s >= _VISIBLE_S:
            sign = "+-" if glyphs.ascii_only else "±"
            parts.append((4, Content.styled(f"{sign}{numbers.ttft_error_s * 1e3:.0f}ms", _CALM)))
        if numbers.reasoning_s is not None and numbers.ttfa_s is not None:
            parts.append((3, Content.assemble(("answer ", _CALM), figures.seconds(numbers.ttfa_s))))
    elif state.is_running:
        parts.append((0, Content(figures.seconds(numbers.elapsed_s))))
    if numbers.rate_tps is not None:
        parts.append((1, Content(figures.rate(numbers.rate_tps))))
    if numbers.output_tokens:
        parts.append((2, Content(figures.tokens(numbers.output_tokens, estimated=numbers.tokens_estimated))))
    if numbers.output_tokens and state is not LaneState.CACHED and (state.is_final or numbers.cost_usd is not None):
        parts.append((1, Content.styled(figures.cost(numbers.cost_usd), "$text-accent")))
    while len(parts) > 1 and _width(parts) > width:
        parts.remove(max(parts, key=lambda part: part[0]))
    content = Content(GAP).join(part for _, part in parts)
    spark = _spark(series, width - content.cell_length - len(GAP), glyphs) if numbers.rate_tps is not None else ""
    return Content.assemble(content, GAP, (spark, f"$lane-{accent}")) if spark else content


def _width(parts: list[tuple[int, Content]]) -> int:
    return sum(part.cell_length for _, part in parts) + len(GAP) * (len(parts) - 1)


def _spark(series: Callable[[int], tuple[float, ...]], room: int, glyphs: Glyphs) -> str:
    """The rate over time; nothing below five cells, which would say nothing."""
    width = min(SPARK_WIDTH, room)
    if width < 5:
        return ""
    samples = series(width)
    return figures.sparkline(samples, ascii_only=glyphs.ascii_only) if len(samples) >= 2 else ""
