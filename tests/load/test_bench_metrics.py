"""The benchmark of measuring itself: its rows, not this machine's speed."""

from __future__ import annotations

import json

from click.testing import CliRunner

from workbench.bench.metrics import Cost, command


def test_every_row_names_its_peer() -> None:
    result = CliRunner().invoke(command, ["--runs", "1", "--json"])

    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["what"].split(",")[0] for row in rows] == [
        "one event of an answer",
        "snapshot",
        "chart of five minutes",
    ]
    assert all(row["peer"] and row["ours"] > 0 and row["peer_value"] > 0 for row in rows)


def test_a_target_is_missed_by_being_above_it() -> None:
    assert Cost("x", "µs", 4.9, "y", 1.0, 5.0).met
    assert not Cost("x", "µs", 5.1, "y", 1.0, 5.0).met
    assert Cost("x", "ms", 99.0, "y", 1.0, None).met
