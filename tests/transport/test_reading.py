"""Reading an answer: stamps, signs of life, four deadlines that never end anything but a wait for the wire."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from scripted_servers import LAST_CHUNK, STREAM_HEAD, chunk, raw_server, read_request

from workbench.core.clock import SystemClock
from workbench.core.errors import MalformedResponse, TimedOut, TimeoutKind
from workbench.providers import reading, sse
from workbench.providers.base import Deadlines, ProviderSpec, Transport
from workbench.providers.exchange import exchange_of
from workbench.providers.http import Connections
from workbench.providers.reading import EventReader, Watch, read_body, read_events
from workbench.providers.sse import SSEEvent
from workbench.providers.transport_errors import Place

MakeSpec = Callable[[str, Transport], ProviderSpec]
Writes = Callable[[asyncio.StreamWriter], Awaitable[None]]
CLOCK = SystemClock()
PLACE = Place("Acme", "https://api.acme.test/v1")
FOR_EVER = Deadlines()


class Script:
    """A `ByteSource` that gives what it is told, and then waits for ever if told so."""

    def __init__(self, *chunks: bytes, ends: bool = True) -> None:
        self._chunks = list(chunks)
        self._ends = ends
        self.arrived_ns = 0

    async def read(self) -> bytes:
        if self._chunks:
            self.arrived_ns += 1
            return self._chunks.pop(0)
        if not self._ends:
            await asyncio.Event().wait()
        return b""

    async def aclose(self) -> None: ...


def reader(source: Script, deadlines: Deadlines = FOR_EVER) -> EventReader:
    return EventReader(source, Watch(deadlines, CLOCK, PLACE), PLACE)


async def test_each_read_that_brought_something_is_one_turn_with_the_stamp_of_its_bytes():
    source = Script(b"data: 1\n\ndata: 2\n\n", b"data: ", b"3\n\n", b": ping\n\n", b"data: 4")

    turns = [turn async for turn in reader(source)]

    assert turns == [
        (1, [SSEEvent(b"1"), SSEEvent(b"2")]),
        (3, [SSEEvent(b"3")]),
        (4, []),
        (5, [SSEEvent(b"4")]),
    ]


async def test_an_event_without_end_names_its_sender(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sse.SSEDecoder.__init__, "__kwdefaults__", {"max_event_bytes": 100})

    with pytest.raises(MalformedResponse, match="more than 100 bytes") as caught:
        await anext(reader(Script(b"data: " + b"x" * 200)))

    assert caught.value.provider == "Acme"


@pytest.mark.parametrize(
    ("deadlines", "began", "kind"),
    [
        pytest.param(Deadlines(first_token_s=0.02), False, TimeoutKind.FIRST_TOKEN, id="first token"),
        pytest.param(Deadlines(first_token_s=0.02, idle_s=0.04), True, TimeoutKind.IDLE, id="idle"),
        pytest.param(Deadlines(total_s=0.02), False, TimeoutKind.TOTAL, id="total before the first token"),
        pytest.param(Deadlines(total_s=0.02), True, TimeoutKind.TOTAL, id="total"),
    ],
)
async def test_a_silent_wire_meets_the_deadline_that_comes_first(deadlines: Deadlines, began: bool, kind: TimeoutKind):
    watch = Watch(deadlines, CLOCK, PLACE)
    if began:
        watch.output_began()

    with pytest.raises(TimedOut, match=r"api\.acme\.test") as caught:
        await anext(EventReader(Script(ends=False), watch, PLACE))

    assert caught.value.kind is kind
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # a test runs in a task


async def test_comments_keep_a_begun_answer_alive_but_are_no_first_token():
    async def comments() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b": still here\n\n"

    class Endless(Script):
        stream = comments()

        async def read(self) -> bytes:
            return await anext(self.stream)

    with pytest.raises(TimedOut) as caught:
        async for _ in reader(Endless(), Deadlines(first_token_s=0.02, idle_s=0.01)):
            pass

    assert caught.value.kind is TimeoutKind.FIRST_TOKEN


async def test_time_that_the_consumer_takes_is_not_the_wires_silence():
    watch = Watch(Deadlines(idle_s=0.02, total_s=60), CLOCK, PLACE)
    watch.output_began()
    events = EventReader(Script(b"data: 1\n\n", b"data: 2\n\n"), watch, PLACE)

    await anext(events)
    # The consumer's own business, three idle deadlines long.
    await asyncio.get_running_loop().run_in_executor(None, asyncio.run, asyncio.sleep(0.06))

    assert (await anext(events))[1] == [SSEEvent(b"2")]


async def test_somebody_elses_cancellation_stays_a_cancellation():
    watch = Watch(Deadlines(first_token_s=0.02), CLOCK, PLACE)
    waiting = asyncio.Event()

    async def read() -> None:
        waiting.set()
        await watch.wait(asyncio.Event().wait())

    task = asyncio.create_task(read())
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    watch.close()


async def test_a_deadline_that_an_inner_layer_swallows_still_counts():
    async def stubborn() -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return b"too late"
        return b""

    with pytest.raises(TimedOut):
        await Watch(Deadlines(first_token_s=0.01), CLOCK, PLACE).wait(stubborn())

    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # a test runs in a task


async def test_the_watch_sets_one_timer_for_many_reads(monkeypatch: pytest.MonkeyPatch):
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda delay, *args: timers.append(delay) or call_later(delay, *args))
    watch = Watch(FOR_EVER, CLOCK, PLACE)

    async for _ in EventReader(Script(*[b"data: x\n\n"] * 500), watch, PLACE):
        pass
    watch.close()

    assert len(timers) == 1


async def send(connections: Connections, row: ProviderSpec, watch: Watch) -> httpx.Response:
    client = connections.client(row)
    return await watch.wait(client.send(client.build_request("POST", row.base_url, content=b"{}"), stream=True))


@pytest.fixture(params=list(Transport))
def transport(request: pytest.FixtureRequest) -> Transport:
    return Transport(request.param)


async def test_a_streamed_answer_is_stamped_in_order(connections: Connections, spec: MakeSpec, transport: Transport):
    step = asyncio.Event()

    async def in_two_steps(incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(incoming)
        writer.write(STREAM_HEAD + chunk(b"data: 1\n\n"))
        await step.wait()
        writer.write(chunk(b"data: 2\n\n") + LAST_CHUNK)

    async with raw_server(in_two_steps) as port:
        watch = Watch(FOR_EVER, CLOCK, PLACE)
        response = await send(connections, spec(f"http://127.0.0.1:{port}/v1", transport), watch)
        exchange = exchange_of(response)
        stamps = []
        async for at_ns, _ in read_events(response, watch, CLOCK, PLACE):
            stamps.append(at_ns)
            step.set()
        await response.aclose()
        watch.close()

    assert exchange is not None
    assert [exchange.sent_ns, exchange.headers_ns, *stamps] == sorted([exchange.sent_ns, exchange.headers_ns, *stamps])
    assert len(stamps) == 2


async def test_finishing_gives_the_connection_back(connections: Connections, spec: MakeSpec, transport: Transport):
    """The end mark and the transfer's own end come apart, as they do from most servers."""
    stepped = asyncio.Event()
    served: list[int] = []

    async def end_late(incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        while await read_request(incoming):
            served[-1] += 1
            writer.write(STREAM_HEAD + chunk(b"data: [DONE]\n\n"))
            await stepped.wait()
            stepped.clear()
            writer.write(LAST_CHUNK)

    async with raw_server(end_late) as port:
        for _ in range(3):
            watch = Watch(FOR_EVER, CLOCK, PLACE)
            response = await send(connections, spec(f"http://127.0.0.1:{port}/v1", transport), watch)
            events = read_events(response, watch, CLOCK, PLACE)
            await anext(events)
            asyncio.get_running_loop().call_soon(stepped.set)
            await events.finish()
            await response.aclose()
            watch.close()

    assert served == [3]


async def test_a_compressed_stream_is_read_all_the_same(connections: Connections, spec: MakeSpec, transport: Transport):
    async def compressed(incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(incoming)
        head = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: gzip\r\n\r\n")
        writer.write(head + chunk(gzip.compress(b"data: squeezed\n\n")) + LAST_CHUNK)
        await writer.drain()
        await incoming.read()

    async with raw_server(compressed) as port:
        watch = Watch(FOR_EVER, CLOCK, PLACE)
        response = await send(connections, spec(f"http://127.0.0.1:{port}/v1", transport), watch)
        events = [event async for _, turn in read_events(response, watch, CLOCK, PLACE) for event in turn]
        await response.aclose()
        watch.close()

    assert events == [SSEEvent(b"squeezed")]


async def test_a_response_of_somebody_elses_transport_is_read_too():
    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"data: 1\n\n")

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        watch = Watch(FOR_EVER, CLOCK, PLACE)
        response = await client.send(client.build_request("GET", "http://acme.test/"), stream=True)
        turns = [events async for _, events in read_events(response, watch, CLOCK, PLACE)]
        watch.close()

    assert turns == [[SSEEvent(b"1")]]


async def test_a_body_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "MAX_BODY_BYTES", 1000)

    async def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"x" * 1001)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        watch = Watch(FOR_EVER, CLOCK, PLACE)
        response = await client.send(client.build_request("GET", "http://acme.test/"), stream=True)
        with pytest.raises(MalformedResponse, match="more than 1,000 bytes"):
            await read_body(response, watch, CLOCK, PLACE)
        watch.close()
