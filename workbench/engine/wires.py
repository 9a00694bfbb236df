"""The engine's side of the wire: connections and adapters, with their SDKs imported in a thread before they are needed.

An SDK takes 0.2 to 5 s to import, and a loop that stands still for that long falsifies every stamp taken meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence

from workbench.core.clock import Clock
from workbench.core.errors import ConfigError
from workbench.core.types import Params, Request
from workbench.engine.router import Target
from workbench.providers.base import Adapter, ProviderSpec, WireFamily
from workbench.providers.batch_adapters import NEEDED_BY_BATCHES
from workbench.providers.capabilities import ParameterMemory, wire_family
from workbench.providers.embeddings import EmbeddingWire
from workbench.providers.http import Connections, PoolStatistics
from workbench.providers.open_files import make_room_for_connections
from workbench.providers.registry import Adapters
from workbench.providers.registry import warm as import_sdks

# The SDKs share packages with circular imports (httpx2 among them). Two threads that import those at once make Python
# break the deadlock by handing one of them a half-initialised module. Imports are the interpreter's, hence the lock is
# the process's; nothing is lost, since the interpreter's own lock would take turns with them anyway.
_ONE_IMPORT_AT_A_TIME = threading.Lock()

_Need = tuple[WireFamily | None, str]
"""What must be imported for a call: the family's SDK, if it takes one, and the row's transport."""


class Wires:
    """Connections and adapters of one engine. Belongs to its loop."""

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Clock,
        memory: ParameterMemory,
        adapters: Mapping[WireFamily, Adapter] | None = None,
    ) -> None:
        """`adapters` stand in for our own, for tests and other wires; they need no warming and are not closed here."""
        make_room_for_connections()
        self._clock = clock
        self._connections = Connections(environ, clock=clock)
        self._own: Adapters | None = None
        if adapters is None:
            adapters = self._own = Adapters(self._connections, clock, memory)
        self._adapters = adapters
        self._imports: dict[_Need, asyncio.Task[None]] = {}

    @property
    def connections(self) -> Connections:
        return self._connections

    async def adapter_for(self, target: Target, request: Request) -> Adapter:
        """The adapter that will carry this call, ready to be used without a pause."""
        family = self._family(target, request.params)
        if self._own is not None:
            await self._import(family, target.spec)
        return self._adapters[family]

    async def embedding_wire(self, target: Target, texts: Sequence[str], dimensions: int | None) -> EmbeddingWire:
        """A wire for these texts, which takes a connection but no SDK of the provider's."""
        is_litellm = target.spec.family is WireFamily.LITELLM
        await self._import(WireFamily.LITELLM if is_litellm else None, target.spec)
        return EmbeddingWire(self._connections, self._clock, texts, dimensions)

    async def ready(self, spec: ProviderSpec) -> None:
        """Import what this provider's own endpoints need, for what is no call of one model: files and batches."""
        await self._import(spec.family, spec)
        missing = [name for name in NEEDED_BY_BATCHES.get(spec.name, ()) if name not in sys.modules]
        if missing:
            await asyncio.to_thread(self._load, missing)

    async def warm(self, targets: Iterable[Target], requests: int) -> int:
        """Import what these targets need and connect ahead; how many connections stand ready.

        A guess that requests will come: should something be wrong, the request itself will say so.
        """
        if self._own is None:
            return 0
        wanted = {(target.spec.name, self._family(target, Params())): target for target in targets}
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._warm_one(target, requests)) for target in wanted.values()]
        return sum(task.result() for task in tasks)

    def statistics(self) -> tuple[PoolStatistics, ...]:
        return self._connections.statistics()

    async def aclose(self) -> None:
        # An import cannot be cancelled; a thread that is in one is waited for.
        await asyncio.gather(*self._imports.values(), return_exceptions=True)
        if self._own is not None:
            await self._own.aclose()
        await self._connections.aclose()

    @staticmethod
    def _load(modules: Iterable[str]) -> None:
        with _ONE_IMPORT_AT_A_TIME:
            for name in modules:
                importlib.import_module(name)

    @staticmethod
    def _family(target: Target, params: Params) -> WireFamily:
        return wire_family(target.spec, target.route.wire_model, params)

    async def _warm_one(self, target: Target, requests: int) -> int:
        family = self._family(target, Params())
        try:
            await self._import(family, target.spec)
            if family is WireFamily.LITELLM:  # it has connections of its own
                return 0
            return await self._connections.prewarm(target.spec, requests)
        except Exception:  # the boundary of a task: the request that is to come meets the same error and reports it
            return 0

    async def _import(self, family: WireFamily | None, spec: ProviderSpec) -> None:
        need = (family, spec.transport.value)
        task = self._imports.get(need)
        if task is None:
            task = self._imports[need] = asyncio.create_task(self._import_in_thread(family, spec))
        try:
            # Shielded: whoever gives up waiting must not stop it for the others.
            await asyncio.shield(task)
        except Exception:
            # Worth another try: what was missing may have been installed meanwhile.
            self._imports.pop(need, None)
            raise

    async def _import_in_thread(self, family: WireFamily | None, spec: ProviderSpec) -> None:
        def load() -> None:
            with _ONE_IMPORT_AT_A_TIME:
                import_sdks([] if family is None else [family])
                if family is not WireFamily.LITELLM:
                    self._connections.warm(spec.transport)

        try:
            await asyncio.to_thread(load)
        except ImportError as exc:
            raise ConfigError(
                f"What {spec.title or spec.name} needs cannot be imported: {exc}.",
                hint="Install llm-workbench again, with its dependencies.",
            ) from exc
