"""Connections: HTTP/1.1 and HTTP/2, with TLS and without, and an edge with bad manners."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable

import h2.connection
import h2.errors
import httpx
import pytest
from hyperframe.frame import Frame, GoAwayFrame, SettingsFrame

from workbench.simulator.edge import Manners
from workbench.simulator.profiles import STEADY
from workbench.simulator.server import H2Edge, SimulatorThread

SLOW = 0.2
"""Of the steady profile: 40 ms to the first token, so that a burst overlaps."""


def trusting(simulator: SimulatorThread) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=simulator.ca_file) if simulator.ca_file else True


async def ask(client: httpx.AsyncClient, simulator: SimulatorThread, tokens: int = 6) -> httpx.Response:
    return await client.post(
        f"{simulator.base_urls['openai']}/chat/completions",
        headers={"authorization": f"Bearer {simulator.api_key}"},
        json={
            "model": "gpt-4.1",
            "stream": True,
            "max_tokens": tokens,
            "messages": [{"role": "user", "content": "Explain how an event loop works."}],
        },
    )


async def outcome(client: httpx.AsyncClient, simulator: SimulatorThread, tokens: int = 6) -> str:
    try:
        response = await ask(client, simulator, tokens)
    except httpx.RemoteProtocolError as exc:
        return str(exc)
    return "answered" if response.text.endswith("data: [DONE]\n\n") else "incomplete"


async def burst(simulator: SimulatorThread, count: int, tokens: Callable[[int], int] = lambda n: 6) -> Counter[str]:
    async with httpx.AsyncClient(http1=False, http2=True, verify=trusting(simulator), timeout=60) as client:
        return Counter(await asyncio.gather(*(outcome(client, simulator, tokens(n)) for n in range(count))))


@pytest.mark.parametrize("tls", [False, True], ids=["cleartext", "tls"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
async def test_it_speaks_both_versions_with_and_without_tls(tls: bool, version: str) -> None:
    with SimulatorThread("fast", tls=tls) as simulator:
        is_h2 = version == "HTTP/2"
        async with httpx.AsyncClient(http1=not is_h2, http2=is_h2, verify=trusting(simulator)) as client:
            responses = [await ask(client, simulator) for _ in range(3)]

        assert {response.http_version for response in responses} == {version}
        assert {response.status_code for response in responses} == {200}
        assert simulator.tally().connections == 1


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("fault", ["drop;after=1", "reset"])
async def test_a_dropped_connection_is_dropped_in_both_versions(version: str, fault: str) -> None:
    with SimulatorThread("fast") as simulator:
        is_h2 = version == "HTTP/2"
        async with httpx.AsyncClient(http1=not is_h2, http2=is_h2, headers={"x-sim-fault": fault}) as client:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await ask(client, simulator)


async def test_its_certificate_is_not_trusted_by_anybody_else() -> None:
    with SimulatorThread("fast", tls=True) as simulator:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await ask(client, simulator)


async def test_keep_alive_ends_after_so_many_requests_with_notice() -> None:
    with SimulatorThread("fast", max_requests_per_connection=2) as simulator:
        async with httpx.AsyncClient() as client:
            closing = [(await ask(client, simulator)).headers.get("connection") for _ in range(4)]

        assert closing == [None, "close", None, "close"]
        assert simulator.tally().connections == 2


async def test_keep_alive_can_end_without_notice() -> None:
    with SimulatorThread("fast", reset_after_requests=2) as simulator:
        async with httpx.AsyncClient() as client:
            outcomes = [await outcome(client, simulator) for _ in range(5)]

    assert [text == "answered" for text in outcomes] == [True, True, False, True, True]


@pytest.mark.parametrize("tls", [False, True], ids=["cleartext", "tls"])
async def test_a_polite_edge_answers_everything(tls: bool) -> None:
    with H2Edge(Manners(), STEADY, tls=tls, time_scale=SLOW) as server:
        assert await burst(server, 20) == {"answered": 20}
        assert server.edge.connections == 1
        assert server.edge.peak_streams > 1


async def test_a_cap_is_announced_and_kept() -> None:
    with H2Edge(Manners(max_concurrent_streams=3), STEADY, time_scale=SLOW) as server:
        assert await burst(server, 9) == {"answered": 9}
        assert (server.edge.peak_streams, server.edge.refused) == (3, 0)


async def test_refused_streams_are_named_as_never_processed() -> None:
    with H2Edge(Manners(refuse_first=2), "fast") as server:
        outcomes = await burst(server, 5)

        assert outcomes["answered"] == 3
        assert sum(f"error_code:{h2.errors.ErrorCodes.REFUSED_STREAM.value}" in text for text in outcomes) == 2
        assert (server.edge.refused, server.tally().requests) == (2, 3)


async def frames_of(server: SimulatorThread, requests: int) -> list[Frame]:
    """All requests in one write, and every frame that comes back until the server closes."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    body = b'{"model": "gpt-4.1", "max_tokens": 3, "messages": [{"role": "user", "content": "Hello, loop"}]}'
    for number in range(requests):
        head = [(":method", "POST"), (":scheme", "http"), (":path", "/openai/v1/chat/completions")]
        head += [(":authority", "x"), ("authorization", "Bearer sim-key-1")]
        connection.send_headers(2 * number + 1, head)
        connection.send_data(2 * number + 1, body, end_stream=True)
    reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
    writer.write(connection.data_to_send())
    raw = memoryview(await asyncio.wait_for(reader.read(), 60))
    writer.close()
    await writer.wait_closed()
    found = []
    while raw:
        frame, length = Frame.parse_frame_header(raw[:9])
        frame.parse_body(raw[9 : 9 + length])
        found.append(frame)
        raw = raw[9 + length :]
    return found


async def test_goaway_names_the_last_stream_that_is_answered() -> None:
    with H2Edge(Manners(goaway_after=4), "fast") as server:
        frames = await frames_of(server, 10)

        goaway = next(frame for frame in frames if isinstance(frame, GoAwayFrame))
        finished = [frame.stream_id for frame in frames if "END_STREAM" in frame.flags]
        assert goaway.last_stream_id == 7
        assert sorted(finished) == [1, 3, 5, 7]
        assert (server.edge.accepted, server.edge.unprocessed, server.edge.answered) == (4, 6, 4)


async def test_the_cap_can_be_lowered_while_it_runs() -> None:
    with H2Edge(Manners(shrink_to=2, goaway_after=2), "fast") as server:
        frames = await frames_of(server, 2)

    caps = [
        frame.settings.get(SettingsFrame.MAX_CONCURRENT_STREAMS) for frame in frames if isinstance(frame, SettingsFrame)
    ]
    assert [cap for cap in caps if cap is not None] == [100, 2]


async def test_a_goodbye_between_requests_costs_a_plain_client_nothing() -> None:
    with H2Edge(Manners(goodbye_after=2), "fast") as server:
        async with httpx.AsyncClient(http1=False, http2=True) as client:
            outcomes = [await outcome(client, server) for _ in range(5)]

        assert outcomes == ["answered"] * 5
        assert (server.edge.connections, server.edge.goaways) == (3, 2)


async def test_it_closes_the_connection_in_the_middle_of_other_answers() -> None:
    # The short answer takes 0.2 s, the others ten times that: they are open when it ends, on any machine.
    with H2Edge(Manners(close_after=1), STEADY) as server:
        outcomes = await burst(server, 4, tokens=lambda n: 2 if n == 0 else 200)

        assert outcomes["answered"] == 1
        assert server.edge.answered == 1


async def test_it_resets_open_streams() -> None:
    # The short answer takes 0.2 s, the others ten times that: they are open when it ends, on any machine.
    with H2Edge(Manners(reset_after=1), STEADY) as server:
        outcomes = await burst(server, 4, tokens=lambda n: 2 if n == 0 else 200)

        assert outcomes["answered"] == 1
        assert sum("StreamReset" in text for text in outcomes) == 3
        assert server.edge.open_connections <= 1


async def test_the_sdks_dialects_stand_behind_the_edge() -> None:
    with H2Edge(Manners(), "fast") as server:
        async with httpx.AsyncClient(http1=False, http2=True) as client:
            listed = await client.get(
                f"{server.base_urls['gemini']}/v1beta/models", headers={"x-goog-api-key": "sim-key-1"}
            )
            counters = (await client.get(f"{server.url}/_sim/counters")).json()

    assert listed.json()["models"]
    assert counters["total"]["requests"] == 1
