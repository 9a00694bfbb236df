"""`llm-workbench bench library`: what a list of prompts costs through the library's engine, beside raw clients.

Two thousand short requests, sixty-four in flight, to one server in another process that replays bytes: ours through the
whole engine, with routing, keys, limits and metrics; the openai SDK with gather and a semaphore, as llm-provider calls
it; litellm. Alternately, in rounds. Then hits of the response cache, asked for by the hundred as `LLM.generate` asks,
beside the fastest answers of that server and of the simulator. With --rows a file of so many prompts instead, and the
memory it takes.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click

from workbench.asking import Asker
from workbench.bench.client_process import client_processes
from workbench.bench.engine_client import bench_engine
from workbench.bench.library_rows import FROM_ROW, Memory, measure_rows
from workbench.bench.replay import replay_process
from workbench.bench.report import environment, markdown_table
from workbench.bench.wire_client import KEY, Job
from workbench.core.clock import SystemClock
from workbench.engine.engine import Engine
from workbench.loop_thread import Host
from workbench.session.recorder import Recorder
from workbench.simulator.process import simulator_process
from workbench.store.database import Database
from workbench.store.runs import RunKind, Runs

CLIENTS = {"engine": "workbench engine", "openai": "AsyncOpenAI + gather + semaphore", "litellm": "litellm.acompletion"}
_CHUNKS = 20
"""Words of an answer: short, so that what is measured is the client."""
_IN_FLIGHT = 64
_LITELLM_SHARE = 0.2
"""litellm gets fewer requests: its time per request is what counts, and it is long."""
_HITS = 400
_BATCH = 100
"""Prompts in one list."""
_LISTS = 40
_STRAYS_MB = 50.0
_FASTEST = "sambanova", "Meta-Llama-3.1-8B-Instruct"
"""Provider and model that answer soonest in the simulator."""
_FASTEST_OF = 10


@dataclass(frozen=True, slots=True)
class Row:
    client: str
    wall_s: float
    """For all requests; litellm's is scaled up."""
    cpu_ms: float
    """Per request."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Medians in milliseconds for one answer of a list: everything from the list to the texts, the history apart."""

    memory_ms: float
    disk_ms: float
    recorded_ms: float
    """From memory, with every answer written to the history."""
    server_ms: float
    """The fastest single answer of the replaying server through the same engine."""
    simulator_ms: float
    """The fastest answer of one token that the simulator gives: a network and a model imitated."""


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
@click.option("--rows", type=click.IntRange(FROM_ROW + 1), help="Run a file of so many rows and watch its memory.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(requests: int, runs: int, rows: int | None, as_json: bool) -> None:
    """Measure lists of prompts and cache hits against raw clients, or a long file's memory."""
    if rows is None:
        _show_clients(requests, runs, as_json=as_json)
    else:
        _show_rows(measure_rows(rows), as_json=as_json)


def _show_rows(memory: Memory, *, as_json: bool) -> None:
    figure = Figure("furthest from row 1,000", memory.strays, _STRAYS_MB, memory.strays <= _STRAYS_MB, "MB")
    if as_json:
        for item in (memory, figure):
            click.echo(json.dumps(asdict(item)))
        return
    click.echo(environment())
    click.echo(f"{memory.rows:,} rows, {memory.rows_per_s:,.0f} a second, cache and history on; resident memory, MB.\n")
    click.echo(
        markdown_table(
            ("rows", "at row 1,000", "least", "most", "at the end", "per 10,000 rows"),
            [
                (
                    f"{memory.rows:,}",
                    f"{memory.at_start:.1f}",
                    f"{memory.least:.1f}",
                    f"{memory.most:.1f}",
                    f"{memory.at_end:.1f}",
                    f"{memory.per_10_000_rows:+.2f}",
                )
            ],
        )
    )
    click.echo(f"\n{_figures([figure])}")


def _show_clients(requests: int, runs: int, *, as_json: bool) -> None:
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
        f"\nA stored answer in a list of {_BATCH}: {hits.memory_ms:.3f} ms from memory, {hits.disk_ms:.3f} ms from "
        f"disk, {hits.recorded_ms:.3f} ms from memory with the history written beside; the server's fastest answer "
        f"{hits.server_ms:.2f} ms, the simulator's {hits.simulator_ms:.0f} ms.\n"
    )
    click.echo(_figures(figures))


def _figures(figures: Sequence[Figure]) -> str:
    rows = [
        (figure.what, f"{figure.value:.3g} {figure.unit}", f"{'met' if figure.met else 'MISSED'} {_bound(figure)}")
        for figure in figures
    ]
    return markdown_table(("measure", "value", "target"), rows)


def measure(requests: int, runs: int) -> list[dict[str, Row]]:
    with replay_process() as replay, client_processes(CLIENTS, replay.ca_file) as clients:
        base_url = f"{replay.http}/whole/{_CHUNKS}/1/v1"
        for client in clients:
            client.run(Job(base_url, 2 * _IN_FLIGHT, _IN_FLIGHT, stream=False))
        rounds: list[dict[str, Row]] = [{} for _ in range(runs)]
        for number, taken in enumerate(rounds, 1):
            for client in clients:
                click.echo(f"round {number} of {runs}, {client.name} …", err=True)
                count = round(requests * (_LITELLM_SHARE if client.name == "litellm" else 1.0))
                sample = client.run(Job(base_url, count, _IN_FLIGHT, stream=False))
                taken[client.name] = Row(client.name, sample.wall_s * requests / count, sample.cpu_s * 1e3 / count)
        return rounds


async def measure_hits() -> Hits:
    with replay_process() as replay, tempfile.TemporaryDirectory() as root, ExitStack() as stack:
        base_url = f"{replay.http}/whole/{_CHUNKS}/1/v1"
        place = Path(root)
        async with bench_engine(base_url, KEY, cached=True, root=place) as engine:
            asked = [await _one(engine, number) for number in range(_HITS)]
            last = range(_HITS - _BATCH, _HITS)
            memory = [await _list(Host(engine), last) for _ in range(_LISTS)]
            database = Database(place / "history.sqlite3")
            stack.callback(database.close)
            recorder = Recorder(Runs(database), SystemClock(), kind=RunKind.LIBRARY)
            recorded = [await _list(Host(engine, recorder), last) for _ in range(_LISTS)]
        disk: list[float] = []
        for start in range(0, _HITS, _BATCH):
            async with bench_engine(base_url, KEY, cached=True, root=place) as engine:
                await engine.warm([])
                disk.append(await _list(Host(engine), range(start, start + _BATCH)))
    return Hits(
        memory_ms=median(memory) * 1e3,
        disk_ms=median(disk) * 1e3,
        recorded_ms=median(recorded) * 1e3,
        server_ms=min(asked) * 1e3,
        simulator_ms=await _fastest_of_simulator() * 1e3,
    )


async def _fastest_of_simulator() -> float:
    """Seconds."""
    provider, model = _FASTEST
    async with (
        simulator_process() as simulator,
        bench_engine(simulator.base_urls[provider], simulator.api_key, cached=False, provider=provider) as engine,
    ):
        await _short(engine, f"{provider}/{model}", 0)
        return min([await _short(engine, f"{provider}/{model}", number) for number in range(_FASTEST_OF)])


async def _short(engine: Engine, model: str, number: int) -> float:
    started = time.perf_counter()
    asker = Asker(model, 1, 2, {})
    await engine.complete(asker.requests(_prompt(number), None, 1, True, {"max_tokens": 1})[0][0], stream=False)
    return time.perf_counter() - started


async def _one(engine: Engine, number: int) -> float:
    started = time.perf_counter()
    await engine.complete(_asker().requests(_prompt(number), None, 1, True, {})[0][0], stream=False)
    return time.perf_counter() - started


async def _list(host: Host, numbers: Sequence[int]) -> float:
    """Seconds for each answer, as `LLM.generate` gets them."""
    started = time.perf_counter()
    asker = _asker()
    requests, _ = asker.requests([_prompt(number) for number in numbers], None, 1, True, {})
    texts = await asker.collecting(requests, lambda done, total: None, None)(host)
    taken = time.perf_counter() - started
    if not (all(texts) and asker.totals.cache_hits == len(requests)):
        raise click.ClickException("an answer that was stored did not come from the cache")
    return taken / len(requests)


def _asker() -> Asker:
    return Asker("gpt-4.1", _IN_FLIGHT, 2, {})


def _prompt(number: int) -> str:
    return f"Prompt {number}"


def compare(rounds: Sequence[dict[str, Row]], hits: Hits) -> list[Figure]:
    wall = median(taken["engine"].wall_s / taken["openai"].wall_s for taken in rounds)
    cpu = median(taken["engine"].cpu_ms / taken["litellm"].cpu_ms for taken in rounds)
    simulator = hits.disk_ms / hits.simulator_ms
    return [
        Figure("total time, against AsyncOpenAI", wall, 1.1, wall <= 1.1),
        Figure("CPU per request, against litellm", cpu, 0.5, cpu <= 0.5),
        Figure("cache hit from memory", hits.memory_ms, 0.05, hits.memory_ms < 0.05, "ms"),
        Figure("cache hit from disk", hits.disk_ms, 0.3, hits.disk_ms < 0.3, "ms"),
        Figure("cache hit from disk, against the simulator's fastest answer", simulator, 0.01, simulator <= 0.01),
    ]


def _bound(figure: Figure) -> str:
    return f"≤ {figure.target:g} {figure.unit}"
