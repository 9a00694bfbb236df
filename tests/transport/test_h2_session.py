"""The HTTP/2 client state machine, without sockets: against the h2 package as its server, and against broken peers."""

from __future__ import annotations

import itertools

import h2.config
import h2.connection
import h2.events
import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.providers.h2_frames import (
    END_HEADERS,
    ErrorCode,
    FrameType,
    H2Violation,
    Setting,
    frame,
    headers,
    window_update,
)
from workbench.providers.h2_frames import (
    settings as settings_frame,
)
from workbench.providers.h2_session import Data, Event, H2Session, ResponseHeaders, StreamEnded

HEAD = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"acme"), (b":path", b"/"), (b"x-api-key", b"k")]


class Server:
    def __init__(self) -> None:
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.bodies: dict[int, bytes] = {}
        self.ended: list[int] = []
        self.headers: dict[int, list[tuple[str, str]]] = {}

    def hear(self, session: H2Session) -> None:
        for event in self.h2.receive_data(session.take_output()):
            match event:
                case h2.events.RequestReceived():
                    self.headers[event.stream_id] = [(str(name), str(value)) for name, value in event.headers]
                    self.bodies[event.stream_id] = b""
                case h2.events.DataReceived():
                    self.bodies[event.stream_id] += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    self.ended.append(event.stream_id)


def hear(session: H2Session, data: bytes, *cuts: int) -> list[Event]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [event for a, b in itertools.pairwise(edges) for event in session.receive(data[a:b])]


@settings(max_examples=60)
@given(
    bodies=st.lists(st.binary(max_size=3000), min_size=1, max_size=5),
    pieces=st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=6),
    padding=st.sampled_from([None, 0, 7, 200]),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
def test_any_exchange_cut_anywhere_arrives_on_both_sides(
    bodies: list[bytes], pieces: list[bytes], padding: int | None, cuts: list[int]
):
    session, server = H2Session(), Server()
    opened = [session.open(HEAD, ended=False) for _ in bodies]
    for stream_id, body in zip(opened, bodies, strict=True):
        assert session.send(stream_id, body, ended=True) == len(body)
    server.hear(session)
    for stream_id in opened:
        server.h2.send_headers(stream_id, [(":status", "200"), ("x-request-id", f"r{stream_id}")])
    for position, piece in enumerate(pieces, 1):
        for stream_id in opened:
            server.h2.send_data(stream_id, piece, end_stream=position == len(pieces), pad_length=padding)

    events = hear(session, server.h2.data_to_send(), *cuts)

    assert server.bodies == dict(zip(opened, bodies, strict=True))
    assert server.ended == opened
    for stream_id in opened:
        mine = [event for event in events if getattr(event, "stream_id", None) == stream_id]
        assert mine[0] == ResponseHeaders(stream_id, 200, [(b"x-request-id", b"r%d" % stream_id)])
        assert b"".join(event.data for event in mine if isinstance(event, Data)) == b"".join(pieces)
        assert mine[-1] == StreamEnded(stream_id)
    assert session.active == 0
    server.hear(session)


@settings(max_examples=60)
@given(
    body=st.integers(1, 200_000), window=st.integers(0, 100_000), updates=st.lists(st.integers(1, 60_000), max_size=8)
)
def test_sending_never_exceeds_the_windows_and_ends_when_they_allow_it(body: int, window: int, updates: list[int]):
    session = H2Session()
    session.receive(settings_frame({Setting.INITIAL_WINDOW_SIZE: window}))
    stream_id = session.open(HEAD, ended=False)
    sent, granted_stream, granted_connection = 0, window, 65_535

    for update in [*updates, 2_000_000]:
        sent += session.send(stream_id, b"x" * (body - sent), ended=True)
        assert sent <= min(granted_stream, granted_connection)
        session.receive(window_update(stream_id, update) + window_update(0, update))
        granted_stream, granted_connection = granted_stream + update, granted_connection + update
    sent += session.send(stream_id, b"x" * (body - sent), ended=True)

    assert sent == body


def test_headers_in_several_frames_are_put_together():
    session = H2Session()
    stream_id = session.open(HEAD, ended=True)
    policy = b"v" * 20_000
    block = hpack.Encoder().encode([(b":status", b"200"), (b"x-policy", policy)])

    events = hear(session, headers(stream_id, block, ended=True, max_frame=1000))

    assert events == [ResponseHeaders(stream_id, 200, [(b"x-policy", policy)]), StreamEnded(stream_id)]


def test_a_key_is_never_put_into_the_compression_table():
    session, server = H2Session(), Server()
    session.open(HEAD, ended=True)
    first = session.take_output()
    session.open(HEAD, ended=True)
    second = session.take_output()

    # A name and value that had been indexed would be one byte the second time.
    assert b"k" in second[-3:]
    assert len(server.h2.receive_data(first + second)) > 0


def test_streams_beyond_a_goaway_end_unprocessed_and_the_others_go_on():
    session, server = H2Session(), Server()
    first, second = session.open(HEAD, ended=True), session.open(HEAD, ended=True)
    server.hear(session)
    goaway = frame(FrameType.GOAWAY, 0, 0, first.to_bytes(4, "big") + bytes(4))
    server.h2.send_headers(first, [(":status", "200")], end_stream=True)

    events = hear(session, goaway + server.h2.data_to_send())

    assert StreamEnded(second, ErrorCode.NO_ERROR, processed=False) in events
    assert StreamEnded(first) in events
    assert not session.can_open


def test_a_response_before_the_end_of_the_request_stops_the_request():
    session, server = H2Session(), Server()
    stream_id = session.open(HEAD, ended=False)
    session.send(stream_id, b"part", ended=False)
    server.hear(session)
    server.h2.send_headers(stream_id, [(":status", "413")], end_stream=True)

    events = hear(session, server.h2.data_to_send())

    assert StreamEnded(stream_id) in events
    assert session.send(stream_id, b"rest", ended=True) == -1


def test_what_comes_for_a_cancelled_stream_is_dropped():
    session, server = H2Session(), Server()
    stream_id = session.open(HEAD, ended=True)
    server.hear(session)
    server.h2.send_headers(stream_id, [(":status", "200")])
    server.h2.send_data(stream_id, b"late", end_stream=True)
    session.cancel(stream_id)

    events = hear(session, server.h2.data_to_send())

    assert [event for event in events if isinstance(event, ResponseHeaders | Data | StreamEnded)] == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(frame(FrameType.DATA, 0, 1, b"x"), "data before headers", id="data before headers"),
        pytest.param(frame(FrameType.DATA, 0, 9, b"x"), "which nobody opened", id="unknown stream"),
        pytest.param(frame(FrameType.HEADERS, END_HEADERS, 2, b"\x88"), "which nobody opened", id="server's stream"),
        pytest.param(frame(FrameType.PUSH_PROMISE, 0, 1, bytes(4)), "a push", id="push"),
        pytest.param(frame(FrameType.CONTINUATION, 0, 1, b""), "a continuation of nothing", id="continuation"),
        pytest.param(
            frame(FrameType.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"), "do not decode", id="hpack"
        ),
        pytest.param(frame(FrameType.HEADERS, END_HEADERS, 1, b""), "without a status", id="no status"),
        pytest.param(frame(FrameType.RST_STREAM, 0, 1, b"x"), "too short", id="short reset"),
        pytest.param(frame(FrameType.SETTINGS, 0, 0, b"12345"), "odd length", id="settings"),
        pytest.param(window_update(0, 2**31 - 1), "a window of more", id="window"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "a frame of", id="not HTTP/2 at all"),
        pytest.param(
            frame(FrameType.HEADERS, 0, 1, b"\x88") + frame(FrameType.PING, 0, 0, bytes(8)), "interrupted", id="block"
        ),
    ],
)
def test_a_peer_that_breaks_the_protocol_is_a_clear_error(data: bytes, words: str):
    session = H2Session()
    session.open(HEAD, ended=True)

    with pytest.raises(H2Violation, match=words):
        session.receive(data)
