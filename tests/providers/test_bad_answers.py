"""What is no proper answer: servers that are not there, not an API, or not done."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from provider_kit import Script, Wire, scripted, wired

from workbench.core.errors import (
    BadRequest,
    ConnectionFailed,
    EmptyStream,
    IncompleteStream,
    KeyRejected,
    MalformedResponse,
    ModelNotFound,
    Overloaded,
    ProviderError,
    RateLimited,
    ServerError,
    TLSFailed,
    WrongContentType,
)
from workbench.core.types import Channel, FinishReason, Usage
from workbench.simulator.server import SimulatorThread

MODELS = ["gpt-4o", "gpt-5", "anthropic/claude-sonnet-4-6", "gemini/gemini-2.5-flash", "local/llama-3.2-3b-instruct"]
models = pytest.mark.parametrize("model", MODELS)


def frames(*payloads: object) -> bytes:
    return b"".join(b"data: %s\n\n" % (p if isinstance(p, bytes) else json.dumps(p).encode()) for p in payloads)


def chunk(**choice: object) -> dict[str, object]:
    return {"choices": [{"index": 0, **choice}]}


TEXT = chunk(delta={"content": "Rhine"})
STOP = chunk(delta={}, finish_reason="stop")


@models
@pytest.mark.parametrize(
    ("script", "error"),
    [
        pytest.param(
            Script(b"<!doctype html><title>Log in</title>", content_type="text/html"), WrongContentType, id="web-page"
        ),
        pytest.param(Script(b"<html>", 404, "text/html"), WrongContentType, id="web-page-404"),
        pytest.param(Script(b"", 301, "", {"location": "http://127.0.0.1:1/"}), WrongContentType, id="redirect"),
        pytest.param(Script(b"<html><title>Bad gateway</title>", 502, "text/html"), ServerError, id="proxy-502"),
        pytest.param(Script(b"{not json", 500, "application/json"), ServerError, id="500-garbled"),
        pytest.param(Script(b"", 500, ""), ServerError, id="500-empty"),
        pytest.param(Script(b"", 503, ""), Overloaded, id="503-empty"),
        pytest.param(Script(b"", 401, ""), KeyRejected, id="401-empty"),
        pytest.param(
            Script(b'{"error":{"message":"no such model"}}', 404, "application/json"), ModelNotFound, id="404"
        ),
        pytest.param(Script(b"later", 429, "text/plain", {"retry-after": "3"}), RateLimited, id="429-plain"),
        pytest.param(Script(b""), EmptyStream, id="200-empty"),
        pytest.param(Script(b"", content_type="application/json"), EmptyStream, id="200-empty-json"),
        pytest.param(Script(b"{}", content_type="application/json"), MalformedResponse, id="200-other-json"),
        pytest.param(Script(b"[1, 2]", content_type="application/json"), MalformedResponse, id="200-no-object"),
        pytest.param(Script(frames(b"{garbled")), MalformedResponse, id="stream-garbled"),
        pytest.param(
            Script(frames({"error": {"message": "boom", "code": 500}, "type": "error"})), ServerError, id="stream-error"
        ),
        pytest.param(Script(b": hello\n\n: hello\n\n"), EmptyStream, id="comments-only"),
    ],
)
async def test_what_is_no_answer_is_named(model: str, script: Script, error: type[ProviderError]) -> None:
    async with scripted(script) as server, wired(server.base_urls) as wire:
        heard = await wire.ask(model)

        assert type(heard.error) is error
        assert len(server.requests) == 1
        assert heard.error.message
        assert "127.0.0.1" in heard.error.message or heard.error.provider in heard.error.message


@models
async def test_a_server_that_is_not_there_is_unreachable(model: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]

    async with wired(dict.fromkeys(("openai", "anthropic", "gemini", "local"), f"http://127.0.0.1:{port}")) as wire:
        heard = await wire.ask(model)

    assert type(heard.error) is ConnectionFailed
    assert "127.0.0.1" in heard.error.message


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    async with wired({"openai": "https://provider.invalid/v1"}) as wire:
        heard = await wire.ask("gpt-4o")

    assert type(heard.error) is ConnectionFailed
    assert "provider.invalid" in heard.error.message


async def test_a_certificate_that_nobody_vouches_for_is_refused() -> None:
    with SimulatorThread("fast", tls=True) as simulator:
        async with wired(simulator.base_urls) as wire:
            refused = [await wire.ask(model) for model in MODELS]
        async with wired(simulator.base_urls, {"SSL_CERT_FILE": str(simulator.ca_file)}) as wire:
            accepted = [await wire.ask(model) for model in MODELS]

    assert [type(heard.error) for heard in refused] == [TLSFailed] * len(MODELS)
    assert [heard.error for heard in accepted] == [None] * len(MODELS)
    assert accepted[0].opened.http_version == "HTTP/2"


@pytest.mark.parametrize(
    ("body", "text", "reason", "error"),
    [
        pytest.param(frames(TEXT, STOP, b"[DONE]"), "Rhine", FinishReason.STOP, None, id="as-it-should-be"),
        pytest.param(frames(TEXT, STOP), "Rhine", FinishReason.STOP, None, id="no-done"),
        pytest.param(frames(TEXT, b"[DONE]"), "Rhine", FinishReason.STOP, None, id="no-reason"),
        pytest.param(frames(TEXT), "Rhine", None, IncompleteStream, id="neither"),
        pytest.param(frames(b"[DONE]"), "", None, EmptyStream, id="done-alone"),
        pytest.param(
            frames(chunk(delta={"content": "Rhine"}, finish_reason="length")),
            "Rhine",
            FinishReason.LENGTH,
            None,
            id="reason-with-text",
        ),
        pytest.param(frames(TEXT, STOP, b"[DONE]")[:-2], "Rhine", FinishReason.STOP, None, id="no-last-newline"),
        pytest.param(
            frames(chunk(message={"content": "Rhine"}, finish_reason="stop")),
            "Rhine",
            FinishReason.STOP,
            None,
            id="message-for-delta",
        ),
        pytest.param(
            frames({"choices": []}, {}, {"choices": None}, TEXT, STOP),
            "Rhine",
            FinishReason.STOP,
            None,
            id="no-choices",
        ),
        pytest.param(
            frames(chunk(delta={"role": "assistant", "content": ""}), chunk(delta={"content": None}), TEXT, STOP),
            "Rhine",
            FinishReason.STOP,
            None,
            id="empty-deltas",
        ),
        pytest.param(
            frames(TEXT, {"choices": [{"index": 1, "delta": {"content": "Po"}}]}, STOP),
            "Rhine",
            FinishReason.STOP,
            None,
            id="second-choice",
        ),
        pytest.param(
            frames(TEXT, chunk(delta={}, finish_reason="tool_calls")),
            "Rhine",
            FinishReason.TOOL_CALL,
            None,
            id="tool-calls",
        ),
        pytest.param(
            frames(TEXT, chunk(delta={}, finish_reason="content_filter")),
            "Rhine",
            FinishReason.CONTENT_FILTER,
            None,
            id="filter",
        ),
        pytest.param(
            frames(TEXT, chunk(delta={}, finish_reason="abort")), "Rhine", FinishReason.INCOMPLETE, None, id="abort"
        ),
        pytest.param(frames(TEXT, chunk(delta={}, finish_reason="eos")), "Rhine", FinishReason.STOP, None, id="eos"),
        pytest.param(
            frames(TEXT, chunk(delta={}, finish_reason="something new")),
            "Rhine",
            FinishReason.STOP,
            None,
            id="unheard-of",
        ),
        pytest.param(
            frames(chunk(delta={"refusal": "I will not."}), STOP),
            "I will not.",
            FinishReason.REFUSAL,
            None,
            id="refusal",
        ),
        pytest.param(
            frames(TEXT, {"error": {"code": 502, "message": "lost"}, "choices": [{"finish_reason": "error"}]}),
            "Rhine",
            None,
            ServerError,
            id="error-chunk",
        ),
        pytest.param(
            frames(TEXT, {"object": "error", "message": "cuda", "code": 500}),
            "Rhine",
            None,
            ServerError,
            id="error-object",
        ),
        pytest.param(
            frames(TEXT, {"error": {"code": 429, "message": "slow"}}), "Rhine", None, RateLimited, id="limit-inside"
        ),
        pytest.param(
            frames(
                chunk(delta={"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
                chunk(delta={"content": [{"type": "text", "text": "Rhine"}]}),
                STOP,
            ),
            "Rhine",
            FinishReason.STOP,
            None,
            id="parts",
        ),
    ],
)
async def test_chat_dialects_end_as_they_say(
    body: bytes, text: str, reason: FinishReason | None, error: type[ProviderError] | None
) -> None:
    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("local/any")

    assert heard.text == text
    assert (type(heard.error) if heard.error else None) is error
    assert (heard.end.finish_reason if heard.error is None else None) is reason


@pytest.mark.parametrize(
    ("deltas", "reasoning", "text"),
    [
        ([{"reasoning_content": "hm"}, {"content": "Rhine"}], "hm", "Rhine"),
        ([{"reasoning": "hm"}, {"content": "Rhine"}], "hm", "Rhine"),
        ([{"reasoning": "hm", "reasoning_content": "hm"}, {"content": "Rhine"}], "hm", "Rhine"),
        ([{"content": "<thi"}, {"content": "nk>hm</think>"}, {"content": "\n"}, {"content": "Rhine"}], "hm", "\nRhine"),
        ([{"reasoning_content": "hm"}, {"content": "<think> is a tag"}], "hm", "<think> is a tag"),
        ([{"content": "Rhine </thi"}], "", "Rhine </thi"),
        ([{"content": "<think>hm</thi"}], "hm</thi", ""),
    ],
)
async def test_reasoning_goes_to_its_own_channel(deltas: list[dict[str, str]], reasoning: str, text: str) -> None:
    body = frames(*(chunk(delta=delta) for delta in deltas), STOP)

    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("local/any")

    assert (heard.reasoning, heard.text) == (reasoning, text)


async def test_tool_calls_are_lines_of_name_and_arguments() -> None:
    def call(index: int, **function: object) -> dict[str, object]:
        return chunk(delta={"tool_calls": [{"index": index, "function": function}]})

    body = frames(
        call(0, name="weather", arguments=""),
        call(0, arguments='{"city":'),
        call(0, arguments='"Köln"}'),
        call(1, name="time", arguments={"zone": "CET"}),
        chunk(delta={}, finish_reason="tool_calls"),
    )

    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("local/any")

    assert heard.joined(Channel.TOOL) == 'weather {"city":"Köln"}\ntime {"zone":"CET"}'


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, (9, 0, 0, 4, 0)),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
            },
            (9, 5, 2, 4, 0),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 3}},
            (9, 0, 0, 4, 3),
        ),
        # xAI leaves reasoning out of the completion's count and puts it into the total.
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 4,
                "total_tokens": 16,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (9, 0, 0, 7, 3),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 6}, (9, 6, 0, 4, 0)),
        ({"prompt_tokens": 9, "completion_tokens": None, "prompt_tokens_details": None}, (9, 0, 0, 0, 0)),
    ],
)
async def test_usage_is_normalised(usage: dict[str, object], counts: tuple[int, ...]) -> None:
    body = frames(TEXT, STOP, {"choices": [], "usage": usage}, b"[DONE]")

    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("local/any")

    found = heard.usage
    assert (found.input, found.cached_input, found.cache_write, found.output, found.reasoning) == counts


ANTHROPIC = [
    {
        "type": "message_start",
        "message": {
            "usage": {
                "input_tokens": 5,
                "cache_read_input_tokens": 20,
                "cache_creation_input_tokens": 10,
                "output_tokens": 1,
            }
        },
    },
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Rhine"}},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "name": "weather", "input": {}}},
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"city":"Bonn"}'},
    },
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use"},
        "usage": {"output_tokens": 12, "output_tokens_details": {"thinking_tokens": 4}},
    },
]


def named(*events: dict[str, object]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


async def test_anthropics_blocks_and_growing_usage_are_put_together() -> None:
    async with scripted(Script(named(*ANTHROPIC, {"type": "message_stop"}))) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("anthropic/claude-sonnet-4-6")

    assert (heard.reasoning, heard.text) == ("hm", "Rhine")
    assert heard.joined(Channel.TOOL) == 'weather {"city":"Bonn"}'
    assert heard.usage == Usage(input=35, cached_input=20, cache_write=10, output=12, reasoning=4)
    assert heard.end.finish_reason is FinishReason.TOOL_CALL


@pytest.mark.parametrize(
    ("stop_reason", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("pause_turn", FinishReason.INCOMPLETE),
        ("refusal", FinishReason.REFUSAL),
    ],
)
async def test_anthropics_stop_reasons_have_their_meanings(stop_reason: str, reason: FinishReason) -> None:
    events = [
        *ANTHROPIC[:-1],
        {"type": "message_delta", "delta": {"stop_reason": stop_reason}},
        {"type": "message_stop"},
    ]

    async with scripted(Script(named(*events))) as server, wired(server.base_urls) as wire:  # type: ignore[arg-type]  # plain JSON
        heard = await wire.ask("anthropic/claude-sonnet-4-6")

    assert (heard.end.finish_reason, heard.end.raw_reason) == (reason, stop_reason)


async def test_anthropic_overloaded_inside_a_200_is_overloaded() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    async with scripted(Script(named(*ANTHROPIC[:8], error))) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("anthropic/claude-sonnet-4-6")

    assert type(heard.error) is Overloaded
    assert heard.text == "Rhine"


@pytest.mark.parametrize(
    ("end", "reason", "error"),
    [
        ({"type": "response.completed", "response": {"status": "completed"}}, FinishReason.STOP, None),
        (
            {
                "type": "response.incomplete",
                "response": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            },
            FinishReason.LENGTH,
            None,
        ),
        (
            {
                "type": "response.incomplete",
                "response": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            },
            FinishReason.CONTENT_FILTER,
            None,
        ),
        ({"type": "response.incomplete", "response": {"status": "incomplete"}}, FinishReason.INCOMPLETE, None),
        (
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "server_error", "message": "x"}},
            },
            None,
            ServerError,
        ),
        (
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "x"}},
            },
            None,
            RateLimited,
        ),
        ({"type": "error", "code": "server_error", "message": "x", "param": None}, None, ServerError),
    ],
)
async def test_responses_end_as_they_say(
    end: dict[str, object], reason: FinishReason | None, error: type[ProviderError] | None
) -> None:
    body = named(
        {"type": "response.created", "response": {"status": "in_progress"}},
        {"type": "response.reasoning_summary_text.delta", "item_id": "r", "summary_index": 0, "delta": "One."},
        {"type": "response.reasoning_summary_text.delta", "item_id": "r", "summary_index": 1, "delta": "Two."},
        {"type": "response.output_text.delta", "delta": "Rhine"},
        {"type": "response.some_future_event", "delta": {"odd": True}},
        end,
    )

    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("gpt-5")

    assert (heard.reasoning, heard.text) == ("One.\n\nTwo.", "Rhine")
    assert (type(heard.error) if heard.error else None) is error
    assert (heard.end.finish_reason if heard.error is None else None) is reason


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", FinishReason.INCOMPLETE),
        ("CONTINUATION", FinishReason.LENGTH),
    ],
)
async def test_geminis_finish_reasons_have_their_meanings(finish: str, reason: FinishReason) -> None:
    body = frames(
        {"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}, {"text": "Rhine"}]}}]},
        {
            "candidates": [{"finishReason": finish}],
            "usageMetadata": {
                "promptTokenCount": 9,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 3,
                "cachedContentTokenCount": 2,
            },
        },
    )

    async with scripted(Script(body)) as server, wired(server.base_urls) as wire:
        heard = await wire.ask("gemini/gemini-2.5-flash")

    assert (heard.reasoning, heard.text) == ("hm", "Rhine")
    assert heard.end.finish_reason is reason
    assert heard.usage == Usage(input=9, cached_input=2, output=7, reasoning=3)


async def test_a_finished_answer_does_not_wait_for_a_server_that_keeps_the_line_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection stays open after the finish reason; the answer is complete all the same."""
    monkeypatch.setattr("workbench.providers.dialogue._AFTERMATH_S", 0.1)
    release = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n\r\n" + frames(TEXT, STOP))
        await release.wait()
        writer.close()

    listener = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with wired({"local": url}) as wire:
        heard = await wire.ask("local/any")
    release.set()
    listener.close()

    assert heard.error is None
    assert heard.text == "Rhine"


async def test_the_base_urls_of_other_habits_work_too(simulator: SimulatorThread) -> None:
    urls = simulator.base_urls
    for name, model, suffix in (
        ("anthropic", "anthropic/claude-sonnet-4-6", "/v1"),
        ("gemini", "gemini/gemini-2.5-flash", "/v1beta"),
        ("openai", "gpt-4o", "/"),
    ):
        async with wired({name: urls[name] + suffix}) as wire:
            assert (await wire.ask(model)).error is None


@models
async def test_what_cannot_be_written_is_never_sent(model: str, wire: Wire, simulator: SimulatorThread) -> None:
    keys = [await wire.ask(model, key=key) for key in ("sim-key-1\n", "sim-kéy-1", " sim-key-1")]
    half = await wire.ask(model, "half a \ud83d character")

    assert [type(heard.error) for heard in keys] == [KeyRejected] * 3
    assert not any("sim-k" in str(heard.error) for heard in keys)
    assert type(half.error) is BadRequest
    assert simulator.call(lambda simulation: simulation.journal.tally().requests) == 0


async def test_a_key_is_optional_where_the_row_says_so(wire: Wire, simulator: SimulatorThread) -> None:
    heard = await wire.ask("local/llama-3.2-3b-instruct", key="")

    assert heard.error is None
    entries = simulator.call(lambda simulation: list(simulation.journal._entries))
    assert "authorization" not in entries[0].headers
