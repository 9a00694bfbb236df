from __future__ import annotations

import json
from dataclasses import replace

import pytest

from workbench.bench import batch
from workbench.bench.batch import Row, compare
from workbench.cli.entry import run

OURS = Row("ours", 50_000, 10.0, 20.0, 5.0, 1_428.0, 400.0, 90.0, 100.0, 20.0, 12.0, 8.0, 3.0)
PEER = replace(OURS, client="openai", rows_per_s=2_856.0, growth_mb=200.0, stall_max_ms=1_200.0)


def test_ours_is_held_to_its_bounds_and_set_beside_the_peer() -> None:
    figures = {figure.measure: figure for figure in compare([OURS, PEER])}

    assert figures["longest stall of the loop"].met is True
    assert figures["growth of memory"].met is True
    assert figures["total time, beside the SDK"].value == pytest.approx(2.0)
    assert figures["growth of memory, beside the SDK"].value == pytest.approx(0.1)


def test_a_long_stall_and_growing_memory_are_missed_bounds() -> None:
    figures = compare([replace(OURS, stall_max_ms=21.0, growth_mb=65.0)])

    assert [figure.met for figure in figures] == [False, True, False]


def test_the_table_says_what_was_met(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def measured(*_: object) -> list[Row]:
        return [OURS, replace(PEER, stall_max_ms=1_234.0)]

    monkeypatch.setattr(batch, "measure", measured)

    assert run(["bench", "batch"]) == 0

    shown = capsys.readouterr().out
    assert "| workbench job desk        | 50,000 |" in shown
    (stall,) = [line for line in shown.splitlines() if line.startswith("| longest stall of the loop")]
    assert [cell.strip() for cell in stall.split("|")[2:4]] == ["12 ms", "met ≤ 20 ms"]


def test_a_small_run_for_real_brings_every_row_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "batch", "--ours", "--rows", "500", "--json"]) == 0

    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["client"], row["rows"]) for row in shown if "client" in row] == [
        ("ours", 50),
        ("ours", 500),
    ]
    assert all(row["stall_max_ms"] > 0 for row in shown if "client" in row)
