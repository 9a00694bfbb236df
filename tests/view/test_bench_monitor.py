"""The benchmark of the monitor: one app of it for real, and what is made of its figures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from workbench.bench import monitor

SAMPLES = {
    "open": {"cpu": 0.10, "frame_p95": 9.0, "key_p95": 30.0, "ttft_s": 0.401},
    "closed": {"cpu": 0.09, "frame_p95": 0.0, "key_p95": 30.0, "ttft_s": 0.400},
    "behind": {"cpu": 0.09, "frame_p95": 0.0, "key_p95": 30.0, "ttft_s": 0.440},
    "widgets": {"cpu": 0.26, "frame_p95": 30.0, "key_p95": 90.0, "ttft_s": 0.410},
    "bare": {"cpu": 0.06, "frame_p95": 0.0, "key_p95": 5.0, "ttft_s": 0.400},
}


def test_the_monitor_is_measured_in_a_terminal_of_its_own() -> None:
    sample = monitor.run("open", 0.5)

    assert sample.keys() == SAMPLES["open"].keys()
    assert sample["frame_p95"] > 0
    assert sample["ttft_s"] >= 0.4


def test_a_screen_costs_what_its_app_takes_beyond_the_load_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "run", lambda kind, seconds: SAMPLES[kind])

    result = CliRunner().invoke(monitor.command, ["--json", "--rounds", "2"])

    rows: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [(row["measure"], round(row["ours"], 3), row["reached"]) for row in rows] == [
        ("screen, share of a core", 0.04, True),
        ("the same against DataTable and Sparkline", 0.2, True),
        ("one frame p95, CPU", 9.0, True),
        ("key to frame p95", 30.0, True),
        ("TTFT of 0.4 s, monitor open", 401.0, True),
        ("TTFT of 0.4 s, monitor behind", 440.0, False),
    ]
