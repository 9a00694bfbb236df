"""The benchmarks' own parts: a server that replays, a relay that delays, clients that count, figures that compare."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner
from scripted_servers import raw_server

from workbench.bench import routes, wire
from workbench.bench.client_process import client_processes
from workbench.bench.delay import delayed
from workbench.bench.replay import CHARACTERS_PER_CHUNK, replay_process
from workbench.bench.wire_client import MAKERS, Job, work
from workbench.providers.base import Transport
from workbench.providers.catalog import ANTHROPIC, BUILT_IN, GEMINI, LOCAL, OPENAI, SAMBANOVA, TOGETHER


@pytest.mark.parametrize("name", ["raw", "aiohttp", "httpx", "httpx-h2", "ours-http1", "ours-http2", "ours-aiohttp"])
async def test_every_client_reads_every_character(name: str, monkeypatch: pytest.MonkeyPatch):
    with replay_process() as replay:
        monkeypatch.setenv("SSL_CERT_FILE", replay.ca_file)
        origin = replay.https if name.endswith("2") else replay.http
        client = MAKERS[name](replay.ca_file)
        counts = [
            (await work(client, Job(f"{origin}/{mode}/30/5000/v1", 6, 3, stream=mode != "whole"))).characters
            for mode in ("burst", "paced", "whole")
        ]
        await client.aclose()

    assert counts == [6 * 30 * CHARACTERS_PER_CHUNK] * 3


def test_wire_prints_one_object_per_client():
    result = CliRunner().invoke(wire.command, ["--runs", "1", "--chunks", "10", "--clients", "raw", "--json"])

    assert result.exit_code == 0, result.output
    [row] = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.stderr == "round 1 of 1, raw …\n"
    assert row.keys() == {"client", *wire.MEASURES}
    assert all(row[measure] > 0 for measure in wire.MEASURES)


@pytest.mark.parametrize("command", [wire.command, routes.command], ids=["wire", "routes"])
def test_an_unknown_client_is_refused_with_the_known_ones(command):
    result = CliRunner().invoke(command, ["--clients", "raw,telepathy"])

    assert result.exit_code == 2
    assert "telepathy; there are" in result.output


COSTS = {"ours-aiohttp": 1.0, "openai": 4.0}


def test_ratios_are_taken_within_a_round():
    """The machine was twice as slow in the second round; the ratio was not."""
    rounds = [
        {(client, measure): cost * slowness for client, cost in COSTS.items() for measure in wire.MEASURES}
        for slowness in (1.0, 2.0)
    ]

    figures = list(wire.compare(rounds))

    assert [(figure.measure, figure.ratio, figure.met) for figure in figures] == [
        ("paced", 0.25, True),
        ("burst", 0.25, False),
        ("whole", 0.25, True),
        ("resident", 0.25, True),
    ]


def test_the_whole_engine_is_held_to_the_memory_of_its_peers() -> None:
    rounds = [{("engine", "resident"): 70.0, ("openai", "resident"): 100.0, ("litellm", "resident"): 250.0}]

    figures = list(wire.compare(rounds))

    assert [(figure.client, figure.peer, figure.ratio, figure.met) for figure in figures] == [
        ("engine", "openai", 0.7, True),
        ("engine", "litellm", 0.28, False),
    ]


async def test_the_relay_adds_a_round_trip_to_connecting_and_to_asking():
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)

    async with raw_server(echo) as target:
        with delayed(target, 0.04) as port:
            began = time.perf_counter()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            took = []
            for _ in range(2):
                writer.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
                took.append(time.perf_counter() - began)
                began = time.perf_counter()
            writer.close()
            await writer.wait_closed()

    assert took[0] >= 0.08
    assert took[1] >= 0.04


def row(client: str, value: float) -> routes.Row:
    return routes.Row(client, 40, "cold", value, 1.0, value, value, 1.0)


def test_each_provider_gets_the_leader_among_the_transports_that_suit_it():
    rows = [row("ours-http1", 3.0), row("ours-http2", 1.0), row("ours-aiohttp", 1.3)]

    best = {choice.provider: choice.best for choice in routes.choose(rows, (OPENAI, TOGETHER, LOCAL))}

    assert best == {"openai": Transport.HTTP2, "together": Transport.AIOHTTP, "local": Transport.AIOHTTP}


def test_targets_are_judged_at_the_longest_distance():
    """`row` gives every client 1 tok/s; its latencies are its value."""
    rows = [row("ours-http2", 1.0), row("openai-h2", 10.0), row("litellm", 10.0)]
    near = [replace(r, round_trip_ms=0, tokens_per_s=99.0) for r in rows]
    crowd = [replace(r, situation="crowd") for r in rows]

    figures = list(routes.compare([*near, *rows, *crowd]))

    assert [(figure.situation, figure.peer, figure.ratio, figure.met) for figure in figures] == [
        ("cold", "openai-h2", 1.0, False),
        ("cold", "litellm", 1.0, False),
        ("crowd", "openai-h2", 0.1, True),
    ]


def test_a_small_lead_changes_nothing():
    rows = [row("ours-http1", 3.0), row("ours-http2", 1.09), row("ours-aiohttp", 1.0)]

    assert [choice.best for choice in routes.choose(rows, (OPENAI,))] == [Transport.HTTP2]


def test_nothing_is_chosen_from_half_the_evidence():
    assert list(routes.choose([row("ours-http2", 1.0), row("openai", 2.0)], (OPENAI,))) == []


def test_the_rows_use_what_the_bench_has_shown():
    """Measured at 40 ms: HTTP/2 1.0, aiohttp 1.3, httpx 3.4, as a user of `bench routes` can repeat."""
    rows = [row("ours-http1", 3.4), row("ours-http2", 1.0), row("ours-aiohttp", 1.3)]

    assert all(choice.best is choice.present for choice in routes.choose(rows, BUILT_IN))
    assert {spec.transport for spec in (OPENAI, ANTHROPIC, GEMINI)} == {Transport.HTTP2}
    assert {spec.transport for spec in (TOGETHER, SAMBANOVA, LOCAL)} == {Transport.AIOHTTP}


def test_a_client_process_answers_a_job():
    with replay_process() as replay, client_processes(["raw"], replay.ca_file) as [client]:
        sample = client.run(Job(f"{replay.http}/burst/10/1000/v1", 2, 2, stream=True))

    assert sample.characters == 2 * 10 * CHARACTERS_PER_CHUNK
    assert sample.resident_mb > 1
