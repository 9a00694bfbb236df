"""The client's side of one HTTP/2 connection as a state machine: bytes in, events and bytes out, no sockets, no clock.

Own code rather than the h2 package for one reason that a setting cannot change: after a GOAWAY h2 (4.4) refuses every
further frame, and the streams that the server promised to finish are lost with those that it did not begin. The
second reason is price: a DATA frame costs 1 µs here and 8 µs there. Header compression is hpack's.

What the server has certainly not processed is said with each stream that ends early (`StreamEnded.processed`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import hpack

from workbench.providers.h2_frames import (
    ACK,
    DEFAULT_MAX_FRAME,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    MAX_WINDOW,
    PREFACE,
    ErrorCode,
    Frame,
    FrameBuffer,
    FrameType,
    H2Violation,
    Setting,
    frame,
    goaway,
    headers,
    read_long,
    read_settings,
    rst_stream,
    settings,
    window_update,
)

STREAM_WINDOW = 4 * 1024 * 1024
"""What one answer may send before somebody reads it: two orders of magnitude above any text, so no stream of tokens
ever waits for a window, and a bound on memory for files that nobody reads."""
CONNECTION_WINDOW = 64 * 1024 * 1024
_MAX_FRAME = 64 * 1024
_MAX_HEADER_BLOCK = 256 * 1024
_STREAMS_UNTIL_TOLD = 100
"""Streams we open before the server's settings have come: the least that RFC 9113 §6.5.2 recommends to allow."""

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]

_NEVER_INDEXED = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key"})
_CHANGING = frozenset({b"content-length", b"idempotency-key", b"traceparent"})
"""Indexing what differs in every request would push out of the table what does not."""


class ResponseHeaders(NamedTuple):
    stream_id: int
    status: int
    headers: RawHeaders


class Data(NamedTuple):
    stream_id: int
    data: bytes


class StreamEnded(NamedTuple):
    """No more will come on this stream. `code` None is a regular end."""

    stream_id: int
    code: int | None = None
    processed: bool = True
    """False when the server has said that it did nothing about the request."""


class GoingAway(NamedTuple):
    """The connection takes no more streams; those it has begun go on."""

    code: int
    served: int
    """How many streams it has begun in its life."""
    left_out: int
    """How many that we had opened it will not begin."""


class Room(NamedTuple):
    """Something that a sender or an opener may have waited for has changed: windows or the stream limit."""


Event: TypeAlias = ResponseHeaders | Data | StreamEnded | GoingAway | Room


class _Stream:
    __slots__ = ("answered", "sending", "unread", "window")

    def __init__(self, window: int, sending: bool) -> None:
        self.window = window
        """Bytes that we may still send."""
        self.sending = sending
        self.answered = False
        self.unread = 0
        """Bytes read by the consumer and not yet given back as window."""


class H2Session:
    """One connection. Output collects in `take_output`; methods and `receive` only ever append to it."""

    def __init__(self) -> None:
        self._out: list[bytes] = [
            PREFACE,
            settings(
                {
                    Setting.ENABLE_PUSH: 0,
                    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
                    Setting.MAX_FRAME_SIZE: _MAX_FRAME,
                }
            ),
            window_update(0, CONNECTION_WINDOW - DEFAULT_WINDOW),
        ]
        self._frames = FrameBuffer(_MAX_FRAME)
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._streams: dict[int, _Stream] = {}
        self._next_id = 1
        self._window = DEFAULT_WINDOW
        self._peer_stream_window = DEFAULT_WINDOW
        self._peer_max_frame = DEFAULT_MAX_FRAME
        self._unacknowledged = 0
        self._block: tuple[int, int, bytes] | None = None
        """Stream, flags and first part of a header block that CONTINUATION frames will go on with."""
        self.max_streams = _STREAMS_UNTIL_TOLD
        self.going_away = False

    @property
    def active(self) -> int:
        return len(self._streams)

    @property
    def opened(self) -> int:
        return self._next_id // 2

    @property
    def can_open(self) -> bool:
        return not self.going_away and len(self._streams) < self.max_streams and self._next_id < MAX_WINDOW

    def take_output(self) -> bytes:
        output = b"".join(self._out)
        self._out.clear()
        return output

    def open(self, fields: Iterable[tuple[bytes, bytes]], *, ended: bool) -> int:
        """Start a request; its stream id. `fields` begin with the pseudo-headers; names are lower-case."""
        if not self.can_open:
            raise RuntimeError("this connection takes no more streams")
        stream_id, self._next_id = self._next_id, self._next_id + 2
        # Not Huffman-coded: hpack's coder is Python too, and a quarter fewer header bytes are not worth its time.
        block = self._encoder.encode(
            ((name, value, name in _NEVER_INDEXED or name in _CHANGING) for name, value in fields), huffman=False
        )
        self._out.append(headers(stream_id, block, ended=ended, max_frame=self._peer_max_frame))
        self._streams[stream_id] = _Stream(self._peer_stream_window, sending=not ended)
        return stream_id

    def send(self, stream_id: int, data: bytes, *, ended: bool) -> int:
        """Send as much of this as the windows allow; how much that was. The end mark goes with the last byte.

        -1 when the stream is gone and there is nobody to send to.
        """
        stream = self._streams.get(stream_id)
        if stream is None:
            return -1
        allowed = max(0, min(len(data), stream.window, self._window))
        for start in range(0, allowed, self._peer_max_frame):
            piece = data[start : min(start + self._peer_max_frame, allowed)]
            last = ended and start + len(piece) == len(data)
            self._out.append(frame(FrameType.DATA, END_STREAM if last else 0, stream_id, piece))
        if not data and ended:
            self._out.append(frame(FrameType.DATA, END_STREAM, stream_id))
        stream.window -= allowed
        self._window -= allowed
        if ended and allowed == len(data):
            stream.sending = False
        return allowed

    def consumed(self, stream_id: int, size: int) -> None:
        """The reader has taken so many bytes; the window goes back once half of it is used."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.unread += size
        if stream.unread >= STREAM_WINDOW // 2:
            self._out.append(window_update(stream_id, stream.unread))
            stream.unread = 0

    def cancel(self, stream_id: int) -> None:
        """Tell the server to stop this stream; no event follows. Idempotent."""
        if self._streams.pop(stream_id, None) is not None:
            self._out.append(rst_stream(stream_id, ErrorCode.CANCEL))

    def say_goodbye(self, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        self.going_away = True
        self._out.append(goaway(code))

    def receive(self, data: bytes) -> list[Event]:
        """Raises `H2Violation` when the peer breaks the protocol; the connection is then of no more use."""
        events: list[Event] = []
        for received in self._frames.feed(data):
            if received.kind == FrameType.DATA and self._block is None:
                self._data(received, events)
            else:
                self._other(received, events)
        return events

    def _data(self, received: Frame, events: list[Event]) -> None:
        _, flags, stream_id, payload = received
        # Connection window back at once, read or not: what one stream does not read must not stop the others.
        self._unacknowledged += len(payload)
        if self._unacknowledged >= CONNECTION_WINDOW // 2:
            self._out.append(window_update(0, self._unacknowledged))
            self._unacknowledged = 0
        stream = self._streams.get(stream_id)
        if stream is None:
            self._check_known(stream_id)
            return  # Cancelled by us; what was on its way is dropped.
        if not stream.answered:
            raise H2Violation("data before headers")
        content = received.content() if flags & ~END_STREAM else payload
        if len(content) < len(payload):
            self.consumed(stream_id, len(payload) - len(content))
        if content:
            events.append(Data(stream_id, content))
        if flags & END_STREAM:
            self._end(stream_id, stream, events)

    def _other(self, received: Frame, events: list[Event]) -> None:
        if self._block is not None and (
            received.kind != FrameType.CONTINUATION or received.stream_id != self._block[0]
        ):
            raise H2Violation("a header block interrupted")
        match received.kind:
            case FrameType.HEADERS:
                self._header_block(received.stream_id, received.flags, received.content(), received.flags, events)
            case FrameType.CONTINUATION:
                if self._block is None:
                    raise H2Violation("a continuation of nothing")
                stream_id, flags, begun = self._block
                self._header_block(stream_id, flags, begun + received.payload, received.flags, events)
            case FrameType.SETTINGS:
                self._settings(received, events)
            case FrameType.WINDOW_UPDATE:
                self._window_update(received, events)
            case FrameType.RST_STREAM:
                code = read_long(received.payload)
                self._check_known(received.stream_id)
                if self._streams.pop(received.stream_id, None) is not None:
                    events.append(StreamEnded(received.stream_id, code, code != ErrorCode.REFUSED_STREAM))
            case FrameType.PING:
                if not received.flags & ACK:
                    self._out.append(frame(FrameType.PING, ACK, 0, received.payload))
            case FrameType.GOAWAY:
                self._goaway(received, events)
            case FrameType.PUSH_PROMISE:
                raise H2Violation("a push although we refused them")
            case _:
                pass  # PRIORITY is history; unknown types must be ignored (RFC 9113 §4.1).

    def _header_block(self, stream_id: int, flags: int, block: bytes, latest: int, events: list[Event]) -> None:
        if len(block) > _MAX_HEADER_BLOCK:
            raise H2Violation("endless headers", ErrorCode.ENHANCE_YOUR_CALM)
        if not latest & END_HEADERS:
            self._block = (stream_id, flags, block)
            return
        self._block = None
        try:
            # Decoded even for a stream that is gone: the compression state is shared by all.
            fields: RawHeaders = [(bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True)]
        except hpack.HPACKError as exc:
            raise H2Violation(f"headers that do not decode ({exc})", ErrorCode.COMPRESSION_ERROR) from exc
        stream = self._streams.get(stream_id)
        if stream is None:
            self._check_known(stream_id)
            return
        if not stream.answered:
            status = _status(fields)
            if status < 200:
                return  # 103 Early Hints and the like; the answer follows.
            stream.answered = True
            events.append(ResponseHeaders(stream_id, status, [item for item in fields if item[0][:1] != b":"]))
        elif not flags & END_STREAM:
            raise H2Violation("headers in the middle of an answer")
        if flags & END_STREAM:
            self._end(stream_id, stream, events)

    def _end(self, stream_id: int, stream: _Stream, events: list[Event]) -> None:
        if stream.sending:
            # Answered before it had heard us out (413, 401): spare both sides the rest of the body.
            self._out.append(rst_stream(stream_id, ErrorCode.CANCEL))
        del self._streams[stream_id]
        events.append(StreamEnded(stream_id))

    def _settings(self, received: Frame, events: list[Event]) -> None:
        if received.flags & ACK:
            return
        values = read_settings(received.payload)
        if (streams := values.get(Setting.MAX_CONCURRENT_STREAMS)) is not None:
            self.max_streams = streams
        if (window := values.get(Setting.INITIAL_WINDOW_SIZE)) is not None:
            if window > MAX_WINDOW:
                raise H2Violation("a window of more than 2^31-1", ErrorCode.FLOW_CONTROL_ERROR)
            for stream in self._streams.values():
                stream.window += window - self._peer_stream_window
            self._peer_stream_window = window
        if (max_frame := values.get(Setting.MAX_FRAME_SIZE)) is not None:
            if not DEFAULT_MAX_FRAME <= max_frame < 2**24:
                raise H2Violation(f"a frame size of {max_frame}")
            self._peer_max_frame = max_frame
        if (table := values.get(Setting.HEADER_TABLE_SIZE)) is not None:
            self._encoder.header_table_size = min(table, 4096)
        self._out.append(frame(FrameType.SETTINGS, ACK, 0))
        events.append(Room())

    def _window_update(self, received: Frame, events: list[Event]) -> None:
        increment = read_long(received.payload) & MAX_WINDOW
        if received.stream_id == 0:
            self._window += increment
            if self._window > MAX_WINDOW:
                raise H2Violation("a window of more than 2^31-1", ErrorCode.FLOW_CONTROL_ERROR)
        elif (stream := self._streams.get(received.stream_id)) is not None:
            stream.window += increment
        events.append(Room())

    def _goaway(self, received: Frame, events: list[Event]) -> None:
        last = read_long(received.payload, size=8) & MAX_WINDOW
        code = read_long(received.payload[4:])
        self.going_away = True
        left_out = [stream_id for stream_id in self._streams if stream_id > last]
        events.append(GoingAway(code, (min(last, self._next_id) + 1) // 2, len(left_out)))
        for stream_id in left_out:
            del self._streams[stream_id]
            events.append(StreamEnded(stream_id, code, processed=False))

    def _check_known(self, stream_id: int) -> None:
        if stream_id == 0 or stream_id % 2 == 0 or stream_id >= self._next_id:
            raise H2Violation(f"a frame for stream {stream_id}, which nobody opened")


def _status(fields: RawHeaders) -> int:
    for name, value in fields:
        if name == b":status" and value.isdigit():
            return int(value)
    raise H2Violation("an answer without a status")
