"""A load test's results for people: a table for the terminal, a Markdown page, and one HTML file with its plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from workbench.bench.load_drive import Level
from workbench.bench.load_plan import Goal, Load
from workbench.bench.load_summary import Distribution, LevelSummary, knee, yield_of
from workbench.bench.report import markdown_table
from workbench.bench.report_plot import Axis, Curve, Shape, chart
from workbench.core.clock import NS_PER_S
from workbench.core.stats import quantile_linear
from workbench.engine.records import SEVERAL_TOKENS
from workbench.session.figures import UNKNOWN

_MS = 1e3
_ECDF_POINTS = 200
BUSY_S = 0.005
"""A loop that is late to its sockets by this much, in the middle of all requests, bends what it measures."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Everything that was measured. `summaries` in the order in which the levels ran."""

    title: str
    goal: Goal
    environment: Mapping[str, object]
    levels: Sequence[Level]
    summaries: Sequence[LevelSummary]
    is_sweep: bool = False

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(summary.model for summary in self.summaries))

    def of(self, model: str) -> list[LevelSummary]:
        return sorted((one for one in self.summaries if one.model == model), key=lambda one: one.load.size)


def table(report: LoadReport) -> str:
    """Milliseconds, p50/p95/p99; a tail that too few samples carry is a dash."""
    good = ("good/s",) if report.goal else ()
    columns = ("model", "load", "n", "failed", "req/s", "tok/s", *good, "TTFT ms", "TPOT ms", "e2e ms")
    rows = [
        (
            one.model,
            str(one.load) + (" *" if one.oversaturated else ""),
            str(one.ttft.n or one.e2e.n),
            str(one.failed),
            _figure(one.throughput.requests_per_s),
            ("~" if one.tokens_estimated else "") + _figure(one.throughput.tokens_per_s),
            *((_figure(one.throughput.goodput_per_s),) if report.goal else ()),
            _tail(one.ttft, _MS),
            _tail(one.tpot, _MS),
            _tail(one.e2e, _MS),
        )
        for model in report.models
        for one in report.of(model)
    ]
    return markdown_table(columns, rows, left=2)


def remarks(report: LoadReport) -> list[str]:
    """What a reader of the table should know, a sentence each."""
    said = ["Latencies are p50/p95/p99; p95 needs 20 answers and p99 needs 100. Warm-up is left out of all but rates."]
    if any(one.load.rate_per_s is not None for one in report.summaries):
        said.append("At a given rate, e2e counts from the moment at which a request was due.")
    if report.goal:
        said.append(f"Good: {report.goal}; a figure that is missing does not keep it.")
    if any(one.oversaturated for one in report.summaries):
        said.append("* Over-saturated: the backlog grew for as long as the level lasted.")
    if any(one.tokens_estimated for one in report.summaries):
        said.append("~ The provider did not report all tokens; they are estimated at four characters each.")
    if any((one.tokens_per_chunk or 0) > SEVERAL_TOKENS for one in report.summaries):
        said.append("Chunks carry several tokens here, the first one too: TPOT reads too low.")
    if report.is_sweep:
        said.extend(_knee_line(report, model) for model in report.models)
    if fresh := [span for one in report.summaries for span in one.connect.ordered]:
        median = quantile_linear(sorted(fresh), 0.5)
        said.append(f"New connections: {len(fresh)}, in {_figure(_ms(median))} ms (p50), which is no part of TTFT.")
    if refused := sum(one.refusals for one in report.summaries):
        said.append(f"The provider refused {refused} requests for its limits; they were sent again.")
    if any(one.ttft_error.n for one in report.summaries):
        said.append(_client_line(report))
    return said


def _client_line(report: LoadReport) -> str:
    """How much of the figures may be this client's own."""
    middle = max((one.ttft_error.p50 or 0.0 for one in report.summaries), default=0.0)
    said = f"First tokens are stamped {middle * _MS:.1f} ms late at the most, the median of the worst level"
    return f"{said}: this client is a bottleneck itself." if middle > BUSY_S else f"{said}."


def _knee_line(report: LoadReport, model: str) -> str:
    ordered = report.of(model)
    found = knee(ordered)
    if found is None:
        return f"{model}: no level was answered, so there is no knee."
    at = ordered[found]
    unit = "good answers" if report.goal else "tokens"
    most = f"{at.load}, with {_figure(yield_of(at))} {unit}/s"
    where = f"{model}: the knee is at {most}"
    if found == len(ordered) - 1:
        return f"{model}: no knee was reached; the most was {most}."
    return f"{where}; at {ordered[found + 1].load} it was {_figure(yield_of(ordered[found + 1]))}."


def markdown(report: LoadReport) -> str:
    lines = [f"# {report.title}", "", table(report), "", *(f"- {remark}" for remark in remarks(report)), ""]
    lines += ["## Where it ran", "", *(f"- {name}: {value}" for name, value in _facts(report)), ""]
    return "\n".join(lines)


def summary_json(report: LoadReport) -> str:
    content = {
        "title": report.title,
        "goal": {"ttft_s": report.goal.ttft_s, "tpot_s": report.goal.tpot_s, "e2e_s": report.goal.e2e_s},
        "environment": dict(report.environment),
        "levels": [summary.as_dict() for summary in report.summaries],
    }
    return json.dumps(content, indent=2) + "\n"


def write_report(report: LoadReport, directory: Path) -> None:
    """`summary.json`, `report.md` and `report.html`; the requests are in `requests.jsonl` already."""
    (directory / "summary.json").write_text(summary_json(report), encoding="utf-8")
    (directory / "report.md").write_text(markdown(report), encoding="utf-8")
    (directory / "report.html").write_text(html(report), encoding="utf-8")


# -- the page ----------------------------------------------------------------------------------------------------------

_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(30rem, 1fr)); gap: 1.5rem; }
.wide { overflow-x: auto; }
"""


def html(report: LoadReport) -> str:
    """One file that needs nothing from elsewhere."""
    rows = [line.strip("|").split("|") for line in table(report).splitlines()]
    head, body = rows[0], rows[2:]
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(report.title)}</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(report.title)}</h1>",
        '<div class="wide"><table><thead><tr>',
        *(f"<th>{escape(cell.strip())}</th>" for cell in head),
        "</tr></thead><tbody>",
        *("<tr>" + "".join(f"<td>{escape(cell.strip())}</td>" for cell in row) + "</tr>" for row in body),
        "</tbody></table></div>",
        "<ul>",
        *(f"<li>{escape(remark)}</li>" for remark in remarks(report)),
        '</ul><div class="plots">',
        *(f"<div>{plot}</div>" for plot in plots(report)),
        "</div><h2>Where it ran</h2><ul>",
        *(f"<li>{escape(name)}: {escape(value)}</li>" for name, value in _facts(report)),
        "</ul></body></html>",
    ]
    return "\n".join(parts) + "\n"


def plots(report: LoadReport) -> list[str]:
    sizes = tuple(sorted({one.load.size for one in report.summaries}))
    by_rate = any(one.load.rate_per_s is not None for one in report.summaries)
    load = Axis("requests a second" if by_rate else "requests at once", logarithmic=len(sizes) > 2, ticks=sizes)
    several = len(report.models) > 1
    throughput: list[Curve] = []
    latency: list[Curve] = []
    for model in report.models:
        own, name = report.of(model), f"{model} " if several else ""
        throughput.append(_curve(f"{name}tok/s", own, [one.throughput.tokens_per_s for one in own]))
        latency += [
            _curve(f"{name}{word}", own, [_ms(pick) for pick in values], dashed=word != "p50")
            for word, values in (
                ("p50", [one.ttft.p50 for one in own]),
                ("p95", [one.ttft.p95 for one in own]),
                ("p99", [one.ttft.p99 for one in own]),
            )
        ]
    shown = [
        chart("Output tokens per second", load, Axis("tokens/s"), throughput),
        chart("Time to first token", load, Axis("ms"), latency),
    ]
    if report.goal:
        pairs = [(model, report.of(model)) for model in report.models]
        good = [
            _curve(model if several else "good", own, [one.throughput.goodput_per_s for one in own])
            for model, own in pairs
        ]
        every = [
            _curve(
                f"{model}, all" if several else "all", own, [one.throughput.requests_per_s for one in own], dashed=True
            )
            for model, own in pairs
        ]
        shown.append(chart("Goodput", load, Axis("requests/s"), [*good, *every]))
    shown.append(chart("How long answers took", Axis("e2e, s"), Axis("share of answers"), _shares(report)))
    shown.append(chart("When tokens began", Axis("s since the level began"), Axis("TTFT, ms"), _dots(report)))
    return shown


def _curve(name: str, own: Sequence[LevelSummary], values: Sequence[float | None], *, dashed: bool = False) -> Curve:
    points = ((one.load.size, value) for one, value in zip(own, values, strict=True) if value is not None)
    return Curve(name, tuple(points), dashed=dashed)


def _shares(report: LoadReport) -> list[Curve]:
    """Which share of the answers had come by then, one curve a level."""
    curves = []
    for one in report.summaries[:8]:
        ordered = one.e2e.ordered
        every = max(1, len(ordered) // _ECDF_POINTS)
        points = tuple((value, (rank + 1) / len(ordered)) for rank, value in list(enumerate(ordered))[::every])
        curves.append(Curve(_level_name(report, one.model, one.load), points, Shape.STEPS))
    return curves


def _dots(report: LoadReport) -> list[Curve]:
    curves = []
    for level in report.levels[:8]:
        begun = min((sample.scheduled_ns for sample in level.samples), default=0)
        points = tuple(
            ((sample.scheduled_ns - begun) / NS_PER_S, ttft_s * _MS)
            for sample in level.samples
            if (ttft_s := sample.record.timing.ttft_s) is not None
        )
        curves.append(Curve(_level_name(report, level.model, level.load), points, Shape.DOTS))
    return curves


def _level_name(report: LoadReport, model: str, load: Load) -> str:
    return f"{model}, {load}" if len(report.models) > 1 else str(load)


def _facts(report: LoadReport) -> list[tuple[str, str]]:
    facts = []
    for name, value in report.environment.items():
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)
        facts.append((name.replace("_", " "), shown))
    return facts


def _tail(found: Distribution, factor: float) -> str:
    if not found.n:
        return UNKNOWN
    return " / ".join(_figure(None if value is None else value * factor) for value in (found.p50, found.p95, found.p99))


def _ms(value: float | None) -> float | None:
    return None if value is None else value * _MS


def _figure(value: float | None) -> str:
    """Three or four digits that mean something."""
    if value is None:
        return UNKNOWN
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.3g}"
