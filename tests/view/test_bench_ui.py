from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence

import pytest
from click.testing import CliRunner

from workbench.bench import ui
from workbench.bench.ui_app import Source, mixed_markdown, percentile_ms

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

    [sample] = ui._run("ours", [scenario], seconds=0.3)

    assert sample.keys() == SAMPLE.keys()
    assert 0 < sample["cpu"] <= 1.5
    assert sample["delay_p50"] > 0


def test_rows_stand_beside_the_peer_with_ratio_and_target(monkeypatch):
    slower = {name: value * 4 for name, value in SAMPLE.items()}
    monkeypatch.setattr(
        ui, "_run", lambda kind, sitting, seconds: [SAMPLE if kind == "ours" else slower] * len(sitting)
    )

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


def runs(monkeypatch) -> list[tuple[str, int]]:
    """Kind and text of every run that would be made."""
    asked: list[tuple[str, int]] = []

    def run(kind: str, sitting: Sequence[ui.Scenario], seconds: float) -> ui.Samples:
        asked.append((kind, sitting[0].preload))
        return [SAMPLE] * len(sitting)

    monkeypatch.setattr(ui, "_run", run)
    return asked


def test_what_needs_the_same_text_is_measured_in_one_app_one_after_the_other():
    # More than fits on a screen: what cannot be scrolled has no frame that counts.
    first, second = ui.Scenario("open", "open", 1, 0, 4_000), ui.Scenario("resize", "resize", 1, 0, 4_000)

    opened, resized = ui._run("ours", [first, second], seconds=0.3)

    assert opened["first_frame"] > 0
    assert resized["first_frame"] > 0


def test_every_target_is_measured_in_some_sitting_of_one_text():
    assert {scenario for sitting in ui.SITTINGS for scenario in sitting} == set(ui.TARGETS)
    assert all(len({(one.panes, one.preload) for one in sitting}) == 1 for sitting in ui.SITTINGS)
    assert all(one.task != "open" for sitting in ui.SITTINGS for one in sitting[1:])


def test_a_quick_look_leaves_out_what_takes_the_peer_minutes(monkeypatch):
    asked = runs(monkeypatch)

    result = CliRunner().invoke(ui.command, ["--quick"])

    assert result.exit_code == 0
    assert max(preload for kind, preload in asked if kind == "stream") == 8_000
    assert "| 4 × 100 tok/s" in result.stdout


def test_the_two_kinds_take_turns(monkeypatch):
    asked = runs(monkeypatch)

    list(itertools.islice(ui.measure(3, 1.0), 1))

    assert [kind for kind, _ in asked] == ["ours", "stream"] * 3


def test_the_peer_is_asked_again_only_where_something_is_held_against_it(monkeypatch):
    asked = runs(monkeypatch)

    list(ui.measure(3, 1.0))

    assert [preload for kind, preload in asked if kind == "stream"] == [1_000] * 7 + [8_000, 32_000]


def test_a_program_is_not_waited_for_once_its_result_is_there(tmp_path):
    result = tmp_path / "result"
    program = f"import pathlib, signal; pathlib.Path({str(result)!r}).touch(); signal.pause()"

    ui.in_terminal([sys.executable, "-c", program], until=result)

    assert result.exists()


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
    assert percentile_ms(values, share) == pytest.approx(expected)
