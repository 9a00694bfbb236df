"""What our transports say about a response beyond HTTP: when its request was written, and a fast way to its bytes.

A response carries its `Exchange` in `response.extensions`, so it survives any SDK that passes responses on. Reading
from the `ByteSource` skips the nested generators behind `aiter_bytes`, and knows when the bytes arrived.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from workbench.core.clock import Clock
from workbench.core.sending import Sending

T = TypeVar("T")

EXTENSION = "workbench.exchange"

WATCHED: ContextVar[Sending | None] = ContextVar("watched request", default=None)
"""Where the transport notes how far the request of this context has come: SDKs pass nothing of ours on to it. Only
written to, never acted upon."""


class ByteSource(Protocol):
    """A response body. One reader at a time."""

    arrived_ns: int
    """When the bytes that the last `read` returned were taken off the socket."""

    async def read(self) -> bytes:
        """Whatever has arrived, at least one byte; b"" at the end. Raises when the connection breaks."""

    async def aclose(self) -> None:
        """Give the connection back, or close it when the body has not been read to its end."""


class IteratedSource:
    """A `ByteSource` over the chunks that an HTTP library iterates; those without a byte are passed over."""

    def __init__(self, chunks: AsyncIterator[bytes], close: Callable[[], Awaitable[None]], clock: Clock) -> None:
        self._chunks = chunks
        self._close = close
        self._clock = clock
        self.arrived_ns = clock.monotonic_ns()

    async def read(self) -> bytes:
        async for chunk in self._chunks:
            if chunk:
                self.arrived_ns = self._clock.monotonic_ns()
                return chunk
        return b""

    async def aclose(self) -> None:
        await self._close()


@dataclass(frozen=True, slots=True)
class Exchange:
    source: ByteSource
    sent_ns: int
    """When the last byte of the request was handed to the socket."""
    headers_ns: int
    fresh: bool
    """True when this request had to open its connection first."""
    http_version: str


async def watched(send: Callable[[], Awaitable[T]], sending: Sending | None) -> T:
    """What `send` returns, with its transport's progress noted in `sending`."""
    token = WATCHED.set(sending)
    try:
        return await send()
    finally:
        WATCHED.reset(token)


@dataclass(slots=True)
class Traffic:
    """What a transport has done so far; counted by itself, because no pool below it tells."""

    requests: int = 0
    connections_opened: int = 0
    resent: int = 0
    """Requests sent again at once because the server had certainly not processed them. Not retries."""


def exchange_of(response: Any) -> Exchange | None:
    """The exchange of an httpx response, or None for one that came over somebody else's transport."""
    found = response.extensions.get(EXTENSION)
    return found if isinstance(found, Exchange) else None
