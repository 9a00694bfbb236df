"""Server-sent events, decoded from bytes as they arrive.

Decides where events begin and end, nothing about what is in them: data stays bytes, so that a JSON reader can take it
without a decoded copy in between. Lines end at LF, CRLF and CR only; U+0085 and U+2028 are legal inside a JSON string,
and `str.splitlines` would cut there. The invariant, which a property test holds: however a stream is cut into chunks,
the events are the same.
"""

from __future__ import annotations

import msgspec

from workbench.core.errors import MalformedResponse

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Far above any answer in one event, and small enough that a server gone wrong cannot fill the memory."""

_BOM = b"\xef\xbb\xbf"


class SSEEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event. A struct and not a dataclass: made once per chunk, at a fifth of the cost."""

    data: bytes
    """The `data:` lines joined with LF. May be empty: some servers send a blank `data:` as a sign of life."""
    name: str = "message"
    id: str = ""
    """The last id that the stream has set; it stays until another one replaces it."""


class SSEDecoder:
    """One stream's decoder: `feed` it bytes in any portions, `close` it at the end.

    Most streams are nothing but `data: {…}` and a blank line, most reads hold whole events: such blocks are cut out
    with one split and never looked at line by line. Everything else goes through the lines.
    """

    __slots__ = (
        "_after_cr",
        "_data",
        "_held_bytes",
        "_id",
        "_line",
        "_mid_block",
        "_name",
        "_start",
        "comments",
        "max_event_bytes",
    )

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.max_event_bytes = max_event_bytes
        self.comments = 0
        """How many comment lines have come: signs of life that are no events."""
        self._start: bytes | None = b""
        """What may still turn out to be a byte-order mark; None once that is settled."""
        self._after_cr = False
        self._line: list[bytes] = []
        """Pieces of a line whose end has not come yet."""
        self._mid_block = False
        """True between the first byte of a block and the blank line that ends it."""
        self._data: list[bytes] = []
        self._name = ""
        self._id = ""
        self._held_bytes = 0

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        """The events that this chunk completes, in order.

        Raises `MalformedResponse` when an event outgrows `max_event_bytes`.
        """
        if self._start is not None:
            chunk = self._without_bom(chunk)
        if self._after_cr and chunk:
            # The CR has ended its line already; an LF that follows belongs to it.
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

        events: list[SSEEvent] = []
        if self._mid_block:
            chunk = self._finish_block(chunk, events)
        if not chunk:
            return events
        *blocks, rest = chunk.split(b"\n\n")
        for block in blocks:
            self._whole_block(block, events)
        if rest := rest.removeprefix(b"\n"):
            self._mid_block = True
            self._finish_block(rest, events)
        return events

    def close(self) -> list[SSEEvent]:
        """What the stream still owed when it ended.

        The standard throws an unfinished event away; here the last one counts even when its blank line or its newline
        is missing, because several servers end that way. Whether the answer was complete is for its reader to say.
        """
        events: list[SSEEvent] = []
        if self._start:
            self._line.append(self._start)
        self._start = None
        if self._line:
            self._take_line(b"".join(self._line))
            self._line.clear()
        self._dispatch(events)
        return events

    def _without_bom(self, chunk: bytes) -> bytes:
        start = (self._start or b"") + chunk
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(_BOM)

    def _whole_block(self, block: bytes, events: list[SSEEvent]) -> None:
        """A block and the blank line after it, both in one chunk."""
        if len(block) <= self.max_event_bytes:
            if block.startswith(b"data: ") and b"\n" not in block:
                events.append(SSEEvent(block[6:], "message", self._id))
                return
            if block.startswith(b"event: "):
                name, found, data = block.partition(b"\ndata: ")
                if found and len(name) > 7 and b"\n" not in data and b"\n" not in name:
                    events.append(SSEEvent(data, name[7:].decode("utf-8", "replace"), self._id))
                    return
        for line in block.split(b"\n"):
            if line:
                self._take_line(line)
            else:
                self._dispatch(events)
        self._dispatch(events)

    def _finish_block(self, chunk: bytes, events: list[SSEEvent]) -> bytes:
        """Take lines until a blank one ends the block; return what comes after it."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            line = chunk[start:end]
            start = end + 1
            if self._line:
                self._line.append(line)
                line = b"".join(self._line)
                self._held_bytes -= len(line) - len(self._line[-1])
                self._line.clear()
            if line:
                self._take_line(line)
            else:
                self._dispatch(events)
                return chunk[start:]
        if start < len(chunk):
            self._line.append(chunk[start:])
            self._hold(len(chunk) - start)
        return b""

    def _take_line(self, line: bytes) -> None:
        if len(line) > self.max_event_bytes:
            self._hold(len(line))
        field, colon, value = line.partition(b":")
        if not field and colon:
            self.comments += 1
            return
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                self._data.append(value)
                self._hold(len(value) + 1)
            case b"event":
                self._name = value.decode("utf-8", "replace")
            case b"id" if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
            case _:
                # `retry` tells a browser when to reconnect; a generation cannot be resumed. Unknown fields are ignored.
                pass

    def _hold(self, size: int) -> None:
        self._held_bytes += size
        if self._held_bytes > self.max_event_bytes:
            raise MalformedResponse(f"The server sent an event of more than {self.max_event_bytes:,} bytes.")

    def _dispatch(self, events: list[SSEEvent]) -> None:
        if self._data:
            events.append(SSEEvent(b"\n".join(self._data), self._name or "message", self._id))
            self._data.clear()
        self._name = ""
        self._held_bytes = 0
        self._mid_block = False
