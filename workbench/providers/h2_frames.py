"""HTTP/2 frames as bytes (RFC 9113 §4, §6): cutting them out of a stream of reads, and writing the few a client sends.

Knows lengths, types and flags, nothing about what may follow what.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from workbench.core.errors import MalformedResponse

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES = 9
DEFAULT_MAX_FRAME = 16_384
DEFAULT_WINDOW = 65_535
MAX_WINDOW = 2**31 - 1

END_STREAM = 0x1
ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITY = 0x20


class FrameType(IntEnum):
    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


class ErrorCode(IntEnum):
    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class H2Violation(MalformedResponse):
    """The peer broke the protocol in a way that ends the connection; `h2_code` goes into our GOAWAY."""

    def __init__(self, message: str, h2_code: ErrorCode = ErrorCode.PROTOCOL_ERROR) -> None:
        super().__init__(f"The server broke HTTP/2: {message}.")
        self.h2_code = h2_code


class Frame(NamedTuple):
    kind: int
    """A `FrameType`, or a number that only an extension knows."""
    flags: int
    stream_id: int
    payload: bytes

    def content(self) -> bytes:
        """The payload without padding and without priority fields."""
        payload = self.payload
        start, end = 0, len(payload)
        if self.flags & PADDED:
            if not payload:
                raise H2Violation("a padded frame without a pad length", ErrorCode.FRAME_SIZE_ERROR)
            start, end = 1, end - payload[0]
        if self.kind == FrameType.HEADERS and self.flags & PRIORITY:
            start += 5
        if start > end:
            raise H2Violation("padding longer than its frame")
        return payload[start:end]


class FrameBuffer:
    """Cuts reads into frames; keeps what is left for the next read."""

    __slots__ = ("_rest", "max_frame")

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self.max_frame = max_frame
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Raises `H2Violation` for a frame that is longer than we said we take."""
        if self._rest:
            data = self._rest + data
        position, size = 0, len(data)
        while position + HEADER_BYTES <= size:
            high, low, kind, flags, stream_id = _HEADER.unpack_from(data, position)
            length = high << 8 | low
            if length > self.max_frame:
                raise H2Violation(f"a frame of {length} bytes", ErrorCode.FRAME_SIZE_ERROR)
            end = position + HEADER_BYTES + length
            if end > size:
                break
            payload = data[position + HEADER_BYTES : end]
            position = end
            yield Frame(kind, flags, stream_id & MAX_WINDOW, payload)
        self._rest = data[position:]


_HEADER = struct.Struct(">HBBBI")
_LONG = struct.Struct(">I")
_SETTING = struct.Struct(">HI")


def frame(kind: FrameType, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    length = len(payload)
    return _HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def settings(values: dict[Setting, int]) -> bytes:
    return frame(FrameType.SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    if len(payload) % _SETTING.size:
        raise H2Violation("a settings frame of odd length", ErrorCode.FRAME_SIZE_ERROR)
    return dict(_SETTING.iter_unpack(payload))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, _LONG.pack(increment))


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    return frame(FrameType.RST_STREAM, 0, stream_id, _LONG.pack(code))


def goaway(code: ErrorCode) -> bytes:
    # A client that accepts no pushes has processed no stream of the server's.
    return frame(FrameType.GOAWAY, 0, 0, _LONG.pack(0) + _LONG.pack(code))


def headers(stream_id: int, block: bytes, *, ended: bool, max_frame: int) -> bytes:
    """A header block as one HEADERS frame and as many CONTINUATIONs as it needs."""
    first, rest = block[:max_frame], block[max_frame:]
    flags = (END_STREAM if ended else 0) | (0 if rest else END_HEADERS)
    parts = [frame(FrameType.HEADERS, flags, stream_id, first)]
    while rest:
        piece, rest = rest[:max_frame], rest[max_frame:]
        parts.append(frame(FrameType.CONTINUATION, 0 if rest else END_HEADERS, stream_id, piece))
    return b"".join(parts)


def read_long(payload: bytes, *, size: int = 4) -> int:
    """The unsigned number at the start of a payload that must be exactly (GOAWAY: at least) this long."""
    if len(payload) < size:
        raise H2Violation("a frame that is too short", ErrorCode.FRAME_SIZE_ERROR)
    number: int = _LONG.unpack_from(payload)[0]
    return number


def error_name(code: int) -> str:
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code:#x}"
