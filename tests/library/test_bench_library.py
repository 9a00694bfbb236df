"""The library's benchmark: what its figures are made of, and one short run of the long one."""

from __future__ import annotations

import json

import click
import pytest
from click.testing import CliRunner

from workbench.bench.library import command
from workbench.bench.library_rows import Memory, Sample, summary


def test_memory_is_looked_at_from_row_1000_on() -> None:
    samples = [Sample(10, 500.0), Sample(1_000, 100.0), Sample(6_000, 104.0), Sample(11_000, 102.0)]

    found = summary(11_000, 22.0, samples)

    assert found == Memory(11_000, 500.0, 100.0, 100.0, 104.0, 102.0, pytest.approx(2.0))
    assert found.strays == 4.0


def test_a_run_too_short_to_look_at_says_so() -> None:
    with pytest.raises(click.ClickException, match="more --rows"):
        summary(1_200, 1.0, [Sample(900, 90.0), Sample(1_100, 91.0)])


def test_a_file_of_rows_is_run_and_its_memory_shown() -> None:
    ran = CliRunner().invoke(command, ["--rows", "3000", "--json"])

    assert ran.exit_code == 0, ran.output
    memory, figure = (json.loads(line) for line in ran.output.splitlines())
    assert memory["rows"] == 3_000
    assert 0 < memory["least"] <= memory["at_row_1000"] <= memory["most"]
    assert figure["unit"] == "MB"
