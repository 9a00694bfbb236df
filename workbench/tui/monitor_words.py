"""The monitor's lines of words: how much runs, why it is slow, and whether this program itself keeps up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from textual.content import Content

from workbench.core.stats import NOTHING
from workbench.session import figures
from workbench.session.diagnosis import Diagnosis
from workbench.session.job_words import span
from workbench.session.monitor import Overview
from workbench.session.monitor_detail import Section
from workbench.tui.frame import FrameStats
from workbench.tui.glyphs import Glyphs
from workbench.tui.monitor_line import late
from workbench.tui.widgets.gauge import FAINT
from workbench.tui.widgets.limiter_table import cause_style

_Piece = tuple[str, str]
"""Text and its style. Four times a second these cost a fifth of what joined `Content` would."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Something that the strip says, if there is room for it."""

    rank: int
    """The highest goes first."""
    pieces: tuple[_Piece, ...]

    @property
    def width(self) -> int:
        return sum(cell_len(text) for text, _ in self.pieces)


_ROOMY: Final = 100
"""From this width on a dot stands between two facts."""

_RARELY_MISSED: Final = 100
"""Added to the rank of a count of nothing: that something did not happen is worth less than anything that did."""

_INDENT: Final = 2

_NAME: Final = "$foreground-muted"
_VALUE: Final = "$foreground"


def run_strip(seen: Overview, glyphs: Glyphs, width: int) -> tuple[Content, Content]:
    """What is under way at the left, what it came to at the right; says less when there is less room."""
    traffic = seen.traffic
    now = [
        _Part(-1, _state(seen)),
        *_progress(seen),
        _part(0, "in flight", f"{traffic.in_flight:,}", "$text-primary" if traffic.in_flight else ""),
        _part(1, "queued", f"{traffic.queued + seen.capped:,}", "$text-warning" if traffic.queued else ""),
        _count(11, "backing off", traffic.backing_off, "$text-warning"),
        _part(5, "tok/s", f"~{traffic.tokens_per_s:,.0f}" if traffic.tokens_per_s else "0"),
        _part(10, "TTFT", f"{figures.seconds(traffic.ttft_s.p50)} p95 {figures.seconds(traffic.ttft_s.p95)}"),
        _count(8, "429", traffic.refusals_window, "$text-warning", "/min"),
        _count(9, "retries", traffic.retries_window, "$text-warning", "/min"),
    ]
    totals = [
        _part(14, "answered", f"{traffic.answered:,}"),
        _count(12, "failed", traffic.failed, "$text-error"),
        _count(13, "cut off", traffic.incomplete, "$text-error"),
        _count(15, "cached", traffic.cached + traffic.shared),
        _Part(3, _money(seen, glyphs, "" if width < _ROOMY and seen.outlook.left_usd is not None else " ")),
    ]
    gap: _Piece = ("  ", "") if width < _ROOMY else (f" {glyphs.dot} ", "dim")
    parts = [*now, *totals]
    # One gap between any two, and a cell at the very end.
    needed = sum(part.width for part in parts) + len(gap[0]) * (len(parts) - 1) + 1
    left_out: set[int] = set()
    for part in sorted(parts, key=lambda part: -part.rank):
        if needed <= width:
            break
        left_out.add(part.rank)
        needed -= part.width + len(gap[0])
    left, right = ([part for part in side if part.rank not in left_out] for side in (now, totals))
    return _joined(left, gap), _joined(right, gap, (" ", ""))


def _joined(parts: Sequence[_Part], gap: _Piece, *end: _Piece) -> Content:
    pieces = [piece for part in parts for piece in (gap, *part.pieces)]
    return Content.assemble(*pieces[1:], *end)


def _state(seen: Overview) -> tuple[_Piece, ...]:
    """With how long it has been going on."""
    if seen.traffic.unfinished:
        return (" running", "bold $text-success"), (f" {span(seen.traffic.run_s)}", _VALUE)
    return ((" paused", "bold $text-warning"),) if seen.capped else ((" idle", _NAME),)


def _progress(seen: Overview) -> list[_Part]:
    """How long it will go on; at rest how long it was the last time."""
    run_s, left_s = seen.traffic.run_s, seen.outlook.left_s
    jobs = seen.batches.jobs
    # Nobody knows when a provider's batch ends: it is counted beside the time that is left of what is asked live.
    batches = [_Part(6, ((f"{jobs:,}", _VALUE), (" batch" if jobs == 1 else " batches", _NAME)))] if jobs else []
    if not seen.traffic.unfinished:
        return batches if run_s is None else [_part(7, "last run", span(run_s)), *batches]
    left = figures.UNKNOWN if left_s is None else "now" if left_s < 0.5 else f"~{span(left_s)}"
    return [_part(2, "ETA", left), *batches]


def _money(seen: Overview, glyphs: Glyphs, pad: str) -> tuple[_Piece, ...]:
    """Spent, and what it will have come to when everything that is under way has ended."""
    traffic, batches = seen.traffic, seen.batches
    least, most = (">= ", "<= ") if glyphs.ascii_only else ("≥ ", "≤ ")
    spent_usd = traffic.cost_usd + batches.spent_usd
    unpriced = traffic.unpriced or batches.unpriced
    spent = (f"{least if unpriced else ''}{figures.money(spent_usd)}", "$text-accent")
    if not seen.is_busy and not batches.jobs:
        return (spent,)
    left = seen.outlook.left_usd if seen.is_busy else 0.0
    if left is None:
        projected = figures.UNKNOWN
    elif batches.most_usd is None:
        projected = f"{least}{figures.money(spent_usd + left)}"
    else:
        projected = f"{most if batches.jobs else '~'}{figures.money(spent_usd + left + batches.most_usd)}"
    return spent, (f"{pad}{'->' if glyphs.ascii_only else '→'}{pad}", _NAME), (projected, _VALUE)


def _part(rank: int, name: str, value: str, style: str = "") -> _Part:
    return _Part(rank, ((f"{name} ", _NAME), (value, style or _VALUE)))


def _count(rank: int, name: str, count: int, style: str = "", per: str = "") -> _Part:
    return _part(rank if count else rank + _RARELY_MISSED, name, f"{count:,}{per}", style if count else "")


def reason(seen: Overview, glyphs: Glyphs) -> Content:
    """The second line: why it is slow, and at rest why it was."""
    found = seen.diagnosis
    if found.cause.is_trouble:
        return Content.assemble(("Why slow? ", "bold"), _named(found, glyphs))
    said = Content.assemble(("Why slow? ", "bold"), (found.sentence, cause_style(found.cause)))
    if seen.lately is None:
        return said
    return Content.assemble(said, ("; lately: ", "$foreground-muted"), _named(seen.lately, glyphs))


def _named(found: Diagnosis, glyphs: Glyphs) -> Content:
    return Content.assemble((found.cause.value, f"bold {cause_style(found.cause)}"), f" {glyphs.dot} {found.sentence}")


def detail(name: str, sections: Iterable[Section], width: int) -> Content:
    """All that is known of a lane; a line that is wrapped goes on a little further in than it began."""
    lines = [Content.styled(name, "bold $text-primary")]
    for title, texts in sections:
        lines += [Content(), Content.styled(title, "bold")]
        for text in texts:
            if cell_len(text) <= width - _INDENT:
                lines.append(Content(f"{'':{_INDENT}}{text}"))
            else:
                first, *rest = Content(text).wrap(max(1, width - 2 * _INDENT))
                lines.append(Content.assemble(f"{'':{_INDENT}}", first))
                lines += [Content.assemble(f"{'':{2 * _INDENT}}", more) for more in rest]
    return Content("\n").join(lines)


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
