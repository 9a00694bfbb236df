"""`--metrics`: one run's telemetry, over what the settings say, in the demo too."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from workbench.bench.load import command as load
from workbench.cli.invocation import Invocation
from workbench.cli.options import config_option, invocation, metrics_option
from workbench.cli.run import command as run
from workbench.cli.tui import command as tui
from workbench.core.settings import Settings, TelemetrySettings
from workbench.demo import demo_world
from workbench.simulator.server import SimulatorThread


@click.command()
@metrics_option
@config_option
@click.pass_context
def told(ctx: click.Context) -> None:
    click.echo(str(invocation(ctx).settings().telemetry.prometheus))


@pytest.mark.parametrize(
    ("given", "address"), [([], "127.0.0.1:1"), (["--metrics", "127.0.0.1:2"], "127.0.0.1:2")], ids=["file", "option"]
)
def test_the_option_stands_over_the_file(given: list[str], address: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[telemetry]\nprometheus = "127.0.0.1:1"\n')
    invoked = Invocation({"LLM_CONFIG_DIR": str(tmp_path)})

    result = CliRunner().invoke(told, [*given, "--config", str(file)], obj=invoked)

    assert result.stdout == f"{address}\n"


@pytest.mark.parametrize("command", [run, tui, load], ids=["run", "tui", "load"])
def test_what_runs_for_a_while_can_be_watched(command: click.Command) -> None:
    assert "--metrics" in CliRunner().invoke(command, ["--help"]).stdout


def test_a_demo_serves_metrics_and_writes_nothing(tmp_path: Path) -> None:
    own = Settings(telemetry=TelemetrySettings(prometheus="127.0.0.1:1", records="records.jsonl", otel=True))

    with SimulatorThread(profile="fast") as simulator:
        world = demo_world(simulator, own, tmp_path)

    assert world.settings.telemetry == TelemetrySettings(prometheus="127.0.0.1:1")
