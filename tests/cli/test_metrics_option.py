"""`--metrics`: one run's telemetry, over what the settings say, in the demo too."""

from __future__ import annotations

import socket
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from workbench.bench.load import command as load
from workbench.cli.invocation import Invocation
from workbench.cli.options import config_option, invocation, metrics_option
from workbench.cli.run import command as run
from workbench.cli.tui import command as tui
from workbench.core.errors import ConfigError
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


@pytest.mark.parametrize("command", [run, tui, load], ids=["run", "tui", "load"])
def test_an_address_that_is_none_is_refused_before_anything_begins(command: click.Command) -> None:
    result = CliRunner().invoke(command, ["--metrics", "nonsense"], obj=Invocation({}))

    assert isinstance(result.exception, ConfigError)
    assert "'nonsense' is no address for metrics" in result.exception.message


@pytest.mark.parametrize(
    ("command", "options"),
    [(run, ["Hello."]), (load, ["--concurrency", "1", "--requests", "1", "--json"])],
    ids=["run", "load"],
)
def test_an_address_that_another_has_is_told_and_ends_nothing(
    command: click.Command, options: list[str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, SimulatorThread(profile="fast") as simulator:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        environ = {
            "OPENAI_BASE_URL": simulator.base_urls["openai"],
            "OPENAI_API_KEY": simulator.api_key,
            **{f"LLM_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "CACHE", "STATE", "DATA")},
        }

        result = CliRunner().invoke(
            command, ["-m", "gpt-4.1-mini", "--metrics", address, *options], obj=Invocation(environ)
        )

    assert result.exit_code == 0, result.output
    assert f"Metrics cannot be served on {address}" in result.stderr
    assert "Metrics" not in result.stdout
