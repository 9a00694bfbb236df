"""Single-flight: one call, many readers, any of whom may come late or leave early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import ServerError
from workbench.core.events import Delta, Failed, Finished, Opened, Queued, StreamEvent, WaitReason, check_stream
from workbench.core.types import Channel, FinishReason, Result, Route, Timing
from workbench.engine.flight import Flight, FlightBoard, Reader, follow

ROUTE = Route("m", "p", "m", "http://x")


def result(flight: Flight, cost_usd: float | None = 0.25) -> Result:
    return Result(
        text=flight.text(Channel.TEXT),
        reasoning=flight.text(Channel.REASONING),
        finish_reason=FinishReason.STOP,
        usage=None,
        cost_usd=cost_usd,
        timing=Timing(submitted_ns=0),
        route=ROUTE,
    )


class Script:
    """A call that says what the test tells it to, when the test tells it to."""

    def __init__(self) -> None:
        self.calls = 0
        self.spares: list[Finished | Failed | None] = []
        self.closed = 0
        self.now = 0
        self._orders: asyncio.Queue[Callable[[Flight], bool]] = asyncio.Queue()
        self.started = asyncio.Event()

    async def run(self, flight: Flight) -> None:
        self.calls += 1
        self.started.set()
        try:
            while (await self._orders.get())(flight):
                pass
        finally:
            self.closed += 1

    def stamp(self) -> int:
        self.now += 1
        return self.now

    def open(self) -> None:
        self._say(lambda: Opened(self.stamp(), 0, 0))

    def say(self, text: str, channel: Channel = Channel.TEXT) -> None:
        self._say(lambda: Delta(self.stamp(), channel, text))

    def finish(self) -> None:
        def order(flight: Flight) -> bool:
            flight.emit(Finished(self.stamp(), result(flight)))
            return False

        self._orders.put_nowait(order)

    def fail(self) -> None:
        def order(flight: Flight) -> bool:
            flight.emit(Failed(self.stamp(), ServerError("boom"), result(flight)))
            return False

        self._orders.put_nowait(order)

    def _say(self, make: Callable[[], StreamEvent]) -> None:
        def order(flight: Flight) -> bool:
            flight.emit(make())
            return True

        self._orders.put_nowait(order)


def caller(board: FlightBoard, script: Script, key: str | None = "k") -> AsyncGenerator[StreamEvent, None]:
    def begin() -> Reader:
        joined = board.join(key) if key is not None else None
        return joined or board.launch(key, 0, script.run)

    return follow(board, begin, script.spares.append)


async def collect(stream: AsyncGenerator[StreamEvent, None]) -> list[StreamEvent]:
    async with aclosing(stream):
        return [event async for event in stream]


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def test_identical_requests_share_one_call_and_all_get_every_character() -> None:
    board, script = FlightBoard(), Script()
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(collect(caller(board, script))) for _ in range(5)]
        script.open()
        for piece in ("Hel", "lo ", "world"):
            script.say(piece)
        script.finish()

    streams = [reader.result() for reader in readers]

    assert script.calls == 1
    assert [text_of(events) for events in streams] == ["Hello world"] * 5
    assert all(check_stream(events) for events in streams)
    assert len(board) == 0


async def test_one_reader_pays_and_the_others_save() -> None:
    board, script = FlightBoard(), Script()
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(collect(caller(board, script))) for _ in range(2)]
        script.open()
        script.finish()

    results = [check_stream(reader.result()) for reader in readers]

    assert [(r.cached, r.cost_usd, r.saved_usd) for r in results] == [(False, 0.25, None), (True, 0.0, 0.25)]


async def test_a_late_reader_gets_what_was_said_and_then_what_comes() -> None:
    board, script = FlightBoard(), Script()
    early = caller(board, script)
    first = await_first(early)
    script.open()
    script.say("think", Channel.REASONING)
    script.say("A")
    script.say("B")
    events = [await first]
    while text_of(events) != "thinkAB":
        events.append(await anext(early))

    late = caller(board, script)
    replayed = [await anext(late) for _ in range(4)]
    script.say("C")
    script.finish()
    tail = await collect(late)

    assert replayed == [
        Queued(0, WaitReason.SINGLE_FLIGHT, detail="answered together with an identical request"),
        Opened(1, 0, 0),
        Delta(2, Channel.REASONING, "think"),
        Delta(4, Channel.TEXT, "AB"),
    ]
    assert check_stream(replayed + tail).text == "ABC"
    assert check_stream(events + await collect(early)).text == "ABC"


def await_first(stream: AsyncGenerator[StreamEvent, None]) -> asyncio.Task[StreamEvent]:
    return asyncio.ensure_future(stream.__anext__())


async def test_whoever_the_call_does_not_account_for_is_reported() -> None:
    board, script = FlightBoard(), Script()
    pays, leaves, shares = (caller(board, script) for _ in range(3))
    firsts = [await_first(stream) for stream in (pays, leaves, shares)]
    script.open()
    for first in firsts:
        await first

    await leaves.aclose()
    script.finish()
    await collect(pays)
    ending = (await collect(shares))[-1]

    assert script.spares == [None, ending]


@pytest.mark.parametrize("leaver", [0, 1], ids=["leader", "follower"])
async def test_one_reader_leaving_does_not_disturb_the_other(leaver: int) -> None:
    board, script = FlightBoard(), Script()
    streams = [caller(board, script) for _ in range(2)]
    firsts = [await_first(stream) for stream in streams]
    script.open()
    script.say("A")
    events = [[await first] for first in firsts]

    await streams[leaver].aclose()
    assert script.closed == 0
    script.say("B")
    script.finish()

    rest = await collect(streams[1 - leaver])
    outcome = check_stream(events[1 - leaver] + rest)
    assert outcome.text == "AB"
    assert outcome.cost_usd == 0.25, "whoever stays pays"


async def test_a_cancelled_leader_s_task_does_not_take_the_call_with_it() -> None:
    board, script = FlightBoard(), Script()
    leader = asyncio.create_task(collect(caller(board, script)))
    stays = caller(board, script)
    await script.started.wait()
    first = await_first(stays)

    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    script.open()
    script.say("A")
    script.finish()

    assert check_stream([await first, *await collect(stays)]).text == "A"


async def test_the_last_one_leaving_closes_the_call_before_it_returns() -> None:
    board, script = FlightBoard(), Script()
    streams = [caller(board, script) for _ in range(2)]
    firsts = [await_first(stream) for stream in streams]
    script.open()
    for first in firsts:
        await first

    await streams[0].aclose()
    assert (script.closed, len(board)) == (0, 1)
    await streams[1].aclose()

    assert (script.closed, len(board)) == (1, 0)
    assert board.join("k") is None


async def test_a_request_that_comes_while_the_call_is_being_cancelled_gets_its_own() -> None:
    board, slow, fresh = FlightBoard(), SlowToClose(), Script()
    stream = follow(board, lambda: board.launch("k", 0, slow.run), lambda _: None)
    first = await_first(stream)
    await slow.started.wait()
    first.cancel()
    await slow.closing.wait()

    second = asyncio.create_task(collect(caller(board, fresh)))
    fresh.open()
    fresh.say("new")
    fresh.finish()

    assert check_stream(await second).text == "new"
    slow.may_close.set()
    with pytest.raises(asyncio.CancelledError):
        await first


class SlowToClose:
    def __init__(self) -> None:
        self.started, self.closing, self.may_close = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def run(self, flight: Flight) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.closing.set()
            await self.may_close.wait()


async def test_requests_without_a_key_are_never_shared() -> None:
    board, scripts = FlightBoard(), [Script(), Script()]
    async with asyncio.TaskGroup() as tasks:
        for script in scripts:
            tasks.create_task(collect(caller(board, script, key=None)))
            script.finish()

    assert [script.calls for script in scripts] == [1, 1]


async def test_every_reader_of_a_failing_call_gets_the_error_once() -> None:
    board, script = FlightBoard(), Script()
    async with asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(collect(caller(board, script))) for _ in range(3)]
        script.open()
        script.say("half")
        script.fail()

    for reader in readers:
        assert check_stream(reader.result()).text == "half"
        assert isinstance(reader.result()[-1], Failed)


async def test_a_call_that_ends_without_saying_so_leaves_nobody_waiting() -> None:
    board = FlightBoard()

    async def forgetful(flight: Flight) -> None:
        flight.emit(Opened(1, 0, 0))

    with pytest.raises(RuntimeError, match="without a terminal event"):
        await collect(follow(board, lambda: board.launch(None, 0, forgetful), lambda _: None))


async def test_nothing_starts_before_the_first_event_is_asked_for() -> None:
    board, script = FlightBoard(), Script()

    stream = caller(board, script)
    await stream.aclose()

    assert (script.calls, len(board)) == (0, 0)


async def test_closing_the_board_ends_every_call() -> None:
    board, scripts = FlightBoard(), [Script() for _ in range(3)]
    streams = [caller(board, script, key=str(i)) for i, script in enumerate(scripts)]
    firsts = [await_first(stream) for stream in streams]
    for script, first in zip(scripts, firsts, strict=True):
        script.open()
        await first

    await board.aclose()

    assert [script.closed for script in scripts] == [1, 1, 1]
    for stream in streams:
        await stream.aclose()


async def test_stamps_that_run_backwards_are_held() -> None:
    flight = Flight(None, 10)
    reader = flight.join()

    flight.emit(Opened(30, 0, 0))
    flight.emit(Delta(20, Channel.TEXT, "x"))

    assert [event.at_ns for event in reader.queue] == [30, 30]


Step = tuple[str, int]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("say"), st.integers(0, 2)),
            st.tuples(st.just("join"), st.just(0)),
            st.tuples(st.just("leave"), st.integers(0, 9)),
            st.tuples(st.just("read"), st.integers(0, 9)),
        ),
        max_size=60,
    )
)
def test_no_character_is_lost_doubled_or_reordered_for_any_reader(steps: list[Step]) -> None:
    flight = Flight("k", 0)
    flight.task = None
    channels = list(Channel)
    said: dict[Channel, str] = dict.fromkeys(channels, "")
    readers: list[tuple[Reader, list[StreamEvent]]] = [(flight.join(), [])]
    flight.emit(Opened(1, 0, 0))
    now = 1
    for step, n in steps:
        match step:
            case "say":
                now += 1
                piece = chr(0x61 + now % 26)
                said[channels[n]] += piece
                flight.emit(Delta(now, channels[n], piece))
            case "join":
                readers.append((flight.join(), []))
            case "leave" if len(readers) > 1:
                flight.drop(readers.pop(n % len(readers))[0])
            case "read":
                reader, got = readers[n % len(readers)]
                got.extend(reader.queue)
                reader.queue.clear()
    flight.emit(Finished(now, result(flight)))

    for reader, got in readers:
        events = [*got, *reader.queue]
        assert check_stream(events).text == said[Channel.TEXT]
        for channel in channels:
            assert "".join(e.text for e in events if isinstance(e, Delta) and e.channel is channel) == said[channel]
