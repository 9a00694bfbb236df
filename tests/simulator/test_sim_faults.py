"""Every fault does what its name says, on every wire that can show it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.simulator.faults import BadFault, Fault, FaultBook, FaultKind, FaultRule, marks_in, parse, split_model
from workbench.simulator.journal import Ending
from workbench.simulator.server import SimulatorThread

QUESTION = "Explain how an event loop works."


@dataclass(frozen=True)
class Wire:
    """How one dialect is asked, and where its text stands."""

    provider: str
    model: str
    path: str
    end: str
    """What the healthy stream's last frame contains."""
    body: dict[str, Any] = field(default_factory=dict)
    line_end: str = "\n"

    def text(self, event: dict[str, Any]) -> str:
        match self.provider:
            case "anthropic":
                return str(event.get("delta", {}).get("text", ""))
            case "gemini":
                parts = (event.get("candidates") or [{}])[0].get("content", {}).get("parts", [])
                return "".join(part.get("text", "") for part in parts)
            case _:
                choices = event.get("choices") or [{}]
                return str(choices[0].get("delta", {}).get("content") or event.get("delta", "") or "")


MESSAGES = {"messages": [{"role": "user", "content": QUESTION}]}
CHAT = Wire("openai", "gpt-4.1", "/chat/completions", "[DONE]", {**MESSAGES, "stream": True})
RESPONSES = Wire("openai", "gpt-4.1", "/responses", "response.completed", {"input": QUESTION, "stream": True})
ANTHROPIC = Wire(
    "anthropic", "claude-sonnet-4-6", "/v1/messages", "message_stop", {**MESSAGES, "max_tokens": 4_000, "stream": True}
)
GEMINI = Wire(
    "gemini",
    "gemini-2.5-flash-lite",
    "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    "STOP",
    {"contents": [{"parts": [{"text": QUESTION}]}]},
    "\r\n",
)
OPENROUTER = Wire("openrouter", "openai/gpt-4.1-mini", "/chat/completions", "[DONE]", {**MESSAGES, "stream": True})
WIRES = [
    pytest.param(CHAT, id="chat"),
    pytest.param(RESPONSES, id="responses"),
    pytest.param(ANTHROPIC, id="anthropic"),
    pytest.param(GEMINI, id="gemini"),
    pytest.param(OPENROUTER, id="openrouter"),
]
every_wire = pytest.mark.parametrize("wire", WIRES)


@dataclass
class Heard:
    status: int
    headers: httpx.Headers
    raw: bytes
    broken: bool

    @property
    def events(self) -> list[dict[str, Any]]:
        lines = self.raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        found = []
        for line in lines:
            data = line.removeprefix("data: ")
            if line.startswith("data: ") and data != "[DONE]":
                try:
                    found.append(json.loads(data))
                except ValueError:
                    found.append({"unreadable": data})
        return found


async def hear(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire, fault: str = "", *, streams: bool = True
) -> Heard:
    headers = {
        "authorization": f"Bearer {simulator.api_key}",
        "x-api-key": simulator.api_key,
        "x-goog-api-key": simulator.api_key,
        "anthropic-version": "2023-06-01",
        "x-sim-fault": fault,
    }
    path, body = wire.path.format(model=wire.model), dict(wire.body)
    if wire.provider != "gemini":
        body["model"] = wire.model
    if not streams:
        body.pop("stream", None)
        path = path.replace("streamGenerateContent?alt=sse", "generateContent")
    url = f"{simulator.base_urls[wire.provider]}{path}"
    async with client.stream("POST", url, headers=headers, json=body) as response:
        raw, broken = b"", False
        try:
            async for chunk in response.aiter_raw():
                raw += chunk
        except httpx.RemoteProtocolError:
            broken = True
    return Heard(response.status_code, response.headers, raw, broken)


def spoken(wire: Wire, heard: Heard) -> list[str]:
    """The text of each event that has any."""
    texts = [
        wire.text(event)
        for event in heard.events
        if event.get("type", "delta").endswith("delta") or event.keys() & {"choices", "candidates"}
    ]
    return [text for text in texts if text]


# --- refusals


STATUSES = [
    (FaultKind.RATE_REQUESTS, 429, 429),
    (FaultKind.RATE_TOKENS, 429, 429),
    (FaultKind.RATE_CONCURRENCY, 429, 429),
    (FaultKind.RATE_DAY, 429, 429),
    (FaultKind.RATE_LIMIT_ZERO, 429, 429),
    (FaultKind.REQUEST_OVER_LIMIT, 429, 429),
    (FaultKind.SPENT, 429, 402),
    (FaultKind.UNAUTHORIZED, 401, 401),
    (FaultKind.FORBIDDEN, 403, 403),
    (FaultKind.NOT_FOUND, 404, 404),
    (FaultKind.TOO_LARGE, 413, 413),
    (FaultKind.UNSUPPORTED, 400, 400),
    (FaultKind.CONTEXT_OVERFLOW, 400, 400),
    (FaultKind.TIMEOUT, 408, 408),
    (FaultKind.CONFLICT, 409, 409),
    (FaultKind.SERVER_ERROR, 500, 500),
    (FaultKind.BAD_GATEWAY, 502, 502),
    (FaultKind.UNAVAILABLE, 503, 503),
    (FaultKind.OVERLOADED, 503, 529),
    (FaultKind.GATEWAY_TIMEOUT, 504, 504),
]


@pytest.mark.parametrize(("kind", "openai_status", "anthropic_status"), STATUSES)
async def test_a_refusal_has_the_providers_status_and_shape(
    simulator: SimulatorThread, client: httpx.AsyncClient, kind: FaultKind, openai_status: int, anthropic_status: int
) -> None:
    chat = await hear(simulator, client, CHAT, kind)
    claude = await hear(simulator, client, ANTHROPIC, kind)

    assert (chat.status, claude.status) == (openai_status, anthropic_status)
    assert json.loads(chat.raw)["error"]["message"]
    assert json.loads(claude.raw)["error"]["type"]
    assert [entry.ending for entry in simulator.requests()] == [Ending.REFUSED] * 2


HINTS = [
    ("seconds", {"retry-after": "1.5"}),
    ("ms", {"retry-after-ms": "1500"}),
    ("none", {}),
    ("text", {}),
    ("absurd", {"retry-after": "-1", "retry-after-ms": "NaN"}),
]


@pytest.mark.parametrize(("hint", "expected"), HINTS)
async def test_a_waiting_time_is_said_in_any_way(
    simulator: SimulatorThread, client: httpx.AsyncClient, hint: str, expected: dict[str, str]
) -> None:
    heard = await hear(simulator, client, CHAT, f"rate-requests;retry_after=1.5;hint={hint}")

    assert {name: value for name, value in heard.headers.items() if name.startswith("retry-after")} == expected
    assert ("try again in 1.5s" in heard.raw.decode()) is (hint == "text")


async def test_a_waiting_time_may_be_a_date(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    heard = await hear(simulator, client, CHAT, "unavailable;retry_after=90;hint=date")

    assert heard.headers["retry-after"].endswith(" GMT")


async def test_gemini_says_it_in_the_body_alone(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    heard = await hear(simulator, client, GEMINI, "rate-requests;retry_after=38.6")

    error = json.loads(heard.raw)["error"]
    assert "retry-after" not in heard.headers
    assert error["details"][-1]["retryDelay"] == "38.6s"
    assert error["message"].endswith("Please retry in 38.6s.")


@pytest.mark.parametrize("kind", ["rate-day", "limit-zero"])
async def test_gemini_names_what_will_not_pass(
    simulator: SimulatorThread, client: httpx.AsyncClient, kind: str
) -> None:
    heard = await hear(simulator, client, GEMINI, kind)

    violation = json.loads(heard.raw)["error"]["details"][0]["violations"][0]
    assert "PerDay" in violation["quotaId"]
    assert (", limit: 0," in heard.raw.decode()) is (kind == "limit-zero")


async def test_the_providers_word_on_retrying_is_passed_on(
    simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    heard = await hear(simulator, client, CHAT, "server-error;should_retry=false")

    assert heard.headers["x-should-retry"] == "false"


async def test_a_poisoned_prompt_fails_with_one_body_every_time(
    simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    first, second = [await hear(simulator, client, CHAT, "poison;message=index out of range") for _ in range(2)]

    assert first.status == 500
    assert first.raw == second.raw


# --- damaged streams


@every_wire
async def test_a_healthy_stream_has_its_end_mark(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire
) -> None:
    heard = await hear(simulator, client, wire)

    assert (heard.status, heard.broken) == (200, False)
    assert heard.headers["content-type"].startswith("text/event-stream")
    assert wire.end in heard.raw.decode().strip().splitlines()[-1]
    assert len(spoken(wire, heard)) > 20


@every_wire
async def test_cut_ends_cleanly_without_the_mark(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire
) -> None:
    heard = await hear(simulator, client, wire, "cut;after=4")

    assert not heard.broken
    assert len(spoken(wire, heard)) == 4
    assert wire.end not in heard.raw.decode()


@every_wire
async def test_drop_breaks_the_connection(simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire) -> None:
    heard = await hear(simulator, client, wire, "drop;after=4")

    assert heard.broken
    assert len(spoken(wire, heard)) <= 4
    assert simulator.requests()[0].ending is Ending.BROKEN


@every_wire
async def test_an_error_comes_inside_the_200(simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire) -> None:
    heard = await hear(simulator, client, wire, "error-event;after=3;message=lost a shard")

    assert heard.status == 200
    assert len(spoken(wire, heard)) == 3
    assert "lost a shard" in json.dumps(heard.events[-1])
    assert "error" in json.dumps(heard.events[-1])


@every_wire
async def test_truncated_json_ends_inside_an_event(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire
) -> None:
    heard = await hear(simulator, client, wire, "truncated-json;after=4")

    assert not heard.broken
    assert len(spoken(wire, heard)) == 4
    assert not heard.raw.endswith(b"\n")


@every_wire
async def test_garbled_json_is_one_bad_event_among_good_ones(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire
) -> None:
    heard = await hear(simulator, client, wire, "garbled-json;after=3")

    assert sum("unreadable" in event for event in heard.events) == 1
    assert len(spoken(wire, heard)) > 20


@every_wire
async def test_empty_is_a_200_and_nothing(simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire) -> None:
    heard = await hear(simulator, client, wire, "empty")

    assert (heard.status, heard.raw, heard.broken) == (200, b"", False)


@every_wire
@pytest.mark.parametrize("streams", [True, False])
async def test_html_is_not_an_api(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire, streams: bool
) -> None:
    heard = await hear(simulator, client, wire, "html", streams=streams)

    assert (heard.status, heard.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert heard.raw.startswith(b"<!DOCTYPE html>")


@every_wire
async def test_reset_sends_not_a_byte(simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        await hear(simulator, client, wire, "reset")


@every_wire
@pytest.mark.parametrize(("kind", "end"), [("crlf", "\r\n"), ("cr", "\r")])
async def test_other_line_ends_carry_the_same_text(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire, kind: str, end: str
) -> None:
    healthy = await hear(simulator, client, wire)
    heard = await hear(simulator, client, wire, kind)

    text = heard.raw.decode()
    assert text.endswith(end + end)
    assert "\n" not in text.replace("\r\n", "") if end == "\r\n" else "\n" not in text
    assert spoken(wire, heard) == spoken(wire, healthy)


@every_wire
@pytest.mark.parametrize("kind", ["split;size=5", "whole", "comments", "pings", "blank-data", "no-final-newline"])
async def test_framing_never_changes_what_is_said(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire, kind: str
) -> None:
    healthy = await hear(simulator, client, wire)
    heard = await hear(simulator, client, wire, kind)

    assert spoken(wire, heard) == spoken(wire, healthy)
    assert heard.raw.endswith(b"\n") is (kind != "no-final-newline")
    assert ((b": keep-alive" in heard.raw) or (b": OPENROUTER" in heard.raw)) is (
        kind == "comments" or wire.provider == "openrouter"
    )
    assert (b"data:\n\n" in heard.raw) is (kind == "blank-data")


@pytest.mark.parametrize("wire", [pytest.param(CHAT, id="chat"), pytest.param(ANTHROPIC, id="anthropic")])
async def test_no_done_leaves_out_only_the_mark(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire
) -> None:
    healthy = await hear(simulator, client, wire)
    heard = await hear(simulator, client, wire, "no-done")

    assert spoken(wire, heard) == spoken(wire, healthy)
    assert heard.raw.count(b"\n\n") == healthy.raw.count(b"\n\n") - 1
    assert wire.end not in heard.raw.decode().splitlines()[-2]


@pytest.mark.parametrize("kind", ["empty-choices", "missing-choices"])
@every_wire
async def test_events_without_a_choice_come_between(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire, kind: str
) -> None:
    healthy = await hear(simulator, client, wire)
    heard = await hear(simulator, client, wire, kind)

    assert spoken(wire, heard) == spoken(wire, healthy)
    assert len(heard.events) >= len(healthy.events) + len(spoken(wire, healthy))


USAGE = [
    pytest.param(CHAT, lambda event: event.get("usage"), id="chat"),
    pytest.param(OPENROUTER, lambda event: event.get("usage"), id="openrouter"),
    pytest.param(ANTHROPIC, lambda event: event.get("type") == "message_delta" and event.get("usage"), id="anthropic"),
    pytest.param(GEMINI, lambda event: event.get("usageMetadata"), id="gemini"),
    pytest.param(RESPONSES, lambda event: (event.get("response") or {}).get("usage"), id="responses"),
]


@pytest.mark.parametrize(("wire", "usage"), USAGE)
async def test_usage_may_be_missing_or_nonsense(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire, usage: Any
) -> None:
    missing = await hear(simulator, client, wire, "usage-missing")
    nonsense = await hear(simulator, client, wire, "usage-nonsense")

    assert not any(usage(event) for event in missing.events)
    assert any(value < 0 for value in usage(nonsense.events[-2 if wire is ANTHROPIC else -1]).values())


async def test_usage_may_ride_on_the_last_chunk_on_every_chunk_or_come_twice(
    simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    last = (await hear(simulator, client, CHAT, "usage-on-last")).events
    every = (await hear(simulator, client, CHAT, "usage-on-every")).events
    twice = (await hear(simulator, client, CHAT, "usage-twice")).events

    assert last[-1]["choices"][0]["finish_reason"] == "stop"
    assert last[-1]["usage"]["completion_tokens"] > 20
    counts = [event["usage"]["completion_tokens"] for event in every if event["choices"][0]["delta"].get("content")]
    assert counts == list(range(1, len(counts) + 1))
    assert twice[-1]["usage"] == twice[-2]["usage"]


@every_wire
async def test_the_answer_may_be_cut_refused_filtered_or_silent(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire
) -> None:
    short = await hear(simulator, client, wire, "length;after=6")
    silent = await hear(simulator, client, wire, "silent")
    filtered = await hear(simulator, client, wire, "content-filter;after=6")

    assert len("".join(spoken(wire, short)).split()) <= 7
    assert spoken(wire, silent) == []
    assert short.raw != filtered.raw
    finished = simulator.requests()[-1]
    assert finished.ending is Ending.COMPLETED


@every_wire
@pytest.mark.parametrize("kind", ["truncated-json", "drop", "empty", "garbled-json"])
async def test_whole_answers_are_damaged_too(
    simulator: SimulatorThread, client: httpx.AsyncClient, wire: Wire, kind: str
) -> None:
    heard = await hear(simulator, client, wire, kind, streams=False)

    assert heard.status == 200
    assert heard.broken is (kind == "drop")
    with pytest.raises(ValueError):
        json.loads(heard.raw)


# --- who gets them


async def test_a_models_suffix_asks_for_a_fault(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    from dataclasses import replace

    heard = await hear(simulator, client, replace(CHAT, model="gpt-4.1!cut;after=2"))

    assert len(spoken(CHAT, heard)) == 2
    assert simulator.requests()[0].model == "gpt-4.1"


async def test_a_mark_in_the_prompt_asks_for_a_fault(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    from dataclasses import replace

    asked = {"stream": True, "messages": [{"role": "user", "content": f"{QUESTION} [sim:overloaded]"}]}

    assert (await hear(simulator, client, replace(CHAT, body=asked))).status == 503


async def test_a_fault_nobody_knows_is_a_400_that_lists_them(
    simulator: SimulatorThread, client: httpx.AsyncClient
) -> None:
    heard = await hear(simulator, client, CHAT, "gremlins")

    assert heard.status == 400
    assert "truncated-json" in heard.raw.decode()


async def test_a_rule_strikes_as_often_as_it_says(simulator: SimulatorThread, client: httpx.AsyncClient) -> None:
    simulator.set_faults(FaultRule(parse("unavailable"), provider="openai", model="gpt-4*", count=2, skip=1))

    statuses = [(await hear(simulator, client, CHAT)).status for _ in range(5)]
    elsewhere = (await hear(simulator, client, ANTHROPIC)).status

    assert statuses == [200, 503, 503, 200, 200]
    assert elsewhere == 200


def test_chance_depends_on_the_seed_and_the_order_alone() -> None:
    def struck(seed: int) -> list[bool]:
        book = FaultBook(seed, [FaultRule(parse("cut"), probability=0.3)])
        return [bool(book.strike("openai", "gpt-4.1", "k")) for _ in range(200)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
    assert 30 < sum(struck(1)) < 90


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "after": st.integers(0, 500),
        "seconds": st.floats(0, 1e4),
        "retry_after": st.floats(0, 1e4),
        "status": st.integers(400, 599),
        "should_retry": st.booleans(),
        "hint": st.sampled_from(["seconds", "ms", "date"]),
    },
)


@given(
    st.lists(st.builds(lambda kind, options: Fault(kind, **options), st.sampled_from(FaultKind), OPTIONS), max_size=4)
)
def test_a_faults_spec_reads_back_as_itself(faults: list[Fault]) -> None:
    assert parse(",".join(fault.spec() for fault in faults)) == tuple(faults)


@pytest.mark.parametrize("spec", ["nothing-like-it", "cut;when=3", "cut;after", "cut;after=soon"])
def test_a_spec_that_means_nothing_is_an_error(spec: str) -> None:
    with pytest.raises(BadFault):
        parse(spec)


def test_names_and_prompts_are_split_from_their_faults() -> None:
    assert split_model("gpt-4.1!cut;after=2") == ("gpt-4.1", "cut;after=2")
    assert split_model("gpt-4.1") == ("gpt-4.1", "")
    assert marks_in("a [sim:cut] b [sim:crlf;size=2]") == "cut,crlf;size=2"
