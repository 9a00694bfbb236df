"""`llm-workbench usage`: what was spent and what was saved, by model, day or session."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns

if TYPE_CHECKING:
    from workbench.store.usage import UsageTotal

_S_PER_DAY = 86_400


@click.command("usage")
@click.option("--by", type=click.Choice(["model", "day", "session"]), default="model", show_default=True)
@click.option("--days", type=click.IntRange(1), help="Only the last so many days.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per group and line.")
@config_option
@click.pass_context
def command(ctx: click.Context, by: str, days: int | None, as_json: bool) -> None:
    """Add up recorded answers: requests, tokens, cost, and what caches and batches saved.

    A cost is the sum of the answers whose price is known; + says that others are missing from it.
    """
    totals = asyncio.run(_totals(ctx, by, days))
    if as_json:
        for total in totals:
            click.echo(json.dumps({**asdict(total), "prefix_hit_rate": total.prefix_hit_rate}, ensure_ascii=False))
    elif not totals:
        click.echo("Nothing has been recorded yet.")
    else:
        click.echo(_listing(by, totals))


async def _totals(ctx: click.Context, by: str, days: int | None) -> list[UsageTotal]:
    path = invocation(ctx).paths().database
    if not path.exists():
        return []
    from workbench.core.clock import SystemClock
    from workbench.store.database import Database
    from workbench.store.usage import GroupBy, totals

    since_s = None if days is None else SystemClock().wall().timestamp() - days * _S_PER_DAY
    database = Database(path)
    try:
        return await totals(database, GroupBy(by), since_s=since_s)
    finally:
        await database.aclose()


def _listing(by: str, totals: list[UsageTotal]) -> str:
    rows = [
        (by.upper(), "REQUESTS", "FAILED", "INPUT", "OUTPUT", "COST", "PREFIX HITS", "SAVED: CACHE", "PREFIX", "BATCH")
    ]
    for total in totals:
        rate = total.prefix_hit_rate
        rows.append(
            (
                total.group,
                f"{total.requests:,}",
                f"{total.failed:,}",
                f"{total.input_tokens:,}",
                f"{total.output_tokens:,}",
                _cost(total),
                "—" if rate is None else f"{rate:.0%}",
                _saved(total.saved_response_cache_usd),
                _saved(total.saved_prefix_cache_usd),
                _saved(total.saved_batch_usd),
            )
        )
    return columns(rows, right=frozenset(range(1, 10)))


def _cost(total: UsageTotal) -> str:
    if total.cost_usd is None:
        return "—"
    return f"${total.cost_usd:,.4f}{'+' if total.unpriced else ''}"


def _saved(usd: float) -> str:
    return f"${usd:,.4f}" if usd else "—"
