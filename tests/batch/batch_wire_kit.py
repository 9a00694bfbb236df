"""What the tests of the batch wire share: a provider's account at the simulator, and the way of a batch through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from workbench.core.clock import SystemClock
from workbench.core.types import KeyAlias, Message, Params
from workbench.providers.base import ProviderSpec
from workbench.providers.batch import BatchAccount, BatchAdapter, BatchResult, BatchRow, BatchStatus
from workbench.providers.batch_adapters import BatchAdapters
from workbench.providers.batch_gemini import GeminiBatches
from workbench.providers.capabilities import ParameterMemory
from workbench.providers.catalog import BUILT_IN
from workbench.providers.http import Connections
from workbench.simulator.faults import FaultRule, parse


def fault(spec: str, operation: str) -> FaultRule:
    """The next request of this kind meets it."""
    return FaultRule(parse(spec), operation=operation, count=1)


ROWS = {row.name: row for row in BUILT_IN}


@dataclass(frozen=True)
class Place:
    """A provider and one of its models."""

    provider: str
    model: str
    as_file: bool = False
    """However small it is; for Gemini."""

    @property
    def spec(self) -> ProviderSpec:
        return ROWS[self.provider]


each_place = pytest.mark.parametrize(
    "place",
    [
        pytest.param(Place("openai", "gpt-4.1-nano"), id="openai-chat"),
        pytest.param(Place("openai", "gpt-5.4-mini"), id="openai-responses"),
        pytest.param(Place("anthropic", "claude-haiku-4-5"), id="anthropic"),
        pytest.param(Place("gemini", "gemini-2.5-flash-lite"), id="gemini-inline"),
        pytest.param(Place("gemini", "gemini-2.5-flash-lite", as_file=True), id="gemini-file"),
        pytest.param(Place("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo"), id="together"),
    ],
)


@dataclass
class Desk:
    """One provider's adapter at the simulator."""

    place: Place
    base_urls: Mapping[str, str]
    key: str = "sim-key-1"
    connections: Connections = field(default_factory=lambda: Connections({}))

    def __post_init__(self) -> None:
        adapters = BatchAdapters(self.connections, SystemClock(), ParameterMemory())
        self.adapter: BatchAdapter = adapters.adapter_for(self.place.spec)
        if self.place.as_file:
            self.adapter = GeminiBatches(self.connections, SystemClock(), ParameterMemory(), inline_bytes=0)

    @property
    def account(self) -> BatchAccount:
        return self.account_of(self.key)

    def account_of(self, key: str) -> BatchAccount:
        place = self.place
        return BatchAccount(place.spec, self.base_urls[place.provider], key, KeyAlias(f"{place.provider}#1"))

    def lines(self, rows: Sequence[BatchRow], model: str = "") -> list[bytes]:
        return [self.adapter.encode(self.account, model or self.place.model, row).line for row in rows]

    async def submit(
        self, rows: Sequence[BatchRow], *, name: str = "rows.jsonl", tag: str = "job-1", model: str = ""
    ) -> BatchStatus:
        return await self.submit_lines(self.lines(rows, model), name=name, tag=tag)

    async def submit_lines(
        self, lines: Sequence[bytes], *, name: str = "rows.jsonl", tag: str = "job-1"
    ) -> BatchStatus:
        file_id = await self.adapter.upload(self.account, name, lines)
        return await self.adapter.create(self.account, self.place.model, tag=tag, file_id=file_id, lines=lines)

    async def status(self, batch_id: str) -> BatchStatus:
        return await self.adapter.status(self.account, batch_id)

    async def results(self, batch_id: str) -> list[BatchResult]:
        return [result async for result in self.adapter.results(self.account, batch_id)]


def questions(count: int, params: Params | None = None, mark: str = "") -> list[BatchRow]:
    return [
        BatchRow(f"row-{number:04d}", (Message.user(f"Name river number {number}.{mark}"),), params or Params())
        for number in range(count)
    ]
