from __future__ import annotations

import itertools
import json

import pytest
from click.testing import CliRunner

from workbench.bench import ui
from workbench.bench.ui_app import Source, mixed_markdown, percentile

SAMPLE = {
    "cpu": 0.2,
    "lag_p50": 1.0,
    "lag_p95": 5.0,
    "lag_p99": 9.0,
    "delay_p50": 20.0,
    "delay_p95": 60.0,
    "backlog": 2,
    "first_frame": 30.0,
}


def test_a_pane_is_measured_in_a_terminal_of_its_own():
    scenario = ui.Scenario("tiny", "feed", panes=1, rate=100, preload=50)

    sample = ui._run("ours", scenario, seconds=0.3)

    assert sample.keys() == SAMPLE.keys()
    assert 0 < sample["cpu"] <= 1.5
    assert sample["delay_p50"] > 0


def test_rows_stand_beside_the_peer_with_ratio_and_target(monkeypatch):
    slower = {name: value * 4 for name, value in SAMPLE.items()}
    monkeypatch.setattr(ui, "_run", lambda kind, scenario, seconds: SAMPLE if kind == "ours" else slower)

    result = CliRunner().invoke(ui.command, ["--json", "--rounds", "2"])

    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    lag = next(row for row in rows if row["scenario"] == ui.FOUR.title and row["measure"] == "loop lag p95")
    assert lag == {
        "scenario": "4 × 100 tok/s",
        "measure": "loop lag p95",
        "unit": "ms",
        "ours": 5.0,
        "peer": 20.0,
        "ratio": 0.25,
        "target": "≤ 10.0 ms, ≤ 0.1×",
        "reached": False,
        "rounds": 2,
    }
    assert rows[-1]["scenario"] == "32,000 against 1,000"
    assert rows[-1]["reached"] is True


def test_a_quick_look_leaves_out_what_takes_the_peer_minutes(monkeypatch):
    asked: list[tuple[str, int]] = []

    def run(kind: str, scenario: ui.Scenario, seconds: float) -> dict[str, float]:
        asked.append((kind, scenario.preload))
        return SAMPLE

    monkeypatch.setattr(ui, "_run", run)

    result = CliRunner().invoke(ui.command, ["--quick"])

    assert result.exit_code == 0
    assert max(preload for kind, preload in asked if kind == "stream") == 8_000
    assert "| 4 × 100 tok/s" in result.stdout


def test_the_two_kinds_take_turns(monkeypatch):
    kinds: list[str] = []

    def run(kind: str, scenario: ui.Scenario, seconds: float) -> dict[str, float]:
        kinds.append(kind)
        return SAMPLE

    monkeypatch.setattr(ui, "_run", run)
    list(itertools.islice(ui.measure(3, 1.0), 1))

    assert kinds == ["ours", "stream"] * 3


def test_the_text_never_repeats_a_section():
    sections = list(itertools.islice(mixed_markdown(), 120))

    assert len(set(sections)) == len(sections)


def test_tokens_are_dealt_without_gaps():
    one, other = Source(), Source()

    assert "".join(one.tokens(1) for _ in range(500)) == other.tokens(500)


@pytest.mark.parametrize(
    ("values", "share", "expected"), [([], 0.95, 0.0), ([0.001], 0.95, 1.0), ([0.001, 0.003, 0.002], 0.5, 2.0)]
)
def test_percentiles_are_milliseconds(values, share, expected):
    assert percentile(values, share) == pytest.approx(expected)
