"""`llm-workbench history`: what was asked and answered, as it was recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workbench.cli.options import config_option, invocation
from workbench.cli.table import columns

if TYPE_CHECKING:
    from workbench.store.database import Database
    from workbench.store.prompts import Prompt
    from workbench.store.runs import Run, Runs

_EXCERPT = 60


@click.group("history")
def command() -> None:
    """Look through recorded runs. A run goes by its name or any unambiguous beginning of it."""


_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
_limit_option = click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many.")


@command.command("list")
@_limit_option
@_json_option
@config_option
@click.pass_context
def list_(ctx: click.Context, limit: int, as_json: bool) -> None:
    """The latest runs, newest first."""

    async def look() -> list[Run]:
        async with _runs(ctx) as runs:
            return await runs.latest(limit=limit) if runs else []

    _show([(run, run.prompt or "") for run in asyncio.run(look())], as_json, "Nothing has been recorded yet.")


@command.command()
@click.argument("words", nargs=-1, required=True)
@_limit_option
@_json_option
@config_option
@click.pass_context
def search(ctx: click.Context, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Runs whose prompt or answers hold all the WORDS, best first."""

    async def look() -> list[tuple[Run, str]]:
        async with _runs(ctx) as runs:
            hits = await runs.search(" ".join(words), limit=limit) if runs else []
            return [(hit.run, hit.excerpt) for hit in hits]

    _show(asyncio.run(look()), as_json, "No run holds these words.")


@command.command()
@click.argument("run_id", metavar="RUN")
@_json_option
@config_option
@click.pass_context
def show(ctx: click.Context, run_id: str, as_json: bool) -> None:
    """One run with all its answers, as Markdown or JSON lines."""
    click.echo(asyncio.run(_exported(ctx, [run_id], as_json)), nl=False)


@command.command()
@click.argument("run_ids", metavar="[RUN]...", nargs=-1)
@click.option("--format", "format_", type=click.Choice(["jsonl", "md"]), default="jsonl", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file instead of the terminal.")
@config_option
@click.pass_context
def export(ctx: click.Context, run_ids: tuple[str, ...], format_: str, output: Path | None) -> None:
    """Write runs out, all of them unless some are named."""
    text = asyncio.run(_exported(ctx, run_ids, format_ == "jsonl"))
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@command.command()
@click.argument("name", required=False)
@_limit_option
@_json_option
@config_option
@click.pass_context
def prompts(ctx: click.Context, name: str | None, limit: int, as_json: bool) -> None:
    """Prompts that were run, in their latest versions; with a NAME all versions of that one, latest first.

    A prompt goes by its first line, or by its file if it was run over one.
    """

    async def look() -> list[Prompt]:
        async with _store(ctx) as database:
            if database is None:
                return []
            from workbench.store.prompts import Prompts

            kept = Prompts(database)
            found = await kept.versions(name) if name is not None else await kept.latest()
            return sorted(found, key=lambda prompt: (-prompt.created_s, -prompt.version))[:limit]

    found = asyncio.run(look())
    if as_json:
        for prompt in found:
            click.echo(json.dumps(asdict(prompt), ensure_ascii=False))
    elif not found:
        click.echo("No prompt has been kept yet." if name is None else f"No prompt goes by the name {name!r}.")
    elif name is None:
        from workbench.core.text import strip_control

        rows = [("WHEN", "VERSION", "PROMPT")]
        rows += [(_when(one.created_s), str(one.version), _one_line(strip_control(one.name))) for one in found]
        click.echo(columns(rows))
    else:
        click.echo("\n".join(_version(prompt) for prompt in found))


def _version(prompt: Prompt) -> str:
    from workbench.core.text import strip_control

    system = f"System: {prompt.system}\n\n" if prompt.system else ""
    return strip_control(f"── version {prompt.version} · {_when(prompt.created_s)}\n\n{system}{prompt.text}\n")


@command.command()
@click.argument("run_ids", metavar="RUN...", nargs=-1, required=True)
@config_option
@click.pass_context
def forget(ctx: click.Context, run_ids: tuple[str, ...]) -> None:
    """Delete runs with their answers."""

    async def work() -> None:
        async with _runs(ctx) as runs:
            for run_id in run_ids:
                await _required(runs, run_id).delete((await _required(runs, run_id).get(run_id))[0].id)

    asyncio.run(work())


async def _exported(ctx: click.Context, run_ids: Sequence[str], as_json: bool) -> str:
    from workbench.session.run_export import as_jsonl, as_markdown
    from workbench.store.conversations import Conversations
    from workbench.store.runs import Runs

    written = []
    async with _store(ctx) as database:
        runs = None if database is None else Runs(database)
        if not run_ids:
            run_ids = [run.id for run in await runs.latest(limit=1_000_000)] if runs else []
        for run_id in run_ids:
            run, answers = await _required(runs, run_id).get(run_id)
            before = await Conversations(database).before_answers(run.id) if database is not None else {}
            written.append((as_jsonl if as_json else as_markdown)(run, answers, before))
    return ("" if as_json else "\n---\n\n").join(written)


@asynccontextmanager
async def _store(ctx: click.Context) -> AsyncIterator[Database | None]:
    """The store, or None where there is none yet: looking must not make one."""
    path = invocation(ctx).paths().database
    if not path.exists():
        yield None
        return
    from workbench.store.database import Database

    database = Database(path)
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def _runs(ctx: click.Context) -> AsyncIterator[Runs | None]:
    """The store's runs, as above."""
    from workbench.store.runs import Runs

    async with _store(ctx) as database:
        yield None if database is None else Runs(database)


def _required(runs: Runs | None, run_id: str) -> Runs:
    if runs is None:
        from workbench.core.errors import StoreError

        raise StoreError(f"No run {run_id!r}: nothing has been recorded yet.")
    return runs


def _show(found: Sequence[tuple[Run, str]], as_json: bool, empty: str) -> None:
    if as_json:
        for run, excerpt in found:
            click.echo(json.dumps({**asdict(run), "excerpt": excerpt}, ensure_ascii=False))
    elif not found:
        click.echo(empty)
    else:
        from workbench.core.text import strip_control

        rows = [("RUN", "WHEN", "FROM", "PROMPT")]
        rows += [
            (run.id, _when(run.created_s), str(run.kind), _one_line(strip_control(excerpt))) for run, excerpt in found
        ]
        click.echo(columns(rows))


def _when(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s).astimezone().strftime("%Y-%m-%d %H:%M")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else f"{line[: _EXCERPT - 1]}…"
