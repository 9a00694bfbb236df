"""`llm-workbench bench monitor`: what watching costs, at 200 answers in flight with 50 events a second each.

Five apps take turns, each in a process and a 200×50 pseudo-terminal of its own: the workbench with the monitor open,
with the monitor behind another area, with the monitor never opened; the same figures in Textual's own DataTable and
Sparkline; and the load alone. What a screen costs is its app's share of a core beyond that of the load alone, both
without the events themselves: reading the engine is a part of it, on both sides, and both read in the same way,
counters four times a second and times once.
Each side pays for what it shows and for no more. The monitor shows more, the cause that holds up each lane, its order
and the log, so the comparison leans towards the widgets.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import click

from workbench.bench.report import environment, markdown_table
from workbench.bench.ui import in_terminal

KINDS = ("open", "closed", "behind", "widgets", "bare")

Sample = dict[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: a measure, the figure beside it, and what it must reach."""

    measure: str
    ours: float
    unit: str
    peer: float | None
    target: str
    reached: bool
    rounds: int


@click.command("monitor")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seconds", type=float, default=8.0, show_default=True, help="Length of each run.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(rounds: int, seconds: float, as_json: bool) -> None:
    """The monitor beside DataTable and Sparkline, in a real pseudo-terminal."""
    if not as_json:
        click.echo(f"{environment()} · 200×50 · {rounds} rounds of {seconds:g} s · 200 in flight × 50 events/s")
    samples: dict[str, list[Sample]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in KINDS:
            click.echo(f"round {number + 1}: {kind}", err=True)
            samples[kind].append(run(kind, seconds))
    figures = judge(samples)
    if as_json:
        for figure in figures:
            click.echo(json.dumps(asdict(figure)))
    else:
        click.echo(markdown_table(("measure", "monitor", "beside", "target", "reached"), [_row(f) for f in figures]))


def judge(samples: dict[str, list[Sample]]) -> list[Figure]:
    """Medians over the rounds; differences and ratios are taken within a round first."""
    rounds = len(samples["open"])
    cost = [a["cpu"] - b["cpu"] for a, b in zip(samples["open"], samples["bare"], strict=True)]
    peer = [a["cpu"] - b["cpu"] for a, b in zip(samples["widgets"], samples["bare"], strict=True)]
    screen, widgets = median(cost), median(peer)
    frame, key = (median(sample[name] for sample in samples["open"]) for name in ("frame_p95", "key_p95"))
    theirs = {name: median(sample[name] for sample in samples["widgets"]) for name in ("frame_p95", "key_p95")}
    ratio = screen / widgets if widgets > 0 else 1.0
    rows = [
        Figure("screen, share of a core", screen, "share", widgets, "≤ 5%", screen <= 0.05, rounds),
        Figure("the same against DataTable and Sparkline", ratio, "times", None, "≤ 0.4×", ratio <= 0.4, rounds),
        Figure("one frame p95, CPU", frame, "ms", theirs["frame_p95"], "≤ 16.0 ms", frame <= 16, rounds),
        Figure("key to frame p95", key, "ms", theirs["key_p95"], "≤ 50.0 ms", key <= 50, rounds),
    ]
    closed = median(sample["ttft_s"] for sample in samples["closed"])
    for kind in ("open", "behind"):
        seen = median(sample["ttft_s"] for sample in samples[kind])
        off = abs(seen / closed - 1)
        rows.append(
            Figure(f"TTFT of 0.4 s, monitor {kind}", seen * 1e3, "ms", closed * 1e3, "±2%", off <= 0.02, rounds)
        )
    return rows


def run(kind: str, seconds: float) -> Sample:
    """One app's figures."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "sample.json"
        in_terminal([sys.executable, "-m", "workbench.bench.monitor_app", kind, str(seconds), str(result)])
        if not result.exists():
            raise click.ClickException(f"the app with the monitor {kind} ended without a result")
        sample: Sample = json.loads(result.read_text())
        return sample


def _row(figure: Figure) -> tuple[str, ...]:
    return (
        figure.measure,
        _amount(figure.ours, figure.unit),
        "" if figure.peer is None else _amount(figure.peer, figure.unit),
        figure.target,
        "yes" if figure.reached else "no",
    )


def _amount(value: float, unit: str) -> str:
    return f"{value:.1%}" if unit == "share" else f"{value:.2f}×" if unit == "times" else f"{value:.1f} ms"
