"""The engine, and what is known through it: opens one after the first paint, reads the directory of models, warms SDKs.

Tells the app through `on_ready` and `on_trouble`; keeps no widget and draws nothing.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from workbench.core.errors import KeyRejected, WorkbenchError
from workbench.core.paths import Paths
from workbench.core.settings import Settings
from workbench.session import figures
from workbench.session.comparison import Comparison
from workbench.tui.host import EngineHost, OpenEngine, Opener, Snapshot

if TYPE_CHECKING:
    from workbench.engine.engine import Engine
    from workbench.engine.notices import Notice
    from workbench.jobs.desk import JobDesk
    from workbench.session.local_servers import FoundServer
    from workbench.session.model_directory import ModelDirectory
    from workbench.tui.key_trial import OpenAlone


class EngineRoom:
    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        demo: bool,
        day: str | None = None,
        opener: Opener | None = None,
    ) -> None:
        self.settings = settings
        self.day = day
        """What the demo's providers are having; None for the usual."""
        self.directory: ModelDirectory | None = None
        """None until it has been read."""
        self.host = EngineHost(opener or self._open, demo=demo)
        self.host.on_open = self._opened
        self.on_ready: Callable[[], None] | None = None
        """The engine is open; `learn` may be called."""
        self.on_trouble: Callable[[WorkbenchError], None] | None = None
        """The engine could not be opened."""
        self.on_notice: Callable[[str, str], None] | None = None
        """Something that a person should be told once: what is the matter, and what to do about it."""
        self.trouble = ""
        """Why no engine could be opened; empty while one is, or is being opened."""
        self.jobs_trouble = ""
        """Why there are no batch jobs, where the store cannot be opened."""
        self.servers: tuple[FoundServer, ...] = ()
        """Model servers on this machine."""
        self.open_alone: OpenAlone | None = None
        """Opens the engine in which a pasted key is tried; for tests. None opens a real one."""
        self._environ = environ
        self._open_engine: OpenEngine | None = None
        self._comparison: Comparison | None = None
        self._lists_fetched = False

    @property
    def is_demo(self) -> bool:
        return self.host.demo

    async def serve(self, comparison: Comparison) -> None:
        """Keep an engine open and let the comparison run on it, until `close`."""
        self._comparison = comparison
        async with comparison:
            await self.host.run()

    def statistics(self, *, times: bool = True) -> Snapshot | None:
        """The engine's figures at this moment; None while it is being opened."""
        return self._open_engine.engine.statistics(times=times) if self._open_engine is not None else None

    @property
    def jobs(self) -> JobDesk | None:
        """Batch jobs of the engine in use; None while there is none, and where they cannot be written down."""
        return self._open_engine.jobs if self._open_engine is not None else None

    async def learn(self) -> None:
        """Read the directory of models, in a thread."""
        from workbench.session.model_directory import ModelDirectory

        opened = self._open_engine
        if opened is None:
            return
        directory = await asyncio.to_thread(ModelDirectory.load, opened.settings, opened.environ)
        directory.add(model for server in self.servers for model in server.models)
        self._lists_fetched = False
        self.directory = directory

    async def fetch_lists(self) -> bool:
        """Ask every provider with a key what it serves, once; True if that was done now. A demo has nothing else."""
        opened, directory = self._open_engine, self.directory
        if directory is None or opened is None or self._lists_fetched:
            return False
        from workbench.session.model_lists import fetch_model_lists

        self._lists_fetched = True
        if listed := await fetch_model_lists(opened.settings, opened.environ):
            directory.learn(listed, nothing_else=opened.demo)
        return True

    async def warm(self, models: Iterable[str]) -> None:
        """Import what these models need and open connections ahead, while nobody waits for it."""
        wanted = tuple(models)
        if self._open_engine is not None and wanted:
            await self._open_engine.engine.warm(wanted)

    async def add_key(self, provider: str, secret: str) -> str:
        """Try a pasted key with a word, keep it, and send with it from now on; returns how it went, as sentences.

        What is under way goes on, and what waits for a limit of the other keys may go at once. A demo does without the
        key; it is there when the demo is left.

        Raises the provider's error for a key that it rejects, which is not kept, and ConfigError for one that cannot
        be written down: that one is used for as long as the program runs.
        """
        from workbench.core.stored_keys import store_key, stored_keys_file

        error = await self._try(provider, secret)
        if isinstance(error, KeyRejected):
            raise error
        self.settings = self.settings.with_keys(provider, (secret,))
        if not self.is_demo:
            await self._use_key(provider, secret)
        file = stored_keys_file(Paths.from_environment(self._environ).config)
        await asyncio.to_thread(store_key, file, provider, secret)
        outcome = "It works, and is kept." if error is None else f"It is kept, but could not be tried: {error}"
        return f"{outcome} The demo does without it: leave the demo to use it." if self.is_demo else outcome

    def use_key_again(self, alias: str) -> None:
        """A key that was refused and therefore left out may be asked with once more."""
        engine = self.host.present
        if engine is not None and engine.limiter is not None:
            # It may be gone, as after the demo.
            with suppress(KeyError):
                engine.limiter.revive(alias)

    async def add_simulated_key(self) -> int:
        """One more account at every provider of the demo; how many there are now, 0 where no demo is open."""
        from workbench.demo import next_key

        opened = self._open_engine
        if opened is None or not opened.demo:
            return 0
        secret, count = next_key(opened.settings)
        for provider in opened.settings.providers:
            await self._use_key(provider, secret)
        return count

    async def _try(self, provider: str, secret: str) -> WorkbenchError | None:
        from workbench.tui.key_trial import engine_opener, try_key

        model = self.directory.small_model(provider) if self.directory is not None else None
        if model is None:
            return None
        open_alone = self.open_alone or await engine_opener()
        return await try_key(provider, secret, model, self.settings, self._environ, open_alone)

    async def _use_key(self, provider: str, secret: str) -> None:
        opened = self._open_engine
        if opened is None:
            # One that could not be opened, or is being opened without the key.
            self.host.reopen()
            return
        await opened.engine.add_key(provider, secret)
        self._open_engine = replace(opened, settings=opened.settings.with_keys(provider, (secret,)))

    def describe(self, model: str, dot: str) -> str:
        """A line or two for a pane that has nothing to show yet; empty while nothing is known."""
        if self.directory is None:
            return ""
        entry = self.directory.entry(model)
        context = f"{figures.quantity(entry.context_tokens)} tokens of context" if entry.context_tokens else ""
        price = f"{entry.price} per million tokens" if entry.input_usd else entry.price.strip(figures.UNKNOWN)
        facts = f" {dot} ".join(part for part in (entry.title, context, price) if part)
        return f"{facts}\n{entry.why_not}" if entry.why_not else facts

    @asynccontextmanager
    async def _open(self, demo: bool) -> AsyncIterator[OpenEngine]:
        """The production path; the demo differs in nothing but settings and environment."""
        async with AsyncExitStack() as stack:
            settings, environ = self.settings, self._environ
            # In a thread: importing takes longer than a frame.
            engine_module = await asyncio.to_thread(importlib.import_module, "workbench.engine.engine")
            if demo:
                from workbench.demo import demo as demo_world

                world = await stack.enter_async_context(demo_world(settings, self.day))
                settings, environ = world.settings, world.environ
                self.servers = ()
            else:
                settings = await self._with_local_servers(settings)
            engine = engine_module.Engine(settings, environ=environ, on_notice=self._notice)
            await stack.enter_async_context(engine)
            # Somebody is at the screen: a part of every limit is kept free for what they ask.
            if engine.limiter is not None:
                engine.limiter.attend(True)
            await stack.enter_async_context(self._recording(settings, environ))
            jobs = await self._open_jobs(stack, engine, environ)
            yield OpenEngine(engine, settings, environ, demo, jobs)

    async def _open_jobs(self, stack: AsyncExitStack, engine: Engine, environ: Mapping[str, str]) -> JobDesk | None:
        """This world's batch jobs, looked after for as long as the engine is open; None where there is no store."""
        desk_module = await asyncio.to_thread(importlib.import_module, "workbench.jobs.desk")
        self.jobs_trouble = ""
        try:
            desk = desk_module.JobDesk(engine, Paths.from_environment(environ).database)
            return cast("JobDesk", await stack.enter_async_context(desk))
        except WorkbenchError as error:
            # A store that cannot be opened must not keep anybody from asking.
            self.jobs_trouble = f"Batch jobs cannot be kept here: {error}"
            return None

    @asynccontextmanager
    async def _recording(self, settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[None]:
        """What the comparison comes to goes into this world's history; a demo's is thrown away with the rest of it."""
        from workbench.core.clock import SystemClock
        from workbench.session.chronicle import Chronicle
        from workbench.session.recorder import open_recorder
        from workbench.store.runs import RunKind

        loop = asyncio.get_running_loop()

        def tell(sentence: str) -> None:
            if self.on_notice is not None:
                loop.call_soon_threadsafe(self.on_notice, sentence, "")

        paths = Paths.from_environment(environ)
        recorder = await asyncio.to_thread(
            open_recorder, settings, paths, SystemClock(), kind=RunKind.COMPARE, on_trouble=tell
        )
        if recorder is None or self._comparison is None:
            yield
            return
        self._comparison.on_ended = Chronicle(recorder).note
        try:
            yield
        finally:
            # Answers that end from now on belong to no engine.
            self._comparison.on_ended = None
            await asyncio.to_thread(recorder.close)

    async def _with_local_servers(self, settings: Settings) -> Settings:
        """Settings with a row for every model server that runs on this machine."""
        servers = await asyncio.to_thread(importlib.import_module, "workbench.session.local_servers")
        found = await servers.find_local_servers(self._environ)
        placed, self.servers = servers.place_servers(found, settings, self._environ)
        return cast("Settings", placed)

    def _notice(self, notice: Notice) -> None:
        if self.on_notice is not None:
            self.on_notice(notice.text, notice.hint)

    def _opened(self, opened: OpenEngine | WorkbenchError) -> None:
        if isinstance(opened, WorkbenchError):
            self._open_engine = None
            self.trouble = str(opened)
            if self.on_trouble is not None:
                self.on_trouble(opened)
        else:
            self._open_engine = opened
            self.trouble = ""
            if self.on_ready is not None:
                self.on_ready()
