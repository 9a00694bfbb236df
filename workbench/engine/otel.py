"""Requests as OpenTelemetry's GenAI metrics and spans, by the names that its conventions have for clients.

Made from a record when a request has ended, so a span costs the stream nothing. Figures and names only: what was
asked and answered is in no record. Needs the extra `otel`, and imports it when it is opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING

from workbench.core.clock import NS_PER_S
from workbench.core.errors import ConfigError
from workbench.engine.records import AttemptRecord, Population, RequestRecord

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

SCOPE = "llm-workbench"

CLOSING_S = 3.0

# The conventions' own advice for each histogram.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4**power for power in range(14))

_PROVIDERS = {"gemini": "gcp.gemini", "azure": "azure.ai.openai", "xai": "x_ai", "mistral": "mistral_ai"}
"""Names of our rows where the conventions have another."""

Attributes = dict[str, str | int | float | bool | tuple[str, ...]]


class OpenTelemetry:
    """Sends what `observe` is given; `close` sends the rest, waiting for `CLOSING_S` at most."""

    def __init__(self, meters: MeterProvider, tracers: TracerProvider, epoch_offset_ns: Callable[[], int]) -> None:
        """`epoch_offset_ns`: what to add to a monotonic stamp to get nanoseconds since the epoch."""
        self._meters = meters
        self._tracers = tracers
        self._offset_ns = epoch_offset_ns
        self._tracer = tracers.get_tracer(SCOPE)
        meter = meters.get_meter(SCOPE)

        def histogram(name: str, unit: str, description: str, bounds: tuple[float, ...]) -> Callable[..., None]:
            made = meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=bounds)
            return made.record

        self._duration = histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration.", _SECONDS)
        self._first_chunk = histogram(
            "gen_ai.client.operation.time_to_first_chunk", "s", "From writing the request to the first chunk.", _SECONDS
        )
        self._per_chunk = histogram(
            "gen_ai.client.operation.time_per_output_chunk", "s", "Mean of each answer after its first chunk.", _SECONDS
        )
        self._tokens = histogram("gen_ai.client.token.usage", "{token}", "Tokens that are billed.", _TOKENS)

    @classmethod
    def from_environment(cls, version: str) -> OpenTelemetry:
        """Exporters as the `OTEL_*` variables have them. Raises ConfigError without the extra. Imports for a second."""
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as exc:
            raise ConfigError(
                "telemetry.otel is on, and OpenTelemetry is not installed.",
                hint='Install it with: pip install "llm-workbench[otel]"',
            ) from exc
        resource = Resource.create({"service.name": SCOPE, "service.version": version})
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        # A clock step moves spans, never spans' lengths.
        return cls(meters, tracers, lambda: time.time_ns() - time.monotonic_ns())

    def observe(self, record: RequestRecord) -> None:
        if record.population in (Population.CACHED, Population.SHARED) or record.route is None:
            return
        about = _about(record)
        timing = record.timing
        if timing.e2e_s is not None:
            self._duration(timing.e2e_s, about)
        if timing.ttft_s is not None:
            self._first_chunk(timing.ttft_s, about)
            if record.chunks > 1 and timing.last_token_ns is not None and timing.first_token_ns is not None:
                span_ns = timing.last_token_ns - timing.first_token_ns
                self._per_chunk(span_ns / NS_PER_S / (record.chunks - 1), about)
        if record.usage is not None:
            self._tokens(max(0, record.usage.input), {**about, "gen_ai.token.type": "input"})
            self._tokens(max(0, record.usage.output), {**about, "gen_ai.token.type": "output"})
        self._trace(record, about)

    def _trace(self, record: RequestRecord, about: Attributes) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

        offset_ns, timing = self._offset_ns(), record.timing
        name = f"{about['gen_ai.operation.name']} {about['gen_ai.request.model']}"
        span: Span = self._tracer.start_span(
            name,
            kind=SpanKind.CLIENT,
            attributes={**about, **_details(record)},
            start_time=timing.submitted_ns + offset_ns,
        )
        if record.error:
            span.set_status(Status(StatusCode.ERROR, record.error))
        if len(record.attempts) > 1:
            # One attempt would only repeat its request.
            parent = set_span_in_context(span)
            for attempt in record.attempts:
                child = self._tracer.start_span(
                    f"attempt {attempt.number}",
                    parent,
                    attributes=_attempt(attempt),
                    start_time=attempt.admitted_ns + offset_ns,
                )
                if attempt.error:
                    child.set_status(Status(StatusCode.ERROR, attempt.error))
                child.end(attempt.ended_ns + offset_ns)
        span.end((timing.done_ns or timing.submitted_ns) + offset_ns)

    def close(self, patience_s: float = CLOSING_S) -> None:
        """Blocks while it sends: not for the event loop."""
        # An exporter whose collector is gone tries again for ten seconds, which nobody who quits should wait for. What
        # still tries then ends by itself, or with the process.
        deadline_s = time.monotonic() + patience_s
        closing = [Thread(target=part.shutdown, daemon=True) for part in (self._tracers, self._meters)]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(max(0.0, deadline_s - time.monotonic()))


def _about(record: RequestRecord) -> Attributes:
    """What metrics are told apart by: few values each."""
    assert record.route is not None, "a request without a route is not told"
    about: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _PROVIDERS.get(record.route.provider, record.route.provider),
        "gen_ai.request.model": record.route.wire_model,
        "server.address": record.route.base_url.partition("://")[2].partition("/")[0].rpartition("@")[2],
    }
    if record.error:
        about["error.type"] = record.error
    return about


def _details(record: RequestRecord) -> Attributes:
    """What belongs to one request."""
    timing, usage = record.timing, record.usage
    details: Attributes = {"llm_workbench.population": record.population.value}
    if record.finish_reason is not None:
        details["gen_ai.response.finish_reasons"] = (record.finish_reason.value,)
    if usage is not None:
        details |= {
            "gen_ai.usage.input_tokens": usage.input,
            "gen_ai.usage.output_tokens": usage.output,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_input,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning,
        }
    measured = {
        "gen_ai.response.time_to_first_chunk": timing.ttft_s,
        "llm_workbench.queue_s": timing.queue_s,
        "llm_workbench.retry_wait_s": timing.retry_wait_ns / NS_PER_S,
        "llm_workbench.ttft_error_s": timing.ttft_error_ns / NS_PER_S if timing.ttft_s is not None else None,
        "llm_workbench.stamp_error_s": timing.stamp_error_ns / NS_PER_S,
        "llm_workbench.cost_usd": record.cost_usd,
    }
    return details | {name: value for name, value in measured.items() if value is not None}


def _attempt(attempt: AttemptRecord) -> Attributes:
    about: Attributes = {"llm_workbench.outcome": attempt.outcome.value, "llm_workbench.fresh": attempt.fresh}
    if attempt.key_alias is not None:
        about["llm_workbench.key"] = attempt.key_alias
    if attempt.status is not None:
        about["http.response.status_code"] = attempt.status
    return about
