"""What a long run over a file takes: `llm-workbench run --input` in a process of its own, watched from outside.

Its resident memory is sampled while it runs, against the rows that its results file has by then. What is in memory from
row 1,000 on should be what is under way: a file a hundred times as long must not need more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from workbench.bench.replay import replay_process
from workbench.bench.wire_client import KEY

FROM_ROW = 1_000
EVERY_S = 0.1
_CHUNKS = 20
"""Words of an answer."""
_IN_FLIGHT = 64
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Sample:
    row: int
    mb: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes resident, from row 1,000 to the end."""

    rows: int
    rows_per_s: float
    at_start: float
    least: float
    most: float
    at_end: float
    per_10_000_rows: float
    """The slope of a straight line through the samples."""

    @property
    def strays(self) -> float:
        """The furthest from where it stood at first."""
        return max(self.most - self.at_start, self.at_start - self.least)


def measure_rows(rows: int, *, from_row: int = FROM_ROW, every_s: float = EVERY_S) -> Memory:
    """Watch one run, every so often, and judge it from a row on.

    Raises `click.ClickException` when the run fails or leaves a row out.
    """
    with replay_process() as replay, tempfile.TemporaryDirectory() as root:
        place = Path(root)
        source, output = place / "rows.csv", place / "results.jsonl"
        with source.open("w") as file:
            file.write("id,number\n")
            file.writelines(f"r{number},{number}\n" for number in range(rows))
        environ = {
            **os.environ,
            **{f"LLM_{name}_DIR": str(place / name.lower()) for name in ("CONFIG", "CACHE", "STATE", "DATA")},
            "OPENAI_BASE_URL": f"{replay.http}/whole/{_CHUNKS}/1/v1",
            "OPENAI_API_KEY": KEY,
        }
        words = [sys.executable, "-m", "workbench", "run", "-m", "gpt-4.1", "--progress", "none"]
        words += ["--concurrency", str(_IN_FLIGHT), "--input", str(source), "--output", str(output), "Tell {{number}}."]
        started = time.perf_counter()
        with (place / "said").open("w+") as said:
            with subprocess.Popen(words, env=environ, stderr=said) as child:  # noqa: S603 - our own interpreter
                samples = _watch(child, output, every_s)
            took_s = time.perf_counter() - started
            said.seek(0)
            if child.returncode or _lines(output) != rows:
                raise click.ClickException(f"the run ended with {child.returncode}:\n{said.read()[-2000:]}")
    return summary(rows, took_s, samples, from_row)


def summary(rows: int, took_s: float, samples: Sequence[Sample], from_row: int = FROM_ROW) -> Memory:
    """Raises `click.ClickException` for a run that was over before it could be looked at twice."""
    counted = [sample for sample in samples if sample.row >= from_row]
    if len(counted) < 2:
        raise click.ClickException(f"the run was over too soon after row {from_row:,}: try more --rows")
    sizes = [sample.mb for sample in counted]
    return Memory(
        rows=rows,
        rows_per_s=rows / took_s,
        at_start=sizes[0],
        least=min(sizes),
        most=max(sizes),
        at_end=sizes[-1],
        per_10_000_rows=_slope(counted) * 10_000,
    )


def _slope(samples: Sequence[Sample]) -> float:
    """Megabytes a row, by least squares."""
    mean_row = sum(sample.row for sample in samples) / len(samples)
    mean_mb = sum(sample.mb for sample in samples) / len(samples)
    spread = sum((sample.row - mean_row) ** 2 for sample in samples)
    together = sum((sample.row - mean_row) * (sample.mb - mean_mb) for sample in samples)
    return together / spread if spread else 0.0


def _watch(child: subprocess.Popen[bytes], output: Path, every_s: float) -> list[Sample]:
    samples: list[Sample] = []
    rows = 0
    results = None
    try:
        while child.poll() is None:
            time.sleep(every_s)
            if results is None and output.exists():
                results = output.open("rb")
            while results is not None and (read := results.read(1 << 20)):
                rows += read.count(b"\n")
            if rows and (mb := _resident_mb(child.pid)) is not None:
                samples.append(Sample(rows, mb))
    finally:
        child.kill()
        if results is not None:
            results.close()
    return samples


def _resident_mb(pid: int) -> float | None:
    """None once the process is gone."""
    try:
        if _PROC.exists():
            pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGESIZE") / 1e6 or None
        asked = subprocess.run(  # noqa: S603 - a number of ours
            ["ps", "-o", "rss=", "-p", str(pid)],  # noqa: S607 - wherever this system has it
            capture_output=True,
            text=True,
            check=True,
        )
        return int(asked.stdout) * 1024 / 1e6 or None
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)
