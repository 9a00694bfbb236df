"""`llm-workbench bench limits`: how much of a provider's limit a client uses, and how often it is refused for that.

The product's own limiter beside fixed concurrency and three adaptive ones, on the same seeded workload against the same
quota models, in virtual time: an hour of traffic takes a second. `--live` does a shorter run over HTTP, through the
whole engine, against the simulator in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import product

import click

from workbench.bench.interruption import Interruption
from workbench.bench.limits_cost import CostRow, cost_rows
from workbench.bench.limits_run import (
    IN_FLIGHT,
    PACED,
    POLICIES,
    RPM,
    TPM,
    WARM_UP_S,
    WORKLOADS,
    Openness,
    Regime,
    Row,
    run_cell,
)
from workbench.bench.report import environment, markdown_table
from workbench.cli.options import FiniteRange
from workbench.core.terminal import redraws

HEADINGS = {Regime.TPM: "TPM", Regime.RPM: "RPM", Regime.IN_FLIGHT: "in flight"}
SAYS = {Openness.ON: "headers", Openness.HIDDEN: "why and when", Openness.NONE: "429"}
"""What there is to go by: headers on every answer, the reason and the wait in a refusal, or nothing."""


@click.command("limits")
@click.option(
    "--keys", type=click.IntRange(1, 64), multiple=True, help="Keys of separate accounts.  [default: 1 and 3]"
)
@click.option("--regime", type=click.Choice([r.value for r in Regime]), multiple=True, help="Which limit binds.")
@click.option(
    "--headers", type=click.Choice([o.value for o in Openness]), multiple=True, help="What the provider says."
)
@click.option(
    "--minutes",
    type=FiniteRange(0.5, 600),
    help="Measured, after 5 in which limits are learnt.  [default: 10; with --live 12 s after 6 s]",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--cost", is_flag=True, help="Only what the limiter itself costs.")
@click.option("--live", is_flag=True, help="Over HTTP, through the engine, in real time.")
@click.option("--json", "as_json", is_flag=True, help="One object per row.")
def command(
    keys: tuple[int, ...],
    regime: tuple[str, ...],
    headers: tuple[str, ...],
    minutes: float | None,
    seed: int,
    cost: bool,
    live: bool,
    as_json: bool,
) -> None:
    """Compare ways of keeping within limits that one has to find.

    One key allows 600 requests and 100,000 tokens per minute, and 48 calls at once; an endless backlog waits.
    """
    if cost and (keys or regime or headers or minutes is not None or live):
        raise click.UsageError("--cost goes alone: what the limiter costs depends on none of the others.")
    if cost:
        costs = asyncio.run(cost_rows())
        for line in [json.dumps(row.as_dict()) for row in costs] if as_json else [environment(), costs_table(costs)]:
            click.echo(line)
        return
    regimes = [Regime(name) for name in regime] or list(Regime)
    openness = [Openness(name) for name in headers] or list(Openness)
    interruption = Interruption()
    if live:
        from workbench.bench.limits_live import SHORT, Spans, run_live

        said = openness if headers else [Openness.ON]
        spans = SHORT if minutes is None else Spans(WARM_UP_S, minutes * 60)
        rows: list[Row] = []
        try:
            asyncio.run(run_live(regimes, said, keys or (1,), rows.append, seed=seed, spans=spans))
        except KeyboardInterrupt:
            interruption.tell()
    else:
        measured_s = (minutes or 10) * 60
        rows = interruption.collect(_rows(regimes, openness, keys or (1, 3), seed=seed, measured_s=measured_s))
    if as_json:
        for row in rows:
            click.echo(json.dumps(row.as_dict()))
    elif rows:
        _show(rows, regimes)
        if not live and not interruption.came:
            click.echo("\n" + costs_table(asyncio.run(cost_rows())))
    interruption.exit()


def _show(rows: Sequence[Row], regimes: Sequence[Regime]) -> None:
    click.echo(environment())
    click.echo(f"One key: {RPM} requests/min, {TPM:,} tokens/min, {IN_FLIGHT} in flight. {_legend(regimes)}\n")
    click.echo(table(rows))


def _rows(
    regimes: Sequence[Regime], openness: Sequence[Openness], keys: Sequence[int], *, seed: int, measured_s: float
) -> Iterator[Row]:
    cells = list(product(POLICIES, openness, regimes, keys))
    same: dict[tuple[str, Regime, int], Row] = {}
    for done, (policy, says, regime, count) in enumerate(cells, start=1):
        if redraws(sys.stderr):
            click.echo(f"\r\x1b[K{done}/{len(cells)} {policy} {regime} {says} ", nl=done == len(cells), err=True)
        # The others read no headers: with and without them is the same run.
        blind = policy != PACED.name and says is not Openness.NONE
        row = same.get((policy, regime, count)) if blind else None
        if row is None:
            heard = Openness.HIDDEN if blind else says
            row = run_cell(policy, regime, heard, count, seed=seed, measured_s=measured_s)
            if blind:
                same[policy, regime, count] = row
        yield row.said(says)


def table(rows: Sequence[Row]) -> str:
    """A line per number of keys, policy and kind of provider; a column per regime."""
    regimes = list(dict.fromkeys(row.regime for row in rows))
    lines: dict[tuple[int, str, Openness], dict[Regime, Row]] = {}
    for row in sorted(rows, key=lambda row: row.keys):
        lines.setdefault((row.keys, row.policy, row.headers), {})[row.regime] = row
    body: list[list[str]] = []
    previous: tuple[int, str, list[tuple[float, ...]]] | None = None
    for (keys, policy, says), cells in lines.items():
        this = (keys, policy, [row.figures for row in cells.values()])
        if this == previous:
            body[-1][2] = "any of these"
        else:
            body.append(
                [POLICIES[policy].title, str(keys), SAYS[says], *(_cell(cells.get(regime)) for regime in regimes)]
            )
        previous = this
    return markdown_table(["policy", "keys", "told", *(HEADINGS[regime] for regime in regimes)], body, left=3)


def costs_table(rows: Sequence[CostRow]) -> str:
    body = [[row.cost, f"{row.value:.1f} {row.unit}", f"{row.target:g} {row.unit}"] for row in rows]
    return markdown_table(["admitting and settling", "takes", "at most"], body, left=1)


def _cell(row: Row | None) -> str:
    if row is None:
        return "–"
    lost = f" · {row.lost} lost" if row.lost else ""
    return f"{row.share:.1%} · {row.refused:.2%} · {row.p50_s:.1f}/{row.p95_s:.1f} s{lost}"


def _legend(regimes: Sequence[Regime]) -> str:
    loads = "; ".join(f"{HEADINGS[regime]}: {WORKLOADS[regime].name}" for regime in regimes)
    return f"Requests of {loads}.\nShare of the binding limit · attempts refused · p50/p95 from first send to answer."
