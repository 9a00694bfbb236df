"""`llm-workbench bench …`: every comparison that the README makes, to be repeated on any machine."""

from __future__ import annotations

import click

from workbench.cli.lazy import LazyGroup

BENCHMARKS = {
    "startup": ("workbench.bench.startup", "Import, --help and first paint against bare Python and bare Textual."),
    "wire": ("workbench.bench.wire", "Reading streams, against the SDKs' own readers and a raw socket."),
    "library": ("workbench.bench.library", "Lists of prompts and cache hits, against raw clients and litellm."),
    "batch": ("workbench.bench.batch", "A large batch from file to answers: time, memory, stalls, against the SDK."),
    "routes": ("workbench.bench.routes", "HTTP/1.1, HTTP/2 and aiohttp, for each provider row."),
    "ui": ("workbench.bench.ui", "Streaming panes, against Textual's own Markdown stream."),
    "monitor": ("workbench.bench.monitor", "The monitor, against the same figures in DataTable and Sparkline."),
    "load": ("workbench.bench.load", "A model under load: TTFT, TPOT, throughput and goodput, with a report."),
    "metrics": ("workbench.bench.metrics", "What measuring costs, against keeping every value and sorting."),
    "limits": ("workbench.bench.limits", "The limiter, against other ways of finding a provider's limits."),
}


@click.group("bench", cls=LazyGroup, lazy=BENCHMARKS)
def command() -> None:
    """Measure the workbench against named peers, interleaved in one run.

    Believe the ratios, not the absolute figures: those belong to the machine.
    """
