"""One way of reading a model's answer, in a process of its own, measured there.

Started by `bench wire` and `bench routes` with a client's name; takes one job per line of input (`Job` as JSON) and
answers with one line (`Sample` as JSON). CPU time is the whole process's, so threads that a library starts count too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from statistics import quantiles
from typing import Any, Protocol

import msgspec

from workbench.providers.base import Deadlines, ProviderSpec, Transport, WireFamily

KEY = "sk-bench"
MODEL = "gpt-5.4"
PROMPT = "Say lorem."


class Job(msgspec.Struct, frozen=True):
    base_url: str
    requests: int
    in_flight: int
    stream: bool
    prompt_bytes: int = 0
    """The prompt is padded to this size."""
    fresh: bool = False
    """Throw the client and its connections away first."""


class Sample(msgspec.Struct, frozen=True):
    cpu_s: float
    wall_s: float
    characters: int
    ttft_p50_s: float
    ttft_p95_s: float
    resident_mb: float
    """The most that the process has had in memory so far."""


class Shape(msgspec.Struct):
    """What a careful reader of chat chunks decodes: nothing that it does not need."""

    class Choice(msgspec.Struct):
        class Delta(msgspec.Struct):
            content: str | None = None

        delta: Delta = msgspec.field(default_factory=Delta)
        message: Delta = msgspec.field(default_factory=Delta)

    choices: list[Choice] = []

    @property
    def text(self) -> str:
        return "".join(choice.delta.content or choice.message.content or "" for choice in self.choices)


decode_shape = msgspec.json.Decoder(Shape).decode


class Client(Protocol):
    """`stream` and `request` return how many characters came, and the former the time to the first of them."""

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]: ...

    async def request(self, base_url: str, prompt: str) -> int: ...

    async def aclose(self) -> None: ...


def body_of(prompt: str, *, stream: bool) -> bytes:
    message = {"role": "user", "content": prompt}
    return msgspec.json.encode({"model": MODEL, "messages": [message], "stream": stream})


HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


class RawSocket:
    """The floor: an asyncio protocol that looks for line ends. No pool, no TLS, no checks."""

    class Reader(asyncio.Protocol):
        def __init__(self) -> None:
            self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.characters = 0
            self.first_s = 0.0
            self._rest = b""

        def data_received(self, data: bytes) -> None:
            self._rest += data
            *blocks, self._rest = self._rest.split(b"\n\n")
            for block in blocks:
                start = block.find(b"data: {")
                if start >= 0:
                    text = decode_shape(block[start + 6 :]).text
                    if text and not self.first_s:
                        self.first_s = time.perf_counter()
                    self.characters += len(text)
                elif b"data: [DONE]" in block:
                    self.done.set_result(None)

    class WholeReader(asyncio.Protocol):
        def __init__(self) -> None:
            self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self._received = b""

        def data_received(self, data: bytes) -> None:
            self._received += data
            head, found, body = self._received.partition(b"\r\n\r\n")
            if found and len(body) == int(head.rpartition(b"content-length: ")[2].partition(b"\r\n")[0]):
                self.done.set_result(body)

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]:
        started = time.perf_counter()
        transport, reader = await self._send(base_url, prompt, self.Reader, stream=True)
        await reader.done
        transport.close()
        return reader.characters, reader.first_s - started

    async def request(self, base_url: str, prompt: str) -> int:
        transport, reader = await self._send(base_url, prompt, self.WholeReader, stream=False)
        body = await reader.done
        transport.close()
        return len(decode_shape(body).text)

    async def _send(self, base_url: str, prompt: str, protocol: Callable[[], Any], *, stream: bool) -> tuple[Any, Any]:
        host, _, path = base_url.partition("://")[2].partition("/")
        name, _, port = host.partition(":")
        transport, reader = await asyncio.get_running_loop().create_connection(protocol, name, int(port))
        body = body_of(prompt, stream=stream)
        head = f"POST /{path}/chat/completions HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n\r\n"
        transport.write(head.encode() + body)
        return transport, reader

    async def aclose(self) -> None: ...


class PlainAiohttp:
    """aiohttp and our event decoder."""

    def __init__(self) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS)

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]:
        body = body_of(prompt, stream=True)
        started = time.perf_counter()
        async with self._session.post(f"{base_url}/chat/completions", data=body) as response:
            return await _count(response.content.iter_any(), started)

    async def request(self, base_url: str, prompt: str) -> int:
        body = body_of(prompt, stream=False)
        async with self._session.post(f"{base_url}/chat/completions", data=body) as response:
            return len(decode_shape(await response.read()).text)

    async def aclose(self) -> None:
        await self._session.close()


class PlainHttpx:
    """httpx as it comes, and our event decoder."""

    def __init__(self, *, http2: bool, ca_file: str) -> None:
        self._client = httpx_client(http2=http2, ca_file=ca_file)

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]:
        body = body_of(prompt, stream=True)
        started = time.perf_counter()
        async with self._client.stream(
            "POST", f"{base_url}/chat/completions", content=body, headers=HEADERS
        ) as response:
            return await _count(response.aiter_bytes(), started)

    async def request(self, base_url: str, prompt: str) -> int:
        body = body_of(prompt, stream=False)
        response = await self._client.post(f"{base_url}/chat/completions", content=body, headers=HEADERS)
        return len(decode_shape(response.content).text)

    async def aclose(self) -> None:
        await self._client.aclose()


async def _count(chunks: AsyncIterator[bytes], started: float) -> tuple[int, float]:
    from workbench.providers.sse import SSEDecoder

    decoder = SSEDecoder()
    characters, first_s = 0, 0.0
    async for chunk in chunks:
        for event in decoder.feed(chunk):
            if event.data != b"[DONE]":
                characters += len(decode_shape(event.data).text)
        if characters and not first_s:
            first_s = time.perf_counter() - started
    return characters, first_s


class Ours:
    """The adapter that the engine uses, over one of its transports."""

    def __init__(self, transport: Transport, ca_file: str) -> None:
        from workbench.core.clock import SystemClock
        from workbench.providers.http import Connections
        from workbench.providers.registry import build_adapters

        clock = SystemClock()
        self._connections = Connections({"SSL_CERT_FILE": ca_file}, clock=clock)
        self._adapter = build_adapters(self._connections, clock)[WireFamily.OPENAI_CHAT]
        self._transport = transport

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]:
        return await self._open(base_url, prompt, stream=True)

    async def request(self, base_url: str, prompt: str) -> int:
        return (await self._open(base_url, prompt, stream=False))[0]

    async def _open(self, base_url: str, prompt: str, *, stream: bool) -> tuple[int, float]:
        from workbench.core.events import Delta
        from workbench.core.types import Message, Params, Route
        from workbench.providers.base import Call

        spec = ProviderSpec("bench", "bench", WireFamily.OPENAI_CHAT, base_url, (), (), transport=self._transport)
        route = Route(f"bench/{MODEL}", "bench", MODEL, base_url)
        call = Call(route, spec, (Message.user(prompt),), Params(), KEY, None, Deadlines(), stream)
        characters, first_s = 0, 0.0
        started = time.perf_counter()
        async with contextlib.aclosing(self._adapter.open(call)) as events:
            async for event in events:
                if type(event) is Delta:
                    if not characters:
                        first_s = time.perf_counter() - started
                    characters += len(event.text)
        return characters, first_s

    async def aclose(self) -> None:
        await self._adapter.aclose()
        await self._connections.aclose()


class OpenAISDK:
    """The openai SDK with its own stream objects: one client, no retries, as llm-provider uses it."""

    def __init__(self, http: Any = None) -> None:
        """`http` None is the SDK's own choice of HTTP client."""
        import openai

        self._sdk = openai.AsyncOpenAI(api_key=KEY, base_url="http://bench.invalid", max_retries=0, http_client=http)

    def _client(self, base_url: str) -> Any:
        # Shares the connections of the first.
        return self._sdk.with_options(base_url=base_url)

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]:
        messages = [{"role": "user", "content": prompt}]
        asked = self._client(base_url).chat.completions.create(model=MODEL, messages=messages, stream=True)
        return await _read_chunks(asked)

    async def request(self, base_url: str, prompt: str) -> int:
        messages = [{"role": "user", "content": prompt}]
        answer = await self._client(base_url).chat.completions.create(model=MODEL, messages=messages)
        return len(answer.choices[0].message.content)

    async def aclose(self) -> None:
        await self._sdk.close()


class LiteLLM:
    """litellm's acompletion, without retries and without its cache."""

    def __init__(self) -> None:
        from workbench.providers.litellm_fallback import import_litellm

        self._litellm = import_litellm()

    async def stream(self, base_url: str, prompt: str) -> tuple[int, float]:
        return await _read_chunks(self._ask(base_url, prompt, stream=True))

    async def request(self, base_url: str, prompt: str) -> int:
        answer = await self._ask(base_url, prompt, stream=False)
        return len(answer.choices[0].message.content)

    async def _ask(self, base_url: str, prompt: str, *, stream: bool) -> Any:
        return await self._litellm.acompletion(
            model=f"openai/{MODEL}",
            messages=[{"role": "user", "content": prompt}],
            api_base=base_url,
            api_key=KEY,
            stream=stream,
            num_retries=0,
            max_retries=0,
        )

    async def aclose(self) -> None: ...


async def _read_chunks(asked: Awaitable[Any]) -> tuple[int, float]:
    """Characters of an answer in Chat Completions' chunks, and the seconds until the first of them."""
    characters, first_s = 0, 0.0
    started = time.perf_counter()
    async for chunk in await asked:
        if chunk.choices and (text := chunk.choices[0].delta.content):
            if not characters:
                first_s = time.perf_counter() - started
            characters += len(text)
    return characters, first_s


def httpx_client(*, http2: bool, ca_file: str) -> Any:
    import httpx

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000, keepalive_expiry=60)
    verify = ssl.create_default_context(cafile=ca_file)
    return httpx.AsyncClient(http2=http2, verify=verify, limits=limits, timeout=600.0, trust_env=False)


def engine_client() -> Client:
    from workbench.bench.engine_client import EngineClient

    # A chat model: newer ones are asked through Responses, which the replay does not speak.
    return EngineClient("gpt-4.1", KEY)


MAKERS: dict[str, Callable[[str], Client]] = {
    "raw": lambda _: RawSocket(),
    "aiohttp": lambda _: PlainAiohttp(),
    "httpx": lambda ca_file: PlainHttpx(http2=False, ca_file=ca_file),
    "httpx-h2": lambda ca_file: PlainHttpx(http2=True, ca_file=ca_file),
    "ours-http1": lambda ca_file: Ours(Transport.HTTP1, ca_file),
    "ours-http2": lambda ca_file: Ours(Transport.HTTP2, ca_file),
    "ours-aiohttp": lambda ca_file: Ours(Transport.AIOHTTP, ca_file),
    "engine": lambda _: engine_client(),
    "openai": lambda _: OpenAISDK(),
    "openai-h2": lambda ca_file: OpenAISDK(httpx_client(http2=True, ca_file=ca_file)),
    "litellm": lambda _: LiteLLM(),
}


async def work(client: Client, job: Job) -> Sample:
    prompt = PROMPT.ljust(job.prompt_bytes)
    left = iter(range(job.requests))
    ttfts: list[float] = []

    async def worker() -> int:
        characters = 0
        for _ in left:
            if job.stream:
                count, ttft_s = await client.stream(job.base_url, prompt)
                ttfts.append(ttft_s)
            else:
                count = await client.request(job.base_url, prompt)
            characters += count
        return characters

    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    counts = await asyncio.gather(*(worker() for _ in range(job.in_flight)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    p50, p95 = (quantiles(ttfts, n=20)[index] for index in (9, 18)) if len(ttfts) > 1 else (0.0, 0.0)
    return Sample(cpu, wall, sum(counts), p50, p95, resident_mb())


def resident_mb() -> float:
    """Highest resident size; in kB on Linux and in bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


async def main(name: str, ca_file: str) -> None:
    os.environ["SSL_CERT_FILE"] = ca_file
    client = MAKERS[name](ca_file)
    while line := await asyncio.to_thread(sys.stdin.readline):
        job = msgspec.json.decode(line, type=Job)
        if job.fresh:
            await client.aclose()
            client = MAKERS[name](ca_file)
        sample = await work(client, job)
        print(msgspec.json.encode(sample).decode(), flush=True)
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
