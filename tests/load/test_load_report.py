"""A report's table, its remarks, and files that need nothing from elsewhere."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from load_samples import sample, summary

from workbench.bench.load_drive import Level
from workbench.bench.load_plan import Goal, Load
from workbench.bench.load_report import LoadReport, html, markdown, plots, remarks, table, write_report
from workbench.bench.load_summary import summarize
from workbench.bench.report_plot import Axis, Curve, Shape, chart, round_ticks


def report(*, goal: Goal | None = None, is_sweep: bool = False) -> LoadReport:
    levels = [Level("<gpt>", Load(concurrency=c), [sample(n / c, number=n) for n in range(100)]) for c in (1, 4)]
    summaries = [summarize(level, goal or Goal(), 0) for level in levels]
    return LoadReport("Load of <gpt>", goal or Goal(), {"python": "3"}, levels, summaries, is_sweep=is_sweep)


def test_a_row_has_the_load_its_size_and_three_quantiles_of_each_latency() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(report()).splitlines()]

    assert rows[0] == ["model", "load", "n", "failed", "req/s", "tok/s", "TTFT ms", "TPOT ms", "e2e ms"]
    assert rows[2][:4] == ["<gpt>", "1 at once", "100", "0"]
    assert rows[2][6:] == ["500.0 / 500.0 / 500.0", "100.0 / 100.0 / 100.0", "1,500 / 1,500 / 1,500"]


def test_a_sweep_says_where_the_knee_is_and_a_goal_what_it_was() -> None:
    said = " ".join(remarks(report(goal=Goal(ttft_s=1.0), is_sweep=True)))

    assert "no knee was reached; the most was 4 at once" in said
    assert "TTFT ≤ 1 s" in said


def test_connections_that_had_to_be_opened_are_told_apart_from_ttft() -> None:
    level = Level("m", Load(concurrency=2), [sample(1, connect_s=0.08), sample(1, number=1)])
    summary = summarize(level, Goal(), 0)

    said = " ".join(remarks(LoadReport("", Goal(), {}, [level], [summary])))

    assert "New connections: 1, in 80 ms (p50), which is no part of TTFT." in said
    assert summary.ttft.p50 == pytest.approx(0.5)


def test_files_hold_the_same_levels(tmp_path: Path) -> None:
    write_report(report(), tmp_path)

    kept = json.loads((tmp_path / "summary.json").read_text())
    assert [level["concurrency"] for level in kept["levels"]] == [1, 4]
    assert kept["levels"][0]["ttft_s"]["p99.9"] == pytest.approx(0.5)
    assert "4 at once" in (tmp_path / "report.md").read_text()
    assert "4 at once" in (tmp_path / "report.html").read_text()


def test_the_page_needs_nothing_from_elsewhere_and_trusts_no_name() -> None:
    page = html(report(goal=Goal(e2e_s=1)))

    assert "<gpt>" not in page
    assert "&lt;gpt&gt;" in page
    assert not any(word in page for word in ("<script", "<link", "src=", "url("))
    assert page.count("<svg") == 5


def test_every_plot_is_xml_and_stays_within_itself() -> None:
    for plot in plots(report()):
        root = ElementTree.fromstring(plot)
        dots = [element for element in root.iter() if element.tag.endswith("circle")]
        assert all(0 <= float(dot.attrib["cx"]) <= 560 and 0 <= float(dot.attrib["cy"]) <= 300 for dot in dots)


def test_a_report_of_nothing_is_a_page_that_says_so() -> None:
    empty = LoadReport("Nothing", Goal(), {}, [], [])

    assert "no data" in html(empty)
    assert markdown(empty).startswith("# Nothing")


def test_a_legend_has_as_many_rows_as_its_names_need() -> None:
    curves = [Curve(f"anthropic/claude-sonnet-4-6 p{n}", ((1.0, 1.0),)) for n in range(6)]

    root = ElementTree.fromstring(chart("t", Axis("x"), Axis("y"), curves))

    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    names = [element for element in root.iter() if (element.text or "").startswith("anthropic/")]
    assert len(names) == 6
    assert all(float(name.attrib["x"]) >= 0 and float(name.attrib["y"]) < height for name in names)
    assert all(float(name.attrib["x"]) + 6 * len(name.text or "") <= width for name in names)


NUMBERS = st.one_of(st.floats(-1e15, 1e15), st.sampled_from((math.nan, math.inf, -math.inf, 0.0)))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), st.booleans(), st.booleans(), st.sampled_from(Shape))
def test_any_numbers_make_a_chart(points: list[tuple[float, float]], log_x: bool, log_y: bool, shape: Shape) -> None:
    drawn = chart("t", Axis("x", log_x), Axis("y", log_y), [Curve("c", tuple(points), shape)])

    ElementTree.fromstring(drawn)
    assert "nan" not in drawn
    assert "inf" not in drawn


@settings(max_examples=80, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_and_within(low: float, span: float) -> None:
    ticks = round_ticks(low, low + span)

    assert len(ticks) <= 8
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    assert all(math.isfinite(tick) for tick in ticks)


def test_a_level_shows_its_failures() -> None:
    one = summary(2, failed=3)

    assert (one.failed, one.answered) == (3, 97)
