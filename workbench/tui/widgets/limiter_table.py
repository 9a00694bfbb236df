"""The limiter's lanes, a row each: state, in flight, limits, refusals, times, what binds it. Only rows in view exist.

Counters follow every look, times once a second: a percentile that changes four times a second cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual.content import Content
from textual.strip import Strip
from textual.style import Style

from workbench.core.stats import NOTHING, Percentiles
from workbench.engine.limiter_stats import DimensionStats, LaneState
from workbench.engine.records import SEVERAL_TOKENS, LaneTraffic
from workbench.session import figures
from workbench.session.diagnosis import Cause
from workbench.session.limit_words import window_cause
from workbench.session.monitor import MonitoredLane
from workbench.tui.glyphs import Glyphs
from workbench.tui.widgets.gauge import FAINT, gauge
from workbench.tui.widgets.line_list import LineList

STATES: Final[Mapping[LaneState, tuple[str, str, str]]] = {
    LaneState.OPEN: ("●", "o", "$text-success"),
    LaneState.FULL: ("◆", "#", "$text-warning"),
    LaneState.PACED: ("◐", "%", "$text-warning"),
    LaneState.COOLING: ("◌", "~", "$text-error"),
    LaneState.HELD: ("■", "=", "$text-accent"),
    LaneState.DEAD: ("✗", "x", "$text-error"),
}
"""Sign, sign in ASCII, colour."""

CAUSE_STYLES: Final[Mapping[Cause, str]] = {
    Cause.IDLE: FAINT,
    Cause.NOTHING: "$text-success",
    Cause.NO_KEY: "$text-error",
    Cause.BREAKER: "$text-error",
    Cause.STALL: "$text-error",
    Cause.RETRIES: "$text-error",
    Cause.HELD: "$text-accent",
}
"""All others are worth a look, and look like it."""

_NO_LANE: Final = "No lane yet: one appears with the first request over each key and model."
_NAME_LEAST: Final = 16
_BAR: Final = 8


Piece = tuple[str, str]
"""Text, and its style as Textual's markup has it."""


def cause_style(cause: Cause) -> str:
    return CAUSE_STYLES.get(cause, "$text-warning")


class LimiterTable(LineList):
    # Rows change under the mouse; what it would need to select text costs as much as drawing them.
    ALLOW_SELECT = False

    HELP = """
    # Lanes

    A lane is what shares one limit: a provider, a key (or an account's keys) and a family of models.

    - **state**: `open`; `full`, as much in flight as its window allows; `paced`, requests wait for a limit per minute
      to refill; `cooling`, the provider refused and nothing is sent for a while; `held`, stopped by hand; `no key`.
    - **flight**: calls in flight, of those its window allows; **limit by** says where that limit comes from: `by hand`,
      the `provider's cap`, `still growing`, or found `after a cut`.
    - **requests/min**, **tokens/min**: used in the last minute, of what we send at most. It may be more for a while:
      what was saved up while nothing was asked counts, too. `~` marks a pace that was learned from refusals, not
      stated by the provider.
    - **429**: refusals in the last minute.
    - **TTFT**: from the request being written to the first token of any kind; p95 needs 20 answers in the last minute,
      p99 needs 100, otherwise `—`.
    - **TPOT**: time per token after the first, p50; `≥` where a chunk carries several tokens, so that it reads too low.
    - **tok/s**: output over the last ten seconds, an estimate by characters until the provider counts.
    - **reset**: until a pause ends, the next request may go, or the tightest limit is whole again.
    - **why slow**: the one cause that binds it; enter tells the rest.

    `+` and `-` change how many calls may be in flight, `f` fixes the present number or lets it adapt again, `e` sets
    all limits, requests and tokens a minute included, `p` stops the lane and lets it go on. All of that is written
    into its history as done by hand.
    """

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__(glyphs.more, id="lanes")
        self._glyphs = glyphs
        self.rows: tuple[MonitoredLane, ...] = ()
        self._times: dict[str, LaneTraffic] = {}
        self._shown: dict[int, tuple[Piece, ...]] = {}
        self._styles: dict[tuple[str, bool, bool], RichStyle] = {}
        self._shown_width = 0

    @property
    def row(self) -> MonitoredLane | None:
        """The lane that the cursor is on."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def show_lanes(self, rows: Sequence[MonitoredLane], *, with_times: bool) -> None:
        """The cursor stays on its lane, wherever that has gone; `with_times` takes over the percentiles as well."""
        held = self.row.name if self.row is not None else None
        self.rows = tuple(rows)
        if with_times:
            self._times = {row.name: row.traffic for row in rows if row.traffic is not None}
        self.set_count(len(self.rows))
        if held is not None and (self.row is None or self.row.name != held):
            self.cursor = next((index for index, row in enumerate(self.rows) if row.name == held), self.cursor)

    def refresh_entries(self) -> None:
        """Only rows whose text has changed are drawn again."""
        width = self.scrollable_content_region.width - 1
        before, self._shown = self._shown if width == self._shown_width else {}, {}
        self._shown_width = width
        for index in self.in_view():
            self._shown[index] = self.pieces(index, width)
        changed = [
            self._row_region(index)
            for index in before.keys() | self._shown.keys()
            if before.get(index) != self._shown.get(index)
        ]
        if changed:
            self.refresh(*changed)

    def heading(self, width: int) -> Content:
        columns, name = _columns(width)
        cells = [f"{column.title:>{column.width}}" for column in columns if column.rank]
        why = "" if columns[-1].rank else "  why slow"
        return Content.styled(f"  {'state':9}{'lane':{name}}{''.join(cells)}{why}", "$foreground-muted")

    def pieces(self, index: int, width: int) -> tuple[Piece, ...]:
        """A row as words with the styles that they have."""
        row = self.rows[index]
        columns, name_width = _columns(width)
        cell = _Cells(row, self._times.get(row.name), self._glyphs)
        name = Content(row.name).truncate(name_width, ellipsis=True, pad=True).plain
        pieces = [*cell.state(), (f" {name}", ""), *(piece for column in columns for piece in column.cell(cell))]
        text, style = pieces[-1]
        room = width - sum(cell_len(text) for text, _ in pieces[:-1])
        if cell_len(text) > room:
            pieces[-1] = Content(text).truncate(max(0, room), ellipsis=True).plain, style
        # What a row costs from here on goes by the number of its pieces.
        return tuple(
            ("".join(text for text, _ in group), style) for style, group in groupby(pieces, key=lambda piece: piece[1])
        )

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if index >= self.count:
            said = "" if y or self.count else f" {_NO_LANE}"
            return Strip([Segment(said, self._rich("$foreground-muted", False))]).adjust_cell_length(
                width, self._rich("", False)
            )
        here = index == self.cursor
        pieces = self._shown.get(index) if width - 1 == self._shown_width else None
        drawn = [Segment(self._mark if here else " ", self._rich("bold $text-accent", here))]
        drawn += [Segment(text, self._rich(style, here)) for text, style in pieces or self.pieces(index, width - 1)]
        return Strip(drawn).adjust_cell_length(width, self._rich("", here))

    def _rich(self, style: str, here: bool) -> RichStyle:
        """Resolved once for each theme: that takes longer than drawing the row."""
        key = (style, here, here and self.has_focus)
        known = self._styles.get(key)
        if known is None:
            base = self.get_visual_style("line-list--cursor") if here else self.visual_style
            known = self._styles[key] = (base + Style.parse(style) if style else base).rich_style
        return known


@dataclass(frozen=True, slots=True)
class _Cells:
    """What may stand in one row; times are those of the last full second."""

    row: MonitoredLane
    times: LaneTraffic | None
    glyphs: Glyphs

    def state(self) -> Sequence[Piece]:
        state = self.row.state
        sign, ascii_sign, style = STATES[state]
        return [(f"{ascii_sign if self.glyphs.ascii_only else sign} {state.value:7}", style)]

    def flight(self) -> Sequence[Piece]:
        lane = self.row.lane
        text = f"{lane.in_flight}/{lane.window}"
        return [(f"{text:>9}", "$text-warning" if lane.state is LaneState.FULL else "")]

    def limit_by(self) -> Sequence[Piece]:
        return [(f"{window_cause(self.row.lane):>15}", "$foreground-muted")]

    def requests(self) -> Sequence[Piece]:
        return self._paced(self.row.dimension(tokens=False), 9)

    def tokens(self) -> Sequence[Piece]:
        return self._paced(self.row.dimension(tokens=True), 13)

    def _paced(self, dimension: DimensionStats | None, width: int) -> Sequence[Piece]:
        if dimension is None:
            return [(f" {figures.UNKNOWN:>{_BAR + 1 + width}}", FAINT)]
        mark = "~" if dimension.learned and not dimension.pinned else ""
        said = f"{figures.units(dimension.used)}/{mark}{figures.units(dimension.pace)}"
        return [("  ", ""), *gauge(dimension.share, _BAR, self.glyphs), (f"{said:>{width}}", "")]

    def refused(self) -> Sequence[Piece]:
        count = self.row.traffic.refusals_window if self.row.traffic is not None else 0
        return [(f"{count:>5}", "$text-warning" if count else FAINT)]

    def _ttft(self) -> Percentiles:
        return self.times.ttft_s if self.times is not None else NOTHING

    def p50(self) -> Sequence[Piece]:
        return _time(self._ttft().p50, 7)

    def p95(self) -> Sequence[Piece]:
        return _time(self._ttft().p95, 7)

    def p99(self) -> Sequence[Piece]:
        return _time(self._ttft().p99, 7)

    def tpot(self) -> Sequence[Piece]:
        tpot_s = self.times.tpot_s.p50 if self.times is not None else None
        if self.times is None or tpot_s is None:
            return [(f"{figures.UNKNOWN:>8}", FAINT)]
        # Several tokens in one chunk: the first chunk's are not counted as time, so the truth lies above.
        several = (self.times.tokens_per_chunk or 0.0) > SEVERAL_TOKENS
        least = (">" if self.glyphs.ascii_only else "≥") if several else ""
        return [(f"{f'{least}{tpot_s * 1e3:.0f}ms':>8}", "")]

    def rate(self) -> Sequence[Piece]:
        traffic = self.row.traffic
        if traffic is None or not traffic.tokens_per_s:
            return [(f"{figures.UNKNOWN if traffic is None else '0':>8}", FAINT)]
        return [(f"{f'~{traffic.tokens_per_s:,.0f}':>8}", "")]

    def reset(self) -> Sequence[Piece]:
        reset_s = self.row.reset_s
        said = figures.UNKNOWN if reset_s is None or reset_s < 0.5 else figures.countdown(reset_s)
        return [(f"{said:>9}", "$foreground-muted")]

    def why(self) -> Sequence[Piece]:
        cause = self.row.diagnosis.cause
        return [(f"  {cause.value}", cause_style(cause))]

    def sentence(self) -> Sequence[Piece]:
        found = self.row.diagnosis
        said = f": {found.sentence}" if found.cause.is_trouble else ""
        return [*self.why(), (said, "$foreground-muted")]


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: int
    rank: int
    """What is ranked higher goes first when there is no room; 0 for the last one, which has no title of its own."""
    cell: Callable[[_Cells], Sequence[Piece]]


_WHY_LEAST: Final = 18
_SENTENCE_LEAST: Final = 60

_COLUMNS: Final = (
    _Column("flight", 9, 1, _Cells.flight),
    _Column("limit by", 15, 9, _Cells.limit_by),
    _Column("requests/min", 2 + _BAR + 9, 5, _Cells.requests),
    _Column("tokens/min", 2 + _BAR + 13, 7, _Cells.tokens),
    _Column("429", 5, 3, _Cells.refused),
    _Column("TTFT", 7, 2, _Cells.p50),
    _Column("p95", 7, 4, _Cells.p95),
    _Column("p99", 7, 10, _Cells.p99),
    _Column("TPOT", 8, 8, _Cells.tpot),
    _Column("tok/s", 8, 6, _Cells.rate),
    _Column("reset", 9, 11, _Cells.reset),
)
_WHY: Final = _Column("", _WHY_LEAST, 0, _Cells.why)
_SENTENCE: Final = _Column("", _SENTENCE_LEAST, 0, _Cells.sentence)


@lru_cache(maxsize=8)
def _columns(width: int) -> tuple[tuple[_Column, ...], int]:
    """The columns for which there is room, the cause last, and the cells that remain for the lane's name."""
    room = width - 11 - _NAME_LEAST - _WHY_LEAST
    chosen: list[_Column] = []
    for column in sorted(_COLUMNS, key=lambda column: column.rank):
        if column.width > room:
            break
        room -= column.width
        chosen.append(column)
    name = _NAME_LEAST + min(max(0, room), 16)
    last = _SENTENCE if room - (name - _NAME_LEAST) > 0 else _WHY
    return (*(column for column in _COLUMNS if column in chosen), last), name


def _time(value: float | None, width: int) -> Sequence[Piece]:
    return [(f"{figures.seconds(value):>{width}}", FAINT if value is None else "")]
