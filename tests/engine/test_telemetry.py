"""What leaves an engine about its requests: a page, a file, OpenTelemetry; never a prompt, an answer or a key."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otlp_collector import Collector, attributes

from workbench.core.errors import ConfigError, WorkbenchError
from workbench.core.settings import Settings, TelemetrySettings, load_settings
from workbench.core.types import CacheMode, Message, Request
from workbench.demo import demo_world
from workbench.engine.engine import Engine
from workbench.engine.exposition import Histogram
from workbench.engine.metrics_endpoint import MetricsEndpoint, parse_address
from workbench.engine.otel import OpenTelemetry
from workbench.engine.records import RequestRecord
from workbench.simulator.server import SimulatorThread

SECRET_WORDS = "the colour of my password"
OpenEngine = Callable[[TelemetrySettings], AbstractAsyncContextManager[Engine]]


@pytest.fixture
def opened(tmp_path: Path) -> OpenEngine:
    @asynccontextmanager
    async def open_(telemetry: TelemetrySettings) -> AsyncIterator[Engine]:
        with SimulatorThread(profile="fast") as simulator:
            world = demo_world(simulator, Settings(), tmp_path)
            settings = msgspec.structs.replace(world.settings, telemetry=telemetry)
            async with Engine(settings, environ=world.environ) as engine:
                yield engine

    return open_


def request(model: str = "gpt-4.1-mini", **options: Any) -> Request:
    return Request(model, (Message.user(SECRET_WORDS),), **options)


async def scraped(engine: Engine) -> str:
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{engine._telemetry.port}/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return response.text


async def test_a_scrape_has_counters_histograms_and_gauges(opened: OpenEngine) -> None:
    async with opened(TelemetrySettings(prometheus="127.0.0.1:0")) as engine:
        await engine.complete(request())
        await engine.complete(request())
        await engine.complete(request(cache=CacheMode.OFF))

        page = await scraped(engine)

    model = 'provider="openai",model="gpt-4.1-mini"'
    assert f'llm_workbench_requests_total{{{model},outcome="answered"}} 2\n' in page
    assert f'llm_workbench_requests_total{{{model},outcome="cached"}} 1\n' in page
    assert f'llm_workbench_time_to_first_token_seconds_bucket{{{model},le="+Inf"}} 2\n' in page
    assert f"llm_workbench_time_to_first_token_seconds_count{{{model}}} 2\n" in page
    assert 'llm_workbench_time_to_first_token_error_seconds{quantile="1"} ' in page
    assert 'llm_workbench_in_flight{provider="openai",lane="openai#1 · gpt-4.1-mini"} 0\n' in page
    assert SECRET_WORDS not in page


async def test_the_page_is_well_formed(opened: OpenEngine) -> None:
    async with opened(TelemetrySettings(prometheus="127.0.0.1:0")) as engine:
        await engine.complete(request())
        page = await scraped(engine)

    described: set[str] = set()
    for line in page.splitlines():
        if line.startswith("# TYPE"):
            assert line.split()[2] not in described, "a family comes once"
            described.add(line.split()[2])
        elif not line.startswith("#"):
            name = line.partition("{")[0].partition(" ")[0]
            assert any(name == known or name.startswith(f"{known}_") for known in described)
            float(line.rpartition(" ")[2])


def test_a_histogram_counts_what_is_no_larger() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)

    assert list(histogram.buckets()) == [("1", 2), ("2", 3), ("+Inf", 4)]
    assert (histogram.total, histogram.count) == (12.0, 4)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 200"),
        (b"HEAD / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"HTTP/1.1 405"),
        (b"GET /secrets HTTP/1.1\r\n\r\n", b"HTTP/1.1 404"),
        (b"\r\n\r\n", b"HTTP/1.1 404"),
        (b"x" * 20_000, b""),
    ],
    ids=["get", "head", "post", "elsewhere", "nothing", "far too much"],
)
async def test_the_endpoint_answers_what_a_scraper_asks_and_no_more(sent: bytes, answer: bytes) -> None:
    endpoint = MetricsEndpoint(lambda: "figures\n", "text/plain")
    await endpoint.open("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    try:
        writer.write(sent)
        received = await _rest(reader)
    finally:
        writer.close()
        await endpoint.aclose()

    assert received.startswith(answer)
    assert (b"figures" in received) == sent.startswith(b"GET /metrics")


async def test_closing_does_not_wait_for_a_peer_that_says_nothing() -> None:
    endpoint = MetricsEndpoint(lambda: "", "text/plain")
    await endpoint.open("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port)
    await endpoint.aclose()

    assert await _rest(reader) == b""
    writer.close()


async def test_an_address_that_is_taken_is_told_and_the_engine_works(opened: OpenEngine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with opened(TelemetrySettings(prometheus=address)) as engine:
            answer = await engine.complete(request())
            notices = [notice.topic for notice in engine.statistics().notices]

    assert answer.text
    assert notices == ["telemetry-prometheus"]


@pytest.mark.parametrize("address", ["", "9464", "localhost", "host:port", "h:70000"])
async def test_an_address_that_is_none_is_refused(address: str, opened: OpenEngine) -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:9464"):
        async with opened(TelemetrySettings(prometheus=address)):
            pass


def test_addresses_are_this_machine_s_unless_they_say_otherwise() -> None:
    assert parse_address(":9464") == ("127.0.0.1", 9464)
    assert parse_address("[::1]:80") == ("::1", 80)


def test_a_variable_stands_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[telemetry]\nprometheus = "127.0.0.1:1"\nrecords = "r.jsonl"\n')

    settings = load_settings(file, {"LLM_METRICS": "127.0.0.1:2", "LLM_CONFIG_DIR": str(tmp_path)})

    assert settings.telemetry == TelemetrySettings(prometheus="127.0.0.1:2", records="r.jsonl")


async def test_every_request_that_ends_is_a_line_of_the_file(opened: OpenEngine, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    async with opened(TelemetrySettings(records=str(path))) as engine:
        await engine.complete(request())
        await engine.complete(request())

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["population"], line["provider"]) for line in lines] == [("answered", "openai"), ("cached", "openai")]
    assert lines[0]["ttft_s"] > 0
    # What was not measured is null, never 0.
    assert lines[1]["ttft_s"] is None
    assert not any(word in path.read_text() for word in (SECRET_WORDS, "sim-key"))


async def test_a_file_that_cannot_be_written_is_told_and_the_engine_works(opened: OpenEngine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with opened(TelemetrySettings(records=str(tmp_path / "file" / "records.jsonl"))) as engine:
        answer = await engine.complete(request())
        notices = [notice.topic for notice in engine.statistics().notices]

    assert answer.text
    assert notices == ["telemetry-records"]


class InMemory:
    """OpenTelemetry that keeps what it is sent."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.spans = InMemorySpanExporter()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self.spans))
        self.telemetry = OpenTelemetry(MeterProvider([self.reader]), tracers, lambda: 10**18)

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        found = [metric for one in data.resource_metrics for scope in one.scope_metrics for metric in scope.metrics]
        return {metric.name: list(metric.data.data_points) for metric in found}


async def records_of(opened: OpenEngine, *requests: Request) -> list[RequestRecord]:
    async with opened(TelemetrySettings()) as engine:
        for one in requests:
            await engine.complete(one)
        return list(engine.records)


async def test_answers_become_the_conventions_client_metrics(opened: OpenEngine) -> None:
    kept = InMemory()
    for record in await records_of(opened, request("gemini/gemini-2.5-flash"), request("gemini/gemini-2.5-flash")):
        kept.telemetry.observe(record)

    metrics = kept.metrics()

    assert set(metrics) == {
        "gen_ai.client.operation.duration",
        "gen_ai.client.operation.time_to_first_chunk",
        "gen_ai.client.operation.time_per_output_chunk",
        "gen_ai.client.token.usage",
    }
    # The second one came out of the cache: no operation of a provider.
    (duration,) = metrics["gen_ai.client.operation.duration"]
    assert duration.count == 1
    assert duration.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert {point.attributes["gen_ai.token.type"] for point in metrics["gen_ai.client.token.usage"]} == {
        "input",
        "output",
    }
    kept.telemetry.close()


async def test_a_request_is_a_client_span_without_its_words(opened: OpenEngine) -> None:
    kept = InMemory()
    (record,) = await records_of(opened, request())
    kept.telemetry.observe(record)

    (span,) = kept.spans.get_finished_spans()

    assert (span.name, span.kind.name) == ("chat gpt-4.1-mini", "CLIENT")
    assert span.start_time == record.timing.submitted_ns + 10**18
    assert span.end_time == (record.timing.done_ns or 0) + 10**18
    assert span.attributes is not None
    assert span.attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert span.attributes["server.address"].startswith("127.0.0.1:")  # type: ignore[union-attr]  # a string
    assert SECRET_WORDS not in span.to_json()
    kept.telemetry.close()


async def test_attempts_of_a_request_that_was_sent_again_are_spans_below_it(opened: OpenEngine) -> None:
    kept = InMemory()
    (record,) = await records_of(opened, request())
    twice = (*record.attempts, *record.attempts)
    kept.telemetry.observe(replace(record, attempts=twice))

    spans = kept.spans.get_finished_spans()

    assert [span.name for span in spans] == ["attempt 1", "attempt 1", "chat gpt-4.1-mini"]
    assert all(span.parent is not None and span.parent.span_id == spans[-1].context.span_id for span in spans[:2])
    kept.telemetry.close()


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the other side closes, however it does."""
    received = b""
    try:
        while piece := await reader.read(4096):
            received += piece
    except ConnectionError:
        pass
    return received


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        yield running


async def test_a_collector_has_every_span_and_figure_when_the_engine_is_closed(
    opened: OpenEngine, collector: Collector
) -> None:
    async with opened(TelemetrySettings(otel=True)) as engine:
        results = [await engine.complete(request(cache=CacheMode.OFF)) for _ in range(2)]
        await engine.complete(request("gemini/gemini-2.5-flash"))

    spans = [span for span in collector.spans if attributes(span)["gen_ai.request.model"] == "gpt-4.1-mini"]
    assert [span.name for span in spans] == ["chat gpt-4.1-mini"] * 2
    assert len(collector.spans) == 3
    for span, result in zip(spans, results, strict=True):
        e2e_s, usage, about = result.timing.e2e_s, result.usage, attributes(span)
        assert e2e_s is not None
        assert usage is not None
        # Lengths are those of the stamps, to the nanosecond; where they lie is the wall clock's.
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 == pytest.approx(e2e_s, abs=1e-6)
        assert abs(time.time() - span.end_time_unix_nano / 1e9) < 600
        assert about["gen_ai.provider.name"] == "openai"
        assert about["gen_ai.usage.output_tokens"] == usage.output
        assert about["gen_ai.response.time_to_first_chunk"] == pytest.approx(result.timing.ttft_s)
        assert about["llm_workbench.ttft_error_s"] == pytest.approx(result.timing.ttft_error_ns / 1e9)

    metrics = collector.last_metrics
    points = metrics["gen_ai.client.operation.duration"].histogram.data_points
    assert {attributes(point)["gen_ai.provider.name"]: point.count for point in points} == {
        "openai": 2,
        "gcp.gemini": 1,
    }
    billed = metrics["gen_ai.client.token.usage"].histogram.data_points
    output = next(
        p
        for p in billed
        if attributes(p).items() >= {"gen_ai.provider.name": "openai", "gen_ai.token.type": "output"}.items()
    )
    assert output.sum == sum(result.usage.output for result in results if result.usage is not None)


async def test_a_collector_is_told_who_sends_and_never_what_was_said(opened: OpenEngine, collector: Collector) -> None:
    async with opened(TelemetrySettings(otel=True)) as engine:
        answer = await engine.complete(request())

    resources = collector.resources()
    assert len(resources) >= 2
    for about in resources:
        assert about["service.name"] == "llm-workbench"
        assert about["deployment.environment.name"] == "tests"
    assert all(headers["x-team"] == "blue" for headers in collector.headers)
    sent = b"".join(collector.bodies)
    for secret in (SECRET_WORDS, answer.text, "sim-key"):
        assert secret.encode() not in sent


async def test_a_failed_request_is_a_span_with_its_error(opened: OpenEngine, collector: Collector) -> None:
    async with opened(TelemetrySettings(otel=True)) as engine:
        with pytest.raises(WorkbenchError):
            await engine.complete(request("gpt-no-such-model-was-ever-made"))

    (span,) = collector.spans
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert span.status.message == attributes(span)["error.type"]


def test_closing_waits_for_a_collector_that_does_not_answer_no_longer_than_it_says() -> None:
    gate = threading.Event()
    stuck: Any = SimpleNamespace(shutdown=lambda: gate.wait(60), get_tracer=lambda _: None)
    meters: Any = SimpleNamespace(shutdown=lambda: gate.wait(60), get_meter=MeterProvider().get_meter)

    OpenTelemetry(meters, stuck, lambda: 0).close(patience_s=0.01)

    # Both are still waiting: it is over without them.
    assert not gate.is_set()
    gate.set()


async def test_a_collector_that_is_gone_neither_delays_answers_nor_fails_them(
    opened: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")

    async with opened(TelemetrySettings(otel=True)) as engine:
        answer = await engine.complete(request())

    assert answer.text


async def test_without_the_extra_the_complaint_says_how_to_get_it(
    opened: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.metric_exporter", None)

    with pytest.raises(ConfigError, match=r"llm-workbench\[otel\]"):
        async with opened(TelemetrySettings(otel=True)):
            pass
