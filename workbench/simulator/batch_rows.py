"""One row of a batch, answered by the code that answers live requests: same reading, same refusals, same bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request

from workbench.simulator.accounts import Account
from workbench.simulator.answers import Answer, Finish, Schedule, rng_for
from workbench.simulator.batch_book import Batch, BatchRow, RowResult
from workbench.simulator.dialect import Dialect
from workbench.simulator.exchange import Exchange
from workbench.simulator.journal import Ending, Entry
from workbench.simulator.prompt import Prompt
from workbench.simulator.prompt_cache import CacheUse
from workbench.simulator.refusal import Reason, Refusal
from workbench.simulator.simulation import Simulation
from workbench.simulator.tokens import split_tokens

TURN_ROWS = 64
"""Rows between two turns of the loop: some 10 ms of work."""

_AT_ONCE = Schedule(0.0, (), (), 0.0)

RowAnswerer = Callable[["RowExchange", BatchRow], Callable[[], object]]
"""A dialect's own reading of a row, which refuses, and then the body of its answer."""


class RowExchange(Exchange):
    """A row as if somebody had asked it live, at no cost to live limits and without a trace in the journal."""

    def __init__(self, simulation: Simulation, batch: Batch, index: int) -> None:
        self.simulation = simulation
        self.provider = batch.provider
        self.request = Request({"type": "http", "method": "POST", "path": batch.endpoint, "headers": []})
        self.body = {}
        self.faults = ()
        self.batch = batch
        # A number of its own, since ids in answers are made from it.
        number = batch.number * 1_000_000 + index
        self.entry = Entry(number, 0.0, batch.provider, batch.endpoint, "", "")
        self._model = None
        self._identified = True
        self.account = Account("", batch.organisation)

    def charge(self, input_tokens: int, max_output_tokens: int) -> None:
        """Batches have limits of their own."""

    def cache_use(self, prompt: Prompt) -> CacheUse:
        return CacheUse()

    def answers(self, prompt: Prompt, count: int = 1) -> list[tuple[Answer, Schedule]]:
        rng = rng_for(self.simulation.seed, self.model.name, prompt.seed, prompt.text, self.batch.number)
        made = [self._bent(self._brief(prompt) if self.batch.pace.brief else self._composed(prompt, rng))]
        made *= count
        self.entry.output_tokens = sum(answer.output_tokens for answer in made)
        return [(answer, _AT_ONCE) for answer in made]

    def _give_faults(self, spec: str, *, rules: bool = True, operation: str = "") -> None:
        """Those that the row itself asks for: rules count requests, and a row may be read more than once."""
        super()._give_faults(spec, rules=False)

    def _brief(self, prompt: Prompt) -> Answer:
        if prompt.json_schema is not None or prompt.json_object:
            return self._composed(prompt, rng_for(self.simulation.seed, prompt.text))
        tokens = split_tokens(f"In short, about “{prompt.question[:60]}”: it depends.")
        limit = prompt.max_tokens or len(tokens)
        return Answer((), tuple(tokens[:limit]), Finish.STOP if len(tokens) <= limit else Finish.LENGTH)

    def close(self, ending: Ending) -> None:
        """Nothing was opened."""


class RowWork:
    """A dialect's way with rows."""

    def __init__(self, dialect: Dialect, answerer: RowAnswerer) -> None:
        self._dialect = dialect
        self._answerer = answerer

    def answer(self, batch: Batch, index: int) -> RowResult:
        row = batch.read_row(batch.lines[index])
        exchange = RowExchange(self._dialect.simulation, batch, index)
        try:
            body = self._accepted(exchange, row)()
        except Refusal as refusal:
            status, body = self._dialect.error(refusal)
            return RowResult(row.custom_id, refusal.status or status, body, index)
        return RowResult(row.custom_id, 200, body, index)

    async def results(self, batch: Batch, done: int) -> AsyncIterator[RowResult]:
        """What the first `done` rows came to, in the order in which they were answered."""
        for count, index in enumerate(batch.order[:done]):
            if count % TURN_ROWS == 0:
                await asyncio.sleep(0)
            yield self.answer(batch, index)

    async def failed(self, batch: Batch, done: int) -> int:
        """How many of the first `done` rows failed; they are read, not answered, and only once."""
        counts = batch.failures
        while len(counts) < done:
            if len(counts) % TURN_ROWS == 0:
                await asyncio.sleep(0)
            if len(counts) < done:  # somebody else may have counted meanwhile
                before = counts[-1] if counts else 0
                counts.append(before + self._fails(batch, batch.order[len(counts)]))
        return counts[done - 1] if done else 0

    def _fails(self, batch: Batch, index: int) -> bool:
        try:
            self._accepted(RowExchange(self._dialect.simulation, batch, index), batch.read_row(batch.lines[index]))
        except Refusal:
            return True
        return False

    def _accepted(self, exchange: RowExchange, row: BatchRow) -> Callable[[], object]:
        failing = exchange.batch.pace.failing
        if failing and rng_for("batch row", exchange.simulation.seed, row.custom_id).random() < failing:
            raise Refusal(Reason.SERVER_ERROR, "")
        return self._answerer(exchange, row)
