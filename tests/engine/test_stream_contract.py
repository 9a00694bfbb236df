"""Whatever a wire does, every stream keeps the contract, no character is lost, and every lease is settled once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import (
    Hang,
    ScriptedAdapter,
    ScriptedAdmission,
    Step,
    Wait,
    ask,
    end,
    listen,
    make_engine,
    usage,
    virtually,
)

from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    EmptyStream,
    IncompleteStream,
    KeyRejected,
    MalformedResponse,
    Overloaded,
    QuotaSpent,
    RateLimited,
    ServerError,
    TimedOut,
    TimeoutKind,
    UnsupportedParameter,
)
from workbench.core.events import Delta, Failed, Finished, StreamEvent, check_stream
from workbench.core.types import Channel, FinishReason, Priority
from workbench.providers.base import WireAlive

ERRORS = st.sampled_from(
    [
        BadRequest("no", status=400),
        ConnectionFailed("reset"),
        EmptyStream("nothing"),
        IncompleteStream("cut"),
        KeyRejected("no", status=401),
        MalformedResponse("what"),
        Overloaded("busy", status=529),
        QuotaSpent("spent"),
        RateLimited("slow", status=429),
        RateLimited("slow", status=429, should_retry=False),
        ServerError("boom", status=500),
        ServerError("boom", status=500, retry_after_s=7.0),
        TimedOut("late", kind=TimeoutKind.FIRST_TOKEN),
        UnsupportedParameter("no", parameter="seed"),
        ValueError("a fault of ours"),
    ]
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(Delta, st.integers(0, 10**12), st.sampled_from(Channel), st.text("ab \u2028\n🌍", max_size=3)),
    st.text("xyz", min_size=1, max_size=3),
    st.builds(Wait, st.floats(0, 30)),
    st.just(usage(input=3, output=1)),
    st.builds(WireAlive, st.integers(0, 10**12)),
)
ENDINGS = st.one_of(ERRORS, st.just(end()), st.just(end(FinishReason.LENGTH)), st.just(Hang()), st.just(Wait(0)))


@st.composite
def scripts(draw: st.DrawFn) -> tuple[Step, ...]:
    return (*draw(st.lists(STEPS, max_size=6)), draw(ENDINGS))


def spoken(adapter: ScriptedAdapter, channel: Channel) -> str:
    """What the wire said on this channel in the last attempt."""
    last = adapter.book.played[-1] if adapter.book.played else []
    return "".join(delta.text for delta in last if delta.channel is channel)


@settings(max_examples=100)
@given(
    plays=st.lists(scripts(), min_size=1, max_size=5),
    model=st.sampled_from(["gpt-5.4", "gpt-5.4 | anthropic/claude-sonnet-4-6", "local/a | local/b | local/c"]),
    priority=st.sampled_from(Priority),
    wait_s=st.sampled_from([0.0, 3.0]),
    deadline_s=st.sampled_from([600.0, 20.0]),
)
def test_every_stream_keeps_the_contract(
    plays: list[tuple[Step, ...]], model: str, priority: Priority, wait_s: float, deadline_s: float
) -> None:
    adapter, admission = ScriptedAdapter(*plays), ScriptedAdmission(wait_s)

    async def main() -> list[StreamEvent]:
        async with make_engine(adapter, admission) as engine:
            return await listen(engine, ask(model, priority=priority, deadline_s=deadline_s))

    events = virtually(main)

    result = check_stream(events)
    assert isinstance(events[-1], Finished | Failed)
    assert (result.text, result.reasoning) == (spoken(adapter, Channel.TEXT), spoken(adapter, Channel.REASONING))
    assert result.tool_calls == spoken(adapter, Channel.TOOL)
    assert admission.unsettled == 0
    assert (admission.waiting, adapter.book.open_now) == (0, 0)
    assert len(adapter.book.calls) == len(admission.leases) == result.attempts
    assert result.timing.e2e_s is not None
    assert result.timing.e2e_s <= deadline_s + 0.001


@settings(max_examples=100)
@given(
    plays=st.lists(scripts(), min_size=1, max_size=3), stop_after_s=st.floats(0, 40), wait_s=st.sampled_from([0.0, 3.0])
)
def test_a_caller_who_leaves_at_any_moment_leaves_nothing_behind(
    plays: list[tuple[Step, ...]], stop_after_s: float, wait_s: float
) -> None:
    adapter, admission = ScriptedAdapter(*plays), ScriptedAdmission(wait_s)

    async def main() -> list[StreamEvent]:
        seen: list[StreamEvent] = []
        async with make_engine(adapter, admission) as engine:

            async def watch() -> None:
                async with aclosing(engine.stream(ask())) as events:
                    async for event in events:
                        seen.append(event)

            caller = asyncio.create_task(watch())
            await asyncio.sleep(stop_after_s)
            caller.cancel()
            await asyncio.wait({caller})
            assert engine._intake.under_way == 0
            traffic = engine.statistics().traffic
            assert (traffic.queued, traffic.in_flight, traffic.backing_off) == (0, 0, 0)
            assert traffic.answered + traffic.failed + traffic.incomplete + traffic.cancelled == traffic.requests
        return seen

    seen = virtually(main)

    assert admission.unsettled == 0
    assert (admission.waiting, adapter.book.open_now) == (0, 0)
    shown = "".join(e.text for e in seen if isinstance(e, Delta) and e.channel is Channel.TEXT)
    assert spoken(adapter, Channel.TEXT).startswith(shown)
