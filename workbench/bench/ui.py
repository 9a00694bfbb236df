"""`llm-workbench bench ui`: what streaming panes cost, beside Textual's own `Markdown.get_stream()`.

Every run is an app in a process and a 200×50 pseudo-terminal of its own, its output drained; the two kinds take turns,
so that a slow minute of the machine slows both. Figures are medians over the rounds, ratios are medians of the ratios
within a round. What needs a long text is measured in one app, one after the other: the peer takes a dozen seconds to
load it. No app is waited for once its figures are there: the peer takes twenty more to take its widgets down.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TypeAlias

import click

from workbench.bench.interruption import Interruption
from workbench.bench.report import environment, markdown_table

LINES, COLUMNS = 50, 200
PATIENCE_S = 180.0

Samples: TypeAlias = list[dict[str, float]]
"""Of one run, in the order of its scenarios."""


@dataclass(frozen=True, slots=True)
class Scenario:
    title: str
    task: str
    panes: int
    rate: float
    preload: int

    @property
    def is_long(self) -> bool:
        """The peer takes long to load so much text: it gets one round, and none in a quick look."""
        return self.preload > 8_000


@dataclass(frozen=True, slots=True)
class Target:
    measure: str
    most: float | None = None
    """In the measure's unit."""
    ratio: float | None = None
    """Of the peer's figure in the same round."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: a measure of ours beside the peer's, with the target for it."""

    scenario: str
    measure: str
    unit: str
    ours: float
    peer: float | None
    ratio: float | None
    target: str
    reached: bool | None
    """None where there is no target."""
    rounds: int


FOUR = Scenario("4 × 100 tok/s", "feed", 4, 100, 1_000)
EIGHT = Scenario("8 × 100 tok/s", "feed", 8, 100, 1_000)
AFTER_1K = Scenario("1 × 50 tok/s after 1,000", "feed", 1, 50, 1_000)
AFTER_8K = Scenario("1 × 50 tok/s after 8,000", "feed", 1, 50, 8_000)
AFTER_32K = Scenario("1 × 50 tok/s after 32,000", "feed", 1, 50, 32_000)
OPEN = Scenario("open 32,000 tokens", "open", 1, 0, 32_000)
RESIZE = Scenario("resize 32,000 tokens", "resize", 1, 0, 32_000)

TARGETS: dict[Scenario, tuple[Target, ...]] = {
    FOUR: (
        Target("lag_p50"),
        Target("lag_p95", 10, 0.10),
        Target("lag_p99"),
        Target("cpu", 0.35, 0.45),
        Target("delay_p95"),
    ),
    EIGHT: (
        Target("lag_p95", 20, 0.15),
        Target("lag_p99"),
        Target("cpu"),
        Target("delay_p95", 150),
        Target("backlog"),
    ),
    AFTER_1K: (Target("cpu"), Target("lag_p95")),
    AFTER_8K: (Target("cpu"), Target("lag_p95")),
    OPEN: (Target("first_frame", None, 0.10),),
    AFTER_32K: (Target("cpu", None, 0.25), Target("lag_p95")),
    RESIZE: (Target("first_frame", 50),),
}
SITTINGS = ((FOUR,), (EIGHT,), (AFTER_1K,), (AFTER_8K,), (OPEN, AFTER_32K, RESIZE))
"""What one app goes through, with as many panes and as much text in all of it."""

UNITS = {"cpu": "of a core", "backlog": "tokens"}
NAMES = {
    "cpu": "CPU",
    "lag_p50": "loop lag p50",
    "lag_p95": "loop lag p95",
    "lag_p99": "loop lag p99",
    "delay_p95": "token to screen p95",
    "backlog": "backlog at the end",
    "first_frame": "first frame",
}
FLAT = 1.5
"""CPU after 32,000 tokens may be at most so many times that after 1,000."""


@click.command("ui")
@click.option("--quick", is_flag=True, help="One short round; nothing that takes the peer minutes.")
@click.option("--rounds", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--seconds", type=float, default=4.0, show_default=True, help="Length of each run.")
@click.option("--ours", "alone", is_flag=True, help="Leave the peer out.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def command(quick: bool, rounds: int, seconds: float, alone: bool, as_json: bool) -> None:
    """Streaming panes beside Textual's Markdown.get_stream(), in a real pseudo-terminal."""
    if quick:
        rounds, seconds = 1, 3.0
    if not as_json:
        click.echo(f"{environment()} · {COLUMNS}×{LINES} · {rounds} rounds of {seconds:g} s")
    interruption = Interruption()
    rows = interruption.collect(_told(measure(rounds, seconds, quick=quick, alone=alone), as_json=as_json))
    if not as_json:
        click.echo(
            markdown_table(("scenario", "measure", "ours", "get_stream", "ratio", "target", "reached"), rows, left=2)
        )
    interruption.exit()


def _told(figures: Iterable[Figure], *, as_json: bool) -> Iterator[tuple[str, ...]]:
    """Their rows; each is said, or printed for a program, as soon as it is known."""
    for figure in figures:
        click.echo(f"{figure.scenario}: {figure.measure}", err=True)
        if as_json:
            click.echo(json.dumps(asdict(figure)))
        yield _row(figure)


def measure(rounds: int, seconds: float, *, quick: bool = False, alone: bool = False) -> Iterator[Figure]:
    """The figures of every scenario, each as soon as it is there."""
    flat: dict[Scenario, float] = {}
    for sitting in SITTINGS:
        peer_rounds = 0 if alone else _peer_rounds(sitting, rounds, quick=quick)
        ours: list[Samples] = []
        peers: list[Samples] = []
        for number in range(rounds):
            ours.append(_run("ours", sitting, seconds))
            if number < peer_rounds:
                peers.append(_run("stream", sitting, seconds))
        for number, scenario in enumerate(sitting):
            mine, theirs = [samples[number] for samples in ours], [samples[number] for samples in peers]
            for target in TARGETS[scenario]:
                yield _figure(scenario, target, mine, theirs)
            flat[scenario] = median(sample["cpu"] for sample in mine)
    growth = flat[AFTER_32K] / flat[AFTER_1K]
    yield Figure("32,000 against 1,000", "CPU", "times", growth, None, None, f"≤ {FLAT}", growth <= FLAT, rounds)


def _peer_rounds(sitting: Sequence[Scenario], rounds: int, *, quick: bool) -> int:
    """A figure of the peer's that nothing is held against is good enough from one round."""
    if any(scenario.is_long for scenario in sitting):
        return 0 if quick else 1
    is_held_against = any(target.ratio is not None for scenario in sitting for target in TARGETS[scenario])
    return rounds if is_held_against else 1


def _figure(scenario: Scenario, target: Target, ours: list[dict[str, float]], peers: list[dict[str, float]]) -> Figure:
    name = target.measure
    mine = median(sample[name] for sample in ours)
    theirs = median(sample[name] for sample in peers) if peers else None
    ratios = [a[name] / b[name] for a, b in zip(ours, peers, strict=False) if b[name]]
    ratio = median(ratios) if ratios else None
    words = []
    checks = []
    if target.most is not None:
        words.append(f"≤ {_amount(name, target.most)}")
        checks.append(mine <= target.most)
    if target.ratio is not None:
        words.append(f"≤ {target.ratio}×")
        if ratio is not None:
            checks.append(ratio <= target.ratio)
    unit = UNITS.get(name, "ms")
    reached = all(checks) if checks else None
    return Figure(scenario.title, NAMES[name], unit, mine, theirs, ratio, ", ".join(words), reached, len(ours))


def _row(figure: Figure) -> tuple[str, ...]:
    name = next((name for name, title in NAMES.items() if title == figure.measure), "")
    return (
        figure.scenario,
        figure.measure,
        f"{figure.ours:.2f}×" if figure.unit == "times" else _amount(name, figure.ours),
        "" if figure.peer is None else _amount(name, figure.peer),
        "" if figure.ratio is None else f"{figure.ratio:.2f}×",
        figure.target,
        "" if figure.reached is None else "yes" if figure.reached else "no",
    )


def _amount(measure: str, value: float) -> str:
    match UNITS.get(measure, "ms"):
        case "of a core":
            return f"{value:.0%}"
        case "tokens":
            return f"{value:.0f}"
        case _:
            return f"{value:.1f} ms"


def _run(kind: str, sitting: Sequence[Scenario], seconds: float) -> Samples:
    """One run in a process and a terminal of its own; a sample for each scenario."""
    job = {
        "kind": kind,
        "tasks": [scenario.task for scenario in sitting],
        "panes": sitting[0].panes,
        "rate": max(scenario.rate for scenario in sitting),
        "preload": sitting[0].preload,
        "seconds": seconds,
    }
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "samples.json"
        in_terminal([sys.executable, "-m", "workbench.bench.ui_app", json.dumps(job), str(result)], until=result)
        if not result.exists():
            raise click.ClickException(f"{sitting[0].title}: the {kind} app ended without a result")
        samples: Samples = json.loads(result.read_text())
        return samples


def in_terminal(command: list[str], *, until: Path | None = None) -> None:
    """Run a command in a pseudo-terminal and read what it writes, as fast as it comes.

    Args:
        until: a file that it makes when its work is done; its end is not waited for then.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environ = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdin=slave, stdout=slave, stderr=slave, env=environ, start_new_session=True
    )
    os.close(slave)
    deadline = time.monotonic() + PATIENCE_S
    try:
        while process.poll() is None and time.monotonic() < deadline:
            if until is not None and until.exists():
                return
            if select.select([master], [], [], 0.2)[0]:
                try:
                    os.read(master, 1 << 16)
                except OSError:
                    # Linux reports the end of a pseudo-terminal as an I/O error.
                    break
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)
