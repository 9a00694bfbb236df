"""The SSE decoder, against a slow reading of the standard and against itself cut at every place."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import MalformedResponse
from workbench.providers.sse import SSEDecoder, SSEEvent


def decode(stream: bytes, *cuts: int, max_event_bytes: int = 1 << 20) -> list[SSEEvent]:
    decoder = SSEDecoder(max_event_bytes=max_event_bytes)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    events = [event for a, b in itertools.pairwise(edges) for event in decoder.feed(stream[a:b])]
    return events + decoder.close()


def reference(stream: bytes) -> list[SSEEvent]:
    """The standard's algorithm, line by line, with our one deviation: the end of the stream ends the last event."""
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    events, data, name, last_id = [], [], "", ""
    for line in [*lines, b""]:
        if not line:
            if data:
                events.append(SSEEvent(b"\n".join(data), name or "message", last_id))
            data, name = [], ""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"id" and b"\0" not in value:
            last_id = value.decode("utf-8", "replace")
    return events


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        pytest.param(b'data: {"a":1}\n\n', [SSEEvent(b'{"a":1}')], id="one event"),
        pytest.param(b"data:x\n\n", [SSEEvent(b"x")], id="no space after the colon"),
        pytest.param(b"data:  x\n\n", [SSEEvent(b" x")], id="only one space is taken off"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [SSEEvent(b"a"), SSEEvent(b"b")], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [SSEEvent(b"a"), SSEEvent(b"b")], id="CR"),
        pytest.param(b"data: a\ndata: b\ndata\n\n", [SSEEvent(b"a\nb\n")], id="several data lines"),
        pytest.param(b"data:\n\n", [SSEEvent(b"")], id="a blank data line is an event"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [SSEEvent(b"a")], id="byte-order mark"),
        pytest.param(b"data: a", [SSEEvent(b"a")], id="no final newline"),
        pytest.param(b"data: a\n", [SSEEvent(b"a")], id="no final blank line"),
        pytest.param(b"event: ping\ndata: {}\n\n", [SSEEvent(b"{}", "ping")], id="named"),
        pytest.param(b"event: \ndata: {}\n\n", [SSEEvent(b"{}")], id="an empty name is no name"),
        pytest.param(b"data: {}\nevent: late\n\n", [SSEEvent(b"{}", "late")], id="name after data"),
        pytest.param(b"event: alone\n\ndata: x\n\n", [SSEEvent(b"x")], id="a name without data says nothing"),
        pytest.param(b"id: 7\ndata: a\n\ndata: b\n\n", [SSEEvent(b"a", id="7"), SSEEvent(b"b", id="7")], id="id stays"),
        pytest.param(
            b": hello\n\nretry: 5\nfoo: bar\ndata: x\n\n", [SSEEvent(b"x")], id="comment, retry, unknown field"
        ),
        pytest.param(
            'data: "\u2028 \u0085 \u2029 \x0b \x0c"\n\n'.encode(),
            [SSEEvent('"\u2028 \u0085 \u2029 \x0b \x0c"'.encode())],
            id="other line separators belong to the data",
        ),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n\n\n", [], id="blank lines only"),
    ],
)
def test_a_stream_gives_the_same_events_whole_and_byte_by_byte(stream: bytes, expected: list[SSEEvent]):
    assert decode(stream) == expected
    assert decode(stream, *range(len(stream))) == expected


LINES = st.sampled_from(
    ['data: {"t": "é—\u2028\u0085🙂"}', "data:", "data: x", "data", ": note", ":", "event: delta", "event:",
     "id: 3", "id: a\0b", "id", "retry: 10", "foo", "foo: bar", "", "", "", "\ufeffdata: q", " data: indented"]
)  # fmt: skip
STREAMS = st.builds(
    lambda bom, pairs: bom + b"".join(line.encode() + end for line, end in pairs),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb"]),
    st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\n", b"\r\n", b"\r", b"\n\n", b"\r\n\r\n", b""])), max_size=14),
)


@settings(deadline=None, max_examples=400)
@given(stream=STREAMS | st.binary(max_size=60), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_split_of_any_stream_gives_the_events_of_the_standard(stream: bytes, cuts: list[int]):
    assert decode(stream) == reference(stream)
    assert decode(stream, *cuts) == reference(stream)


def test_comments_are_counted_as_signs_of_life():
    decoder = SSEDecoder()

    assert decoder.feed(b": OPENROUTER PROCESSING\n\n: again\n\n") == []
    assert decoder.comments == 2


def test_an_event_is_there_as_soon_as_its_blank_line_is():
    decoder = SSEDecoder()

    assert decoder.feed(b"data: a\r\n\r") == [SSEEvent(b"a")]
    assert decoder.feed(b"\ndata: b\r\n\r\n") == [SSEEvent(b"b")]


@pytest.mark.parametrize("portion", [1, 7, 5000], ids=["bytes", "sevens", "whole"])
@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"data: " + b"x" * 2000 + b"\n\n", id="one long line"),
        pytest.param(b"data: " + b"x" * 2000, id="a line without end"),
        pytest.param(b"data: 0123456789\n" * 200 + b"\n", id="many lines"),
        pytest.param(b":" + b"x" * 2000 + b"\n", id="a long comment"),
    ],
)
def test_an_event_beyond_the_limit_is_an_error_however_it_arrives(stream: bytes, portion: int):
    with pytest.raises(MalformedResponse, match="more than 1,000 bytes"):
        decode(stream, *range(0, len(stream), portion), max_event_bytes=1000)


def test_the_limit_counts_one_event_and_not_the_stream():
    stream = b"data: 0123456789\n\n: note\n\n" * 500

    assert decode(stream, *range(0, len(stream), 3), max_event_bytes=100) == [SSEEvent(b"0123456789")] * 500


def test_a_large_event_in_small_reads_costs_linear_time():
    decoder = SSEDecoder(max_event_bytes=1 << 30)
    size, portion = 8 << 20, b"y" * 4096
    decoder.feed(b"data: ")

    for _ in range(size // len(portion)):
        decoder.feed(portion)

    # Joined at every read this would copy 8 GB; the test would run into its own minutes.
    assert [len(event.data) for event in decoder.feed(b"\n\n")] == [size]
