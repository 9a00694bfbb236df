"""The Monitor: what runs, why it is slow, every lane, four charts, what happened. It answers from the screen alone.

Counters are read four times a second, times and charts once; nothing at all while another area is looked at.
What changes in between stands at the top of the screen: a frame costs by how far apart the changes are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from workbench.core.clock import NS_PER_S
from workbench.core.errors import LimitKind, UsageError
from workbench.engine.limiter_stats import LaneState
from workbench.engine.timeline import Span
from workbench.session.monitor import MonitoredLane, Overview, Statistics, overview
from workbench.session.monitor_detail import lane_sections
from workbench.session.monitor_limits import LimitChange
from workbench.session.monitor_log import MonitorLog
from workbench.tui.desk import Desk
from workbench.tui.host import HostedEngine, LaneControl
from workbench.tui.monitor_charts import charts
from workbench.tui.monitor_words import detail, health, reason, run_strip
from workbench.tui.screens.area import BAR_PERIOD_S, TIMES_EVERY, AreaScreen
from workbench.tui.screens.monitor_limits import LimitsDialog
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.event_log import EventLog
from workbench.tui.widgets.key_bar import KeyBar
from workbench.tui.widgets.limiter_table import LimiterTable
from workbench.tui.widgets.line_list import LineList
from workbench.tui.widgets.live_bar import LiveBar
from workbench.tui.widgets.time_series import TimeSeries

CHARTS: Final = ("in-flight", "tokens", "ttft", "refusals")
PANELS: Final = ("lanes", *CHARTS, "events")


class Sentence(Bar):
    """A bar that goes on in the next row where there is one, instead of ending in an ellipsis."""

    DEFAULT_CSS = """
    Sentence { padding: 0 0 0 1; }
    """

    def render(self) -> RenderResult:
        return self._left if self.size.height > 1 else super().render()


class MonitorScreen(AreaScreen):
    CSS_PATH = "../styles/monitor.tcss"
    AUTO_FOCUS = "#lanes"

    HELP = """
    # Monitor

    Everything that this program asks of providers, now. The second line names the one cause that holds things up most,
    in a sentence: a rate limit, an in-flight cap, a stalled stream, retries, a cold start, a slow connection, a slow
    model, or this program's own screen. Each lane has its own cause in its row. When nothing is asked any more, it
    names what held things up in the last minute.

    - **running**, **ETA**: how long something has been under way, and how long until all of it has ended, by what each
      model's last answers took and by its limits. **$** is what was spent, and what it will then have come to.
    - **in flight**, **queued**, **backing off**: on the wire; waiting for a limit; waiting to be tried again.
    - **TTFT**: to the first token, p50 and p95 of the last minute. **tok/s**: output of the last ten seconds, `~`
      because it is estimated by characters until providers count.
    - **429**: refusals in the last minute, and since the start. **answered**, **failed**, **cut off**, **cached** are
      counted apart and never mixed into a time.
    - **TTFT ±**, at the bottom: how late first tokens were stamped in the last minute at the most (p95), because this
      program was busy when they came. **loop late**: how long it went without looking at its sockets, the worst of each
      quarter of a second. **frames**: how many were drawn, how many left out, and what drawing one costs.

    `—` is unknown, never zero. p95 is shown from 20 samples on, p99 from 100.

    `1` to `6` make one panel as large as the screen, `esc` brings the others back; `s` changes how far back charts
    look; `enter` tells everything about a lane, and the charts are then about it alone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,equals_sign,kp_plus", "widen(1)", "More", id="monitor.more", key_display="+",
                tooltip="Let more calls of this lane be in flight, and keep it there"),
        Binding("minus,kp_minus", "widen(-1)", "Fewer", id="monitor.fewer", key_display="-",
                tooltip="Let fewer calls of this lane be in flight, and keep it there"),
        Binding("f", "fix", "Fix", id="monitor.fix", tooltip="Keep the lane's in-flight limit, or let it adapt again"),
        Binding("e", "edit", "Limits", id="monitor.limits",
                tooltip="Set how many calls in flight, requests and tokens a minute this lane may have"),
        Binding("p", "hold", "Pause/resume", id="monitor.pause", tooltip="Stop sending over this lane, or go on"),
        Binding("s", "span", "Span", id="monitor.span", tooltip="Charts over 60 s, 5 minutes, the run"),
        *(
            Binding(str(number), f"zoom({panel!r})", f"Zoom {panel}", id=f"monitor.zoom-{panel}", show=False)
            for number, panel in enumerate(PANELS, 1)
        ),
        Binding("escape", "back", "Back", id="monitor.back", show=False),
    ]  # fmt: skip

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, id="monitor")
        self.run_bar = LiveBar(id="run")
        self.why = Sentence(id="why")
        self.table = LimiterTable(desk.glyphs)
        self.charts = tuple(TimeSeries(number, desk.glyphs, id=name) for number, name in enumerate(CHARTS, 2))
        self.log_view = EventLog(desk.glyphs, self._time_of_day)
        self.detail = VerticalScroll(id="detail", can_focus=True)
        self.span = Span.MINUTE
        self.seen: Overview | None = None
        """What is on the screen; None before the engine is open."""
        self.zoomed = ""
        self.opened: str | None = None
        """The lane whose details are shown."""
        self._log = MonitorLog()
        self._table_rows: int | None = None
        self._controls = False
        """Whether there was a lane to control when the keys were last shown."""
        self._ticks = 0
        self._ticked_ns: int | None = None
        """When the last tick came; None when the timer was at rest before."""
        self._left_out = 0
        """Ticks that did not come, since the last look."""
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self.app_bar
        yield self.run_bar
        yield self.why
        with Vertical(id="panels"):
            yield Bar(id="lanes-heading")
            yield self.table
            with Container(id="charts"):
                yield from self.charts
            yield Bar(id="events-heading")
            yield self.log_view
            with self.detail:
                yield Static(id="detail-text", markup=False)
        # In a box of their own they are not even looked at when a frame has nothing new for them.
        with Vertical(id="foot"):
            yield self.status
            yield KeyBar(self.desk.glyphs)
        yield Static("The terminal is too small: 40 by 12 cells at least.", id="too-small", markup=False)

    def on_mount(self) -> None:
        self._timer = self.set_interval(BAR_PERIOD_S, self._tick, name="monitor")
        self.app.mode_change_signal.subscribe(self, self._area_changed)
        self.call_after_refresh(self.look)

    def on_resize(self) -> None:
        self.call_after_refresh(self.look)

    def _area_changed(self, mode: str) -> None:
        """Nothing is read or drawn while nobody can see it."""
        if self._timer is not None:
            if self.is_in_front:
                self._timer.resume()
                self.look()
            else:
                self._timer.pause()
                self._ticked_ns = None

    # Looking

    def _tick(self) -> None:
        self._ticks += 1
        now_ns = self.desk.clock.monotonic_ns()
        if self._ticked_ns is not None:
            # Turns that the timer left out because the loop was busy.
            self._left_out += max(0, round((now_ns - self._ticked_ns) / NS_PER_S / BAR_PERIOD_S) - 1)
        self._ticked_ns = now_ns
        whole = self._ticks % TIMES_EVERY == 0
        if self.is_in_front and (whole or self.is_current):
            self.look(whole=whole)

    def look(self, *, whole: bool = True) -> None:
        """Show how things stand; `whole` for times and charts as well. Counted as a frame of the app's."""
        if not self.is_in_front or not self.table.is_attached:
            return
        began_s = time.perf_counter()
        self._look(whole=whole)
        left_out, self._left_out = self._left_out, 0
        self.desk.frames.count(time.perf_counter() - began_s, left_out=left_out)

    def _look(self, *, whole: bool) -> None:
        if whole:
            self.refresh_app_bar()
            self._show_health()
        engine = self.desk.engine.host.present
        if engine is None:
            self.run_bar.show(Content.styled(" The engine is being opened.", "$foreground-muted"))
            return
        statistics = engine.statistics(times=whole)
        seen = self.seen = overview(
            statistics,
            self.seen,
            capped=self.app.spend_cap.spending.statistics().waiting,
            batches=self.app.job_outlook,
        )
        width = self.run_bar.size.width
        self.run_bar.show(*run_strip(seen, self.desk.glyphs, width))
        self.why.show(reason(seen, self.desk.glyphs))
        self.table.show_lanes(seen.lanes, with_times=whole)
        if not whole:
            return
        self._fit_table()
        if self._log.read(statistics, engine.records, engine.failures):
            self.log_view.show_entries(self._log.entries)
        self._show_headings()
        self._show_charts(engine)
        self._show_detail(statistics)
        self._offer_controls()

    def _fit_table(self) -> None:
        """As many rows as there are lanes, but room for the rest of the screen; all the room when it is zoomed."""
        most = self.size.height // (2 if self.has_class("-short") else 3)
        rows = None if self.zoomed else max(1, min(len(self.table.rows), most))
        if rows != self._table_rows:
            self._table_rows = rows
            self.table.styles.max_height = rows

    def _show_health(self) -> None:
        frames = self.desk.frames.statistics()
        self.status.show_figures(*health(frames, self.seen, self.desk.glyphs, self.status.size.width))

    def _show_headings(self) -> None:
        number = "bold $text-accent"
        heading = self.table.heading(max(20, self.table.scrollable_content_region.width - 1))
        self.query_one("#lanes-heading", Bar).show(Content.assemble(("1", number), heading[1:]))
        count = len(self._log.entries)
        said = f" Events, newest first ({count})" if count else " Events: none yet"
        self.query_one("#events-heading", Bar).show(Content.assemble(("6", number), (said, "$foreground-muted")))

    def _show_charts(self, engine: HostedEngine) -> None:
        visible = [chart for chart in self.charts if chart.size.width and chart.display]
        if not visible:
            return
        points = 2 * max(chart.size.width for chart in visible)
        series = engine.series(self.span, self.opened or "", points)
        for chart, content in zip(self.charts, charts(series, self.span), strict=True):
            if chart in visible:
                chart.show(content)

    def _show_detail(self, statistics: Statistics) -> None:
        row = self._opened_row()
        if row is None or statistics.limits is None or self.seen is None:
            return
        sections = lane_sections(row, self.seen.keys, statistics.limits.history, ascii_only=self.desk.glyphs.ascii_only)
        # Less its padding and its scroll bar, which may not be there yet.
        self.query_one("#detail-text", Static).update(detail(row.name, sections, self.size.width - 4))

    def _opened_row(self) -> MonitoredLane | None:
        return next((row for row in self.table.rows if row.name == self.opened), None)

    def _time_of_day(self, at_ns: int) -> str:
        clock = self.desk.clock
        ago = timedelta(seconds=(clock.monotonic_ns() - at_ns) / NS_PER_S)
        return (clock.wall() - ago).astimezone().strftime("%H:%M:%S")

    # Panels

    def action_zoom(self, panel: str) -> None:
        """One panel as large as the screen; the same key again brings the others back."""
        self.zoomed = "" if panel == self.zoomed else panel
        self.set_class(self.zoomed == "lanes", "-zoom-lanes")
        self.set_class(self.zoomed == "events", "-zoom-events")
        self.set_class(self.zoomed in CHARTS, "-zoom-chart")
        for chart in self.charts:
            chart.set_class(chart.id == self.zoomed, "-zoomed")
        (self.log_view if self.zoomed == "events" else self.table).focus()
        self.call_after_refresh(self.look)

    def action_back(self) -> None:
        if self.zoomed:
            self.action_zoom(self.zoomed)
        elif self.opened is not None:
            self._open(None)

    def action_span(self) -> None:
        spans = list(Span)
        self.span = spans[(spans.index(self.span) + 1) % len(spans)]
        self.status.flash(f"Charts over {'the whole run' if self.span is Span.RUN else self.span.value}.")
        self.look()

    @on(LineList.Chosen, "#lanes")
    def _lane_chosen(self) -> None:
        row = self.table.row
        if row is not None:
            self._open(None if self.opened == row.name else row.name)

    @on(LineList.Moved, "#lanes")
    def _lane_moved(self) -> None:
        """Details follow the cursor once they are open."""
        row = self.table.row
        if self.opened is not None and row is not None and row.name != self.opened:
            self._open(row.name)

    def _open(self, lane: str | None) -> None:
        self.opened = lane
        self.set_class(lane is not None, "-detail")
        self.call_after_refresh(self.look)

    # By hand

    def _control(self) -> tuple[LaneControl, MonitoredLane] | None:
        engine, row = self.desk.engine.host.present, self.table.row
        return None if engine is None or engine.limiter is None or row is None else (engine.limiter, row)

    def _offer_controls(self) -> None:
        """Their keys are dimmed while there is nothing to control. Asking for all bindings costs as much as a look."""
        can = self._control() is not None
        if can != self._controls:
            self._controls = can
            self.refresh_bindings()

    def action_widen(self, direction: int) -> None:
        if (found := self._control()) is not None:
            limiter, row = found
            window = row.lane.window
            self._pin(limiter, row, max(1, window + direction * max(1, window // 10)))

    def action_fix(self) -> None:
        if (found := self._control()) is not None:
            limiter, row = found
            self._pin(limiter, row, None if row.lane.window_pinned else row.lane.window)

    def _pin(self, limiter: LaneControl, row: MonitoredLane, size: int | None) -> None:
        try:
            limiter.pin_window(row.name, size)
        except (KeyError, ValueError) as error:
            self.status.flash(f"Not changed: {error.args[0]}.")
            return
        self.status.flash(f"{row.name}: {'adapts again' if size is None else f'{size} in flight, by hand'}.")
        self.look()

    def action_edit(self) -> None:
        if (found := self._control()) is None:
            return
        limiter, row = found

        def apply(wanted: Sequence[LimitChange]) -> None:
            try:
                for change in wanted:
                    if change.kind is LimitKind.CONCURRENCY:
                        limiter.pin_window(row.name, None if change.to is None else int(change.to))
                    else:
                        limiter.pin_limit(row.name, change.kind, change.to)
            except (KeyError, ValueError) as error:
                raise UsageError(f"Not changed: {error.args[0]}.") from None

        def changed(done: Sequence[LimitChange] | None) -> None:
            if done:
                self.status.flash(f"{row.name}: {', '.join(map(str, done))}.")
                self.look()

        self.app.push_screen(LimitsDialog(row.lane, apply), changed)

    def action_hold(self) -> None:
        if (found := self._control()) is None:
            return
        limiter, row = found
        stopped = row.lane.state in (LaneState.HELD, LaneState.COOLING)
        try:
            (limiter.resume if stopped else limiter.pause)(row.name)
        except KeyError as error:
            self.status.flash(f"Not changed: {error.args[0]}.")
            return
        self.status.flash(f"{row.name}: {'goes on' if stopped else 'stopped; what is in flight ends by itself'}.")
        self.look()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        match action:
            case "widen" | "fix" | "hold" | "edit":
                return self._control() is not None
            case _:
                return True
