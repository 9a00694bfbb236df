"""The engine: one per event loop, opened and closed with `async with`, used alike by panes, the library and the shell.

It owns connections, keys, limits, the response cache and every task that runs a request; callers own nothing but the
generator they iterate. Composition only: what happens to a request is in `pursuit`, who shares one in `flight`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from random import Random
from types import TracebackType
from typing import Self

from workbench.core.clock import Clock, SystemClock
from workbench.core.errors import EngineClosed, UsageError, WorkbenchError
from workbench.core.events import StreamEvent
from workbench.core.paths import Paths
from workbench.core.pricing import PriceTable
from workbench.core.settings import Settings
from workbench.core.stats import NOTHING
from workbench.core.types import Priority, Request, Result
from workbench.engine.admission import Admission
from workbench.engine.batching import Batching
from workbench.engine.cache import ResponseCache
from workbench.engine.embedder import Embedder
from workbench.engine.embedding import EmbeddingRequest, Embeddings, Vector
from workbench.engine.engine_stats import EngineStatistics
from workbench.engine.gate import Gate
from workbench.engine.intake import Intake, result_of
from workbench.engine.keyring import Keyring
from workbench.engine.keyrings import Keyrings
from workbench.engine.lane_values import Change
from workbench.engine.limiter import Limiter, LimiterOptions
from workbench.engine.live_keys import LiveKeys
from workbench.engine.metrics import MetricsHub
from workbench.engine.notices import Notice, NoticeBoard
from workbench.engine.open_parts import OpenParts
from workbench.engine.poll_watch import PollWatch
from workbench.engine.prompt_layout import LayoutWatch
from workbench.engine.records import AttemptRecord, RequestRecord
from workbench.engine.router import Router, Target
from workbench.engine.semantic import SemanticCache
from workbench.engine.services import Services
from workbench.engine.tariff import Tariff
from workbench.engine.telemetry import Telemetry
from workbench.engine.timeline import Series, Span
from workbench.engine.wires import Wires
from workbench.providers.base import Adapter, ProviderSpec, WireFamily
from workbench.providers.batch_adapters import BatchAdapters
from workbench.providers.capabilities import ParameterMemory

_AT_A_STRETCH = 32
"""Stored answers that are given without a turn of the loop between: a millisecond, as long as others may be kept from
their sockets by somebody who asks for thousands."""


class Engine:
    """Runs requests against every provider that the settings know.

        async with Engine(Settings()) as engine:
            result = await engine.complete(Request("gpt-5.4", (Message.user("Hello"),)))

    Bound to the event loop that opened it; using it from another raises UsageError.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        rng: Random | None = None,
        adapters: Mapping[WireFamily, Adapter] | None = None,
        admission: Admission | None = None,
        on_notice: Callable[[Notice], None] | None = None,
        on_record: Callable[[RequestRecord], None] | None = None,
    ) -> None:
        """Reads no file and opens nothing yet. Raises ConfigError for provider rows that cannot work.

        Args:
            environ: where keys, base URLs, proxies and directories are looked up; the process's own by default.
            adapters: other wires than the built-in ones.
            admission: another limiter than the built-in one.
            on_notice: called on the engine's loop with what a person should be told once.
            on_record: called with every request that has ended.
        """
        self._settings = settings
        self._environ = os.environ if environ is None else environ
        self._clock = clock or SystemClock()
        self._rng = rng or Random()
        self._router = Router(settings, self._environ)
        self._notices = NoticeBoard(self._clock, on_notice)
        self._on_record = on_record
        self._watch = PollWatch(self._clock.monotonic_ns)
        self._hub = MetricsHub(self._record, self._watch.late_ns)
        self._gate = Gate(self._clock)
        self._intake = Intake(self._router, self._hub, self._clock)
        self._embedder = Embedder(self._router, self._intake, self._clock, self._find_keys)
        self._stamp_error_s = NOTHING
        self._telemetry = Telemetry(settings.telemetry, self.statistics, self._notices.tell)
        self._memory = ParameterMemory()
        self._given_adapters = adapters
        self._given_admission = admission
        self._paths = Paths.from_environment(self._environ)
        self._keyrings = Keyrings(settings, self._environ, self._notices.tell)
        self._parts: OpenParts | None = None
        """Kept when it is closed, for whoever looks at its statistics."""
        self._is_open = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where it was opened; None before that."""
        self._stored_answers = 0

    # -- opening and closing -------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Raises ConfigError for a `prices.toml` that cannot be read, and for telemetry that cannot be meant."""
        if self._loop is not None:
            raise UsageError("An engine is opened once.", hint="Make another one.")
        tariff = Tariff(PriceTable.load(self._settings, self._paths.prices_file))
        self._loop = asyncio.get_running_loop()
        self._notices.bind(self._loop)
        await self._telemetry.open()
        self._watch.install(self._loop)
        limiter, live_keys = None, None
        admission = self._given_admission
        if admission is None:
            admission = limiter = self._open_limiter()
            live_keys = LiveKeys(self._paths.running, limiter.statistics)
            await live_keys.open()
        self._parts = OpenParts(
            services=self._services(admission, tariff),
            wires=Wires(self._environ, self._clock, self._memory, self._given_adapters),
            tariff=tariff,
            limiter=limiter,
            live_keys=live_keys,
        )
        self._is_open = True
        tariff.warm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_open or self._parts is None:
            return
        self._is_open = False
        # From the callers inwards: requests end first, then what they stood on.
        await self._intake.aclose()
        await self._parts.aclose()
        # Last, so that it hears of every request that the closing ended.
        await self._telemetry.aclose()
        self._watch.remove()

    def _services(self, admission: Admission, tariff: Tariff) -> Services:
        chosen, tell = self._settings.cache, self._notices.tell
        cache = ResponseCache(self._paths.responses, chosen, self._clock, tell) if chosen.enabled else None
        semantic = None
        if cache is not None and chosen.semantic:
            semantic = SemanticCache(self._paths.questions, chosen, self._embed_question, tell)
        return Services(
            settings=self._settings,
            clock=self._clock,
            rng=self._rng,
            adapter_for=self._adapter_for,
            admission=admission,
            gate=self._gate,
            memory=self._memory,
            cache=cache,
            semantic=semantic,
            hub=self._hub,
            cost_of=tariff.cost_usd,
            prefix_saving_of=tariff.prefix_saving_usd,
            stamp_error_ns=self._watch.worst_ns,
            layout=LayoutWatch(tell),
            budgets={},
        )

    def _open_limiter(self) -> Limiter:
        limits = self._settings.limits
        return Limiter(
            keys=lambda spec: self._keyrings.of(spec).keys,
            clock=self._clock,
            rng=self._rng,
            options=LimiterOptions(
                max_window=limits.max_concurrent,
                initial_window=min(LimiterOptions().initial_window, limits.max_concurrent),
                lanes=limits.lanes,
                global_concurrency=limits.global_concurrency,
                state_dir=self._paths.state,
                on_change=self._limit_changed,
            ),
        )

    async def _adapter_for(self, target: Target, request: Request) -> Adapter:
        """The adapter, with the provider's keys found: the system's keyring may take its time to answer."""
        assert self._parts is not None, "only an open engine runs requests"
        await self._find_keys(target)
        return await self._parts.wires.adapter_for(target, request)

    async def _find_keys(self, target: Target) -> None:
        if self.limiter is not None:
            await self._keyrings.find(target.spec)

    def _limit_changed(self, change: Change) -> None:
        """A retired key and accounts that turn out to be one concern everything that follows; charts show windows."""
        if change.what == "window" and change.new is not None:
            self._hub.note_window(change.lane, int(change.new), self._clock.monotonic_ns())
        if change.what == "sharing" and (cap := self._settings.limits.global_concurrency) is not None:
            self._notices.tell(
                "sharing", f"The cap of {cap} calls at once per provider holds {change.why.rstrip('.')}."
            )
        if change.what in ("key", "lane"):
            self._notices.tell(f"{change.what} {change.lane} {change.why}", f"{change.why}.")

    def _record(self, record: RequestRecord) -> None:
        try:
            self._telemetry.observe(record)
            if self._on_record is not None:
                self._on_record(record)
        except Exception as exc:  # the listener's own boundary: its fault must not end a request that went well
            self._notices.tell("records", f"Whoever keeps the records failed: {type(exc).__name__}: {exc}.")

    # -- requests ------------------------------------------------------------------------------------------------------

    def stream(self, request: Request) -> AsyncGenerator[StreamEvent, None]:
        """Everything that happens to a request, the terminal event last.

        What goes wrong with it is a `Failed` with the partial answer. Closing the generator cancels the request:
        its response is closed at once and nothing more is yielded. Raises, on the first event, EngineClosed or
        UsageError when this engine cannot be used here.
        """
        return self._events(request, stream=True, quiet=False)

    async def complete(self, request: Request, *, stream: bool = True) -> Result:
        """The answer. Raises what `stream` would yield as `Failed`; the error's `partial` has what had arrived.

        Args:
            stream: False asks for the answer in one piece. Costs less CPU, and gives neither TTFT nor a partial answer.
        """
        if (stored := self._intake.stored_answer(self._check_open().services, request)) is not None:
            self._stored_answers += 1
            if self._stored_answers % _AT_A_STRETCH == 0:
                await asyncio.sleep(0)
            return stored
        return await result_of(self._events(request, stream=stream, quiet=True))

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        """A vector for every text, from the response cache or from as many requests as the provider's sizes ask for.

        Raises, after all of them have ended, what the first failed one came to; the others' vectors are cached.
        UsageError for an empty text and for a model whose provider has no embeddings.
        """
        return await self._embedder.embed(self._check_open(), request)

    async def _embed_question(self, text: str) -> Vector:
        model = self._settings.cache.semantic_model
        request = EmbeddingRequest(model, (text,), priority=Priority.INTERACTIVE, job="semantic cache")
        return (await self.embed(request)).vectors[0]

    def batching(self) -> Batching:
        """What batch jobs need. Raises EngineClosed or UsageError when this engine cannot be used here."""
        parts = self._check_open()
        return Batching(
            clock=self._clock,
            rng=self._rng,
            router=self._router,
            keyring=self._keyrings.of,
            prices=parts.tariff.table.price_of,
            cache=parts.services.cache,
            adapters=BatchAdapters(parts.wires.connections, self._clock, self._memory),
            ready=parts.wires.ready,
        )

    def _events(self, request: Request, *, stream: bool, quiet: bool) -> AsyncGenerator[StreamEvent, None]:
        return self._intake.events(lambda: self._check_open().services, request, stream=stream, quiet=quiet)

    def _check_open(self) -> OpenParts:
        if self._parts is None or not self._is_open:
            raise EngineClosed(
                "The engine is not open." if self._loop is None else "The engine is closed.",
                hint="Use it inside `async with Engine(...)`.",
            )
        if asyncio.get_running_loop() is not self._loop:
            raise UsageError(
                "This engine belongs to another event loop.", hint="Open one engine per loop, or use `LLM`."
            )
        return self._parts

    # -- what people look at and turn ----------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def rows(self) -> tuple[ProviderSpec, ...]:
        """Every provider, with the base URL that counts."""
        return self._router.rows

    @property
    def limiter(self) -> Limiter | None:
        """For whoever looks at limits or sets them by hand; None with another limiter, or before it is open."""
        return None if self._parts is None else self._parts.limiter

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """The requests that ended last, oldest first."""
        return self._hub.records

    @property
    def failures(self) -> tuple[AttemptRecord, ...]:
        """The attempts that failed last, oldest first, whether or not their requests have ended."""
        return self._hub.failures

    def route(self, model: str) -> tuple[Target, ...]:
        """Where a model name goes, in order. Raises UnknownModel, UsageError or ConfigError."""
        return self._router.route(model)

    def keyring(self, spec: ProviderSpec) -> Keyring:
        """The keys of a provider by alias and source; the system's own keyring is asked when nothing else has one."""
        return self._keyrings.of(spec)

    async def add_key(self, provider: str, secret: str) -> None:
        """Send with this key as well, from now on: what waits for a limit of the others may go at once."""
        parts = self._check_open()
        self._settings = self._settings.with_keys(provider, (secret,))
        self._keyrings.look_again(provider, self._settings)
        for spec in self.rows:
            if spec.name == provider:
                await self._keyrings.find(spec)
        if parts.limiter is not None:
            parts.limiter.reload_keys()

    async def warm(self, models: Iterable[str], *, requests: int = 1) -> int:
        """Make ready for these models: import their SDKs in a thread, open the cache, connect ahead.

        Names that lead nowhere are left out; connections that fail are left to the request that will need them.

        Args:
            requests: so many at once, per provider.

        Returns:
            How many connections stand ready.
        """
        parts = self._check_open()
        targets: list[Target] = []
        for model in models:
            try:
                targets.extend(self._router.route(model))
            except WorkbenchError:
                continue
        if parts.services.cache is not None:
            await parts.services.cache.open()
        return await parts.wires.warm(targets, requests)

    def statistics(self, *, times: bool = True) -> EngineStatistics:
        """How everything stands.

        Args:
            times: bring percentiles up to date, which is most of the cost: once a second is enough for a screen.
                Without, those of twenty values and more are of the last look that did; all else is new.
        """
        now_ns = self._clock.monotonic_ns()
        if times:
            self._stamp_error_s = self._watch.percentiles(now_ns)
        parts = self._parts
        cache = None if parts is None else parts.services.cache
        limiter = self.limiter
        return EngineStatistics(
            traffic=self._hub.statistics(now_ns, times=times),
            circuits=self._gate.statistics(),
            cache=None if cache is None else cache.statistics(),
            pools=() if parts is None else parts.wires.statistics(),
            notices=self._notices.all(),
            limits=None if limiter is None else limiter.statistics(),
            stamp_error_s=self._stamp_error_s,
        )

    def series(self, span: Span, lane: str = "", points: int = 120) -> Series:
        """In flight and its limit, tokens per second, TTFT and refusals over time, for charts: ask once a second.

        Args:
            lane: one lane of the limiter, by its `LaneStats.name`; everything together when empty.
            points: how many at most. `Series` says what each column means.
        """
        return self._hub.series(span, self._clock.monotonic_ns(), lane, points)

    def reset_circuit_breakers(self) -> int:
        """Ask every provider again at once; how many circuits were open."""
        return self._gate.reset()

    async def clear_cache(self) -> int:
        """Forget every stored answer; how many there were."""
        if self._parts is None:
            return 0
        services = self._parts.services
        if services.semantic is not None:
            services.semantic.clear()
        return 0 if services.cache is None else await services.cache.clear()
