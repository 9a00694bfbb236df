"""What every benchmark prints: where it ran, percentiles, and a table of figures beside a named peer."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

IN_THE_WAY = ("llm-workbench", "openai", "google-genai", "httpx", "aiohttp", "h2", "litellm")
"""Packages that take part in a request."""


def environment() -> str:
    """One line that says on what kind of machine the figures below were taken."""
    return (
        f"Python {platform.python_version()} · {platform.system()} {platform.machine()} · {os.cpu_count()} cores · "
        f"{'optimised' if sys.flags.optimize else 'plain'} bytecode"
    )


def environment_facts() -> dict[str, object]:
    """The same and more, for a file: what somebody needs to know who repeats a measurement."""
    versions = {}
    for package in IN_THE_WAY:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "optimised": bool(sys.flags.optimize),
        "packages": versions,
    }


def _processor() -> str:
    """As Linux names it; elsewhere what Python knows."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        return platform.processor()


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which that share of all lies, without interpolation; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else math.nan


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table that is also aligned for a terminal; the first `left` columns are left-aligned."""
    widths = [max(len(column), *(len(row[i]) for row in rows), 3) for i, column in enumerate(columns)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 2) if i < left else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    return "\n".join([line(columns), f"|{rule}|", *(line(row) for row in rows)])
