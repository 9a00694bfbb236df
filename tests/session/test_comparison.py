"""A comparison owns the tasks of its lanes: starting, stopping, repeating, and faults that stay where they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from workbench.core.clock import ManualClock
from workbench.core.errors import MissingKey, RateLimited
from workbench.core.events import Delta, Failed, Finished, Opened, StreamEvent
from workbench.core.types import Channel, FinishReason, Params, Request, Result, Route, Timing
from workbench.session.comparison import Comparison, Tally
from workbench.session.draft import Draft
from workbench.session.targets import LineUp, Target

ASK = Draft("Why?")


class Provider:
    """Answers every request with its model's name, held until `go` where a test asks for it."""

    def __init__(self, hold: bool = False) -> None:
        self.go = asyncio.Event()
        if not hold:
            self.go.set()
        self.requests: list[Request] = []
        self.closed: list[str] = []
        self.faults: dict[str, Exception] = {}

    async def connect(self) -> Provider:
        return self

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        self.requests.append(request)
        try:
            if request.model in self.faults:
                raise self.faults[request.model]
            yield Opened(1, 0, 1)
            yield Delta(2, Channel.TEXT, "I am ")
            await self.go.wait()
            yield Delta(3, Channel.TEXT, request.model)
            yield Finished(4, answer(request, f"I am {request.model}"))
        finally:
            self.closed.append(request.model)


def answer(request: Request, text: str, cost_usd: float | None = 0.5) -> Result:
    route = Route(request.model, "", request.model, "")
    return Result(text, "", FinishReason.STOP, None, cost_usd, Timing(0), route)


@asynccontextmanager
async def comparing(provider: Provider, *models: str) -> AsyncIterator[Comparison]:
    async with Comparison(provider.connect, ManualClock(), LineUp.of(*models)) as comparison:
        yield comparison


async def settled(comparison: Comparison) -> None:
    async with asyncio.timeout(60):
        while comparison.is_running:  # noqa: ASYNC110 - turns of the loop, no time passes
            await asyncio.sleep(0)


async def arrived(comparison: Comparison, text: str) -> None:
    async with asyncio.timeout(60):
        while not all(lane.turn and lane.turn.text() == text for lane in comparison.lanes):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)


def states(comparison: Comparison) -> list[str]:
    return [str(lane.state) for lane in comparison.lanes]


async def test_every_target_is_asked_and_each_lane_has_its_own_answer() -> None:
    provider = Provider()
    async with comparing(provider, "alpha", "beta") as comparison:
        comparison.send(ASK)
        await settled(comparison)

        assert [lane.turns[-1].text() for lane in comparison.lanes] == ["I am alpha", "I am beta"]
        assert comparison.tally() == Tally(total=2, done=2, cost_usd=1.0)


async def test_stopping_one_lane_leaves_the_others_alone_and_keeps_its_text() -> None:
    provider = Provider(hold=True)
    async with comparing(provider, "alpha", "beta") as comparison:
        comparison.send(ASK)
        await arrived(comparison, "I am ")

        comparison.stop(comparison.lanes[0])
        at_once = states(comparison)
        provider.go.set()
        await settled(comparison)

    assert at_once == ["stopped", "streaming"]
    assert states(comparison) == ["stopped", "done"]
    assert comparison.lanes[0].turns[-1].text() == "I am "
    assert sorted(provider.closed) == ["alpha", "beta"]


async def test_a_stopped_lane_can_be_asked_again_before_its_old_request_is_gone() -> None:
    provider = Provider(hold=True)
    async with comparing(provider, "alpha") as comparison:
        comparison.send(ASK)
        await arrived(comparison, "I am ")
        comparison.stop(comparison.lanes[0])
        comparison.repeat([comparison.lanes[0]])
        provider.go.set()
        await settled(comparison)

        assert states(comparison) == ["done"]
        assert comparison.lanes[0].turns[-1].text() == "I am alpha"


async def test_one_lanes_fault_is_its_own_failure() -> None:
    provider = Provider()
    provider.faults["alpha"] = KeyError("surprise")
    async with comparing(provider, "alpha", "beta") as comparison:
        comparison.send(ASK)
        await settled(comparison)

        assert states(comparison) == ["failed", "done"]
        error = comparison.lanes[0].turns[-1].error
        assert error is not None
        assert "KeyError" in error.message


async def test_retrying_what_failed_asks_nobody_else() -> None:
    provider = Provider()
    provider.faults["alpha"] = RateLimited("slow down")
    async with comparing(provider, "alpha", "beta") as comparison:
        comparison.send(ASK)
        await settled(comparison)
        del provider.faults["alpha"]

        comparison.retry_failed()
        await settled(comparison)

        assert states(comparison) == ["done", "done"]
        assert [request.model for request in provider.requests] == ["alpha", "beta", "alpha"]


async def test_an_engine_that_cannot_be_opened_is_every_lanes_answer() -> None:
    async def connect() -> Provider:
        raise MissingKey("OpenAI", ("OPENAI_API_KEY",))

    async with Comparison(connect, ManualClock(), LineUp.of("alpha", "beta")) as comparison:
        comparison.send(ASK)
        await settled(comparison)

        assert states(comparison) == ["failed", "failed"]
        assert all(lane.turns[-1].error is not None for lane in comparison.lanes)


async def test_a_stream_without_an_end_is_reported_instead_of_waited_for() -> None:
    class Silent(Provider):
        async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
            yield Opened(1, 0, 1)

    async with comparing(Silent(), "alpha") as comparison:
        comparison.send(ASK)
        await settled(comparison)

        assert states(comparison) == ["failed"]


async def test_leaving_stops_everything_and_waits_for_it() -> None:
    provider = Provider(hold=True)
    async with comparing(provider, "alpha", "beta") as comparison:
        comparison.send(ASK)
        await arrived(comparison, "I am ")

    assert states(comparison) == ["stopped", "stopped"]
    assert sorted(provider.closed) == ["alpha", "beta"]


async def test_a_second_prompt_goes_on_with_each_lanes_own_conversation() -> None:
    provider = Provider()
    async with comparing(provider, "alpha", "beta") as comparison:
        comparison.send(ASK)
        await settled(comparison)
        comparison.send(Draft("And then?"))
        await settled(comparison)

        told = [[message.text for message in request.messages] for request in provider.requests[2:]]
        assert told == [["Why?", "I am alpha", "And then?"], ["Why?", "I am beta", "And then?"]]
        assert comparison.turn_number == 2


async def test_a_new_conversation_can_be_undone_until_something_is_asked() -> None:
    provider = Provider()
    async with comparing(provider, "alpha") as comparison:
        comparison.send(ASK)
        await settled(comparison)

        assert comparison.start_over()
        assert not comparison.lanes[0].turns
        assert comparison.bring_back()
        assert comparison.lanes[0].turns[-1].text() == "I am alpha"

        comparison.start_over()
        comparison.send(Draft("Something else"))
        await settled(comparison)
        assert not comparison.bring_back()


async def test_changing_the_line_up_keeps_the_lanes_that_stay() -> None:
    provider = Provider(hold=True)
    async with comparing(provider, "alpha", "beta") as comparison:
        comparison.send(ASK)
        await arrived(comparison, "I am ")
        alpha, beta = comparison.lanes

        without_alpha = comparison.line_up.remove(alpha.target.slot)
        comparison.set_line_up(without_alpha.add(Target("gamma"), at=0))

        assert str(alpha.state) == "stopped"
        assert comparison.lanes[1] is beta
        assert states(comparison) == ["ready", "streaming"]


async def test_changed_parameters_keep_the_conversation() -> None:
    provider = Provider()
    async with comparing(provider, "alpha") as comparison:
        comparison.send(ASK)
        await settled(comparison)
        slot = comparison.lanes[0].target.slot

        comparison.set_line_up(comparison.line_up.update(slot, params=Params(temperature=0.0)))
        comparison.send(Draft("Again"))
        await settled(comparison)

        assert provider.requests[-1].params == Params(temperature=0.0)
        assert len(provider.requests[-1].messages) == 3


async def test_the_same_target_twice_asks_for_two_samples() -> None:
    provider = Provider()
    async with comparing(provider, "alpha", "alpha", "beta") as comparison:
        comparison.send(ASK)
        await settled(comparison)

        assert [(request.model, request.sample) for request in provider.requests] == [
            ("alpha", 0),
            ("alpha", 1),
            ("beta", 0),
        ]


async def test_a_cost_that_is_not_known_for_all_says_so() -> None:
    class HalfPriced(Provider):
        async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
            yield Finished(4, answer(request, "", 0.5 if request.model == "alpha" else None))

    async with comparing(HalfPriced(), "alpha", "beta") as comparison:
        comparison.send(ASK)
        await settled(comparison)

        tally = comparison.tally()
        assert (tally.cost_usd, tally.cost_is_partial) == (0.5, True)


@pytest.mark.parametrize("act", [Comparison.stop_all, Comparison.start_over, Comparison.bring_back])
async def test_with_nothing_to_do_nothing_happens(act: Callable[[Comparison], object]) -> None:
    async with comparing(Provider(), "alpha") as comparison:
        assert not act(comparison)


async def test_activity_is_told_when_something_starts() -> None:
    told: list[str] = []
    async with comparing(Provider(), "alpha", "beta") as comparison:
        comparison.on_activity = lambda: told.append("started")
        comparison.send(ASK)
        await settled(comparison)

    assert told == ["started", "started"]


async def test_a_failure_of_the_engines_own_reaches_the_lane_as_it_is() -> None:
    error = RateLimited("slow down", provider="openai")

    class Refusing(Provider):
        async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
            yield Failed(1, error, answer(request, ""))

    async with comparing(Refusing(), "alpha") as comparison:
        comparison.send(ASK)
        await settled(comparison)

        assert comparison.lanes[0].turns[-1].error is error


async def test_what_is_asked_before_everything_is_open_runs_as_soon_as_it_is() -> None:
    provider = Provider()
    comparison = Comparison(provider.connect, ManualClock(), LineUp.of("alpha", "beta"))
    comparison.send(ASK)
    comparison.stop(comparison.lanes[1])

    async with comparison:
        await settled(comparison)

        assert states(comparison) == ["done", "stopped"]
        assert [request.model for request in provider.requests] == ["alpha"]
