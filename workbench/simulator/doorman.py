"""A server that leaves every new connection waiting before it speaks to it, as one far away or overworked does.

The kernel accepts a connection at once, whatever the program does; so what waits here is what comes next, which with
TLS is the handshake: to a client that is the connection being opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def slow_door(
    sock: socket.socket, delay_s: float, connected: Connected, tls: ssl.SSLContext | None
) -> AsyncIterator[None]:
    """Accept connections inside the block, each of them `delay_s` after it was made."""
    doorman = asyncio.create_task(_accept(sock, delay_s, connected, tls))
    try:
        yield
    finally:
        doorman.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await doorman


async def _accept(sock: socket.socket, delay_s: float, connected: Connected, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as waiting:
        while True:
            connection, _ = await loop.sock_accept(sock)
            waiting.create_task(_welcome(connection, delay_s, connected, tls))


async def _welcome(connection: socket.socket, delay_s: float, connected: Connected, tls: ssl.SSLContext | None) -> None:
    loop = asyncio.get_running_loop()
    try:
        await asyncio.sleep(delay_s)
        reader = asyncio.StreamReader(loop=loop)
        await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(reader, connected, loop=loop), connection, ssl=tls
        )
    except OSError:
        # The client has gone meanwhile, or did not like the certificate: its own concern.
        connection.close()
    except asyncio.CancelledError:
        connection.close()
        raise
