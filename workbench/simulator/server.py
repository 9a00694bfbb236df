"""The simulator as a server: one address, one path prefix per provider, HTTP/1.1 and HTTP/2, with TLS or without."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.utils import wrap_app
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from workbench.simulator.accounts import FIRST_KEY
from workbench.simulator.admin import Admin
from workbench.simulator.anthropic import AnthropicDialect
from workbench.simulator.batch_book import BatchPace
from workbench.simulator.certificate import Certificate, temporary_certificate
from workbench.simulator.compat import LiteLLMDialect, SambaNovaDialect, TogetherDialect
from workbench.simulator.dialect import Dialect
from workbench.simulator.doorman import slow_door
from workbench.simulator.edge import EdgeStatistics, Manners, edge_listening
from workbench.simulator.faults import FaultRule
from workbench.simulator.gemini import GeminiDialect
from workbench.simulator.journal import Entry, Tally
from workbench.simulator.local import Flavour, LocalDialect
from workbench.simulator.models import Provider
from workbench.simulator.openai import OpenAIDialect
from workbench.simulator.openrouter import OpenRouterDialect
from workbench.simulator.profiles import PROFILES, ServerProfile
from workbench.simulator.quota import QuotaSpec
from workbench.simulator.simulation import Simulation
from workbench.simulator.stream import break_connection

log = logging.getLogger(__name__)
T = TypeVar("T")

PATHS = {
    Provider.OPENAI: "/openai/v1",
    Provider.ANTHROPIC: "/anthropic",
    Provider.GEMINI: "/gemini",
    Provider.TOGETHER: "/together/v1",
    Provider.SAMBANOVA: "/sambanova/v1",
    Provider.OPENROUTER: "/openrouter/api/v1",
    Provider.LOCAL: "/local/v1",
    Provider.LITELLM: "/litellm/v1",
}
"""What follows the address in each provider's base URL, in the form that its SDK and its variable expect."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a simulator behaves. See `Simulation` for the first four."""

    profile: ServerProfile
    seed: int = 0
    time_scale: float = 1.0
    coalesce_s: float = 0.0
    tls: bool = False
    keep_alive_s: float = 300.0
    h2_max_concurrent_streams: int = 100
    max_requests_per_connection: int = 1_000_000
    """After so many, HTTP/1.1 answers `connection: close` and HTTP/2 says GOAWAY."""
    reset_after_requests: int | None = None
    """A connection that brings one more than this is reset without a word."""
    manners: Manners | None = None
    """Serve HTTP/2 only, through an edge that behaves like this."""


def application(simulation: Simulation) -> Starlette:
    local = LocalDialect(simulation)
    dialects: dict[Provider, Dialect] = {
        Provider.OPENAI: OpenAIDialect(simulation),
        Provider.ANTHROPIC: AnthropicDialect(simulation),
        Provider.GEMINI: GeminiDialect(simulation),
        Provider.TOGETHER: TogetherDialect(simulation),
        Provider.SAMBANOVA: SambaNovaDialect(simulation),
        Provider.OPENROUTER: OpenRouterDialect(simulation),
        Provider.LITELLM: LiteLLMDialect(simulation),
    }
    routes: list[BaseRoute] = [Admin(simulation).mount()]
    routes += [Mount(PATHS[provider], routes=dialect.routes()) for provider, dialect in dialects.items()]
    for flavour in Flavour:
        routes += LocalDialect(simulation, flavour).mounts(f"/{flavour}")
    routes += [*local.mounts("/local"), *local.mounts("")]
    return Starlette(routes=routes)


def base_urls(url: str) -> dict[str, str]:
    return {provider.value: url + path for provider, path in PATHS.items()}


@contextlib.asynccontextmanager
async def listening(
    app: ASGIApp, options: ServerOptions, sock: socket.socket, certificate: Certificate | None
) -> AsyncIterator[None]:
    """Serve an application with hypercorn inside the block; leaving it closes every connection."""
    loop = asyncio.get_running_loop()
    config = _hypercorn_config(options, certificate)
    # hypercorn types its scopes as TypedDicts, starlette as plain mappings.
    wrapped = wrap_app(cast(Any, app), config.wsgi_max_body_size, "asgi")
    context = WorkerContext(None)
    connections: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            # The state reaches every request of this connection: a fault may want to drop it.
            await TCPServer(wrapped, loop, config, context, {"transport": writer.transport}, reader, writer)
        except asyncio.CancelledError:
            # Only `stop` cancels. Ending normally keeps asyncio's own callback for this task from reporting it.
            writer.transport.abort()
        finally:
            connections.discard(task)

    tls = config.create_ssl_context() if certificate else None
    connect_s = options.profile.connect_s * options.time_scale
    async with contextlib.AsyncExitStack() as door:
        if connect_s:
            await door.enter_async_context(slow_door(sock, connect_s, connected, tls))
        else:
            server = await asyncio.start_server(connected, sock=sock, backlog=1024, ssl=tls)
            door.callback(server.close)
        try:
            yield
        finally:
            await context.terminated.set()
            await door.aclose()
            for task in list(connections):
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)


class _ClosesOldConnections:
    """Resets a connection that brings one request too many: the race that every keep-alive client must survive."""

    def __init__(self, app: ASGIApp, requests: int) -> None:
        self._app = app
        self._limit = requests
        self._requests: WeakKeyDictionary[asyncio.Transport, int] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            transport = scope["state"]["transport"]
            count = self._requests[transport] = self._requests.get(transport, 0) + 1
            if count > self._limit:
                break_connection(scope)
                return
        await self._app(scope, receive, send)


def _hypercorn_config(options: ServerOptions, certificate: Certificate | None) -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = log  # one place for its complaints, silent unless somebody listens
    config.include_server_header = False
    config.keep_alive_timeout = options.keep_alive_s
    config.keep_alive_max_requests = options.profile.requests_per_connection or options.max_requests_per_connection
    config.h2_max_concurrent_streams = options.h2_max_concurrent_streams
    config.h11_max_incomplete_size = 256 * 1024
    if certificate is not None:
        config.certfile, config.keyfile = str(certificate.chain_file), str(certificate.key_file)
    return config


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that is listening."""

    simulation: Simulation
    url: str
    base_urls: dict[str, str]
    ca_file: Path | None
    edge: EdgeStatistics


@contextlib.asynccontextmanager
async def opened(options: ServerOptions, host: str, port: int) -> AsyncIterator[Running]:
    """Bind, serve inside the block, clean up behind it."""
    async with contextlib.AsyncExitStack() as stack:
        certificate = stack.enter_context(temporary_certificate(host)) if options.tls else None
        sock = stack.enter_context(contextlib.closing(socket.create_server((host, port), backlog=1024)))
        # asyncio does this by itself only where a socket names its protocol, which one from `create_server` does not.
        # Without it a first token waits for the acknowledgement of its headers: 40 ms, on a connection that was used.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        simulation = Simulation(
            options.profile, seed=options.seed, time_scale=options.time_scale, coalesce_s=options.coalesce_s
        )
        app: ASGIApp = application(simulation)
        if options.reset_after_requests is not None:
            app = _ClosesOldConnections(app, options.reset_after_requests)
        edge = EdgeStatistics()
        if options.manners is None:
            await stack.enter_async_context(listening(app, options, sock, certificate))
        else:
            context = _hypercorn_config(options, certificate).create_ssl_context()
            await stack.enter_async_context(edge_listening(app, options.manners, sock, context, edge))
        stack.callback(simulation.stop)
        name = f"[{host}]" if ":" in host else host
        url = f"{'https' if certificate else 'http'}://{name}:{sock.getsockname()[1]}"
        yield Running(simulation, url, base_urls(url), certificate.ca_file if certificate else None, edge)


class SimulatorThread:
    """A simulator in a thread of this process, on a loop of its own. For tests and for anything that wants to look in.

    with SimulatorThread(profile="fast") as simulator:
        client = AsyncOpenAI(base_url=simulator.base_urls["openai"], api_key=simulator.api_key)
    """

    def __init__(
        self,
        profile: str | ServerProfile = "fast",
        *,
        seed: int = 0,
        time_scale: float = 1.0,
        tls: bool = False,
        host: str = "127.0.0.1",
        port: int = 0,
        **options: Any,
    ) -> None:
        chosen = PROFILES[profile] if isinstance(profile, str) else profile
        self._options = ServerOptions(chosen, seed=seed, time_scale=time_scale, tls=tls, **options)
        self._address = (host, port)
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self.api_key = FIRST_KEY
        self.url = ""
        self.base_urls: dict[str, str] = {}
        self.ca_file: Path | None = None
        """The certificate authority to trust; None without TLS."""

    def start(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("this simulator is already running")
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            self._thread = None
            raise self._failure
        return self

    def stop(self) -> None:
        """Close every connection and wait for the thread to end. Harmless when it is not running."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def call(self, function: Callable[[Simulation], T]) -> T:
        """Run something on the simulator's own loop, where its state may be read and changed, and wait for it."""

        async def run() -> T:
            return function(self.simulation)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def requests(self) -> list[Entry]:
        """What was asked so far, oldest first."""
        return self.call(lambda simulation: simulation.journal.entries())

    def tally(self) -> Tally:
        return self.call(lambda simulation: simulation.journal.tally())

    def set_quota(self, spec: QuotaSpec, *, provider: str = "*", model: str = "*", key: str = "*") -> None:
        """Limits from now on for what matches the globs; `key` may name an organisation."""
        self.call(lambda simulation: simulation.accounts.set_spec(provider, model, key, spec, simulation.now_s()))

    def set_faults(self, *rules: FaultRule) -> None:
        """Replaces the rules in force."""
        self.call(lambda simulation: simulation.faults.set_rules(rules))

    def set_batch_pace(self, pace: BatchPace) -> None:
        """For batches that are created from now on."""
        self.call(lambda simulation: setattr(simulation.batches, "pace", pace))

    def skip_batch_time(self, seconds: float) -> None:
        """Let time pass for batches, and for nothing else."""
        self.call(lambda simulation: simulation.batches.skip(seconds))

    def reset(self) -> None:
        self.call(lambda simulation: simulation.reset())

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as exc:
            self._failure = exc
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with opened(self._options, *self._address) as running:
            self.simulation, self.edge = running.simulation, running.edge
            self.url, self.base_urls, self.ca_file = running.url, running.base_urls, running.ca_file
            self._ready.set()
            await self._stop.wait()


class H2Edge(SimulatorThread):
    """A simulator behind an HTTP/2 edge with bad manners; see `Manners`. `edge` counts what it did.

    with H2Edge(Manners(max_concurrent_streams=4, goaway_after=10)) as server: ...
    """

    def __init__(
        self, manners: Manners, profile: str | ServerProfile = "fast", *, tls: bool = False, **options: Any
    ) -> None:
        super().__init__(profile, tls=tls, manners=manners, **options)
