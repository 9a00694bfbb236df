"""`llm-workbench bench limits`: the rows, the table, and that the peers behave as they are described."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from workbench.bench import limits_cost
from workbench.bench.limits import command, costs_table, table
from workbench.bench.limits_policies import PEERS
from workbench.bench.limits_run import POLICIES, Openness, Regime, Row, run_cell


def rows_of(*arguments: str) -> list[dict[str, object]]:
    result = CliRunner().invoke(command, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_gives_one_object_per_policy_with_shares_as_fractions():
    rows = rows_of("--regime", "rpm", "--keys", "1", "--headers", "hidden", "--minutes", "1")

    assert [row["policy"] for row in rows] == list(POLICIES)
    names = ["policy", "regime", "headers", "keys", "share", "refused", "p50_s", "p95_s", "lost"]
    assert all(list(row) == names for row in rows)
    paced = rows[-1]
    assert (paced["policy"], paced["lost"]) == ("paced", 0)
    assert 0.9 <= float(str(paced["share"])) <= 1.1


def test_those_that_read_no_headers_have_the_same_figures_with_and_without_them():
    rows = rows_of("--regime", "inflight", "--keys", "1", "--headers", "on", "--headers", "hidden", "--minutes", "0.5")

    for peer in PEERS:
        on, hidden = (
            [row for row in rows if row["policy"] == peer.name and row["headers"] == says] for says in ("on", "hidden")
        )
        assert [{**row, "headers": ""} for row in on] == [{**row, "headers": ""} for row in hidden]


@pytest.mark.parametrize(
    ("policy", "regime", "least_refused", "most_refused"),
    [
        ("fixed-32", Regime.TPM, 0.7, 0.95),
        ("fixed-32", Regime.IN_FLIGHT, 0.0, 0.0),
        ("aimd", Regime.TPM, 0.1, 0.25),
        ("slow-start-aimd", Regime.TPM, 0.05, 0.2),
        ("cubic", Regime.TPM, 0.03, 0.12),
        ("cubic", Regime.IN_FLIGHT, 0.03, 0.12),
    ],
)
def test_the_peers_are_refused_as_often_as_their_descriptions_imply(policy, regime, least_refused, most_refused):
    row = run_cell(policy, regime, Openness.HIDDEN, 1, seed=1, measured_s=300)

    assert least_refused <= row.refused <= most_refused


def test_one_seed_is_one_result():
    first, again = (run_cell("paced", Regime.TPM, Openness.NONE, 1, seed=4, measured_s=60) for _ in range(2))

    assert first == again


def test_the_table_joins_what_makes_no_difference():
    figures = {"keys": 1, "share": 0.5, "refused": 0.25, "p50_s": 1.0, "p95_s": 2.0}
    rows = [
        *(Row("fixed-32", Regime.TPM, says, lost=3, **figures) for says in Openness),
        Row("paced", Regime.TPM, Openness.ON, lost=0, **figures),
    ]

    lines = table(rows).splitlines()

    assert len(lines) == 4
    assert "| any of these |" in lines[2]
    assert "50.0% · 25.00% · 1.0/2.0 s · 3 lost" in lines[2]
    assert lines[3].endswith("50.0% · 25.00% · 1.0/2.0 s |")


async def test_what_the_limiter_costs_is_told_in_rows_beside_what_it_may(monkeypatch):
    """Whether it keeps within that is for the benchmark on a quiet machine: here the shape alone is sure."""
    for name, value in {"REQUESTS": 200, "IN_FLIGHT": 100, "CALL_S": (0.2, 0.8), "WATCHED_S": 0.3, "TURNS": 1}.items():
        monkeypatch.setattr(limits_cost, name, value)

    rows = await limits_cost.cost_rows()

    assert [(row.unit, row.target) for row in rows] == [
        *[("µs", 30)] * 2,
        *[("µs", 150)] * 2,
        *[("% of a core", 2)] * 2,
    ]
    assert all(row.value > 0 for row in rows[:4])
    assert all(row.value >= 0 for row in rows[4:])
    assert "| free lane" in costs_table(rows)
