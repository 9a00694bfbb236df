"""A server that replays bytes made beforehand, in a process of its own, so that only the client is measured.

Speaks just enough: HTTP/1.1 in the clear and over TLS, HTTP/2 over TLS. What to send is in the path, because every
client lets its base URL be chosen: `/{mode}/{chunks}/{rate}/v1/…` with

    burst    all events in one write, as when a reader comes late: many events per wake-up
    paced    one event of one stream at a time, `rate` per second over all streams: one event per wake-up
    whole    the answer as one JSON document
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

from workbench.providers.h2_frames import DEFAULT_MAX_FRAME, DEFAULT_WINDOW, FrameType, frame
from workbench.simulator.certificate import temporary_certificate

WORDS = (" lorem", " ipsum")
"""Of one length, so that characters can be counted; two, because litellm stops a stream that repeats itself."""
CHARACTERS_PER_CHUNK = 6

_COMMON = '"id":"chatcmpl-Bx3oZq7Yk1","object":"chat.completion{kind}","created":1795334400,"model":"gpt-5.4"'


def event(text: str, finish: str = "null") -> bytes:
    delta = json.dumps({"content": text} if text else {})
    choices = f'[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]'
    return f'data: {{{_COMMON.format(kind=".chunk")},"choices":{choices},"usage":null}}\n\n'.encode()


_EVENTS = tuple(event(word) for word in WORDS)


def _text(chunks: int) -> str:
    return "".join(WORDS[number % 2] for number in range(chunks))


def whole(chunks: int) -> bytes:
    message = json.dumps({"role": "assistant", "content": _text(chunks), "refusal": None, "annotations": []})
    usage = f'{{"prompt_tokens":12,"completion_tokens":{chunks},"total_tokens":{chunks + 12}}}'
    choices = f'[{{"index":0,"message":{message},"logprobs":null,"finish_reason":"stop"}}]'
    return f'{{{_COMMON.format(kind="")},"choices":{choices},"usage":{usage}}}'.encode()


def events(chunks: int) -> list[bytes]:
    usage = f'"usage":{{"prompt_tokens":12,"completion_tokens":{chunks},"total_tokens":{chunks + 12}}}'
    return [
        *(_EVENTS[number % 2] for number in range(chunks)),
        event("", '"stop"'),
        f'data: {{{_COMMON.format(kind=".chunk")},"choices":[],{usage}}}\n\n'.encode(),
        b"data: [DONE]\n\n",
    ]


class Task(NamedTuple):
    mode: str
    chunks: int
    rate: int

    @classmethod
    def of(cls, path: str) -> Task:
        mode, chunks, rate = path.strip("/").split("/")[:3]
        return cls(mode, int(chunks), int(rate))


Send = Callable[[bytes, bool], None]
"""One event and whether it is the last."""


class Pacer:
    """Writes one event of one stream per tick, round robin, so that no two arrive together."""

    def __init__(self) -> None:
        self._streams: deque[tuple[deque[bytes], Send]] = deque()
        self._running = False

    def add(self, pending: list[bytes], send: Send, rate: int) -> None:
        self._streams.append((deque(pending), send))
        if not self._running:
            self._running = True
            self._tick(asyncio.get_running_loop().time(), 1 / rate)

    def _tick(self, due: float, period: float) -> None:
        if not self._streams:
            self._running = False
            return
        pending, send = self._streams.popleft()
        send(pending.popleft(), not pending)
        if pending:
            self._streams.append((pending, send))
        asyncio.get_running_loop().call_at(due + period, self._tick, due + period, period)


class _Http1(asyncio.Protocol):
    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(self._received) < end + 4 + length:
                return
            self._received = self._received[end + 4 + length :]
            self._answer(Task.of(head.split(b" ", 2)[1].decode()))

    def _answer(self, task: Task) -> None:
        assert self._transport is not None
        write = self._transport.write
        if task.mode == "whole":
            body = whole(task.chunks)
            write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
            )
            return
        head = (
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        framed = [b"%x\r\n%s\r\n" % (len(data), data) for data in events(task.chunks)]
        framed[-1] += b"0\r\n\r\n"
        write(head)
        if task.mode == "burst":
            write(b"".join(framed))
        else:
            self._pacer.add(framed, lambda data, _: write(data), task.rate)


class _Http2(asyncio.Protocol):
    """h2 keeps the state; data goes past it in frames of our own, or this server would be the slowest part."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._connection = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
        )
        self._tasks: dict[int, Task] = {}
        self._window = DEFAULT_WINDOW
        self._stream_window = DEFAULT_WINDOW
        self._windows: dict[int, int] = {}
        self._waiting: dict[int, deque[bytes]] = {}
        """What each stream has yet to send; its last piece ends it."""
        self._over: set[int] = set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connection.initiate_connection()
        transport.write(self._connection.data_to_send())

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        for received in self._connection.receive_data(data):
            match received:
                case h2.events.RequestReceived(stream_id=int(stream_id)):
                    path = next(bytes(value) for name, value in received.headers if name == b":path")
                    self._tasks[stream_id] = Task.of(path.decode())
                    self._windows[stream_id] = self._stream_window
                case h2.events.RemoteSettingsChanged(changed_settings=changed):
                    if (window := changed.get(SettingCodes.INITIAL_WINDOW_SIZE)) is not None:
                        self._stream_window = window.new_value
                case h2.events.DataReceived(stream_id=int(stream_id)):
                    self._connection.acknowledge_received_data(received.flow_controlled_length, stream_id)
                case h2.events.StreamEnded(stream_id=int(stream_id)):
                    self._answer(stream_id, self._tasks.pop(stream_id))
                case h2.events.WindowUpdated(stream_id=stream_id, delta=int(delta)):
                    if not stream_id:
                        self._window += delta
                    elif stream_id in self._windows:
                        self._windows[stream_id] += delta
                    for waiting in list(self._waiting):
                        self._drain(waiting)
                case h2.events.StreamReset(stream_id=int(stream_id)):
                    self._waiting.pop(stream_id, None)
        self._transport.write(self._connection.data_to_send())

    def _answer(self, stream_id: int, task: Task) -> None:
        kind = "application/json" if task.mode == "whole" else "text/event-stream; charset=utf-8"
        self._connection.send_headers(stream_id, [(":status", "200"), ("content-type", kind)])
        self._waiting[stream_id] = deque()
        if task.mode == "paced":
            self._pacer.add(events(task.chunks), lambda data, last: self._send(stream_id, data, last), task.rate)
            return
        answer = [whole(task.chunks)] if task.mode == "whole" else events(task.chunks)
        self._waiting[stream_id].extend(
            piece[start : start + DEFAULT_MAX_FRAME]
            for piece in answer
            for start in range(0, len(piece), DEFAULT_MAX_FRAME)
        )
        self._over.add(stream_id)
        self._drain(stream_id)

    def _send(self, stream_id: int, data: bytes, last: bool) -> None:
        if stream_id in self._waiting:
            self._waiting[stream_id].append(data)
            if last:
                self._over.add(stream_id)
            self._drain(stream_id)

    def _drain(self, stream_id: int) -> None:
        assert self._transport is not None
        waiting = self._waiting[stream_id]
        # The response's head, if it has not gone yet, before its data.
        out = [self._connection.data_to_send()]
        while waiting and len(waiting[0]) <= min(self._window, self._windows[stream_id]):
            data = waiting.popleft()
            self._window -= len(data)
            self._windows[stream_id] -= len(data)
            if waiting or stream_id not in self._over:
                out.append(frame(FrameType.DATA, 0, stream_id, data))
            else:
                self._connection.send_data(stream_id, data, end_stream=True)
                out.append(self._connection.data_to_send())
                del self._waiting[stream_id], self._windows[stream_id]
                self._over.discard(stream_id)
        self._transport.write(b"".join(out))


class _Either(asyncio.Protocol):
    """Over TLS: whichever the handshake chose."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = _Http2(self._pacer) if chosen == "h2" else _Http1(self._pacer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    pacer = Pacer()
    with temporary_certificate("localhost") as certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate.chain_file, certificate.key_file)
        tls.set_alpn_protocols(["h2", "http/1.1"])
        plain = await loop.create_server(lambda: _Http1(pacer), "127.0.0.1", 0, backlog=1024)
        secure = await loop.create_server(lambda: _Either(pacer), "127.0.0.1", 0, ssl=tls, backlog=1024)
        ports = [server.sockets[0].getsockname()[1] for server in (plain, secure)]
        print(json.dumps({"http": ports[0], "https": ports[1], "ca_file": str(certificate.ca_file)}), flush=True)
        # Ends when whoever started us closes our input, by design or by dying.
        await asyncio.to_thread(sys.stdin.read)


@dataclass(frozen=True, slots=True)
class Replay:
    http: str
    """Origin, without a path: `http://127.0.0.1:…`."""
    https: str
    ca_file: str


@contextlib.contextmanager
def replay_process() -> Iterator[Replay]:
    """The server in a child process for the length of a block."""
    with subprocess.Popen(
        [sys.executable, "-m", "workbench.bench.replay"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # A Ctrl-C in the terminal is for us, who then end it.
    ) as child:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        # Leaving closes its input, at which it ends.
        yield Replay(f"http://127.0.0.1:{said['http']}", f"https://localhost:{said['https']}", said["ca_file"])


if __name__ == "__main__":
    asyncio.run(_serve())
