"""How far a request has come on its way out, by every transport: no connection yet, not wholly written, written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from scripted_servers import Handler, plain_answer, raw_server, read_request, server_context

from workbench.core.sending import Sending, Stage
from workbench.providers.base import ProviderSpec, Transport
from workbench.providers.exchange import exchange_of, watched
from workbench.providers.http import Connections
from workbench.simulator.certificate import Certificate

MakeSpec = Callable[[str, Transport], ProviderSpec]

MANY_BYTES = 32 * 1024 * 1024
"""More than the buffers of both ends of a loopback socket take."""


class Watch(Sending):
    """Can be waited for."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.seen: list[Stage] = []
        super().__init__()

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if hasattr(self, "sent_ns"):
            if self.seen[-1:] != [self.stage]:
                self.seen.append(self.stage)
            self.changed.set()

    async def until(self, stage: Stage) -> None:
        async with asyncio.timeout(60):
            while self.stage is not stage:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture(params=list(Transport))
def transport(request: pytest.FixtureRequest) -> Transport:
    return Transport(request.param)


def says_nothing(heard: asyncio.Event) -> Handler:
    """Takes a connection and what comes first, and leaves it at that."""

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(1)
        heard.set()
        await asyncio.get_running_loop().create_future()

    return serve


def posting(connections: Connections, row: ProviderSpec, watch: Sending, body: bytes = b"{}") -> asyncio.Task[Any]:
    async def post() -> Any:
        return await watched(lambda: connections.client(row).post(row.base_url, content=body), watch)

    return asyncio.create_task(post())


async def broken_off(task: asyncio.Task[Any]) -> None:
    """Its server is gone. Not cancelled: httpcore then forgets the socket of a handshake under way."""
    await asyncio.wait({task}, timeout=60)
    assert task.done()
    assert task.exception() is not None


async def test_a_handshake_that_never_ends_is_connecting(
    connections: Connections, spec: MakeSpec, transport: Transport
):
    watch, heard = Watch(), asyncio.Event()
    async with raw_server(says_nothing(heard)) as port:
        task = posting(connections, spec(f"https://127.0.0.1:{port}/v1", transport), watch)
        async with asyncio.timeout(60):
            await heard.wait()

        stage, since_ns = watch.stage, watch.since_ns
    await broken_off(task)

    assert (stage, since_ns) == (Stage.CONNECTING, watch.dialled_ns)


async def test_a_body_that_is_not_read_is_being_written(connections: Connections, spec: MakeSpec, transport: Transport):
    watch, heard = Watch(), asyncio.Event()
    async with raw_server(says_nothing(heard)) as port:
        task = posting(connections, spec(f"http://127.0.0.1:{port}/v1", transport), watch, bytes(MANY_BYTES))
        async with asyncio.timeout(60):
            await heard.wait()

        stage, since_ns = watch.stage, watch.since_ns
    await broken_off(task)

    assert (stage, since_ns) == (Stage.WRITING, watch.connected_ns)


async def test_a_body_for_which_the_other_end_gives_no_window_is_being_written(
    connections: Connections, spec: MakeSpec, certificate: Certificate
):
    """HTTP/2 lets the receiver say how much it takes, and this one says nothing more than its settings."""
    watch, heard = Watch(), asyncio.Event()

    async def settings_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(3) + b"\x04\x00" + bytes(4))
        await reader.readexactly(65_535)
        heard.set()
        await asyncio.get_running_loop().create_future()

    async with raw_server(settings_only, server_context(certificate, "h2")) as port:
        row = spec(f"https://127.0.0.1:{port}/v1", Transport.HTTP2)
        task = posting(connections, row, watch, bytes(100_000))
        async with asyncio.timeout(60):
            await heard.wait()

        stage = watch.stage
    await broken_off(task)

    assert stage is Stage.WRITING


async def test_a_server_that_takes_it_all_and_is_silent_has_the_request(
    connections: Connections, spec: MakeSpec, transport: Transport
):
    watch = Watch()
    taken = asyncio.Event()

    async def swallow(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await read_request(reader)
        taken.set()
        await asyncio.get_running_loop().create_future()

    async with raw_server(swallow) as port:
        task = posting(connections, spec(f"http://127.0.0.1:{port}/v1", transport), watch)
        await watch.until(Stage.WRITTEN)
        async with asyncio.timeout(60):
            await taken.wait()
    await broken_off(task)

    assert watch.seen == [Stage.UNTOLD, Stage.CONNECTING, Stage.WRITING, Stage.WRITTEN]


async def test_an_answered_request_has_its_stamps_in_order_over_new_and_kept_connections(
    connections: Connections, spec: MakeSpec, transport: Transport
):
    watches = [Watch(), Watch()]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(plain_answer())

    async with raw_server(answer) as port:
        row = spec(f"http://127.0.0.1:{port}/v1", transport)
        exchanges = [exchange_of(await posting(connections, row, watch)) for watch in watches]

    for watch, exchange in zip(watches, exchanges, strict=True):
        assert exchange is not None
        assert watch.dialled_ns is not None
        assert watch.connected_ns is not None
        assert watch.sent_ns is not None
        assert watch.dialled_ns <= watch.connected_ns <= watch.sent_ns <= exchange.headers_ns
        assert watch.sent_ns == exchange.sent_ns


async def test_a_request_that_goes_out_again_is_connecting_again(connections: Connections, spec: MakeSpec):
    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(plain_answer())
        await reader.read(1)

    watch = Watch()
    async with raw_server(one_each) as port:
        row = spec(f"http://127.0.0.1:{port}/v1", Transport.AIOHTTP)
        await posting(connections, row, Sending())
        await posting(connections, row, watch)

    assert watch.seen[:1] == [Stage.UNTOLD]
    assert watch.seen[-3:] == [Stage.CONNECTING, Stage.WRITING, Stage.WRITTEN]
    assert watch.seen.count(Stage.CONNECTING) == 2
