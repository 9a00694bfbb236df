"""The library's benchmark: what its figures are made of, and one short run of the long one."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from workbench.bench.library import command
from workbench.bench.library_rows import Memory, Sample, measure_rows, summary


def test_memory_is_looked_at_from_row_1000_on() -> None:
    samples = [Sample(10, 500.0), Sample(1_000, 100.0), Sample(6_000, 104.0), Sample(11_000, 102.0)]

    found = summary(11_000, 22.0, samples)

    assert found == Memory(11_000, 500.0, 100.0, 100.0, 104.0, 102.0, pytest.approx(2.0))
    assert found.strays == 4.0


def test_a_run_too_short_to_look_at_says_so() -> None:
    with pytest.raises(click.ClickException, match="more --rows"):
        summary(1_200, 1.0, [Sample(900, 90.0), Sample(1_100, 91.0)])


def test_a_file_of_rows_is_run_in_a_process_of_its_own_and_watched() -> None:
    memory = measure_rows(300, from_row=1, every_s=0.01)

    assert memory.rows == 300
    assert 0 < memory.least <= memory.at_start <= memory.most


@pytest.mark.parametrize(("most", "met"), [(149.0, True), (151.0, False)])
def test_what_is_shown_is_the_memory_and_how_far_it_strays(
    monkeypatch: pytest.MonkeyPatch, most: float, met: bool
) -> None:
    found = Memory(100_000, 900.0, 100.0, 99.0, most, 110.0, 1.2)
    monkeypatch.setattr("workbench.bench.library.measure_rows", lambda rows: found)

    lines = CliRunner().invoke(command, ["--rows", "100000", "--json"]).output.splitlines()
    table = CliRunner().invoke(command, ["--rows", "100000"]).output

    memory, figure = (json.loads(line) for line in lines)
    assert (memory["most"], figure["value"], figure["met"]) == (most, most - 100.0, met)
    assert f"{most:.1f}" in table
    assert ("met ≤ 50 MB" in table) is met
