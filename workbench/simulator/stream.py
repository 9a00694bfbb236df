"""A response whose bytes leave on schedule, one write per event, and that notices when the client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from starlette.types import Message, Receive, Scope, Send

from workbench.simulator.journal import Ending
from workbench.simulator.pacing import Pacer

Headers = list[tuple[bytes, bytes]]


class Step(NamedTuple):
    """One write."""

    at_s: float
    """Simulated seconds since the request arrived."""
    data: bytes | None
    """None breaks the connection here."""
    tokens: int = 0
    """How much of the answer is in it."""
    is_end: bool = False
    """It says that the answer is over: `[DONE]`, `message_stop`."""


class PacedResponse:
    """An ASGI response. `on_end` is called exactly once, with how it ended and how many tokens had left.

    Headers are asked for when they leave, so that they state the limits of that moment; None breaks the connection
    instead of sending any.
    """

    def __init__(
        self,
        *,
        pacer: Pacer,
        steps: Iterable[Step],
        headers: Callable[[], Headers] | None,
        on_end: Callable[[Ending, int], None],
        status: int = 200,
        headers_at_s: float = 0.0,
        coalesce_s: float = 0.0,
    ) -> None:
        self._pacer = pacer
        self._steps = steps
        self._headers = headers
        self._on_end = on_end
        self._status = status
        self._headers_at_s = headers_at_s
        self._coalesce_s = coalesce_s
        self._sent_tokens = 0
        self._client_left = False
        self._is_over = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        watcher = asyncio.create_task(self._watch(receive))
        try:
            ending = await self._send_all(send)
            self._end(Ending.CANCELLED if self._client_left else ending)
        finally:
            self._end(Ending.STOPPED)
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        if ending is Ending.BROKEN:
            break_connection(scope)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._client_left = True
        self._pacer.stop()

    def _end(self, ending: Ending) -> None:
        if not self._is_over:
            self._is_over = True
            self._on_end(ending, self._sent_tokens)

    async def _send_all(self, send: Send) -> Ending:
        until = self._pacer.until
        if not await until(self._headers_at_s):
            return Ending.STOPPED
        if self._headers is None:
            return Ending.BROKEN
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers()})
        steps = self._steps if self._coalesce_s <= 0 else coalesced(self._steps, self._coalesce_s)
        for at_s, data, tokens, _ in steps:
            if not await until(at_s):
                return Ending.STOPPED
            if data is None:
                return Ending.BROKEN
            message: Message = {"type": "http.response.body", "body": data, "more_body": True}
            await send(message)
            self._sent_tokens += tokens
        # Before the last bytes leave: whoever has seen the end of an answer finds its quota given back.
        self._end(Ending.COMPLETED)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return Ending.COMPLETED


def coalesced(steps: Iterable[Step], span_s: float) -> Iterable[Step]:
    """Writes that hold everything due within `span_s` of each other, sent when the last of it is due."""
    parts: list[bytes] = []
    first_s = last_s = 0.0
    tokens = 0
    for step in steps:
        if parts and (step.data is None or step.at_s - first_s > span_s):
            yield Step(last_s, b"".join(parts), tokens)
            parts, tokens = [], 0
        if step.data is None:
            yield step
            return
        if not parts:
            first_s = step.at_s
        parts.append(step.data)
        last_s = step.at_s
        tokens += step.tokens
    if parts:
        yield Step(last_s, b"".join(parts), tokens)


def break_connection(scope: Scope) -> None:
    """Drop the transport under a request, and with it everything else on that connection."""
    transport: asyncio.Transport = scope["state"]["transport"]
    transport.abort()
