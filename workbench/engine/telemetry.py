"""What an engine tells others while it runs: a page for Prometheus, a file of records, OpenTelemetry.

Opened and closed with the engine, each only where the settings ask for it. What cannot be opened or written is told
once and never ends a request: whoever watches must not disturb what he watches.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from workbench.core.settings import TelemetrySettings
from workbench.engine.engine_stats import EngineStatistics
from workbench.engine.exposition import CONTENT_TYPE, Exposition
from workbench.engine.metrics_endpoint import MetricsEndpoint, parse_address
from workbench.engine.record_lines import record_line
from workbench.engine.records import RequestRecord

if TYPE_CHECKING:
    from workbench.engine.otel import OpenTelemetry

Tell = Callable[[str, str, str], None]
"""Topic, text and hint of a notice."""


class Telemetry:
    """`observe` every record between `open` and `aclose`."""

    def __init__(self, settings: TelemetrySettings, statistics: Callable[[], EngineStatistics], tell: Tell) -> None:
        self._settings = settings
        self._statistics = statistics
        self._tell = tell
        self._exposition: Exposition | None = None
        self._endpoint: MetricsEndpoint | None = None
        self._file: TextIO | None = None
        self._otel: OpenTelemetry | None = None

    @property
    def port(self) -> int | None:
        """Of the page; None where there is none."""
        return None if self._endpoint is None else self._endpoint.port

    async def open(self) -> None:
        """Raises ConfigError for an address that is none, and for OpenTelemetry that is not installed."""
        chosen = self._settings
        address = None if chosen.prometheus is None else parse_address(chosen.prometheus)
        if chosen.otel:
            self._otel = await asyncio.to_thread(_open_otel)
        if chosen.records is not None:
            self._file = await asyncio.to_thread(self._open_file, chosen.records)
        if address is not None:
            await self._open_endpoint(*address)

    async def _open_endpoint(self, host: str, port: int) -> None:
        endpoint = MetricsEndpoint(self._page, CONTENT_TYPE)
        try:
            await endpoint.open(host, port)
        except OSError as exc:
            # A second process of the same person, mostly: the first one has the address.
            said = f"Metrics cannot be served on {host}:{port}: {exc.strerror or exc}."
            self._tell("telemetry-prometheus", said, "Everything else works.")
            return
        self._exposition, self._endpoint = Exposition(), endpoint

    def _open_file(self, name: str) -> TextIO | None:
        path = Path(name).expanduser()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a", encoding="utf-8", buffering=1)
        except OSError as exc:
            said = f"Records cannot be written to {path}: {exc.strerror or exc}."
            self._tell("telemetry-records", said, "Everything else works.")
            return None

    def _page(self) -> str:
        assert self._exposition is not None, "a page is served only where it is fed"
        now = self._statistics()
        return self._exposition.text(now.traffic, now.limits, now.stamp_error_s)

    def observe(self, record: RequestRecord) -> None:
        if self._exposition is not None:
            self._exposition.observe(record)
        if self._file is not None:
            self._write(self._file, record)
        if self._otel is not None:
            self._otel.observe(record)

    def _write(self, file: TextIO, record: RequestRecord) -> None:
        try:
            file.write(json.dumps(record_line(record), ensure_ascii=False) + "\n")
        except OSError as exc:
            self._file = None
            self._tell("telemetry-records", f"Records are written no more: {exc.strerror or exc}.", "")

    async def aclose(self) -> None:
        if self._endpoint is not None:
            await self._endpoint.aclose()
        if self._file is not None:
            self._file.close()
        if self._otel is not None:
            await asyncio.to_thread(self._otel.close)


def _open_otel() -> OpenTelemetry:
    from workbench import __version__
    from workbench.engine.otel import OpenTelemetry

    return OpenTelemetry.from_environment(__version__)
