"""`llm-workbench bench library`: what a list of prompts costs through the library's engine, beside raw clients.

Two thousand short requests, sixty-four in flight, to one server in another process that replays bytes: ours through the
whole engine, with routing, keys, limits and metrics; the openai SDK with gather and a semaphore, as llm-provider calls
it; litellm. Alternately, in rounds. Then hits of the response cache beside the fastest answer that the server gives.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click

from workbench.bench.client_process import client_processes
from workbench.bench.engine_client import bench_engine
from workbench.bench.replay import replay_process
from workbench.bench.report import environment, markdown_table
from workbench.bench.wire_client import KEY, Job
from workbench.core.types import Message, Request
from workbench.engine.engine import Engine

CLIENTS = {"engine": "workbench engine", "openai": "AsyncOpenAI + gather + semaphore", "litellm": "litellm.acompletion"}
_CHUNKS = 20
"""Words of an answer: short, so that what is measured is the client."""
_IN_FLIGHT = 64
_LITELLM_SHARE = 0.2
"""litellm gets fewer requests: its time per request is what counts, and it is long."""
_HITS = 400


@dataclass(frozen=True, slots=True)
class Row:
    client: str
    wall_s: float
    """For all requests; litellm's is scaled up."""
    cpu_ms: float
    """Per request."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Medians in milliseconds."""

    memory_ms: float
    disk_ms: float
    server_ms: float
    """The fastest single answer of the replaying server through the same engine."""


@dataclass(frozen=True, slots=True)
class Figure:
    what: str
    value: float
    target: float
    met: bool
    unit: str = "×"


@click.command("library")
@click.option("--requests", default=2000, show_default=True, type=click.IntRange(64), help="Per client and round.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1), help="Rounds; medians are shown.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(requests: int, runs: int, as_json: bool) -> None:
    """Measure lists of prompts and cache hits against raw clients."""
    rounds = measure(requests, runs)
    hits = asyncio.run(measure_hits())
    rows = [
        Row(name, median(taken[name].wall_s for taken in rounds), median(taken[name].cpu_ms for taken in rounds))
        for name in CLIENTS
    ]
    figures = compare(rounds, hits)
    if as_json:
        shown: list[Row | Hits | Figure] = [*rows, hits, *figures]
        for item in shown:
            click.echo(json.dumps(asdict(item)))
        return
    click.echo(environment())
    click.echo(f"{requests:,} requests, {_IN_FLIGHT} in flight, medians of {runs} rounds; another process serves.\n")
    click.echo(
        markdown_table(
            ("client", "total, s", "CPU per request, ms"),
            [(CLIENTS[row.client], f"{row.wall_s:.2f}", f"{row.cpu_ms:.2f}") for row in rows],
        )
    )
    click.echo(
        f"\nCache hit through the engine: {hits.memory_ms:.3f} ms from memory, {hits.disk_ms:.3f} ms from disk; "
        f"the server's fastest answer {hits.server_ms:.2f} ms.\n"
    )
    click.echo(
        markdown_table(
            ("measure", "value", "target"),
            [
                (f.what, f"{f.value:.3g} {f.unit}", f"{'met' if f.met else 'MISSED'} {_bound(f)} {f.unit}")
                for f in figures
            ],
        )
    )


def measure(requests: int, runs: int) -> list[dict[str, Row]]:
    with replay_process() as replay, client_processes(CLIENTS, replay.ca_file) as clients:
        base_url = f"{replay.http}/whole/{_CHUNKS}/1/v1"
        for client in clients:
            client.run(Job(base_url, 2 * _IN_FLIGHT, _IN_FLIGHT, stream=False))
        rounds: list[dict[str, Row]] = [{} for _ in range(runs)]
        for taken in rounds:
            for client in clients:
                count = round(requests * (_LITELLM_SHARE if client.name == "litellm" else 1.0))
                sample = client.run(Job(base_url, count, _IN_FLIGHT, stream=False))
                taken[client.name] = Row(client.name, sample.wall_s * requests / count, sample.cpu_s * 1e3 / count)
        return rounds


async def measure_hits() -> Hits:
    with replay_process() as replay, tempfile.TemporaryDirectory() as root:
        base_url = f"{replay.http}/whole/{_CHUNKS}/1/v1"
        async with bench_engine(base_url, KEY, cached=True, root=Path(root)) as engine:
            asked = await _each(engine, range(_HITS))
            # The answers in memory are the last few hundred.
            memory = await _each(engine, range(_HITS - 100, _HITS))
        async with bench_engine(base_url, KEY, cached=True, root=Path(root)) as engine:
            await _each(engine, range(1))
            disk = await _each(engine, range(1, _HITS))
    return Hits(median(memory) * 1e3, median(disk) * 1e3, min(asked) * 1e3)


async def _each(engine: Engine, numbers: Sequence[int]) -> list[float]:
    """Seconds for each of these prompts, one after the other."""
    taken = []
    for number in numbers:
        request = Request("gpt-4.1", (Message.user(f"Prompt {number}"),))
        started = time.perf_counter()
        await engine.complete(request, stream=False)
        taken.append(time.perf_counter() - started)
    return taken


def compare(rounds: Sequence[dict[str, Row]], hits: Hits) -> list[Figure]:
    wall = median(taken["engine"].wall_s / taken["openai"].wall_s for taken in rounds)
    cpu = median(taken["engine"].cpu_ms / taken["litellm"].cpu_ms for taken in rounds)
    return [
        Figure("total time, against AsyncOpenAI", wall, 1.1, wall <= 1.1),
        Figure("CPU per request, against litellm", cpu, 0.5, cpu <= 0.5),
        Figure("cache hit from memory", hits.memory_ms, 0.05, hits.memory_ms < 0.05, "ms"),
        Figure("cache hit from disk", hits.disk_ms, 0.3, hits.disk_ms < 0.3, "ms"),
    ]


def _bound(figure: Figure) -> str:
    return f"≤ {figure.target:g}"
