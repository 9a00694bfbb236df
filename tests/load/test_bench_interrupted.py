"""Ctrl-C in a benchmark: what was measured is shown, the exit code says that it was broken off, no child complains."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from workbench.bench.client_process import client_processes
from workbench.bench.interruption import Interruption
from workbench.bench.replay import replay_process
from workbench.bench.wire_client import Job
from workbench.cli.bench import command as bench

PATIENCE_S = 120.0


def pressed_after(*items: int) -> Iterator[int]:
    yield from items
    raise KeyboardInterrupt


def test_what_had_been_measured_is_kept_and_the_exit_code_tells_of_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    interruption = Interruption()

    taken = interruption.collect(pressed_after(1, 2))

    assert taken == [1, 2]
    assert capsys.readouterr().err == "Broken off; what had ended counts.\n"
    with pytest.raises(click.exceptions.Exit) as ended:
        interruption.exit()
    assert ended.value.exit_code == 130


def test_a_measurement_that_was_left_alone_ends_as_any_other() -> None:
    interruption = Interruption()

    assert interruption.collect(iter((1, 2))) == [1, 2]
    interruption.exit()


def test_a_load_test_that_is_broken_off_reports_the_levels_that_had_ended(tmp_path: Path) -> None:
    levels = ",".join(["1"] * 60)
    words = ["-m", "gpt-4.1-mini", "--demo", "--profile", "fast", "--concurrency", levels, "--duration", "1", "--json"]
    child = subprocess.Popen(
        [sys.executable, "-m", "workbench", "bench", "load", *words],
        env={**os.environ, **{f"LLM_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "STATE", "DATA")}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        assert child.stderr is not None
        # Nobody watches, so a line tells of every level that ends.
        while "at once" not in (line := child.stderr.readline()):
            assert line, "it ended before a level did"
        # As a terminal does it: to every process that was started from it.
        os.killpg(child.pid, signal.SIGINT)
        said, complaints = child.communicate(timeout=PATIENCE_S)
    finally:
        child.kill()

    assert child.returncode == 130, complaints
    assert "Broken off" in complaints
    assert "Traceback" not in complaints
    assert json.loads(said.splitlines()[0])["requests"]["answered"] > 0


def test_a_client_in_the_middle_of_a_job_is_not_waited_for() -> None:
    with replay_process() as replay, client_processes(["raw"], replay.ca_file) as (client,):
        client.run(Job(f"{replay.http}/whole/1/1/v1", 1, 1, stream=False))
        with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
            endless = Job(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", 1, 1, stream=False)
            running = pool.submit(client.run, endless)
            connection, _ = silent.accept()

            client.close()

            with connection, pytest.raises(click.ClickException, match="'raw' failed"):
                running.result(PATIENCE_S)


def test_a_place_that_cannot_be_written_to_is_named_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "report"

    result = CliRunner().invoke(bench, ["load", "-m", "gpt-4.1-mini", "--demo", "--output", str(place)])

    assert result.exit_code == 2
    assert f"nothing can be written to {place}: Not a directory" in result.output
