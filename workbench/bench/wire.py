"""`llm-workbench bench wire`: what reading an answer costs the client, in CPU and memory, beside the usual ways.

Every client runs in a process of its own against one server that replays bytes made beforehand, all of them
alternately, so that a slow minute of the machine slows all. Ratios are medians of the ratios within a round. Clients
of HTTP/2 read over TLS, the others in the clear.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import median

import click

from workbench.bench.client_process import ClientProcess, client_processes
from workbench.bench.replay import CHARACTERS_PER_CHUNK, Replay, replay_process
from workbench.bench.report import environment, markdown_table
from workbench.bench.wire_client import MAKERS, Job

TITLES = {
    "raw": "raw asyncio socket + msgspec",
    "aiohttp": "aiohttp + our SSE",
    "httpx": "httpx + our SSE",
    "httpx-h2": "httpx, HTTP/2 + our SSE",
    "ours-aiohttp": "workbench, aiohttp",
    "ours-http2": "workbench, HTTP/2",
    "ours-http1": "workbench, httpx",
    "engine": "workbench, whole engine",
    "openai": "openai SDK objects",
    "openai-h2": "openai SDK objects, HTTP/2",
    "litellm": "litellm",
}
MEASURES = {
    "paced": "µs per chunk, one event per read",
    "burst": "µs per chunk, coalesced",
    "whole": "ms per request, not streamed",
    "resident": "MB at 256 streams",
}
OURS = "ours-aiohttp"
TARGETS = (
    (OURS, "paced", "openai", 0.30),
    (OURS, "paced", "litellm", 0.15),
    (OURS, "burst", "openai", 0.12),
    (OURS, "burst", "litellm", 0.03),
    (OURS, "burst", "raw", 6.0),
    (OURS, "whole", "openai", 0.60),
    (OURS, "resident", "openai", 1.0),
    (OURS, "resident", "litellm", 0.25),
    ("engine", "resident", "openai", 1.0),
    ("engine", "resident", "litellm", 0.25),
)

_PACED_PER_S = 1500
"""Slow enough for the slowest client to keep up with, or its events would coalesce after all."""
_STREAMS = 32


@dataclass(frozen=True, slots=True)
class Figure:
    """One target: ours beside a peer."""

    measure: str
    unit: str
    client: str
    """Which of ours."""
    ours: float
    peer: str
    peer_value: float
    ratio: float
    target: float
    met: bool


@click.command("wire")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1), help="Rounds; medians are shown.")
@click.option("--chunks", default=200, show_default=True, type=click.IntRange(10), help="Chunks per paced stream.")
@click.option("--clients", default="", help="Comma list; all by default. Ratios need their peers.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(runs: int, chunks: int, clients: str, as_json: bool) -> None:
    """Measure the client's CPU per chunk and per request, and its memory, against other libraries."""
    names = [name.strip() for name in clients.split(",") if name.strip()] or list(MAKERS)
    if unknown := [name for name in names if name not in MAKERS]:
        raise click.BadParameter(f"{', '.join(unknown)}; there are {', '.join(MAKERS)}", param_hint="--clients")
    rounds = measure(names, runs, chunks)
    figures = list(compare(rounds))
    if as_json:
        for name in names:
            click.echo(json.dumps({"client": name, **{m: median(r[name, m] for r in rounds) for m in MEASURES}}))
        for figure in figures:
            click.echo(json.dumps(asdict(figure)))
        return
    click.echo(environment())
    click.echo(f"Medians of {runs} rounds, {_STREAMS} streams or requests at a time; the server is another process.\n")
    click.echo(
        markdown_table(
            ("client", *MEASURES.values()),
            [(TITLES[name], *(f"{median(r[name, m] for r in rounds):.3g}" for m in MEASURES)) for name in names],
        )
    )
    if figures:
        click.echo("\nBeside their peers:\n")
        click.echo(
            markdown_table(
                ("measure", "ours", "peer", "ratio", "target"),
                [
                    (
                        f.unit,
                        TITLES[f.client],
                        TITLES[f.peer],
                        f"{f.ratio:.3f}×",
                        f"{'met' if f.met else 'MISSED'} ≤ {f.target}×",
                    )
                    for f in figures
                ],
                left=3,
            )
        )


Round = dict[tuple[str, str], float]
"""(client, measure) → value."""


def measure(names: Sequence[str], runs: int, chunks: int) -> list[Round]:
    with replay_process() as replay, client_processes(names, replay.ca_file) as clients:
        for client in clients:
            _warm_up(client, replay)
        rounds: list[Round] = [{} for _ in range(runs)]
        for number, taken in enumerate(rounds, 1):
            for client in clients:
                click.echo(f"round {number} of {runs}, {client.name} …", err=True)
                taken[client.name, "paced"] = _per_chunk(client, replay, "paced", chunks) * 1e6
                taken[client.name, "burst"] = _per_chunk(client, replay, "burst", 500) * 1e6
                taken[client.name, "whole"] = _per_request(client, replay) * 1e3
        # Last, because what a process has once had in memory it does not give back.
        for client in clients:
            resident = _resident_mb(client, replay)
            for taken in rounds:
                taken[client.name, "resident"] = resident
        return rounds


def compare(rounds: Sequence[Round]) -> Iterator[Figure]:
    for client, name, peer, target in TARGETS:
        if (client, name) not in rounds[0] or (peer, name) not in rounds[0]:
            continue
        ratio = median(taken[client, name] / taken[peer, name] for taken in rounds)
        ours, theirs = (median(taken[who, name] for taken in rounds) for who in (client, peer))
        yield Figure(name, MEASURES[name], client, ours, peer, theirs, ratio, target, ratio <= target)


def _url(client: ClientProcess, replay: Replay, mode: str, chunks: int, per_s: int = _PACED_PER_S) -> str:
    origin = replay.https if client.name in ("httpx-h2", "ours-http2", "openai-h2") else replay.http
    return f"{origin}/{mode}/{chunks}/{per_s}/v1"


def _warm_up(client: ClientProcess, replay: Replay) -> None:
    client.run(Job(_url(client, replay, "burst", 20), 2 * _STREAMS, _STREAMS, stream=True))
    client.run(Job(_url(client, replay, "whole", 20), 2 * _STREAMS, _STREAMS, stream=False))


def _per_chunk(client: ClientProcess, replay: Replay, mode: str, chunks: int) -> float:
    sample = client.run(Job(_url(client, replay, mode, chunks), _STREAMS, _STREAMS, stream=True))
    expected = _STREAMS * chunks * CHARACTERS_PER_CHUNK
    if sample.characters != expected:
        raise click.ClickException(f"{client.name} read {sample.characters} characters of {expected}")
    return sample.cpu_s / (_STREAMS * chunks)


def _per_request(client: ClientProcess, replay: Replay) -> float:
    requests = 8 * _STREAMS
    return client.run(Job(_url(client, replay, "whole", 200), requests, _STREAMS, stream=False)).cpu_s / requests


def _resident_mb(client: ClientProcess, replay: Replay) -> float:
    """While 256 answers stream at once, each of them open from the first event to the last."""
    return client.run(Job(_url(client, replay, "paced", 20, 4000), 256, 256, stream=True)).resident_mb
