"""A comparison with a cap on money: who has no room waits and says why, and goes on when there is some."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from workbench.core.clock import ManualClock
from workbench.core.errors import RateLimited
from workbench.core.events import Delta, Failed, Finished, Opened, Queued, StreamEvent, WaitReason
from workbench.core.types import Channel, FinishReason, Request, Result, Route, Timing
from workbench.engine.budget import Budget
from workbench.session.comparison import Comparison
from workbench.session.draft import Draft
from workbench.session.spending import Spending, words
from workbench.session.targets import LineUp

ASK = Draft("Why?")


class Till:
    """Answers at 0.5 USD each, held after the first word until `go`."""

    def __init__(self, *, hold: bool = False, cached: bool = False, cost_usd: float | None = 0.5) -> None:
        self.go = asyncio.Event()
        if not hold:
            self.go.set()
        self.asked: list[str] = []
        self.silent = False
        self.refuse = False
        self._cached = cached
        self._cost_usd = cost_usd

    async def connect(self) -> Till:
        return self

    async def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        self.asked.append(request.model)
        yield Opened(1, 0, 1)
        if self.refuse:
            yield Failed(2, RateLimited("slow down"), self._result(request, "", None))
            return
        if not self.silent:
            yield Delta(2, Channel.TEXT, "Because")
        await self.go.wait()
        yield Finished(3, self._result(request, "Because", self._cost_usd))

    def _result(self, request: Request, text: str, cost_usd: float | None) -> Result:
        route = Route(request.model, "", request.model, "")
        return Result(text, "", FinishReason.STOP, None, cost_usd, Timing(0), route, cached=self._cached)


@asynccontextmanager
async def comparing(
    till: Till, limit_usd: float | None, *models: str, expected_usd: float | None = 0.4
) -> AsyncIterator[tuple[Comparison, Spending]]:
    clock = ManualClock()
    spending = Spending(Budget(limit_usd), lambda _request: expected_usd, clock)
    async with Comparison(till.connect, clock, LineUp.of(*models), spending=spending) as comparison:
        yield comparison, spending


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - turns of the loop, no time passes
            await asyncio.sleep(0)


def waiting_of(comparison: Comparison, index: int) -> Queued | None:
    turn = comparison.lanes[index].turn
    assert turn is not None
    assert not isinstance(turn.waiting, Queued) or turn.waiting.reason is WaitReason.BUDGET
    return turn.waiting if isinstance(turn.waiting, Queued) else None


def states(comparison: Comparison) -> list[str]:
    return [str(lane.state) for lane in comparison.lanes]


async def test_what_does_not_fit_waits_before_the_engine_and_says_why() -> None:
    till = Till(hold=True)
    async with comparing(till, 0.5, "alpha", "beta") as (comparison, _spending):
        comparison.send(ASK)
        await until(lambda: waiting_of(comparison, 1))

        assert till.asked == ["alpha"]
        assert comparison.lanes[1].state == "queued"
        waiting = waiting_of(comparison, 1)
        assert waiting is not None
        assert waiting.detail == "$0 of $0.500 spent, up to $0.400 under way"


async def test_at_the_cap_the_rest_stays_queued_and_raising_it_lets_them_go() -> None:
    till = Till()
    async with comparing(till, 0.5, "alpha", "beta", "gamma") as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: spending.statistics().is_spent)
        assert states(comparison) == ["done", "queued", "queued"]
        last = waiting_of(comparison, 2)
        assert last is not None
        assert (last.detail, last.ahead) == ("$0.500 of $0.500 spent", 1)

        spending.raise_to(2.0)
        await until(lambda: not comparison.is_running)

    assert states(comparison) == ["done", "done", "done"]
    assert spending.statistics().spent_usd == 1.5
    assert spending.statistics().reserved_usd == 0.0


async def test_room_that_the_real_price_leaves_is_used_without_asking() -> None:
    till = Till(cost_usd=0.1)
    async with comparing(till, 0.5, "alpha", "beta") as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: not comparison.is_running)

    assert states(comparison) == ["done", "done"]
    assert spending.statistics().spent_usd == 0.2


async def test_an_answer_from_the_cache_costs_nothing() -> None:
    till = Till(cached=True)
    async with comparing(till, 0.5, "alpha") as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: not comparison.is_running)

    assert (spending.statistics().spent_usd, spending.statistics().unpriced) == (0.0, 0)


async def test_stopping_one_that_waits_sends_nothing_and_holds_nobody_up() -> None:
    till = Till()
    async with comparing(till, 0.5, "alpha", "beta", "gamma") as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: spending.statistics().is_spent)

        comparison.stop(comparison.lanes[1])
        await until(lambda: spending.statistics().waiting == 1)
        spending.raise_to(None)
        await until(lambda: not comparison.is_running)

    assert states(comparison) == ["done", "stopped", "done"]
    assert till.asked == ["alpha", "gamma"]


async def test_stopping_before_the_first_word_gives_the_room_back() -> None:
    till = Till(hold=True)
    till.silent = True
    async with comparing(till, 0.5, "alpha") as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: comparison.lanes[0].state == "connecting")

        await comparison.settle()

    statistics = spending.statistics()
    assert (statistics.reserved_usd, statistics.spent_usd, statistics.unpriced) == (0.0, 0.0, 0)


async def test_an_answer_that_was_stopped_half_way_is_counted_as_one_of_unknown_price() -> None:
    till = Till(hold=True)
    async with comparing(till, 0.5, "alpha") as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: comparison.lanes[0].state == "streaming")

        await comparison.settle()

    statistics = spending.statistics()
    assert (statistics.reserved_usd, statistics.spent_usd, statistics.unpriced) == (0.0, 0.0, 1)


async def test_a_refusal_costs_nothing() -> None:
    till = Till()
    till.refuse = True
    async with comparing(till, 0.5, "alpha") as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: not comparison.is_running)

    assert states(comparison) == ["failed"]
    assert (spending.statistics().reserved_usd, spending.statistics().unpriced) == (0.0, 0)


async def test_a_price_that_is_unknown_reserves_nothing() -> None:
    till = Till(hold=True)
    async with comparing(till, 0.5, "alpha", "beta", expected_usd=None) as (comparison, spending):
        comparison.send(ASK)
        await until(lambda: states(comparison) == ["streaming", "streaming"])

        assert spending.statistics().reserved_usd == 0.0


def test_without_a_cap_the_words_say_what_was_spent() -> None:
    assert words(Budget().statistics()) == "$0 spent"
