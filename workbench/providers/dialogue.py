"""One call on the wire, the same for every family: send, look at the status, read, decode, notice how it ends.

A family brings two things: a coroutine that sends its request and returns the response with an unread body, and a
decoder that knows its events. What is here: deadlines, translation of everything that breaks, error bodies, content
types, signs of life, and the rule that an answer without its end mark is incomplete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from workbench.core.clock import Clock
from workbench.core.decoding import NOT_JSON
from workbench.core.errors import IncompleteStream, MalformedResponse, ProviderError, TimedOut
from workbench.core.events import Delta
from workbench.providers.base import Call, WireAlive, WireEvent, WireOpened
from workbench.providers.exchange import exchange_of, watched
from workbench.providers.failures import Headers, Witness, headers_of, request_id_of
from workbench.providers.reading import Watch, read_body, read_events
from workbench.providers.sse import SSEEvent
from workbench.providers.transport_errors import translated

if TYPE_CHECKING:
    import httpx

_AFTERMATH_S: Final = 10.0
"""How long a finished answer waits for its usage and its end mark, from a server that keeps the connection open."""

Send = Callable[[], "Awaitable[httpx.Response]"]


class Decoder(Protocol):
    """What one wire family makes of the bytes of one answer. Appends to `out`; raises `ProviderError`s."""

    ended: bool
    """The end mark has come: nothing that follows matters."""
    finished: bool
    """The provider has said why the answer is over; an end without an end mark is then complete all the same."""

    def decode(self, event: SSEEvent, at_ns: int, out: list[WireEvent]) -> None:
        """One event of a stream."""

    def decode_whole(self, body: bytes, at_ns: int, out: list[WireEvent]) -> None:
        """The body of an answer that was not streamed."""

    def close(self, at_ns: int, out: list[WireEvent]) -> None:
        """The bytes are over: give out what was held back."""


@dataclass(slots=True)
class Facts:
    """What a decoder may need to know about the answer it decodes; the headers come with the response."""

    witness: Witness
    clock: Clock
    headers: Headers = ()

    def malformed(self, data: bytes) -> MalformedResponse:
        """What cannot be read; a piece of it is shown, because it usually says what answered."""
        shown = self.witness.clean(data[:200].decode("utf-8", "replace"))
        return MalformedResponse(
            f"{self.witness.place.host} sent what is not {self.witness.place.provider}'s JSON: {shown}",
            **self.witness.details(self.headers),
        )

    def failed_inside(self, data: bytes) -> ProviderError:
        """The error that stands inside an answer which began with 200."""
        try:
            error = msgspec.json.decode(data)
        except NOT_JSON:  # in a part of it that nobody had looked at
            return self.malformed(data)
        return self.witness.failed_inside(error, self.headers, self.clock.wall())


async def converse(
    call: Call, send: Send, decoder: Decoder, facts: Facts, notes: tuple[str, ...] = ()
) -> AsyncGenerator[WireEvent, None]:
    """Send the call and yield what comes back. Raises `ProviderError`s; closing the generator closes the response."""
    place, clock = facts.witness.place, facts.clock
    deadlines = call.deadlines
    if not call.stream:
        # Nothing arrives before everything does, so only the total can be held.
        deadlines = replace(deadlines, first_token_s=deadlines.total_s)
    watch = Watch(deadlines, clock, place)
    started_ns = clock.monotonic_ns()
    response = None
    try:
        facts.witness.check_key()
        with translated(place):
            try:
                response = await watch.wait(watched(send, call.sending))
            except UnicodeEncodeError as exc:
                raise facts.witness.unwritable() from exc
        opened = _opened(response, started_ns, clock, notes)
        facts.headers = opened.headers
        if response.status_code >= 300:
            _, body = await read_body(response, watch, clock, place)
            raise facts.witness.refused(response.status_code, facts.headers, body, clock.wall())
        streams = _streams(response)
        if streams is None:
            raise facts.witness.not_an_api(response.status_code, facts.headers)
        yield opened
        if call.stream and streams:
            reading = _Reading(response, watch, decoder, facts)
            while turn := await reading.turn():
                for event in turn:
                    yield event
            await reading.finish()
        else:
            for event in await _whole(response, watch, decoder, facts):
                yield event
    finally:
        watch.close()
        if response is not None:
            await response.aclose()


def _opened(response: httpx.Response, started_ns: int, clock: Clock, notes: tuple[str, ...]) -> WireOpened:
    exchange = exchange_of(response)
    headers = headers_of(response.headers.multi_items())
    return WireOpened(
        at_ns=exchange.headers_ns if exchange else clock.monotonic_ns(),
        sent_ns=exchange.sent_ns if exchange else started_ns,
        headers=headers,
        request_id=request_id_of(headers),
        http_version=exchange.http_version if exchange else response.http_version,
        notes=notes,
        fresh=exchange is not None and exchange.fresh,
    )


def _streams(response: httpx.Response) -> bool | None:
    """True for an event stream, False for JSON, None for what no API answers with.

    A missing content type passes for what was asked: some small servers send none.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/json", "application/problem+json") or kind.endswith("+json"):
        return False
    return None if kind in ("text/html", "application/xhtml+xml", "application/xml", "text/xml") else True


class _Reading:
    """A stream being read, turn by turn. No generator: the one that `converse` is costs enough per event."""

    __slots__ = ("_began", "_decoder", "_events", "_facts", "_failure", "_over", "_reader", "_watch")

    def __init__(self, response: httpx.Response, watch: Watch, decoder: Decoder, facts: Facts) -> None:
        self._decoder = decoder
        self._facts = facts
        self._watch = watch
        self._reader = read_events(response, watch, facts.clock, facts.witness.place)
        self._events = 0
        self._began = False
        self._over = False
        self._failure: ProviderError | None = None

    async def turn(self) -> list[WireEvent]:
        """What the next read brought; empty when there is nothing more to read."""
        decoder = self._decoder
        out: list[WireEvent] = []
        if self._over:
            return out
        read = await self._next()
        if read is None:
            return self._end(out)
        at_ns, events = read
        self._events += len(events)
        try:
            for event in events:
                decoder.decode(event, at_ns, out)
                if decoder.ended:
                    return self._end(out)
        except ProviderError as error:
            if isinstance(error, MalformedResponse) and (decoder.finished or self._reader.ended):
                # Nonsense after the end takes nothing away from an answer; at the end of the bytes it is half an event.
                return self._end(out)
            # What came before it in the same read goes out first.
            self._failure, self._over = error, True
            return out
        if not self._began and any(isinstance(wire_event, Delta) for wire_event in out):
            self._began = True
            self._watch.output_began()
        return out or [WireAlive(at_ns)]

    async def _next(self) -> tuple[int, list[SSEEvent]] | None:
        """The next read, or None at the end. Once the answer is finished, what is missing is not waited for long."""
        if not self._decoder.finished:
            return await anext(self._reader, None)
        try:
            async with asyncio.timeout(_AFTERMATH_S):
                return await anext(self._reader, None)
        except (TimeoutError, TimedOut, IncompleteStream):
            return None

    def _end(self, out: list[WireEvent]) -> list[WireEvent]:
        self._over = True
        self._decoder.close(self._facts.clock.monotonic_ns(), out)
        return out

    async def finish(self) -> None:
        """Leave the connection usable. Raises when the answer had no end, or an error in it."""
        if self._failure is not None:
            raise self._failure
        decoder = self._decoder
        if decoder.ended:
            await self._reader.finish()
        if not decoder.finished:
            nothing = not self._events or (decoder.ended and not self._began)
            raise self._facts.witness.cut_off(self._facts.headers, nothing=nothing, began=self._began)


async def _whole(response: httpx.Response, watch: Watch, decoder: Decoder, facts: Facts) -> list[WireEvent]:
    """An answer in one piece: asked for, or sent by a server that does not know how to stream."""
    place = facts.witness.place
    at_ns, body = await read_body(response, watch, facts.clock, place)
    if not body.strip():
        raise facts.witness.cut_off(facts.headers, nothing=True, began=False)
    out: list[WireEvent] = []
    decoder.decode_whole(body, at_ns, out)
    decoder.close(at_ns, out)
    if not decoder.finished:
        hint = "Check the base URL, and that the server speaks this protocol."
        raise MalformedResponse(
            f"{place.host} answered with JSON that holds no answer.", **facts.witness.details(facts.headers, hint=hint)
        )
    return out
