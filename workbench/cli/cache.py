"""`llm-workbench cache`: what the response cache holds, and getting rid of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from heapq import nlargest
from typing import TYPE_CHECKING

import click

from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns

if TYPE_CHECKING:
    from workbench.engine.cache_holdings import Entry, Holdings

_S_PER = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EXCERPT = 50


@click.group("cache")
def command() -> None:
    """Look into the response cache, tidy it up, or take it elsewhere."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@config_option
@click.pass_context
def stats(ctx: click.Context, as_json: bool) -> None:
    """How much there is, of which models, and what it would cost to ask again."""
    with _holdings(ctx) as holdings:
        found = holdings.statistics() if holdings else None
    directory = invocation(ctx).paths().responses
    if as_json:
        shown = {
            "directory": str(directory),
            "entries": found.entries if found else 0,
            "unreadable": found.unreadable if found else 0,
            "size_bytes": found.size_bytes if found else 0,
            "oldest_s": found.oldest_s if found else None,
            "newest_s": found.newest_s if found else None,
            "worth_usd": found.worth_usd if found else 0.0,
            "by_model": dict(found.by_model) if found else {},
        }
        click.echo(json.dumps(shown))
        return
    if found is None or not (found.entries or found.unreadable):
        click.echo(f"Nothing is stored in {directory}.")
        return
    rows = [
        ("directory", str(directory)),
        ("answers", f"{found.entries:,}"),
        ("size", f"{found.size_bytes / 1e6:,.1f} MB"),
        ("from", f"{_when(found.oldest_s)} to {_when(found.newest_s)}"),
        ("worth", f"${found.worth_usd:,.4f}"),
    ]
    if found.unreadable:
        rows.append(("unreadable", f"{found.unreadable:,} (prune removes them)"))
    click.echo(columns(rows))
    click.echo()
    click.echo(columns([("MODEL", "ANSWERS"), *((name, f"{n:,}") for name, n in found.by_model)], right=frozenset({1})))


@command.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.option("--model", metavar="TEXT", help="Only of models whose name holds this.")
@config_option
@click.pass_context
def list_(ctx: click.Context, limit: int, model: str | None) -> None:
    """The latest answers, newest first."""
    from workbench.core.text import strip_control

    with _holdings(ctx) as holdings:
        entries = (entry for entry in holdings.entries() if _is_of(entry, model)) if holdings else iter(())
        latest = nlargest(limit, entries, key=lambda entry: entry.answer.stored_at_s)
    if not latest:
        click.echo("Nothing is stored.")
        return
    rows = [("KEY", "WHEN", "MODEL", "COST", "ANSWER")]
    for entry in latest:
        answer = entry.answer
        cost = "—" if answer.cost_usd is None else f"${answer.cost_usd:.4f}"
        words = " ".join(strip_control(answer.text).split())[:_EXCERPT]
        rows.append((entry.key[:12], _when(answer.stored_at_s), answer.model or "unknown", cost, words))
    click.echo(columns(rows, right=frozenset({3})))


@command.command()
@click.option("--older-than", metavar="AGE", help="30m, 12h, 7d, 4w.")
@click.option("--model", metavar="TEXT", help="Only of models whose name holds this.")
@config_option
@click.pass_context
def prune(ctx: click.Context, older_than: str | None, model: str | None) -> None:
    """Delete old answers or those of one model, and everything unreadable."""
    if older_than is None and model is None:
        raise click.UsageError("Say what should go: --older-than AGE, --model TEXT, or both.", ctx)
    from workbench.core.clock import SystemClock

    before_s = None if older_than is None else SystemClock().wall().timestamp() - _age_s(older_than)

    def unwanted(entry: Entry) -> bool:
        return _is_of(entry, model) and (before_s is None or entry.answer.stored_at_s < before_s)

    with _holdings(ctx) as holdings:
        gone = holdings.prune(unwanted) if holdings else 0
    click.echo(f"{gone:,} deleted.")


@command.command()
@config_option
@click.pass_context
def clear(ctx: click.Context) -> None:
    """Delete everything."""
    with _holdings(ctx) as holdings:
        gone = holdings.clear() if holdings else 0
    # The semantic cache's questions mean nothing without the answers.
    invocation(ctx).paths().questions.unlink(missing_ok=True)
    click.echo(f"{gone:,} deleted.")


@command.command()
@click.option("--model", metavar="TEXT", help="Only of models whose name holds this.")
@config_option
@click.pass_context
def export(ctx: click.Context, model: str | None) -> None:
    """Write every answer to standard output, one JSON object per line."""
    import msgspec

    with _holdings(ctx) as holdings:
        for entry in holdings.entries() if holdings else ():
            if _is_of(entry, model):
                click.echo(msgspec.json.encode({"key": entry.key, **msgspec.to_builtins(entry.answer)}))


@contextmanager
def _holdings(ctx: click.Context) -> Iterator[Holdings | None]:
    """None where there is no cache yet: looking must not make one."""
    invoked = invocation(ctx)
    directory = invoked.paths().responses
    if not directory.exists():
        yield None
        return
    from workbench.engine.cache_holdings import open_holdings

    with open_holdings(directory, invoked.settings().cache.size_mb) as holdings:
        yield holdings


def _is_of(entry: Entry, model: str | None) -> bool:
    return model is None or model.lower() in entry.answer.model.lower()


def _age_s(age: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", age.strip().lower())
    if match is None:
        raise click.BadParameter(f"expected 30m, 12h, 7d or 4w, got {age!r}", param_hint="--older-than")
    return float(match[1]) * _S_PER[match[2]]


def _when(epoch_s: float | None) -> str:
    return "—" if epoch_s is None else datetime.fromtimestamp(epoch_s).astimezone().strftime("%Y-%m-%d %H:%M")
