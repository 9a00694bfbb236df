"""What the wire tests share: an adapter's answer as values, and a server that answers whatever it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace

from workbench.core.clock import SystemClock
from workbench.core.errors import ProviderError
from workbench.core.events import Delta, UsageReport
from workbench.core.types import Channel, Message, Params, Route, Usage
from workbench.providers.base import Call, Deadlines, ProviderSpec, WireEnd, WireEvent, WireOpened
from workbench.providers.capabilities import ParameterMemory, wire_family
from workbench.providers.catalog import BUILT_IN, resolve
from workbench.providers.http import Connections
from workbench.providers.registry import Adapters, build_adapters

DEADLINES = Deadlines(connect_s=60.0, first_token_s=60.0, idle_s=60.0, total_s=120.0)
QUESTION = (Message.system("Be brief."), Message.user("Name three rivers."))


@dataclass
class Heard:
    """Everything that one call brought."""

    events: list[WireEvent]
    error: ProviderError | None = None

    def joined(self, channel: Channel) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta) and event.channel is channel)

    @property
    def text(self) -> str:
        return self.joined(Channel.TEXT)

    @property
    def reasoning(self) -> str:
        return self.joined(Channel.REASONING)

    @property
    def opened(self) -> WireOpened:
        return next(event for event in self.events if isinstance(event, WireOpened))

    @property
    def usage(self) -> Usage:
        return [event.usage for event in self.events if isinstance(event, UsageReport)][-1]

    @property
    def end(self) -> WireEnd:
        [end] = [event for event in self.events if isinstance(event, WireEnd)]
        return end

    def check(self) -> None:
        """What holds for every answer, whatever became of it."""
        stamps = [event.at_ns for event in self.events]
        assert stamps == sorted(stamps), "stamps run backwards"
        assert all(event.text for event in self.events if isinstance(event, Delta)), "an empty delta"
        kinds = [type(event) for event in self.events]
        assert kinds.count(WireOpened) <= 1
        assert WireOpened not in kinds[1:], "opened after something else"
        after_end = kinds[kinds.index(WireEnd) + 1 :] if WireEnd in kinds else []
        assert set(after_end) <= {UsageReport}
        assert (WireEnd in kinds) is (self.error is None), "an end or an error, not both"


@dataclass
class Wire:
    """Adapters with their connections, and whom to call where."""

    base_urls: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[ProviderSpec, ...] = BUILT_IN

    def __post_init__(self) -> None:
        self.memory = ParameterMemory()
        self.connections = Connections(self.environ)
        self.adapters: Adapters = build_adapters(self.connections, SystemClock(), self.memory)

    def call(
        self,
        model: str,
        messages: tuple[Message, ...] = QUESTION,
        params: Params | None = None,
        *,
        key: str = "sim-key-1",
        stream: bool = True,
        deadlines: Deadlines = DEADLINES,
    ) -> Call:
        spec, wire_model = resolve(model, self.rows)
        base_url = self.base_urls.get(spec.name, self.base_urls.get("litellm", spec.base_url))
        spec = replace(spec, base_url=base_url)
        route = Route(model, spec.name, wire_model, base_url)
        return Call(route, spec, messages, params or Params(), key, None, deadlines, stream)

    async def hear(self, call: Call) -> Heard:
        """Read the answer to its end, or to its error."""
        heard = Heard([])
        adapter = self.adapters[wire_family(call.spec, call.route.wire_model, call.params)]
        try:
            async with aclosing(adapter.open(call)) as events:
                async for event in events:
                    heard.events.append(event)
        except ProviderError as error:
            heard.error = error
        heard.check()
        return heard

    async def ask(self, model: str, prompt: str = "", *, params: Params | None = None, **options: object) -> Heard:
        messages = (Message.user(prompt),) if prompt else QUESTION
        return await self.hear(self.call(model, messages, params, **options))  # type: ignore[arg-type]  # handed through

    async def aclose(self) -> None:
        await self.adapters.aclose()
        await self.connections.aclose()


@asynccontextmanager
async def wired(base_urls: Mapping[str, str], environ: Mapping[str, str] | None = None) -> AsyncIterator[Wire]:
    wire = Wire(base_urls, environ or {})
    try:
        yield wire
    finally:
        await wire.aclose()


@dataclass
class Script:
    """One answer that a `scripted` server gives, again and again."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    content_type: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Scripted:
    """A server that reads requests and gives its script's answer, whatever was asked."""

    url: str
    script: Script
    requests: list[bytes] = field(default_factory=list)

    @property
    def base_urls(self) -> dict[str, str]:
        return {row.name: self.url for row in BUILT_IN}


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[Scripted]:
    handlers: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            server.requests.append(head + await reader.readexactly(length))
            script = server.script
            chunks = [script.body] if isinstance(script.body, bytes) else list(script.body)
            lines = [f"HTTP/1.1 {script.status} X", "connection: close"]
            if script.content_type:
                lines.append(f"content-type: {script.content_type}")
            lines += [f"{name}: {value}" for name, value in script.headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            for chunk in chunks:
                writer.write(chunk)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            handlers.discard(task)
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    server = Scripted(f"http://127.0.0.1:{port}", script)
    try:
        yield server
    finally:
        listener.close()
        for task in handlers:
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await listener.wait_closed()
