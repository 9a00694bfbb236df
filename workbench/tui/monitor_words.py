"""The monitor's lines of words: how much runs, why it is slow, and whether this program itself keeps up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from textual.content import Content

from workbench.core.stats import NOTHING
from workbench.session import figures
from workbench.session.diagnosis import Diagnosis
from workbench.session.job_words import span
from workbench.session.monitor import Overview
from workbench.tui.frame import FrameStats
from workbench.tui.glyphs import Glyphs
from workbench.tui.monitor_line import late
from workbench.tui.widgets.gauge import FAINT
from workbench.tui.widgets.limiter_table import cause_style


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that the strip says, if there is room for it."""

    rank: int
    """The highest goes first."""
    content: Content


_ROOMY: Final = 100
"""From this width on a dot stands between two facts."""

_RARELY_MISSED: Final = 100
"""Added to the rank of a count of nothing: that something did not happen is worth less than anything that did."""


def run_strip(seen: Overview, glyphs: Glyphs, width: int) -> tuple[Content, Content]:
    """What is under way at the left, what it came to at the right; says less when there is less room."""
    traffic = seen.traffic
    now = [
        _Part(-1, _state(seen)),
        *_progress(seen),
        _Part(0, _fact("in flight", f"{traffic.in_flight:,}", "$text-primary" if traffic.in_flight else "")),
        _Part(1, _fact("queued", f"{traffic.queued + seen.capped:,}", "$text-warning" if traffic.queued else "")),
        _count(11, "backing off", traffic.backing_off, "$text-warning"),
        _Part(5, _fact("tok/s", f"~{traffic.tokens_per_s:,.0f}" if traffic.tokens_per_s else "0")),
        _Part(10, _fact("TTFT", f"{figures.seconds(traffic.ttft_s.p50)} p95 {figures.seconds(traffic.ttft_s.p95)}")),
        _count(8, "429", traffic.refusals_window, "$text-warning", "/min"),
        _count(9, "retries", traffic.retries_window, "$text-warning", "/min"),
    ]
    totals = [
        _Part(14, _fact("answered", f"{traffic.answered:,}")),
        _count(12, "failed", traffic.failed, "$text-error"),
        _count(13, "cut off", traffic.incomplete, "$text-error"),
        _count(15, "cached", traffic.cached + traffic.shared),
        _Part(3, _money(seen, glyphs, "" if width < _ROOMY and seen.outlook.left_usd is not None else " ")),
    ]
    gap = Content("  ") if width < _ROOMY else Content.styled(f" {glyphs.dot} ", "dim")
    for part in sorted((*now, *totals), key=lambda part: -part.rank):
        if _width(gap, now, totals) <= width:
            break
        now, totals = ([one for one in parts if one is not part] for parts in (now, totals))
    return gap.join(part.content for part in now), Content.assemble(gap.join(part.content for part in totals), " ")


def _state(seen: Overview) -> Content:
    """With how long it has been going on."""
    if seen.traffic.under_way:
        running = Content.styled(" running", "bold $text-success")
        return Content.assemble(running, (f" {span(seen.traffic.run_s)}", "$foreground"))
    return Content.styled(" paused", "bold $text-warning") if seen.capped else _styled(" idle", "")


def _progress(seen: Overview) -> list[_Part]:
    """How long it will go on; at rest how long it was the last time."""
    run_s, left_s = seen.traffic.run_s, seen.outlook.left_s
    if not seen.traffic.under_way:
        return [] if run_s is None else [_Part(7, _fact("last run", span(run_s)))]
    left = figures.UNKNOWN if left_s is None else "now" if left_s < 0.5 else f"~{span(left_s)}"
    return [_Part(2, _fact("ETA", left))]


def _money(seen: Overview, glyphs: Glyphs, pad: str) -> Content:
    """Spent, and what it will have come to when everything that is under way has ended."""
    traffic = seen.traffic
    least = ">= " if glyphs.ascii_only else "≥ "
    spent = f"{least if traffic.unpriced else ''}{figures.amount(traffic.cost_usd)}"
    if not seen.is_busy:
        return _styled(spent, "$text-accent")
    left = seen.outlook.left_usd
    projected = figures.UNKNOWN if left is None else f"~{figures.amount(traffic.cost_usd + left)}"
    arrow = f"{pad}{'->' if glyphs.ascii_only else '→'}{pad}"
    return Content.assemble((spent, "$text-accent"), (arrow, "$foreground-muted"), (projected, "$foreground"))


def _count(rank: int, name: str, count: int, style: str = "", per: str = "") -> _Part:
    return _Part(rank if count else rank + _RARELY_MISSED, _fact(name, f"{count:,}{per}", style if count else ""))


def _width(gap: Content, *groups: list[_Part]) -> int:
    """With one gap between the two groups, and a cell at the very end."""
    parts = [part for group in groups for part in group]
    return sum(part.content.cell_length for part in parts) + gap.cell_length * (len(parts) - 1) + 1


def reason(seen: Overview, glyphs: Glyphs) -> Content:
    """The second line: why it is slow, and at rest why it was."""
    found = seen.diagnosis
    if found.cause.is_trouble:
        return Content.assemble((" Why slow? ", "bold"), _named(found, glyphs))
    said = Content.assemble((" Why slow? ", "bold"), (found.sentence, cause_style(found.cause)))
    if seen.lately is None:
        return said
    return Content.assemble(said, ("; lately: ", "$foreground-muted"), _named(seen.lately, glyphs))


def _named(found: Diagnosis, glyphs: Glyphs) -> Content:
    return Content.assemble((found.cause.value, f"bold {cause_style(found.cause)}"), f" {glyphs.dot} {found.sentence}")


def health(frames: FrameStats, seen: Overview | None, glyphs: Glyphs, width: int) -> tuple[Content, Content]:
    """Whether this program keeps up: how good its TTFTs are, how late its loop is, and what drawing costs."""
    spread = seen.stamp_error_s if seen is not None else NOTHING
    errors = seen.traffic.ttft_error_s if seen is not None else NOTHING
    sign = "+-" if glyphs.ascii_only else "±"
    parts = [
        Content.assemble(f"TTFT {sign}", _late(errors.p95 if errors.p95 is not None else errors.max, tenths=True)),
        Content.assemble("loop late ", _late(spread.p50), " p95 ", _late(spread.p95), " max ", _late(spread.max)),
        _fact("frames", f"{frames.frames:,}"),
        _fact("dropped", f"{frames.dropped:,}"),
        _fact("frame p95", f"{frames.p95_ms:.1f} ms"),
    ]
    gap = Content.styled("  ", "dim")
    while len(parts) > 1 and gap.join(parts).cell_length + 2 > width:
        parts.pop()
    return gap.join(parts), Content()


def _late(seconds: float | None, *, tenths: bool = False) -> Content:
    return Content.styled(figures.UNKNOWN, FAINT) if seconds is None else late(seconds, tenths=tenths)


def _fact(name: str, value: str, style: str = "") -> Content:
    return Content.assemble((f"{name} ", "$foreground-muted"), (value, style or "$foreground"))


def _styled(text: str, style: str) -> Content:
    return Content.styled(text, style or "$foreground-muted")
