"""Requests over HTTP/2 against a server that caps, refuses, leaves and breaks off."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx
import pytest
from h2.errors import ErrorCodes
from scripted_servers import (
    H2Peer,
    H2Server,
    answer_at_once,
    plain_answer,
    pump,
    raw_server,
    read_request,
    server_context,
)

from workbench.core.errors import ConnectionFailed, IncompleteStream
from workbench.providers.base import ProviderSpec, Transport
from workbench.providers.exchange import exchange_of
from workbench.providers.http import Connections
from workbench.simulator.certificate import Certificate

MakeSpec = Callable[[str, Transport], ProviderSpec]


@dataclass
class Asker:
    connections: Connections
    row: ProviderSpec

    @property
    def url(self) -> str:
        return self.row.base_url

    @property
    def client(self) -> httpx.AsyncClient:
        return self.connections.client(self.row)

    async def ask(self, body: bytes = b'{"n": 1}') -> httpx.Response:
        return await self.client.post(f"{self.url}/chat", content=body)

    async def ask_many(self, count: int) -> list[str]:
        return [response.text for response in await asyncio.gather(*(self.ask() for _ in range(count)))]


Serve = Callable[[H2Server], contextlib.AbstractAsyncContextManager[Asker]]


@pytest.fixture
def serve(connections: Connections, certificate: Certificate, spec: MakeSpec) -> Serve:
    """Run a server for the length of a block, and give what asks it over HTTP/2."""

    @contextlib.asynccontextmanager
    async def run(server: H2Server) -> AsyncIterator[Asker]:
        async with server.run(certificate) as url:
            yield Asker(connections, spec(url, Transport.HTTP2))

    return run


async def test_an_answer_comes_back_whole_with_its_exchange(serve: Serve):
    async with serve(H2Server()) as asker:
        response = await asker.ask()

    exchange = exchange_of(response)
    assert (response.status_code, response.http_version, response.text) == (200, "HTTP/2", "data: 1\n\n")
    assert exchange is not None
    assert exchange.sent_ns <= exchange.headers_ns


async def test_a_second_request_uses_the_open_connection(serve: Serve):
    server = H2Server()
    async with serve(server) as asker:
        first, second = await asker.ask(), await asker.ask()

    exchanges = [exchange_of(first), exchange_of(second)]
    assert [exchange and exchange.fresh for exchange in exchanges] == [True, False]
    assert len(server.peers) == 1


async def test_a_prompt_larger_than_the_window_arrives_whole(serve: Serve):
    server = H2Server()
    prompt = bytes(range(256)) * 2000
    async with serve(server) as asker:
        await asker.ask(prompt)

    assert server.peers[0].bodies == {1: prompt}


async def test_an_answer_larger_than_the_window_arrives_whole(serve: Serve):
    size = 6 * 1024 * 1024

    async def pour(peer: H2Peer, stream_id: int) -> None:
        await peer.respond(stream_id, ended=False)
        left = size
        while left:
            room = min(left, peer.h2.local_flow_control_window(stream_id), peer.h2.max_outbound_frame_size)
            if room == 0:
                await asyncio.sleep(0)  # The reader's task must run for a window update to be seen.
                continue
            await peer.send(stream_id, b"x" * room, ended=room == left)
            left -= room

    async with serve(H2Server(pour)) as asker:
        response = await asker.ask()

    assert len(response.content) == size + 2


@pytest.mark.parametrize("cap", [1, 4])
async def test_a_cap_on_streams_opens_more_connections_and_fails_nothing(serve: Serve, cap: int):
    """The server answers nobody before it has all 48 in front of it."""
    everyone = asyncio.Barrier(48)

    async def together(peer: H2Peer, stream_id: int) -> None:
        await everyone.wait()
        await answer_at_once(peer, stream_id)

    server = H2Server(together, max_streams=cap)
    async with serve(server) as asker:
        answers = await asker.ask_many(48)

    assert len(answers) == 48
    assert len(server.peers) >= 48 / cap


async def test_a_burst_spreads_over_several_connections(serve: Serve):
    everyone = asyncio.Barrier(32)

    async def together(peer: H2Peer, stream_id: int) -> None:
        await everyone.wait()
        await answer_at_once(peer, stream_id)

    server = H2Server(together)
    async with serve(server) as asker:
        await asker.ask_many(32)

    assert sorted(len(peer.opened) for peer in server.peers) == [8, 8, 8, 8]


async def test_a_request_that_finds_room_does_not_wait_for_another_connection(
    connections: Connections, certificate: Certificate, spec: MakeSpec
):
    """Nine streams call for a second connection; its handshake hangs, and the ninth is answered on the first."""
    full, release = asyncio.Event(), asyncio.Event()

    async def hold_eight(peer: H2Peer, stream_id: int) -> None:
        if stream_id == 15:
            full.set()
        if stream_id < 17:
            await release.wait()
        await answer_at_once(peer, stream_id)

    h2_server = H2Server(hold_eight)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(1)
        if len(accepted) > 1:
            await reader.read()
            await asyncio.Event().wait()
        up_reader, up_writer = await asyncio.open_connection("localhost", port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(pump(reader, up_writer))
                both.create_task(pump(up_reader, writer))
        finally:
            up_writer.transport.abort()

    accepted: list[int] = []
    async with raw_server(h2_server._serve, server_context(certificate, "h2")) as port, raw_server(relay) as relayed:
        asker = Asker(connections, spec(f"https://localhost:{relayed}/v1", Transport.HTTP2))
        first = await asker.connections.prewarm(asker.row, 1)
        held = [asyncio.create_task(asker.ask()) for _ in range(8)]
        await full.wait()
        ninth = await asker.ask()
        release.set()
        rest = await asyncio.gather(*held)

    assert first == 1
    assert (ninth.text, len(rest)) == ("data: 17\n\n", 8)


async def test_requests_that_a_goaway_leaves_out_are_sent_again_and_the_others_finish(serve: Serve):
    """The server takes three of eight, says so, and answers the three afterwards."""
    seen = asyncio.Barrier(8)

    async def three_of_eight(peer: H2Peer, stream_id: int) -> None:
        if peer.number > 0:
            await answer_at_once(peer, stream_id)
            return
        await seen.wait()
        if stream_id == 1:
            await peer.go_away(last_stream_id=5)
        if stream_id <= 5:
            await peer.respond(stream_id, b"first connection")

    server = H2Server(three_of_eight)
    async with serve(server) as asker:
        answers = await asker.ask_many(8)

    assert answers.count("first connection") == 3
    assert len(answers) == 8
    assert asker.connections.statistics()[0].resent == 5


async def test_refused_streams_are_sent_again_at_once(serve: Serve):
    refused: list[int] = []

    async def refuse_twice(peer: H2Peer, stream_id: int) -> None:
        if len(refused) < 2:
            refused.append(stream_id)
            await peer.refuse(stream_id)
        else:
            await answer_at_once(peer, stream_id)

    async with serve(H2Server(refuse_twice)) as asker:
        response = await asker.ask()

    assert response.text == "data: 5\n\n"
    assert asker.connections.statistics()[0].resent == 2


async def test_a_server_that_refuses_for_ever_is_reported(serve: Serve):
    async with serve(H2Server(H2Peer.refuse)) as asker:
        with pytest.raises(ConnectionFailed, match="without looking at it"):
            await asker.ask()


async def test_a_request_that_may_have_been_processed_is_not_sent_again(serve: Serve):
    async def break_off(peer: H2Peer, stream_id: int) -> None:
        await peer.refuse(stream_id, ErrorCodes.INTERNAL_ERROR)

    server = H2Server(break_off)
    async with serve(server) as asker:
        with pytest.raises(ConnectionFailed, match="INTERNAL_ERROR"):
            await asker.ask()

    assert server.requests == 1


async def test_a_connection_that_the_server_closes_between_requests_is_no_error(serve: Serve):
    server = H2Server()
    async with serve(server) as asker:
        await asker.ask()
        server.peers[0].writer.transport.abort()
        response = await asker.ask()

    assert response.status_code == 200
    assert len(server.peers) == 2


async def test_a_goaway_between_requests_is_no_error(serve: Serve):
    server = H2Server()
    async with serve(server) as asker:
        await asker.ask()
        await server.peers[0].go_away(last_stream_id=1)
        response = await asker.ask()

    assert response.status_code == 200


async def test_a_connection_that_breaks_in_mid_answer_leaves_it_incomplete(serve: Serve):
    async def begin_and_leave(peer: H2Peer, stream_id: int) -> None:
        await peer.respond(stream_id, b"data: half\n\n", ended=False)
        peer.writer.transport.abort()

    async with serve(H2Server(begin_and_leave)) as asker:
        with pytest.raises(IncompleteStream, match="broke off"):
            await asker.ask()


async def test_closing_a_response_cancels_its_stream_and_keeps_the_connection(serve: Serve):
    async def never_end(peer: H2Peer, stream_id: int) -> None:
        await peer.respond(stream_id, b"data: 1\n\n", ended=stream_id > 1)

    server = H2Server(never_end)
    async with serve(server) as asker:
        async with asker.client.stream("POST", f"{asker.url}/chat", content=b"{}") as response:
            assert await anext(response.aiter_raw()) == b"data: 1\n\n"
        await asker.ask()

    assert [(peer.opened, peer.resets) for peer in server.peers] == [([1, 3], [1])]


async def test_cancelling_a_request_cancels_its_stream(serve: Serve):
    arrived = asyncio.Event()

    async def be_silent(_: H2Peer, __: int) -> None:
        arrived.set()

    server = H2Server(be_silent)
    async with serve(server) as asker:
        task = asyncio.create_task(asker.ask())
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.script = answer_at_once
        await asker.ask()

    assert server.peers[0].resets == [1]


async def test_a_server_without_http2_is_asked_over_http1(
    connections: Connections, certificate: Certificate, spec: MakeSpec
):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(plain_answer())

    async with raw_server(plain, server_context(certificate, "http/1.1")) as port:
        url = f"https://localhost:{port}/v1"
        response = await Asker(connections, spec(url, Transport.HTTP2)).ask()

    assert (response.status_code, response.http_version) == (200, "HTTP/1.1")


async def test_a_server_that_wants_http1_for_one_request_gets_it(
    connections: Connections, certificate: Certificate, spec: MakeSpec
):
    """Over HTTP/2 it says HTTP_1_1_REQUIRED; the same port answers HTTP/1.1."""

    async def demand(peer: H2Peer, stream_id: int) -> None:
        await peer.refuse(stream_id, ErrorCodes.HTTP_1_1_REQUIRED)

    h2_server = H2Server(demand)

    async def either(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            await h2_server._serve(reader, writer)
        while await read_request(reader):
            writer.write(plain_answer(b"over 1.1"))

    async with raw_server(either, server_context(certificate, "h2", "http/1.1")) as port:
        url = f"https://localhost:{port}/v1"
        response = await Asker(connections, spec(url, Transport.HTTP2)).ask()

    assert response.text == "over 1.1"


async def test_prewarming_opens_connections_before_anything_is_asked(serve: Serve):
    server = H2Server()
    async with serve(server) as asker:
        opened = await asker.connections.prewarm(asker.row, 20)
        response = await asker.ask()

    exchange = exchange_of(response)
    assert (opened, len(server.peers)) == (3, 3)
    assert exchange is not None
    assert not exchange.fresh


async def test_early_hints_are_not_taken_for_the_answer(serve: Serve):
    async def hint_first(peer: H2Peer, stream_id: int) -> None:
        peer.h2.send_headers(stream_id, [(":status", "103"), ("link", "</style.css>")])
        await answer_at_once(peer, stream_id)

    async with serve(H2Server(hint_first)) as asker:
        response = await asker.ask()

    assert (response.status_code, response.text) == (200, "data: 1\n\n")


async def test_closing_the_pool_fails_what_is_under_way(serve: Serve):
    arrived = asyncio.Event()

    async def be_silent(_: H2Peer, __: int) -> None:
        arrived.set()

    async with serve(H2Server(be_silent)) as asker:
        task = asyncio.create_task(asker.ask())
        await arrived.wait()
        await asker.connections.aclose()
        with pytest.raises(ConnectionFailed):
            await task


async def test_what_is_not_used_for_the_keep_alive_time_is_closed(certificate: Certificate, spec: MakeSpec):
    server = H2Server()
    connections = Connections({"SSL_CERT_FILE": str(certificate.ca_file)}, keepalive_s=0.02)
    async with server.run(certificate) as url:
        await Asker(connections, spec(url, Transport.HTTP2)).ask()
        # The client's end of the connection, seen from the server's.
        await server.peers[0].gone.wait()
        await connections.aclose()


async def test_http2_counts_what_it_hands_on_to_http1(connections: Connections, spec: MakeSpec):
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(plain_answer())

    async with raw_server(plain) as port:
        asker = Asker(connections, spec(f"http://127.0.0.1:{port}/v1", Transport.HTTP2))
        await asker.ask_many(3)

    [pool] = connections.statistics()
    assert (pool.requests, pool.connections_opened) == (3, 3)
