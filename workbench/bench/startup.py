"""`llm-workbench bench startup`: what importing, asking for help and opening the workbench cost.

Each figure stands beside a named peer measured in the same run, alternately, so that a slow minute of the machine
slows both: the bare interpreter, and a Textual app of twelve ordinary widgets in the same pseudo-terminal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click

from workbench.bench.interruption import Interruption
from workbench.bench.report import environment, markdown_table
from workbench.bench.terminal import first_paint_s
from workbench.core.paths import CACHE_DIR_VARIABLE, CONFIG_DIR_VARIABLE, DATA_DIR_VARIABLE, STATE_DIR_VARIABLE

PEER_APP = """
from textual.app import App
from textual.widgets import (
    Button, Checkbox, DataTable, Footer, Header, Input, Label, Log, ProgressBar, Select, Static, TextArea,
)


class Peer(App):
    def compose(self):
        yield Header()
        yield Label("a label")
        yield Input()
        yield TextArea()
        yield Button("a button")
        yield Checkbox("a box")
        yield Select([("one", 1)])
        yield DataTable()
        yield ProgressBar()
        yield Log()
        yield Static("PAINTED")
        yield Footer()

    CSS = "TextArea, DataTable, Log { height: 3; }"


Peer().run()
"""
"""Twelve widgets, none of them unusual, nothing done with them."""

PEER_MARKER = b"PAINTED"
OUR_MARKER = b"llm-workbench"


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: medians in seconds. `compared` is the difference or the ratio that the target is about."""

    measure: str
    ours_s: float
    peer: str
    peer_s: float
    compared: float
    unit: str
    target: float

    @property
    def is_met(self) -> bool:
        return self.compared <= self.target


@click.command("startup")
@click.option("--runs", default=7, show_default=True, type=click.IntRange(3), help="How often each is measured.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(runs: int, as_json: bool) -> None:
    """Measure import, --help and first paint against bare Python and a bare Textual app."""
    interruption = Interruption()
    figures = interruption.collect(measure(runs))
    if figures:
        _show(figures, runs, as_json=as_json)
    interruption.exit()


def _show(figures: Sequence[Figure], runs: int, *, as_json: bool) -> None:
    if as_json:
        for figure in figures:
            click.echo(json.dumps({**asdict(figure), "met": figure.is_met}))
        return
    click.echo(environment())
    click.echo(f"Medians of {runs} runs each, alternating.\n")
    click.echo(
        markdown_table(
            ("measure", "ours", "peer", "its own", "compared", "target"),
            [
                (
                    figure.measure,
                    f"{figure.ours_s:.3f} s",
                    figure.peer,
                    f"{figure.peer_s:.3f} s",
                    f"{figure.compared:.3f} {figure.unit}",
                    f"{'met' if figure.is_met else 'MISSED'} ≤ {figure.target} {figure.unit}",
                )
                for figure in figures
            ],
        )
    )


def measure(runs: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="llm-workbench-bench-") as root:
        environ = _bare_environment(Path(root))

        bare, importing = _alternate(
            runs,
            lambda: _process_s(["-c", "pass"], environ),
            lambda: _process_s(["-c", "import workbench"], environ),
        )
        yield Figure("import workbench", importing, "bare interpreter", bare, importing - bare, "s more", 0.10)

        bare, helping = _alternate(
            runs,
            lambda: _process_s(["-c", "pass"], environ),
            lambda: _process_s(["-m", "workbench", "--help"], environ),
        )
        yield Figure("--help", helping, "bare interpreter", bare, helping, "s", 0.20)

        peer_file = Path(root) / "peer.py"
        peer_file.write_text(PEER_APP, encoding="utf-8")
        peer, painting = _alternate(
            runs,
            lambda: first_paint_s([sys.executable, str(peer_file)], PEER_MARKER, environ),
            lambda: first_paint_s([sys.executable, "-m", "workbench"], OUR_MARKER, environ),
        )
        yield Figure("first paint", painting, "Textual, 12 widgets", peer, painting / peer, "×", 1.3)


def _alternate(runs: int, peer: Callable[[], float], ours: Callable[[], float]) -> tuple[float, float]:
    """Medians of both. A first round of each, which fills the disk cache and writes bytecode, does not count."""
    peer(), ours()
    pairs = [(peer(), ours()) for _ in range(runs)]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def _process_s(arguments: list[str], environ: Mapping[str, str]) -> float:
    started_ns = time.perf_counter_ns()
    subprocess.run(  # noqa: S603 - our own interpreter with arguments from above
        [sys.executable, *arguments], env=dict(environ), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True
    )
    return (time.perf_counter_ns() - started_ns) / 1e9


def _bare_environment(root: Path) -> dict[str, str]:
    """No keys, no settings, a terminal with colours: what a new user's first start looks like."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH") if name in os.environ}
    return {
        **kept,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        CONFIG_DIR_VARIABLE: str(root / "config"),
        CACHE_DIR_VARIABLE: str(root / "cache"),
        STATE_DIR_VARIABLE: str(root / "state"),
        DATA_DIR_VARIABLE: str(root / "data"),
    }
