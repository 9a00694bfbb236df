"""A page of metrics on an address of this machine, for Prometheus and everything that speaks its format.

As little of HTTP/1.1 as a scraper needs: one GET per connection. No request body is read, and a peer that sends its
request slowly, or too much of it, is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from workbench.core.errors import ConfigError

_PATIENCE_S = 5.0
_LONGEST_HEAD = 8 * 1024


def parse_address(address: str) -> tuple[str, int]:
    """`127.0.0.1:9464`, `[::1]:9464` or `:9464`, which is this machine only. Raises ConfigError."""
    host, colon, port = address.strip().rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"{address!r} is no address for metrics.", hint="Write host and port, as 127.0.0.1:9464.")
    return host.strip("[]") or "127.0.0.1", int(port)


class MetricsEndpoint:
    """Serves `page()` at `/metrics` between `open` and `aclose`."""

    def __init__(self, page: Callable[[], str], content_type: str) -> None:
        self._page = page
        self._content_type = content_type
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def open(self, host: str, port: int) -> None:
        """Raises OSError when the address cannot be had."""
        self._server = await asyncio.start_server(self._answer, host, port, limit=_LONGEST_HEAD)

    @property
    def port(self) -> int:
        """The one that was asked for, or the one that port 0 turned into."""
        assert self._server is not None, "only an open endpoint has a port"
        return int(self._server.sockets[0].getsockname()[1])

    async def aclose(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        open_ = dict(self._open)
        for writer in open_.values():
            # Aborted and not cancelled: asyncio reports a handler that ends by cancellation as a fault.
            writer.transport.abort()
        if open_:
            await asyncio.wait(open_)
        await server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio calls a connection's handler in a task"
        self._open[task] = writer
        try:
            async with asyncio.timeout(_PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            # A peer that is not a scraper; there is nobody to tell.
            pass
        finally:
            del self._open[task]
            writer.close()

    def _response(self, head: bytes) -> bytes:
        method, _, rest = head.split(b"\r\n", 1)[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if path not in (b"/metrics", b"/"):
            return _http("404 Not Found", "text/plain", "The metrics are at /metrics.\n")
        if method not in (b"GET", b"HEAD"):
            return _http("405 Method Not Allowed", "text/plain", "Only GET.\n")
        return _http("200 OK", self._content_type, self._page(), body=method == b"GET")


def _http(status: str, content_type: str, text: str, *, body: bool = True) -> bytes:
    content = text.encode()
    head = (
        f"HTTP/1.1 {status}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(content)}",
        "Connection: close",
    )
    return "\r\n".join((*head, "", "")).encode() + (content if body else b"")
