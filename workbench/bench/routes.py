"""`llm-workbench bench routes`: which transport carries answers best, near and far, cold and warm.

The same model through our adapter over each of its transports, through the openai SDK and through litellm, all over
TLS, alternately, against one server that replays bytes at once. A relay adds the round trip. From what our own
transports show at the longest round trip follows what each provider row should use.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import geometric_mean, median

import click

from workbench.bench.client_process import ClientProcess, client_processes
from workbench.bench.delay import delayed
from workbench.bench.interruption import Interruption
from workbench.bench.replay import CHARACTERS_PER_CHUNK, replay_process
from workbench.bench.report import environment, markdown_table
from workbench.bench.wire import TITLES
from workbench.bench.wire_client import Job, Sample
from workbench.providers.base import ProviderSpec, Transport, WireFamily
from workbench.providers.catalog import BUILT_IN

CLIENTS = ("ours-http2", "ours-aiohttp", "ours-http1", "openai", "openai-h2", "litellm")
OURS = {"ours-http1": Transport.HTTP1, "ours-http2": Transport.HTTP2, "ours-aiohttp": Transport.AIOHTTP}
STREAMS = 64
CROWD = 128
CROWD_CHUNKS = 50
CROWD_PER_S = 2500
"""Events per second over all streams of the crowd: they last under three seconds, which is short for an answer."""
CHUNKS = 100
PROMPT_BYTES = 2000
PAUSE_S = 6.0
"""Longer than the 5 s for which the SDKs keep an idle connection."""

LEAD = 0.10
"""A transport must be ahead of a row's present one by this much to replace it."""

WORSE_OVER_HTTP2 = frozenset({"together", "sambanova", "openrouter"})
"""Providers whose own servers were seen to do worse over HTTP/2, which no server of ours can show."""


@dataclass(frozen=True, slots=True)
class Row:
    """One client at one distance in one situation; medians over the rounds."""

    client: str
    round_trip_ms: int
    situation: str
    total_s: float
    tokens_per_s: float
    ttft_p50_ms: float
    ttft_p95_ms: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Target:
    """What our default transport promises at the longest distance, as a ratio to a peer."""

    situation: str
    measure: str
    peer: str
    limit: float
    at_least: bool


TARGETS = (
    Target("cold", "tokens_per_s", "openai-h2", 1.6, at_least=True),
    Target("cold", "tokens_per_s", "litellm", 3.5, at_least=True),
    Target("crowd", "ttft_p95_ms", "openai-h2", 0.15, at_least=False),
    Target("pause", "ttft_p50_ms", "openai", 0.8, at_least=False),
)
DEFAULT = "ours-http2"


@dataclass(frozen=True, slots=True)
class Figure:
    situation: str
    measure: str
    ours: float
    peer: str
    peer_value: float
    ratio: float
    target: str
    met: bool


SITUATIONS: Mapping[str, str] = {
    "cold": f"{STREAMS} streams at once, no connection open",
    "warm": f"{STREAMS} streams at once, connections open",
    "crowd": f"{CROWD} streams at once, connections open, none ends before all have nearly ended",
    "pause": f"8 streams at once, {PAUSE_S:g} s after the last",
}


@click.command("routes")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1), help="Rounds; medians are shown.")
@click.option(
    "--round-trips", default="0,40", show_default=True, help="Milliseconds, comma list; the last one decides."
)
@click.option("--clients", default=",".join(CLIENTS), show_default=True, help="Comma list.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(runs: int, round_trips: str, clients: str, as_json: bool) -> None:
    """Compare transports and libraries over distance, and name the best transport for each provider."""
    names = [name.strip() for name in clients.split(",") if name.strip()]
    if unknown := [name for name in names if name not in TITLES]:
        raise click.BadParameter(f"{', '.join(unknown)}; there are {', '.join(TITLES)}", param_hint="--clients")
    if not names:
        raise click.BadParameter(f"name one at least of {', '.join(TITLES)}", param_hint="--clients")
    try:
        distances = [int(part) for part in round_trips.split(",")]
    except ValueError as exc:
        raise click.BadParameter(f"{round_trips!r} is no list of milliseconds", param_hint="--round-trips") from exc
    if min(distances) < 0:
        raise click.BadParameter("no round trip takes less than no time", param_hint="--round-trips")
    interruption = Interruption()
    rows = interruption.collect(measure(names, distances, runs))
    if interruption.came:
        # What is judged is judged at the longest distance, which comes last.
        figures, choices = [], []
    else:
        figures, choices = list(compare(rows)), list(choose(rows, BUILT_IN))
    if rows:
        _show(rows, figures, choices, runs, as_json=as_json)
    interruption.exit()


def _show(
    rows: Sequence[Row], figures: Sequence[Figure], choices: Sequence[Choice], runs: int, *, as_json: bool
) -> None:
    if as_json:
        values: list[Row | Figure | Choice] = [*rows, *figures, *choices]
        for value in values:
            click.echo(json.dumps(asdict(value)))
        return
    click.echo(environment())
    click.echo(f"Medians of {runs} rounds; TLS everywhere; {CHUNKS} chunks an answer, {PROMPT_BYTES} bytes a prompt.")
    distances = sorted({row.round_trip_ms for row in rows})
    for distance in distances:
        for situation, meaning in SITUATIONS.items():
            click.echo(f"\n{distance} ms round trip, {situation}: {meaning}\n")
            click.echo(_table([row for row in rows if (row.round_trip_ms, row.situation) == (distance, situation)]))
    if figures:
        click.echo(f"\n{TITLES[DEFAULT]} at {distances[-1]} ms beside its peers:\n")
        click.echo(
            markdown_table(
                ("situation", "measure", "peer", "ratio", "target"),
                [
                    (
                        f.situation,
                        f.measure,
                        TITLES[f.peer],
                        f"{f.ratio:.2f}×",
                        f"{'met' if f.met else 'MISSED'} {f.target}",
                    )
                    for f in figures
                ],
                left=3,
            )
        )
    if choices:
        click.echo(f"\nTransports at {distances[-1]} ms, relative to the best (geometric mean of what is above):\n")
        click.echo(
            markdown_table(
                ("provider", "now", "best", *(str(kind) for kind in Transport)),
                [
                    (
                        choice.provider,
                        choice.present,
                        choice.best,
                        *(f"{choice.scores[kind]:.2f}" for kind in Transport),
                    )
                    for choice in choices
                ],
                left=3,
            )
        )


def _table(rows: Sequence[Row]) -> str:
    return markdown_table(
        ("client", "total s", "tok/s", "TTFT p50 ms", "TTFT p95 ms", "CPU s"),
        [
            (
                TITLES[row.client],
                f"{row.total_s:.2f}",
                f"{row.tokens_per_s:,.0f}",
                f"{row.ttft_p50_ms:.0f}",
                f"{row.ttft_p95_ms:.0f}",
                f"{row.cpu_s:.2f}",
            )
            for row in rows
        ],
    )


def measure(names: Sequence[str], distances: Sequence[int], runs: int) -> Iterator[Row]:
    with replay_process() as replay, client_processes(names, replay.ca_file) as clients:
        for client in clients:
            # Imports, first certificates and first objects; their connections are thrown away.
            client.run(_job(replay.https, "burst", STREAMS, fresh=False))
        for distance in distances:
            with delayed(int(replay.https.rpartition(":")[2]), distance / 1000) as port:
                origin = f"https://localhost:{port}"
                samples = []
                for number in range(1, runs + 1):
                    click.echo(f"{distance} ms round trip, round {number} of {runs} …", err=True)
                    samples.append(_round(clients, origin))
            for situation in SITUATIONS:
                for client in clients:
                    yield _row(client.name, distance, situation, [taken[client.name, situation] for taken in samples])


def _round(clients: Sequence[ClientProcess], origin: str) -> dict[tuple[str, str], Sample]:
    taken: dict[tuple[str, str], Sample] = {}
    for client in clients:
        taken[client.name, "cold"] = _checked(client, _job(origin, "burst", STREAMS, fresh=True))
        taken[client.name, "warm"] = _checked(client, _job(origin, "burst", STREAMS, fresh=False))
    for client in clients:
        _checked(client, _job(origin, "paced", CROWD, fresh=False))  # opens what the next line needs
        taken[client.name, "crowd"] = _checked(client, _job(origin, "paced", CROWD, fresh=False))
    time.sleep(PAUSE_S)
    for client in clients:
        taken[client.name, "pause"] = _checked(client, _job(origin, "burst", 8, fresh=False))
    return taken


def _job(origin: str, mode: str, streams: int, *, fresh: bool) -> Job:
    chunks = CHUNKS if mode == "burst" else CROWD_CHUNKS
    url = f"{origin}/{mode}/{chunks}/{CROWD_PER_S}/v1"
    return Job(url, streams, streams, stream=True, prompt_bytes=PROMPT_BYTES, fresh=fresh)


def _checked(client: ClientProcess, job: Job) -> Sample:
    sample = client.run(job)
    chunks = int(job.base_url.split("/")[4])
    if sample.characters != job.requests * chunks * CHARACTERS_PER_CHUNK:
        raise click.ClickException(f"{client.name} lost a part of what it was sent")
    return sample


def _row(name: str, distance: int, situation: str, samples: Sequence[Sample]) -> Row:
    return Row(
        client=name,
        round_trip_ms=distance,
        situation=situation,
        total_s=median(sample.wall_s for sample in samples),
        tokens_per_s=median(sample.characters / CHARACTERS_PER_CHUNK / sample.wall_s for sample in samples),
        ttft_p50_ms=1000 * median(sample.ttft_p50_s for sample in samples),
        ttft_p95_ms=1000 * median(sample.ttft_p95_s for sample in samples),
        cpu_s=median(sample.cpu_s for sample in samples),
    )


def compare(rows: Sequence[Row]) -> Iterator[Figure]:
    """Our default transport beside its peers, at the longest distance; only what was measured."""
    far = max((row.round_trip_ms for row in rows), default=0)
    seen = {(row.client, row.situation): row for row in rows if row.round_trip_ms == far}
    for target in TARGETS:
        ours, theirs = seen.get((DEFAULT, target.situation)), seen.get((target.peer, target.situation))
        if ours is None or theirs is None:
            continue
        mine, other = float(getattr(ours, target.measure)), float(getattr(theirs, target.measure))
        ratio = mine / other
        met = ratio >= target.limit if target.at_least else ratio <= target.limit
        words = f"{'≥' if target.at_least else '≤'} {target.limit}×"
        yield Figure(target.situation, target.measure, mine, target.peer, other, ratio, words, met)


@dataclass(frozen=True, slots=True)
class Choice:
    provider: str
    present: Transport
    best: Transport
    """What the row should use: the present one, unless another leads by more than `LEAD`."""
    scores: Mapping[Transport, float]
    """1.0 is the best; 1.2 takes a fifth longer."""


def choose(rows: Sequence[Row], specs: Sequence[ProviderSpec]) -> Iterator[Choice]:
    """For each row that travels on a transport of ours, judged at the longest distance.

    Nothing unless all three transports were measured.
    """
    far = max((row.round_trip_ms for row in rows), default=0)
    costs: dict[Transport, float] = {}
    for name, kind in OURS.items():
        seen = [row for row in rows if row.client == name and row.round_trip_ms == far]
        if seen:
            costs[kind] = geometric_mean(
                [value for row in seen for value in (row.total_s, row.ttft_p50_ms, row.ttft_p95_ms)]
            )
    if len(costs) < len(OURS):
        return
    least = min(costs.values())
    scores = {kind: cost / least for kind, cost in costs.items()}
    for spec in specs:
        if spec.family is WireFamily.LITELLM:
            continue  # It brings its own connections.
        http2 = spec.base_url.startswith("https:") and spec.name not in WORSE_OVER_HTTP2
        open_to = {kind: score for kind, score in scores.items() if http2 or kind is not Transport.HTTP2}
        leader = min(open_to, key=lambda kind: open_to[kind])
        keeps = open_to.get(spec.transport, float("inf")) <= open_to[leader] * (1 + LEAD)
        yield Choice(spec.name, spec.transport, spec.transport if keeps else leader, scores)
