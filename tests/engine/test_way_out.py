"""Servers that cannot be reached, or do not read, by every family's real SDK: said while it lasts and afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from scripted import ask

from workbench.core.events import Admitted, StreamEvent
from workbench.core.sending import Stage
from workbench.core.settings import CacheSettings, ProviderSettings, Settings
from workbench.core.types import Request
from workbench.engine.engine import Engine
from workbench.session.anatomy import Part, anatomy_of
from workbench.session.diagnosis import Cause, Diagnosis
from workbench.session.monitor import overview
from workbench.session.waiting import way_out

PATIENCE_S = 120
FAMILIES = {
    "chat": ("openai", "gpt-4.1-mini"),
    "responses": ("openai", "gpt-5.4"),
    "anthropic": ("anthropic", "anthropic/claude-sonnet-4-6"),
    "gemini": ("gemini", "gemini/gemini-3-flash"),
    "together": ("together", "together_ai/Qwen/Qwen3.5-9B"),
}


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """Takes every connection and reads the first byte of it, and nothing more."""
    held: set[asyncio.StreamWriter] = set()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.add(writer)
        await reader.read(1)

    server = await asyncio.start_server(hold, "127.0.0.1", 0, limit=1)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in held:
        writer.transport.abort()
    for _ in range(3):  # Aborted transports say goodbye in the loop's next turns.
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def asking(root: Path, provider: str, base_url: str, request: Request) -> AsyncIterator[tuple[Engine, Admitted]]:
    """An engine with this request let go, and the event that says so."""
    settings = Settings(
        providers={provider: ProviderSettings(base_url=base_url, keys="sk-1")}, cache=CacheSettings(enabled=False)
    )
    let_go: asyncio.Future[Admitted] = asyncio.get_running_loop().create_future()

    async def listen(events: AsyncIterator[StreamEvent]) -> None:
        async for event in events:
            if isinstance(event, Admitted) and not let_go.done():
                let_go.set_result(event)

    async with Engine(settings, environ={"LLM_CACHE_DIR": str(root), "LLM_STATE_DIR": str(root)}) as engine:
        listener = asyncio.create_task(listen(engine.stream(request)))
        async with asyncio.timeout(PATIENCE_S):
            yield engine, await let_go
        listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listener


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # Snapshots are looked at; nothing announces them.
        await asyncio.sleep(0.02)


def why(engine: Engine) -> Diagnosis:
    return overview(engine.statistics()).diagnosis


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_server_that_never_finishes_its_handshake_is_being_connected_to(
    silent_port: int, tmp_path: Path, family: str
) -> None:
    provider, model = FAMILIES[family]
    url = f"https://127.0.0.1:{silent_port}/v1"

    async with asking(tmp_path, provider, url, ask(model)) as (engine, admitted):
        await until(lambda: why(engine).cause is Cause.SLOW_CONNECTION)
        said, in_the_pane = why(engine).sentence, way_out(admitted, engine.statistics().traffic.at_ns)

    words = rf"connecting to 127\.0\.0\.1:{silent_port} for \d+ s"
    assert re.search(f": {words}: there is no connection yet$", said)
    assert re.fullmatch(words, in_the_pane)
    parts = anatomy_of(engine.records[-1].timing)
    assert parts is not None
    assert [part for part, _ in parts.parts if part not in (Part.QUEUE, Part.RETRIES)] == [Part.CONNECT]


@pytest.mark.parametrize("family", ["chat", "anthropic", "gemini"])
async def test_a_server_that_does_not_read_is_being_sent_to(silent_port: int, tmp_path: Path, family: str) -> None:
    provider, model = FAMILIES[family]
    long = ask(model, text="A long prompt. " * 2_000_000)

    async with asking(tmp_path, provider, f"http://127.0.0.1:{silent_port}/v1", long) as (engine, admitted):
        await until(lambda: why(engine).cause is Cause.SLOW_CONNECTION)
        said = why(engine).sentence

    words = rf"sending the request to 127\.0\.0\.1:{silent_port} for \d+ s"
    assert re.search(f": {words}: the last of it has not been taken yet$", said)
    assert admitted.sending is not None
    assert admitted.sending.stage is Stage.WRITING
    parts = anatomy_of(engine.records[-1].timing)
    assert parts is not None
    assert Part.SENDING in dict(parts.parts)
    assert Part.PREFILL not in dict(parts.parts)


@pytest.mark.parametrize("family", ["chat", "anthropic"])
async def test_a_server_that_took_the_request_is_not_called_unreachable(
    silent_port: int, tmp_path: Path, family: str
) -> None:
    provider, model = FAMILIES[family]

    async with asking(tmp_path, provider, f"http://127.0.0.1:{silent_port}/v1", ask(model)) as (engine, admitted):
        await until(lambda: why(engine).cause is Cause.COLD_START)
        said = why(engine).sentence

    assert "or the server does not answer" in said
    assert way_out(admitted, 0) == ""
    parts = anatomy_of(engine.records[-1].timing)
    assert parts is not None
    assert Part.PREFILL in dict(parts.parts)
