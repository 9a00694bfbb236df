"""The monitor's lines of words: how much runs, why it is slow, and whether this program itself keeps up."""

from __future__ import annotations

from textual.content import Content

from workbench.core.stats import Percentiles
from workbench.session import figures
from workbench.session.diagnosis import Diagnosis
from workbench.session.monitor import Overview
from workbench.tui.frame import FrameStats
from workbench.tui.glyphs import Glyphs
from workbench.tui.monitor_line import late
from workbench.tui.widgets.gauge import FAINT
from workbench.tui.widgets.limiter_table import cause_style


def run_strip(seen: Overview, glyphs: Glyphs, width: int) -> tuple[Content, Content]:
    """What is under way at the left, what it came to at the right; says less when there is less room."""
    traffic = seen.traffic
    busy = traffic.in_flight + traffic.queued + traffic.backing_off > 0
    state = Content.styled(" running" if busy else " idle   ", "bold $text-success" if busy else "$foreground-muted")
    now = [
        _fact("in flight", f"{traffic.in_flight:,}", "$text-primary" if traffic.in_flight else ""),
        _fact("queued", f"{traffic.queued:,}", "$text-warning" if traffic.queued else ""),
        _fact("backing off", f"{traffic.backing_off:,}", "$text-warning" if traffic.backing_off else ""),
        _fact("tok/s", f"~{traffic.tokens_per_s:,.0f}" if traffic.tokens_per_s else "0"),
        _fact("TTFT", f"{figures.seconds(traffic.ttft_s.p50)} p95 {figures.seconds(traffic.ttft_s.p95)}"),
        _fact("429", f"{traffic.refusals_window:,}/min", "$text-warning" if traffic.refusals_window else ""),
        _fact("retries", f"{traffic.retries_window:,}/min", "$text-warning" if traffic.retries_window else ""),
    ]
    least = "≥ " if traffic.unpriced else ""
    totals = [
        _fact("answered", f"{traffic.answered:,}"),
        _fact("failed", f"{traffic.failed:,}", "$text-error" if traffic.failed else ""),
        _fact("cut off", f"{traffic.incomplete:,}", "$text-error" if traffic.incomplete else ""),
        _fact("cached", f"{traffic.cached + traffic.shared:,}"),
        Content.styled(f"{least}{figures.amount(traffic.cost_usd)} ", "$text-accent"),
    ]
    gap = Content.styled(f" {glyphs.dot} ", "dim")
    # The totals go first, then what is least missed of the present.
    for dropped in (totals[3], totals[2], totals[0], totals[1], now[6], now[2], totals[4], now[5]):
        if _width(state, now, totals) <= width:
            break
        now, totals = ([fact for fact in facts if fact is not dropped] for facts in (now, totals))
    return Content.assemble(state, "  ", gap.join(now)), gap.join(totals)


def _width(state: Content, *groups: list[Content]) -> int:
    return state.cell_length + 4 + sum(fact.cell_length + 3 for facts in groups for fact in facts)


def reason(found: Diagnosis, glyphs: Glyphs) -> Content:
    """The second line: why it is slow."""
    if not found.cause.is_trouble:
        return Content.assemble((" Why slow? ", "bold"), (found.sentence, cause_style(found.cause)))
    return Content.assemble(
        (" Why slow? ", "bold"),
        (found.cause.value, f"bold {cause_style(found.cause)}"),
        f" {glyphs.dot} {found.sentence}",
    )


def health(frames: FrameStats, stamp_error_s: Percentiles | None, width: int) -> tuple[Content, Content]:
    """Whether this program keeps up: how late its loop looks at its sockets, and what drawing costs."""
    spread = stamp_error_s or Percentiles()
    parts = [
        Content.assemble("loop late ", _late(spread.p50), " p95 ", _late(spread.p95), " max ", _late(spread.max)),
        _fact("frames", f"{frames.frames:,}"),
        _fact("dropped", f"{frames.dropped:,}"),
        _fact("frame p95", f"{frames.p95_ms:.1f} ms"),
    ]
    gap = Content.styled("  ", "dim")
    while len(parts) > 1 and gap.join(parts).cell_length + 2 > width:
        parts.pop()
    return gap.join(parts), Content()


def _late(seconds: float | None) -> Content:
    return Content.styled(figures.UNKNOWN, FAINT) if seconds is None else late(seconds)


def _fact(name: str, value: str, style: str = "") -> Content:
    return Content.assemble((f"{name} ", "$foreground-muted"), (value, style or "$foreground"))
