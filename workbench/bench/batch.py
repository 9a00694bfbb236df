"""`llm-workbench bench batch`: fifty thousand rows through a provider's batch endpoints, beside the SDK's own way.

The simulator plays OpenAI in another process and answers at once, so what is measured is this side of the wire: rows
read, encoded, written to the store, uploaded, tracked, downloaded, matched, stored, and read back in their order. The
peer keeps nothing and holds everything in memory, as the SDK's documentation does it. Each run is a process of its own;
the two kinds take turns. A tenth of the rows is run as well: memory that does not grow with the rows is flat.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

import click
import msgspec

from workbench.bench.report import environment, markdown_table

if TYPE_CHECKING:
    from workbench.bench.batch_client import BatchSample

TITLES = {"ours": "workbench job desk", "openai": "openai SDK, all in memory"}
STALL_MS = 20.0
GROWTH_MB = 64.0
"""More than this, and memory is not flat: fifty thousand short rows are 25 MB on the wire, each way."""
PATIENCE_S = 900.0


@dataclass(frozen=True, slots=True)
class Row:
    """Medians over the rounds."""

    client: str
    rows: int
    submit_s: float
    track_s: float
    retrieve_s: float
    rows_per_s: float
    cpu_us_per_row: float
    resident_before_mb: float
    resident_after_mb: float
    growth_mb: float
    """Peak over before."""
    stall_max_ms: float
    """The worst of all rounds; a machine that is busy with other things makes it longer."""
    busy_max_ms: float
    """The most that the loop's own thread worked without a look at its sockets; the worst of all rounds."""
    late_p99_ms: float


@dataclass(frozen=True, slots=True)
class Figure:
    measure: str
    value: float
    unit: str
    target: float | None
    met: bool | None
    """None where it is only told."""


@click.command("batch")
@click.option("--rows", default=50_000, show_default=True, type=click.IntRange(500), help="Rows of the batch.")
@click.option("--runs", default=1, show_default=True, type=click.IntRange(1), help="Rounds; medians are shown.")
@click.option("--ours", "alone", is_flag=True, help="Leave the peer out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(rows: int, runs: int, alone: bool, as_json: bool) -> None:
    """Measure a large batch from file to answers: time, memory, and how long it holds the event loop up."""
    clients = ("ours",) if alone else tuple(TITLES)
    found = asyncio.run(measure(clients, rows, runs))
    figures = compare(found)
    if as_json:
        shown: list[Row | Figure] = [*found, *figures]
        for item in shown:
            click.echo(json.dumps(asdict(item)))
        return
    click.echo(environment())
    click.echo(f"{rows:,} rows, {runs} rounds; the simulator is another process and answers at once.\n")
    click.echo(markdown_table(_COLUMNS, [_cells(row) for row in found]))
    click.echo()
    click.echo(
        markdown_table(
            ("measure", "value", "target"),
            [(f.measure, f"{f.value:.3g} {f.unit}", _against(f)) for f in figures],
        )
    )


_COLUMNS = (
    *("client", "rows", "submit, s", "track, s", "read, s"),
    *("µs CPU/row", "MB before", "growth, MB", "stall, ms", "own, ms"),
)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        TITLES[row.client],
        f"{row.rows:,}",
        f"{row.submit_s:.2f}",
        f"{row.track_s:.2f}",
        f"{row.retrieve_s:.2f}",
        f"{row.cpu_us_per_row:.0f}",
        f"{row.resident_before_mb:.0f}",
        f"{row.growth_mb:.1f}",
        f"{row.stall_max_ms:.1f}",
        f"{row.busy_max_ms:.1f}",
    )


def _against(figure: Figure) -> str:
    if figure.target is None:
        return "told only"
    return f"{'met' if figure.met else 'MISSED'} ≤ {figure.target:g} {figure.unit}"


async def measure(clients: Sequence[str], rows: int, runs: int) -> list[Row]:
    """By client, a tenth of the rows before all of them."""
    from workbench.bench.batch_client import BatchJob
    from workbench.simulator.process import simulator_process

    samples: dict[tuple[str, int], list[BatchSample]] = {(name, n): [] for name in clients for n in (rows // 10, rows)}
    async with simulator_process(profile="fast", time_scale=0.0) as simulator:
        await _set_pace(simulator.url)
        for _ in range(runs):
            for (name, count), taken in samples.items():
                taken.append(await _run(name, BatchJob(simulator.base_urls["openai"], simulator.api_key, count)))
    return [_row(name, taken) for (name, _), taken in samples.items()]


async def _set_pace(url: str) -> None:
    import httpx

    async with httpx.AsyncClient(trust_env=False) as client:
        pace = {"validate_s": 0, "rows_per_s": 1e6, "finalize_s": 0, "brief": True}
        (await client.post(f"{url}/_sim/batches", json=pace)).raise_for_status()


async def _run(name: str, job: object) -> BatchSample:
    from workbench.bench.batch_client import BatchSample

    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workbench.bench.batch_client", name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # A Ctrl-C in the terminal is for us, who then end it.
    )
    try:
        said, _ = await asyncio.wait_for(child.communicate(msgspec.json.encode(job) + b"\n"), PATIENCE_S)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise click.ClickException(f"the client {name!r} failed")
    return msgspec.json.decode(said, type=BatchSample)


def _row(name: str, samples: Sequence[BatchSample]) -> Row:
    rows = samples[0].rows
    if unanswered := [sample.rows - sample.answered for sample in samples if sample.answered < sample.rows]:
        raise click.ClickException(f"{TITLES[name]}: {max(unanswered)} of {rows} rows came back without an answer")
    wall_s = median(sample.submit_s + sample.track_s + sample.retrieve_s for sample in samples)
    return Row(
        name,
        rows,
        median(sample.submit_s for sample in samples),
        median(sample.track_s for sample in samples),
        median(sample.retrieve_s for sample in samples),
        rows / wall_s,
        median(sample.cpu_s for sample in samples) / rows * 1e6,
        median(sample.resident["before"] for sample in samples),
        median(sample.resident["retrieved"] for sample in samples),
        median(sample.resident["peak"] - sample.resident["before"] for sample in samples),
        max(sample.stall_max_ms for sample in samples),
        max(sample.busy_max_ms for sample in samples),
        median(sample.late_p99_ms for sample in samples),
    )


def compare(rows: Sequence[Row]) -> list[Figure]:
    """What is demanded of ours, and how it stands beside the peer."""
    largest = {row.client: row for row in rows}
    ours, peer = largest["ours"], largest.get("openai")
    figures = [
        Figure("longest stall of the loop", ours.stall_max_ms, "ms", STALL_MS, ours.stall_max_ms <= STALL_MS),
        Figure("of that, our own work", ours.busy_max_ms, "ms", STALL_MS, ours.busy_max_ms <= STALL_MS),
        Figure("growth of memory", ours.growth_mb, "MB", GROWTH_MB, ours.growth_mb <= GROWTH_MB),
    ]
    if peer is not None:
        ours_s, peer_s = ours.rows / ours.rows_per_s, peer.rows / peer.rows_per_s
        figures += [
            Figure("total time, beside the SDK", ours_s / peer_s, "×", None, None),
            Figure("growth of memory, beside the SDK", ours.growth_mb / peer.growth_mb, "×", None, None),
            Figure("longest stall, beside the SDK", ours.stall_max_ms / peer.stall_max_ms, "×", None, None),
        ]
    return figures
