"""Ninety-six answers at once from a simulator behind an edge with bad manners: all of them arrive, whole."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from h2.errors import ErrorCodes

from workbench.core.errors import ProviderError
from workbench.providers.base import ProviderSpec, Transport, WireFamily
from workbench.providers.http import Connections
from workbench.providers.transport_errors import Place, translated
from workbench.simulator.edge import Manners
from workbench.simulator.server import H2Edge

BURST = 96


async def outcome(client: httpx.AsyncClient, server: H2Edge) -> str:
    url = server.base_urls["openai"]
    try:
        with translated(Place("OpenAI", url)):
            response = await client.post(
                f"{url}/chat/completions",
                headers={"authorization": f"Bearer {server.api_key}"},
                json={
                    "model": "gpt-4.1",
                    "stream": True,
                    "max_tokens": 6,
                    "messages": [{"role": "user", "content": "Explain how an event loop works."}],
                },
            )
    except ProviderError as error:
        return type(error).__name__
    return "answered" if response.text.endswith("data: [DONE]\n\n") else "incomplete"


async def burst(server: H2Edge, count: int = BURST) -> Counter[str]:
    connections = Connections({"SSL_CERT_FILE": str(server.ca_file)})
    row = ProviderSpec("openai", "openai", WireFamily.OPENAI_CHAT, server.url, (), (), transport=Transport.HTTP2)
    try:
        client = connections.client(row)
        return Counter(await asyncio.gather(*(outcome(client, server) for _ in range(count))))
    finally:
        await connections.aclose()


@pytest.mark.parametrize(
    "manners",
    [
        pytest.param(Manners(), id="good"),
        pytest.param(Manners(max_concurrent_streams=4), id="four streams to a connection"),
        pytest.param(Manners(max_concurrent_streams=1), id="one stream to a connection"),
        pytest.param(Manners(refuse_first=2), id="refuses the first two"),
        pytest.param(Manners(shrink_to=2), id="lowers its cap"),
        pytest.param(Manners(goaway_after=5), id="goes away after five requests"),
        pytest.param(Manners(goaway_after=1), id="goes away after every request"),
        pytest.param(Manners(goaway_after=5, goaway_error=ErrorCodes.ENHANCE_YOUR_CALM), id="goes away in anger"),
        pytest.param(Manners(goodbye_after=3), id="says goodbye after three answers"),
        pytest.param(Manners(max_concurrent_streams=4, goaway_after=6, refuse_first=1), id="all together"),
    ],
)
async def test_bad_manners_are_invisible(manners: Manners):
    with H2Edge(manners, tls=True) as server:
        assert await burst(server) == {"answered": BURST}


async def test_what_an_edge_resets_in_mid_answer_is_told_and_not_sent_twice():
    """These were processed, as far as anybody knows: whether to try again is for the retry loop to say."""
    with H2Edge(Manners(reset_after=1), tls=True) as server:
        outcomes = await burst(server, 8)
        accepted = server.edge.accepted

    assert accepted == 8
    assert outcomes["answered"] >= 1
    assert set(outcomes) <= {"answered", "ConnectionFailed", "IncompleteStream"}


async def test_requests_one_after_another_outlive_every_connection():
    with H2Edge(Manners(close_after=1), tls=True) as server:
        connections = Connections({"SSL_CERT_FILE": str(server.ca_file)})
        row = ProviderSpec("openai", "openai", WireFamily.OPENAI_CHAT, server.url, (), (), transport=Transport.HTTP2)
        outcomes = [await outcome(connections.client(row), server) for _ in range(6)]
        await connections.aclose()

    assert outcomes == ["answered"] * 6
